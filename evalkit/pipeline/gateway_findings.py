"""What a gateway's answers to the probes show: `held`, `broken`, or `unknown`. Pure.

A fault is never taken for a refusal, and a refusal is worth nothing while nothing is served: a gateway that is down, or
that refuses the key, would pass every test otherwise.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from evalkit.domain.outcome import Kind
from evalkit.errors import ExitCode
from evalkit.pipeline.gateway_probes import Deployment
from evalkit.plugins import Fault
from evalkit.wire.asked import Asked
from evalkit.wire.error_bodies import error_from_body, error_from_text, error_of, shown_detail
from evalkit.wire.errors import classify_error
from evalkit.wire.json_text import load_json
from evalkit.wire.message import as_dict, as_dicts, as_text
from evalkit.wire.model_names import likeness

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from evalkit.pipeline.dialects import Dialect
    from evalkit.pipeline.gateway_probes import Ground, Probe
    from evalkit.plugins import Reply
    from evalkit.wire.error_bodies import ErrorRecord

__all__ = [
    "Finding",
    "Held",
    "deployments_of",
    "is_key_refused",
    "is_reached",
    "judge_listing",
    "judge_live_file",
    "judge_logging",
    "judge_negative",
    "judge_positive",
    "lets_through",
    "probing_exit_code",
    "served_id",
]

_SUCCESSES, _REDIRECTS, _CLIENT_ERRORS = range(200, 300), range(300, 400), range(400, 500)
_UNAUTHORIZED, _TIMEOUT, _TOO_MANY = 401, 408, 429
_OTHERS_FAULTS = frozenset({407, _TIMEOUT, 425})
"""Client errors that say nothing about what was asked."""
_OUTSIDE = frozenset({
    Kind.RATE_LIMITED, Kind.QUOTA_EXHAUSTED, Kind.PROVIDER_OVERLOADED, Kind.PROVIDER_ERROR, Kind.TIMEOUT,
    Kind.CONNECTION, Kind.STREAM_CUT, Kind.STREAM_ERROR,
})  # fmt: skip
_INELIGIBLE = "evalkit_ineligible"
_LIVE = "x-evalkit-eligibility"
_SERVED_ID = "x-litellm-model-id"
_SERVED_BY = (_SERVED_ID, "x-portkey-last-used-option-index", "x-evalkit-raw-model")
_UPSTREAM_TRACES = ("llm_provider-", _SERVED_ID)
"""Beginnings of headers that come with a provider's own answer."""
_PROVIDERS_WORDS = re.compile(r"litellm\.\w+: (?:[\w.]+: )*\w+(?:Exception|Error) - ")
"""How LiteLLM begins what a provider, or the way to one, said."""
_ALIKE = frozenset({"equal", "same"})
_OBJECT = re.compile(r"<(?:bound method )?([\w.]+)(?: of <([\w.]+))?")
_OWN_CALLBACKS = ("litellm.proxy.hooks.", "litellm.router", "litellm._service_logger.", "evalkit.", "Router.")
_ANSWER_CALLBACKS = ("litellm.callbacks", "litellm.success_callback", "litellm._async_success_callback")
_NO_DATABASE = "not connected"


class Held(StrEnum):
    """What a probe shows."""

    HELD = "held"
    BROKEN = "broken"
    UNKNOWN = "unknown"
    TOLD = "told"
    """Something to know; nothing was promised about it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the result."""

    probe: str
    sent: str
    came_back: str
    verdict: Held
    why: str = ""


def judge_positive(
    probe: Probe, answer: Reply | Fault, *, ground: Ground, deployments: Sequence[Deployment]
) -> Finding:
    """Return whether an honest request was served, by a model that may."""
    finding = _finding(probe, answer)
    if isinstance(answer, Fault):
        return replace(finding, why="the gateway or the provider failed; try again")
    if answer.status in _SUCCESSES:
        verdict, why = _served_rightly(answer, ground=ground, deployments=deployments)
        return replace(finding, verdict=verdict, why=why)
    if answer.status not in _CLIENT_ERRORS or _kind(answer) in _OUTSIDE:
        return replace(finding, why="a fault or a limit, not a refusal; try again")
    return replace(finding, verdict=Held.BROKEN, why="an eligible model is refused")


