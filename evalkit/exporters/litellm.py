"""LiteLLM's proxy: one group a candidate, `<task>` then `<task>#1`, `<task>#2` …, and the callback that reads the file.

One group a position, because a group of several models is balanced between them, and because retries must run out
before the next one is asked. What LiteLLM does with each setting was found by running 1.106.2; what it cannot
hold is said in the files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from evalkit.domain.outcome import Kind
from evalkit.exporters.remarks import commented, notes_file, unsaid_denials, unsaid_latencies
from evalkit.exporters.routing import routing_from_document

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from evalkit.exporters.routing import Hop, Routing, TaskRoute
    from evalkit.plugins import Exporter

__all__ = ["build"]

_HANDLER = "evalkit.router.litellm_hook.handler"
_RETRIES: Mapping[str, frozenset[Kind]] = {
    "RateLimitErrorRetries": frozenset({Kind.RATE_LIMITED}),
    "TimeoutErrorRetries": frozenset({Kind.TIMEOUT}),
    "ServiceUnavailableErrorRetries": frozenset({Kind.PROVIDER_OVERLOADED}),
    "InternalServerErrorRetries": frozenset({Kind.PROVIDER_ERROR, Kind.CONNECTION}),
    "AuthenticationErrorRetries": frozenset({Kind.AUTH_ERROR}),
    "NotFoundErrorRetries": frozenset({Kind.MODEL_UNAVAILABLE}),
    "BadRequestErrorRetries": frozenset(),
    "ContentPolicyViolationErrorRetries": frozenset(),
    "DefaultRetries": frozenset(),
}
"""LiteLLM's retries by class of error, and the wire kinds each stands for. The default is for what LiteLLM has no class
for, 403 and 422 among it, so it is never more than none."""
_ENVIRONMENT = """\
# Variables the proxy needs; values never stand in a file that is kept.
LITELLM_MASTER_KEY=
# Without it LiteLLM fetches its price list from the network at every start.
LITELLM_LOCAL_MODEL_COST_MAP=True
# The eligibility file the callback follows, the environment it must be for, and `id=base64` of its public key.
EVALKIT_ELIGIBILITY_FILE=
EVALKIT_AUDIENCE={audience}
EVALKIT_PUBLIC_KEYS=
# 1 in a rehearsal on the simulator, never elsewhere.
EVALKIT_ALLOW_SIMULATED=
# One line a provider.
"""


def build() -> Exporter:
    """Return the exporter."""
    return _LiteLLM()


class _LiteLLM:
    def export(self, document: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
        """Yield `litellm/config.yaml`, `litellm/litellm.env.example` and `litellm/notes.txt`."""
        routing = routing_from_document(document)
        routing.require_one_host()
        routing.require_own_keys()
        routing.require_distinct()
        for task in routing.tasks:
            task.require_patience(_backoff_s(task.failover.retries))
        notes = tuple(_notes(routing))
        config = yaml.safe_dump(_config(routing), sort_keys=False, allow_unicode=False, width=120)
        keys = dict.fromkeys(hop.own_api_key_env for hop in routing.hops)
        environment = _ENVIRONMENT.format(audience=routing.audience) + "".join(f"{key}=\n" for key in keys)
        yield "litellm/config.yaml", (commented((*routing.provenance, *notes)) + config).encode()
        yield "litellm/litellm.env.example", (commented(routing.provenance) + environment).encode()
        yield "litellm/notes.txt", notes_file(routing, notes)


def _backoff_s(retries: int) -> float:
    """Return the longest pauses at one candidate: 0.5, 1, 2 … seconds and jitter, one after each failed try."""
    return sum(min(0.5 * 2.0**tried, 8.0) + 0.75 for tried in range(retries + 1)) if retries else 0.0


def _config(routing: Routing) -> dict[str, Any]:
    return {
        "model_list": [_deployment(task, hop) for task in routing.tasks for hop in task.hops],
        "router_settings": _router_settings(routing),
        "litellm_settings": {"callbacks": [_HANDLER]},
        "general_settings": {"master_key": "os.environ/LITELLM_MASTER_KEY"},
    }


def _deployment(task: TaskRoute, hop: Hop) -> dict[str, Any]:
    params: dict[str, Any] = {
        "model": f"{hop.provider_kind}/{hop.upstream}",
        "api_key": f"os.environ/{hop.own_api_key_env}",
        "timeout": task.failover.upstream_timeout_s,
        # LiteLLM's own count is the only one: its client library would retry within each of its tries.
        "max_retries": 0,
    }
    if hop.terms.api_base is not None:
        params["api_base"] = hop.terms.api_base
    if task.spend_cap is not None:
        params["max_budget"] = task.spend_cap.usd / len(task.hops)
        params["budget_duration"] = task.spend_cap.per
    if hop.adapt.get("extra_body"):
        params["extra_body"] = dict(hop.adapt["extra_body"])
    info: dict[str, Any] = {
        "id": f"evalkit:{task.task}:{hop.model_id}",
        "evalkit_model": hop.model_id,
        "evalkit_task": task.task,
        "mode": "chat",
    }
    if hop.context_tokens is not None:
        info["max_input_tokens"] = hop.context_tokens
    return {"model_name": _group(hop), "litellm_params": params, "model_info": info}


def _group(hop: Hop) -> str:
    return hop.task if hop.position == 0 else f"{hop.task}#{hop.position}"


def _router_settings(routing: Routing) -> dict[str, Any]:
    hops = [(task, hop) for task in routing.tasks for hop in task.hops]
    settings: dict[str, Any] = {
        # Every group has its own count below; whatever has none is not tried twice.
        "num_retries": 0,
        "model_group_retry_policy": {_group(hop): _retries(task) for task, hop in hops},
        # A cooled-down group answers 429 without asking, for a bad key as for a busy provider, and moves conversations
        # to another model for a blip. Groups hold one model: there is nothing to spread the load over.
        "disable_cooldowns": True,
        # Under the first group's name, whole: the callback reads it there, and begins further down when it has to.
        "fallbacks": [
            {task.task: [_group(hop) for hop in task.hops[1:]]} for task in routing.tasks if len(task.hops) > 1
        ],
        # Never empty while there is a group: LiteLLM takes an empty list for none, and then sends overflows and
        # refused content down the list above.
        "context_window_fallbacks": [{_group(hop): [_group(wider) for wider in task.wider(hop)]} for task, hop in hops],
        "content_policy_fallbacks": [{_group(hop): []} for _, hop in hops],
        "max_fallbacks": max((len(task.hops) for task in routing.tasks), default=1),
    }
    caps = dict(_provider_caps(routing))
    if caps:
        settings["provider_budget_config"] = caps
    if any(task.is_sticky for task in routing.tasks):
        settings["optional_pre_call_checks"] = ["session_affinity"]
    return settings


def _retries(task: TaskRoute) -> dict[str, int]:
    wanted = {*task.failover.retry_on}
    return {name: task.failover.retries if kinds & wanted else 0 for name, kinds in _RETRIES.items()}


def _provider_caps(routing: Routing) -> Iterator[tuple[str, dict[str, Any]]]:
    for provider, cap in routing.provider_caps.items():
        kind = _kinds(routing).get(provider)
        if kind is not None and _counts_alone(routing, provider):
            yield kind, {"budget_limit": cap.usd, "time_period": cap.per}


def _kinds(routing: Routing) -> dict[str, str]:
    """Return the type of every provider that serves something."""
    return {hop.provider_name: hop.provider_kind for hop in routing.hops}


def _counts_alone(routing: Routing, provider: str) -> bool:
    """Whether LiteLLM, which counts by type, counts this provider and no other."""
    kinds = _kinds(routing)
    return [name for name, kind in kinds.items() if kind == kinds[provider]] == [provider]


def _notes(routing: Routing) -> Iterator[str]:
    """Say what LiteLLM holds differently, or not at all."""
    yield from unsaid_denials(routing)
    kinds = _kinds(routing)
    for provider, cap in routing.provider_caps.items():
        if provider in kinds and not _counts_alone(routing, provider):
            others = ", ".join(name for name, kind in kinds.items() if kind == kinds[provider] and name != provider)
            yield (
                f"not enforced here: the spend cap of provider {provider!r}, {cap.usd:g} USD per {cap.per}: LiteLLM "
                f"counts by type, and {kinds[provider]} is also {others}"
            )
    for task in routing.tasks:
        if task.spend_cap is not None:
            share = task.spend_cap.usd / len(task.hops)
            yield (
                f"in equal parts: the spend cap of task {task.task}, {task.spend_cap.usd:g} USD per "
                f"{task.spend_cap.per}, is {share:g} a candidate: LiteLLM caps deployments, not groups"
            )
    yield from unsaid_latencies(routing)
    if any(task.spend_cap is not None for task in routing.tasks) or routing.provider_caps:
        yield "caps count what LiteLLM has a price for, in each worker's memory, from its start; Redis makes them one"
    if any(len(task.hops) > 1 for task in routing.tasks):
        yield "LiteLLM goes to the next candidate after every error but an overflow or refused content, a 400 included"
