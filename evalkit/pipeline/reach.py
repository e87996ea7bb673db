"""How good the evidence of who answers can get through a gateway, and which tasks that is too weak for.

Asked before anything is spent. What is known comes from the profile; where a callback at the gateway decides, one
request that no model answers finds out. A gateway that cannot be asked leaves the reach unknown, and unknown refuses
nothing: a dead gateway or a wrong key must not be called a gateway that proves too little.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evalkit.domain.outcome import MISSING, IdentityClass, Kind
from evalkit.pipeline.preflight_probes import REFUSED
from evalkit.plugins import Fault, Request
from evalkit.wire.response import Asked, read_response

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from evalkit.domain.policy import Policy
    from evalkit.plugins import Gateway, IdentityProbe, Profile, Reply

__all__ = ["UNKNOWN_REACH", "Unmet", "identity_reach", "known_reach", "shortfall", "unmet_tasks"]

UNKNOWN_REACH = "the gateway did not say whether it can prove who answers: what it can do shows in the answers only"
"""What is told when the probe met a fault, or a refusal that may be of something else."""

_SUCCESSES = range(200, 300)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmet:
    """A task that asks for better evidence than a gateway can give."""

    task: str
    needs: IdentityClass


def known_reach(profile: Profile) -> IdentityClass:
    """Return what answers through a gateway are worth at least, without asking it."""
    if profile.attests:
        return IdentityClass.ATTESTED
    return IdentityClass.SELF_REPORTED if profile.model_field == "upstream" else IdentityClass.UNVERIFIABLE


async def identity_reach(gateway: Gateway, *, timeout_s: float) -> IdentityClass | None:
    """Return the best class answers can have through a gateway; None when it could not be found out.

    Sends at most one request, the profile's identity probe, which no model answers and nobody bills.

    Raises:
        InputError: when the key the configuration names cannot be read.
    """
    profile = gateway.profile
    probe = profile.identity_probe
    if profile.attests or probe is None:
        return known_reach(profile)
    answer = await gateway.send(_probe_request(profile, probe, timeout_s=timeout_s))
    if isinstance(answer, Fault):
        return None
    if probe.is_proof(answer):
        return IdentityClass.ATTESTED
    return known_reach(profile) if _is_no(answer, probe) else None


def unmet_tasks(policy: Policy, tasks: Iterable[str], *, reach: IdentityClass) -> tuple[Unmet, ...]:
    """Return the tasks whose `min_identity` asks for more than `reach`, in the order given."""
    needs = ((task, IdentityClass(policy.defaults_for(task).min_identity)) for task in dict.fromkeys(tasks))
    return tuple(Unmet(task=task, needs=needed) for task, needed in needs if reach.rank > needed.rank)


def shortfall(profile: Profile, unmet: Sequence[Unmet], *, reach: IdentityClass) -> tuple[str, str]:
    """Return the problem as a sentence and the ways out as its next step: better evidence first, less asked last."""
    needs = ", ".join(f"{one.task} ({one.needs})" for one in unmet)
    problem = f"answers through gateway kind {profile.kind!r} are at most {reach}, and tasks need more: {needs}"
    ways = [profile.identity_cure] if profile.identity_cure else []
    wants_own_name = any(one.needs is IdentityClass.SELF_REPORTED for one in unmet)
    if reach is IdentityClass.UNVERIFIABLE and wants_own_name:
        ways.append("`gateway.model_field: upstream`, when the gateway passes on the upstream's own model name")
    ways.append(f"`min_identity: {reach}` in the policy for these tasks")
    return problem, "; or ".join(ways)


def _probe_request(profile: Profile, probe: IdentityProbe, *, timeout_s: float) -> Request:
    asked = {"model": probe.route, "messages": [{"role": "user", "content": "identity probe"}], "max_tokens": 1}
    # With the clean-room switches: a default fallback of the gateway's would find somebody to answer.
    body = json.dumps({**asked, **profile.extra_body}).encode()
    return Request(
        body=body,
        digest=hashlib.sha256(body).hexdigest(),
        timeout_s=timeout_s,
        suite="preflight",
        case_id="identity",
        model_id="",
        headers=probe.headers,
    )


def _is_no(answer: Reply, probe: IdentityProbe) -> bool:
    """Whether the answer shows that no callback stood in the way.

    Only two do: somebody answered, or the gateway refused *this model*, by its name. Any other refusal may be of the
    key, the address, or the moment.
    """
    reading = read_response(answer.status, answer.headers, answer.body, asked=Asked(route=probe.route))
    has_answer = reading.kind not in MISSING or reading.kind is Kind.SUBSTITUTED_MODEL
    names_it = probe.route.encode() in answer.body.replace(b"\\/", b"/")
    return (answer.status in _SUCCESSES and has_answer) or (reading.kind in REFUSED and names_it)