def _served_rightly(answer: Reply, *, ground: Ground, deployments: Sequence[Deployment]) -> tuple[Held, str]:
    if _error(answer) is not None:
        return Held.UNKNOWN, "the answer carries an error under a status of success"
    if not _has_choice(answer):
        return Held.BROKEN, "not a chat completion: is the base URL right?"
    model_id = _served_model(answer, ground=ground, deployments=deployments)
    if model_id is None:
        return Held.HELD, "by whom, the answer does not prove"
    if model_id not in ground.candidates:
        return Held.BROKEN, f"served by {model_id}, which may not serve the task"
    return Held.HELD, f"served by {model_id}"


def judge_live_file(answer: Reply | Fault, *, ground: Ground, dialect: Dialect) -> Finding | None:
    """Return whether the gateway follows this very file; None where such gateways never say."""
    if isinstance(answer, Fault):
        return None
    live = answer.headers.get(_LIVE)
    if live is None and not (dialect.has_live_header and answer.status in _SUCCESSES):
        return None
    finding = Finding(
        probe="this file is live", sent="the same request", came_back=f"{_LIVE}: {live}", verdict=Held.HELD
    )
    if live is None:
        why = "no callback of evalkit answered: is it in litellm_settings.callbacks?"
        return replace(finding, came_back=f"no {_LIVE}", verdict=Held.BROKEN, why=why)
    if live != ground.live:
        return replace(finding, verdict=Held.BROKEN, why=f"stale file: this one is {ground.live}")
    return finding


def judge_negative(
    probe: Probe, answer: Reply | Fault, *, ground: Ground, dialect: Dialect, lets_through: bool
) -> Finding:
    """Return whether a request that must be refused was.

    Args:
        probe: what was asked.
        answer: what came back.
        ground: what the file says.
        dialect: how the gateway is spoken to.
        lets_through: whether it serves or forwards anything at all with this key.
    """
    finding = _finding(probe, answer)
    if isinstance(answer, Fault):
        return replace(finding, why="a fault, not a refusal")
    if answer.status in _SUCCESSES:
        return _judge_served(finding, probe, answer, ground=ground, dialect=dialect)
    verdict, why = _refused_rightly(probe, answer, lets_through=lets_through)
    return replace(finding, verdict=verdict, why=why)


def _refused_rightly(probe: Probe, answer: Reply, *, lets_through: bool) -> tuple[Held, str]:
    if is_reached(answer):
        return Held.BROKEN, "the request reached a provider, which refused it"
    if answer.status in probe.provokes or (probe.closed_by and probe.closed_by in _record(answer).text):
        return Held.HELD, "the detour led nowhere"
    if answer.status == _TOO_MANY:
        return Held.BROKEN, "refused as a rate limit: clients will retry for ever"
    if answer.status not in _CLIENT_ERRORS or answer.status in _OTHERS_FAULTS:
        return Held.UNKNOWN, "a fault, not a refusal"
    if not lets_through and _INELIGIBLE not in _record(answer).codes:
        return Held.UNKNOWN, "nothing is served either, so this refusal shows nothing"
    return Held.HELD, ""


def _judge_served(finding: Finding, probe: Probe, answer: Reply, *, ground: Ground, dialect: Dialect) -> Finding:
    if _error(answer) is not None:
        return replace(finding, why="an error under a status of success: callers may take it for an answer")
    model_id = _served_model(answer, ground=ground, deployments=())
    is_own = model_id is not None and probe.task is not None and model_id in ground.admitted.get(probe.task, ())
    if is_own and dialect.replaces_model:
        return replace(finding, verdict=Held.HELD, why=f"the name was ignored: served by {model_id}")
    if probe.provokes and _is_first_choice(answer, probe):
        return replace(finding, why="served by the task's own model: the detour was not tried")
    by = f" by {model_id}" if model_id is not None else ""
    return replace(finding, verdict=Held.BROKEN, why=f"served{by}: must be refused with 403")


def _is_first_choice(answer: Reply, probe: Probe) -> bool:
    """Whether the model that should have failed answered after all."""
    return probe.task is not None and answer.headers.get("x-litellm-model-group") == probe.task


