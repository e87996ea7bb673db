"""OpenRouter: a guardrail a task, which OpenRouter enforces; presets with the order; pins for measuring.

A guardrail with an empty list of models allows every model, so a task without candidates gets none: its key is listed
for disabling instead. OpenRouter was not called: the bodies are checked against its own SDK's models.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from evalkit.domain.policy import seconds_of
from evalkit.errors import InputError
from evalkit.exporters.names import dns_label, names_of
from evalkit.exporters.remarks import (
    notes_file,
    unsaid_bodies,
    unsaid_denials,
    unsaid_latencies,
    unsaid_provider_caps,
    unsaid_sessions,
)
from evalkit.exporters.routing import routing_from_document

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from evalkit.exporters.routing import Hop, Routing, TaskRoute
    from evalkit.plugins import Exporter

__all__ = ["build"]

_KIND = "openrouter"
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")
_HOST = re.compile(r"[a-z0-9][a-z0-9._-]*(/[a-z0-9][a-z0-9._-]*)?")
_ROUTER_AUTHOR = "openrouter/"
_MOVING_SUFFIX = "-latest"
_INTERVALS = {86_400: "daily", 7 * 86_400: "weekly", 30 * 86_400: "monthly"}
_QUANTIZATIONS = frozenset(
    {*("int4", "int8", "fp4", "mxfp4", "nvfp4", "fp6", "fp8", "mxfp8", "fp16", "bf16", "fp32", "unknown")}
)
_PLUGINS_OFF = [{"id": "context-compression", "enabled": False}, {"id": "response-healing", "enabled": False}]
_PLACEHOLDER = {"role": "user", "content": "a preset keeps no messages; its schema wants one"}


def build() -> Exporter:
    """Return the exporter."""
    return _OpenRouter()


class _OpenRouter:
    def export(self, document: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
        """Yield guardrails to create, a preset for each task with candidates, every candidate's pins, and notes.

        Raises:
            InputError: for a model without an OpenRouter id of its own, a moving id, or a spend cap over a period
                OpenRouter does not have.
        """
        routing = routing_from_document(document)
        ids = _model_ids(routing, was_measured_here=document["gateway"]["kind"] == _KIND)
        slugs = names_of((route.task for route in routing.tasks), dns_label, what="tasks")
        guardrails = [_guardrail(route, ids, routing=routing) for route in routing.tasks]
        whole = {"source": routing.provenance, "guardrails": guardrails, "disable_keys_for": routing.denied}
        yield "openrouter/guardrails.json", _json(whole)
        for route in routing.tasks:
            preset = _preset(route, ids, slug=slugs[route.task])
            yield f"openrouter/presets/{route.task}.json", _json({"source": routing.provenance, **preset})
        pins = {hop.model_id: _pin(hop, ids[hop.model_id]) for hop in routing.hops}
        yield "openrouter/evaluation_pins.json", _json({"source": routing.provenance, "pins": pins})
        yield "openrouter/notes.txt", notes_file(routing, _notes(routing, ids))


def _notes(routing: Routing, ids: Mapping[str, str]) -> Iterator[str]:
    yield from unsaid_denials(routing)
    yield from unsaid_provider_caps(routing)
    yield from unsaid_latencies(routing)
    yield from unsaid_sessions(routing)
    yield from unsaid_bodies(routing)
    for route in routing.tasks:
        yield from _loose_hosts(route, ids)


def _guardrail(route: TaskRoute, ids: Mapping[str, str], *, routing: Routing) -> dict[str, Any]:
    """Return the body that creates a task's guardrail; TaskRoute has a hop at least, so the list is never empty."""
    body: dict[str, Any] = {
        "name": f"evalkit-{routing.audience}-{route.task}",
        "description": "; ".join(routing.provenance),
        "allowed_models": _unique(ids[hop.model_id] for hop in route.hops),
    }
    hosts = _hosts(route)
    if hosts:
        body["allowed_providers"] = hosts
    if route.spend_cap is not None:
        body["limit_usd"] = route.spend_cap.usd
        body["reset_interval"] = _interval(route)
        # Without it, calls with a key of the organisation's own are free of charge to the cap.
        body["include_byok_in_budgets"] = True
    return body


def _interval(route: TaskRoute) -> str:
    per = route.spend_cap.per if route.spend_cap is not None else ""
    interval = _INTERVALS.get(seconds_of(per))
    if interval is None:
        raise InputError(
            f"task {route.task!r} has a spend cap per {per}, and OpenRouter resets a limit daily, weekly or monthly",
            next_step="write `per: 1d`, `7d` or `30d` in the policy, or take the cap out, then decide again",
        )
    return interval