def judge_listing(answer: Reply | Fault, *, allowed: frozenset[str]) -> Finding:
    """Return whether a key is shown only what it may reach."""
    finding = Finding(
        probe="scoped key: models it is shown", sent="GET /models", came_back=_came_back(answer), verdict=Held.UNKNOWN
    )
    if isinstance(answer, Fault) or answer.status not in _SUCCESSES:
        return replace(finding, why="the gateway lists no models for this key")
    entries = as_dict(_document(answer)).get("data")
    if not isinstance(entries, list):
        return replace(finding, why="not a list of models")
    shown = [as_text(as_dict(entry).get("id")) for entry in entries]
    foreign = sorted({name for name in shown if name not in allowed})
    came_back = f"{answer.status}: {len(shown)} models"
    if foreign:
        why = f"shown beyond its task: {', '.join(map(repr, foreign[:5]))}"
        return replace(finding, came_back=came_back, verdict=Held.BROKEN, why=why)
    return replace(finding, came_back=came_back, verdict=Held.HELD)


def judge_logging(callbacks: Reply | Fault | None, health: Reply | Fault | None) -> Finding:
    """Return what can be seen of where the gateway hands prompts and answers to; nothing is promised about it."""
    finding = Finding(
        probe="payload logging", sent="GET what it calls", came_back="not visible", verdict=Held.TOLD,
        why="look at the gateway's own configuration",
    )  # fmt: skip
    if not _is_success(callbacks):
        return finding
    listed = as_dict(_document(callbacks))
    if not all(isinstance(listed.get(name), list) for name in _ANSWER_CALLBACKS):
        return finding
    names = [as_text(item) for key in _ANSWER_CALLBACKS for item in listed[key]]
    loggers = sorted({_callback_name(name) for name in names if not _is_own(name)})
    if loggers:
        why = f"unless redaction is on, which is not visible: {', '.join(loggers[:5])}"
        return replace(finding, came_back="logged", why=why)
    if not _is_success(health) or as_text(as_dict(_document(health)).get("db")).lower() != _NO_DATABASE:
        return replace(finding, why="no callback logs, but its database may: see store_prompts_in_spend_logs")
    return replace(finding, came_back="not logged", why="no callback but the gateway's own, and no database")


def lets_through(answer: Reply | Fault | None) -> bool:
    """Whether the answer to an honest request shows that the gateway takes this key and forwards."""
    if answer is None or isinstance(answer, Fault):
        return False
    return answer.status not in _CLIENT_ERRORS or _kind(answer) in _OUTSIDE


def is_key_refused(answer: Reply | Fault) -> bool:
    """Whether a gateway, or the provider behind it, refused the key; LiteLLM without a database says so with a 400."""
    if isinstance(answer, Fault) or answer.status not in _CLIENT_ERRORS:
        return False
    return answer.status == _UNAUTHORIZED or (
        _kind(answer) is Kind.AUTH_ERROR and _INELIGIBLE not in _record(answer).codes
    )


def is_reached(answer: Reply | Fault) -> bool:
    """Whether a request got as far as a provider."""
    if isinstance(answer, Fault):
        return False
    if answer.status in _SUCCESSES:
        return True
    if any(name.startswith(_UPSTREAM_TRACES) for name in answer.headers):
        return True
    if _PROVIDERS_WORDS.match(_record(answer).message):
        return True
    # Portkey adds the provider's name to what a provider answered; its own refusals say `status: failure`.
    body = as_dict(_document(answer))
    return "x-portkey-provider" in answer.headers and "provider" in body and body.get("status") != "failure"


def served_id(answer: Reply | Fault) -> str | None:
    """Return the gateway's own id of the deployment that answered."""
    return None if isinstance(answer, Fault) else answer.headers.get(_SERVED_ID) or None


def deployments_of(answer: Reply | Fault) -> tuple[Deployment, ...]:
    """Return what a LiteLLM proxy tells of its deployments; nothing when it does not tell."""
    if not _is_success(answer):
        return ()
    found = []
    for entry in as_dicts(as_dict(_document(answer)).get("data")):
        info = as_dict(entry.get("model_info"))
        deployment_id, group = as_text(info.get("id")), as_text(entry.get("model_name"))
        if deployment_id and group:
            model_id = as_text(info.get("evalkit_model")) or None
            found.append(Deployment(deployment_id=deployment_id, group=group, model_id=model_id))
    return tuple(found)


def probing_exit_code(findings: Iterable[Finding]) -> int:
    """Return 1 when anything is broken, 3 when anything is unknown, else 0."""
    verdicts = {finding.verdict for finding in findings}
    if Held.BROKEN in verdicts:
        return ExitCode.WORSE
    return ExitCode.UNDECIDED if Held.UNKNOWN in verdicts else ExitCode.OK


def _finding(probe: Probe, answer: Reply | Fault) -> Finding:
    return Finding(probe=probe.name, sent=probe.sent, came_back=_came_back(answer), verdict=Held.UNKNOWN)


def _came_back(answer: Reply | Fault) -> str:
    if isinstance(answer, Fault):
        return f"{answer.kind}: {answer.detail}"
    if answer.status in _SUCCESSES and _error(answer) is None:
        served = next((answer.headers[name] for name in _SERVED_BY if answer.headers.get(name)), "")
        named = as_text(as_dict(_document(answer)).get("model"))
        said = [f"model {named}"] if named else []
        return ", ".join([f"{answer.status}", *said, *([f"by {served}"] if served else [])])
    if answer.status in _REDIRECTS:
        return f"{answer.status}: a redirect, which is not followed"
    record = _record(answer)
    code = _INELIGIBLE if _INELIGIBLE in record.codes else record.code
    words = " ".join(word for word in (code, shown_detail(record.message)) if word)
    return f"{answer.status}: {words}" if words else str(answer.status)


def _served_model(answer: Reply, *, ground: Ground, deployments: Sequence[Deployment]) -> str | None:
    """Return the model of the file that answered, as far as the answer proves one."""
    by_id = {one.deployment_id: one.model_id for one in deployments}
    deployment = answer.headers.get(_SERVED_ID)
    if deployment is not None:
        # Our exporter's ids say it themselves; the body repeats what was asked.
        return by_id.get(deployment) or _exported_model(deployment)
    named = as_text(as_dict(_document(answer)).get("model")).rpartition("::")[2]
    known = dict.fromkeys([*ground.candidates, *(model for offered in ground.admitted.values() for model in offered)])
    known.update(dict.fromkeys(ground.others))
    if not named:
        return None
    return next((model for model in known if named in ground.names_of(model)), None) or next(
        (model for model in known for name in ground.names_of(model) if likeness(name, named) in _ALIKE), None
    )


def _exported_model(deployment: str) -> str | None:
    mark, _, rest = deployment.partition(":")
    return rest.partition(":")[2] or None if mark == "evalkit" else None


def _is_success(answer: Reply | Fault | None) -> bool:
    return answer is not None and not isinstance(answer, Fault) and answer.status in _SUCCESSES


def _is_own(callback: str) -> bool:
    """Whether a callback belongs to the proxy or to evalkit; a plain name is an integration."""
    match = _OBJECT.match(callback)
    return match is not None and match[1].startswith(_OWN_CALLBACKS)


def _callback_name(callback: str) -> str:
    match = _OBJECT.match(callback)
    return callback[:60] if match is None else match[1]


def _kind(answer: Reply) -> Kind:
    return classify_error(answer.status, _record(answer), asked=Asked(route="")).kind


def _has_choice(answer: Reply) -> bool:
    choices = as_dict(_document(answer)).get("choices")
    return isinstance(choices, list) and any(isinstance(choice, dict) for choice in choices)


def _error(answer: Reply) -> Any:
    return error_of(_document(answer))


def _record(answer: Reply) -> ErrorRecord:
    document = _document(answer)
    if document is None:
        return error_from_text(answer.body.decode("utf-8", "replace"))
    return error_from_body(document)


def _document(answer: Reply | Fault | None) -> Any:
    if answer is None or isinstance(answer, Fault):
        return None
    try:
        return load_json(answer.body.decode("utf-8", "replace"))
    except ValueError:
        return None