def _preset(route: TaskRoute, ids: Mapping[str, str], *, slug: str) -> dict[str, Any]:
    provider: dict[str, Any] = {"require_parameters": True}
    hosts = _hosts(route)
    if hosts:
        provider |= {"only": hosts, "order": hosts}
    levels = [_quantization(hop) for hop in route.hops]
    if all(levels):
        provider["quantizations"] = _unique(level for level in levels if level)
    request = {
        "models": _unique(ids[hop.model_id] for hop in route.hops),
        "provider": provider,
        "plugins": _PLUGINS_OFF,
        "messages": [_PLACEHOLDER],
    }
    return {"slug": slug, "chat_request": request}


def _pin(hop: Hop, model: str) -> dict[str, Any]:
    """Return what a measuring request adds to its own fields: one model, on one host where the roster names one."""
    provider: dict[str, Any] = {"allow_fallbacks": False, "require_parameters": True}
    host, level = _host(hop), _quantization(hop)
    if host:
        provider |= {"only": [host], "order": [host]}
    if level:
        provider["quantizations"] = [level]
    return {"model": model, "provider": provider, "plugins": _PLUGINS_OFF}


def _loose_hosts(route: TaskRoute, ids: Mapping[str, str]) -> Iterator[str]:
    """Yield what the guardrail of a task lets through and nobody measured: its two lists do not belong together."""
    hosts = _hosts(route)
    if not hosts:
        loose = _unique(ids[hop.model_id] for hop in route.hops if _host(hop) is None)
        yield f"task {route.task}: any host may serve {', '.join(loose)}, because the roster names none"
        if len(loose) < len(_unique(ids[hop.model_id] for hop in route.hops)):
            yield f"task {route.task}: so the hosts named for its other models are not enforced by the guardrail either"
        return
    measured = {(ids[hop.model_id], _host(hop)) for hop in route.hops}
    for model in _unique(ids[hop.model_id] for hop in route.hops):
        others = [host for host in hosts if (model, host) not in measured]
        if others:
            yield f"task {route.task}: {model} may also be served by {', '.join(others)}, where it was not measured"


def _hosts(route: TaskRoute) -> list[str]:
    """Return the hosts of a task in order, or nothing where a candidate names none: it would be shut out."""
    hosts = [_host(hop) for hop in route.hops]
    return _unique(host for host in hosts if host) if all(hosts) else []


def _host(hop: Hop) -> str | None:
    if hop.host is not None and not _HOST.fullmatch(hop.host):
        raise InputError(
            f"model {hop.model_id!r} names the host {hop.host!r}, which is no provider slug of OpenRouter",
            next_step="write its slug, such as together or deepinfra/turbo",
        )
    return hop.host


def _quantization(hop: Hop) -> str | None:
    if hop.quantization is not None and hop.quantization not in _QUANTIZATIONS:
        raise InputError(
            f"model {hop.model_id!r} has the quantisation {hop.quantization!r}, which OpenRouter does not know",
            next_step=f"one of: {', '.join(sorted(_QUANTIZATIONS))}",
        )
    return hop.quantization


def _model_ids(routing: Routing, *, was_measured_here: bool) -> Mapping[str, str]:
    return {hop.model_id: _model_id(hop, was_measured_here=was_measured_here) for hop in routing.hops}


def _model_id(hop: Hop, *, was_measured_here: bool) -> str:
    name = hop.routes.get(_KIND) or (hop.route if was_measured_here else None)
    if name is None:
        raise InputError(
            f"model {hop.model_id!r} was measured through another gateway and has no OpenRouter id",
            next_step=f"add `routes: {{openrouter: author/model}}` to {hop.model_id!r} in the roster; decide again",
        )
    if not _is_fixed(name):
        raise InputError(
            f"model {hop.model_id!r} is {name!r} at OpenRouter, which is not one fixed model: aliases, variants after "
            "a colon, routers and presets may stand for others",
            next_step=f"write author/model in `routes.openrouter` of {hop.model_id!r}, then decide again",
        )
    return hop.checked(name)


def _is_fixed(name: str) -> bool:
    lower = name.lower()
    is_moving = lower.startswith(_ROUTER_AUTHOR) or lower.endswith(_MOVING_SUFFIX)
    return _MODEL.fullmatch(name) is not None and not is_moving


def _unique(texts: Iterator[str] | Sequence[str]) -> list[str]:
    return list(dict.fromkeys(texts))


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n"
