"""Envoy AI Gateway: one AIGatewayRoute a task, matched by the task header alone, with its retries beside it.

No rule matches anything else, so a request without a task, or for a task nobody may serve, finds no backend. Written
for AIGatewayRoute v1beta1 (Envoy AI Gateway 1.1) and BackendTrafficPolicy v1alpha1 (Envoy Gateway 1.5.1 or newer,
for numAttemptsPerPriority); checked against their structure, not run.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import yaml

from evalkit.domain.outcome import Kind
from evalkit.errors import InputError
from evalkit.exporters.addresses import Address, address_of
from evalkit.exporters.names import dns_label, names_of
from evalkit.exporters.remarks import commented, unsaid_beside_order
from evalkit.exporters.routing import routing_from_document

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from evalkit.exporters.routing import Hop, Routing, TaskRoute
    from evalkit.plugins import Exporter

__all__ = ["build"]

_TASK_HEADER = "x-evalkit-task"
_SOURCE_LABEL = "evalkit-source"
_AI = "aigateway.envoyproxy.io"
_ENVOY = "gateway.envoyproxy.io"
_GATEWAY_API = "gateway.networking.k8s.io"
_VERSIONS = {
    "AIGatewayRoute": f"{_AI}/v1beta1",
    "AIServiceBackend": f"{_AI}/v1beta1",
    "Backend": f"{_ENVOY}/v1alpha1",
    "BackendSecurityPolicy": f"{_AI}/v1beta1",
    "BackendTLSPolicy": f"{_GATEWAY_API}/v1alpha3",
    "BackendTrafficPolicy": f"{_ENVOY}/v1alpha1",
}
_SCHEMAS = {
    "openai": ("OpenAI", "APIKey", "apiKey"),
    "cohere": ("Cohere", "APIKey", "apiKey"),
    "anthropic": ("Anthropic", "AnthropicAPIKey", "anthropicAPIKey"),
}
"""Provider type to (API schema, kind of credential, field of the credential): those that need a key and no more."""
_TRIGGERS: Mapping[Kind, tuple[str, ...]] = {
    Kind.CONNECTION: ("connect-failure", "refused-stream", "reset"),
    Kind.STREAM_CUT: ("reset",),
    Kind.TIMEOUT: ("reset",),
}
"""What Envoy calls a fault without an HTTP status; its own timeout of one try is a reset."""
_MAX_BACKENDS = 16
"""Most backends of a rule in the HTTPRoute the controller makes of it."""
_MAX_BODY_FIELDS = 16
_MAX_HOURS = 99_999
_PLAIN = re.compile(r"[A-Za-z].+")
_BASE_PAUSE_S, _LONGEST_PAUSES_S = 1, (8, 4, 2)


def build() -> Exporter:
    """Return the exporter."""
    return _Envoy()


class _Envoy:
    def export(self, document: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
        """Yield one file of Kubernetes objects; it names secrets and holds none.

        Raises:
            InputError: for a provider without an `api_base` or of a type that needs more than a key, for names that
                fall together, and for models one provider entry cannot tell apart.
        """
        routing = routing_from_document(document)
        routing.require_one_host()
        routing.require_own_keys()
        routing.require_distinct(sends_extra_body=True)
        backends = names_of(
            (hop.provider_name for hop in routing.hops), lambda name: _label(routing, name), what="providers"
        )
        objects = [*_providers(routing, backends), *_routes(routing, backends)]
        yield "envoy/aigateway.yaml", _yaml(routing, objects)


def _label(routing: Routing, name: str) -> str:
    return dns_label(f"evalkit-{routing.audience}-{name}")


def _providers(routing: Routing, backends: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    hops: dict[str, Hop] = {}
    for hop in routing.hops:
        hops.setdefault(hop.provider_name, hop)
    secrets = names_of((hop.api_key_env for hop in hops.values()), dns_label, what="key variables")
    for provider, hop in hops.items():
        yield from _provider(hop, backends[provider], secret=secrets[hop.api_key_env])


def _provider(hop: Hop, name: str, *, secret: str) -> Iterator[dict[str, Any]]:
    """Yield where a provider is, whom TLS has to prove, how it is spoken to, and which secret opens it."""
    address = _address(hop)
    schema, credential, field = _schema(hop)
    place = (
        {"ip": {"address": address.hostname, "port": address.port}}
        if address.is_ip
        else {"fqdn": {"hostname": address.hostname, "port": address.port}}
    )
    yield _object("Backend", name, {"endpoints": [place]})
    if address.is_tls:
        proof = {"wellKnownCACertificates": "System", "hostname": address.hostname}
        yield _object("BackendTLSPolicy", name, {"targetRefs": [_ref(_ENVOY, "Backend", name)], "validation": proof})
    spoken = {"name": schema, "prefix": address.path}
    yield _object("AIServiceBackend", name, {"schema": spoken, "backendRef": _ref(_ENVOY, "Backend", name)})
    targets = [_ref(_AI, "AIServiceBackend", name)]
    opened = {"targetRefs": targets, "type": credential, field: {"secretRef": {"name": secret}}}
    yield _object("BackendSecurityPolicy", name, opened)


def _address(hop: Hop) -> Address:
    address = address_of(hop)
    problem = ""
    if address is None or not address.path:
        problem = "is reached, with the path its API begins with"
    elif address.is_tls and address.is_ip:
        problem = "is reached by name, because TLS has to prove one"
    if address is None or problem:
        raise InputError(
            f"Envoy has to be told where provider {hop.provider_name!r} {problem}",
            next_step=f"give {hop.provider_name!r} an `api_base` under `providers` in the policy, such as "
            "https://api.example.com/v1, then decide again",
        )
    return address


def _schema(hop: Hop) -> tuple[str, str, str]:
    schema = _SCHEMAS.get(hop.provider_kind)
    if schema is None:
        raise InputError(
            f"provider {hop.provider_name!r} is of the type {hop.provider_kind!r}; this exporter writes "
            f"{', '.join(_SCHEMAS)}, which need a key and no more",
            next_step=f"give {hop.provider_name!r} a `kind` in the policy (`openai` for what speaks like it), or write "
            "its backend by hand",
        )
    return schema


def _routes(routing: Routing, backends: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    names = names_of((route.task for route in routing.tasks), lambda task: _label(routing, task), what="tasks")
    gateway = _ref(_GATEWAY_API, "Gateway", dns_label(f"evalkit-{routing.audience}"))
    for route in routing.tasks:
        name = names[route.task]
        yield _object("AIGatewayRoute", name, {"parentRefs": [gateway], "rules": [_rule(route, backends)]})
        target = _ref(_GATEWAY_API, "HTTPRoute", name)
        yield _object("BackendTrafficPolicy", name, {"targetRefs": [target], "retry": _retry(route)})


def _rule(route: TaskRoute, backends: Mapping[str, str]) -> dict[str, Any]:
    if len(route.hops) > _MAX_BACKENDS:
        raise InputError(
            f"task {route.task!r} has {len(route.hops)} candidates, and a rule takes {_MAX_BACKENDS}",
            next_step="lower `max_candidates` in the policy, then decide again",
        )
    # `timeouts.backendRequest` stays out: Envoy Gateway takes it for the whole request, retries and all.
    return {
        "matches": [{"headers": [{"type": "Exact", "name": _TASK_HEADER, "value": route.task}]}],
        "backendRefs": [_backend(hop, backends[hop.provider_name]) for hop in route.hops],
        "timeouts": {"request": _duration(route.failover.client_timeout_s)},
    }


def _backend(hop: Hop, name: str) -> dict[str, Any]:
    backend: dict[str, Any] = {"name": name, "priority": hop.position, "modelNameOverride": hop.upstream}
    extra = hop.adapt.get("extra_body", {})
    if len(extra) > _MAX_BODY_FIELDS:
        raise InputError(
            f"model {hop.model_id!r} has {len(extra)} fields in adapt.extra_body, and a backend sets at most 16",
            next_step="put fewer into the roster, then measure again",
        )
    if extra:
        backend["bodyMutation"] = {"set": [{"path": key, "value": json.dumps(extra[key])} for key in sorted(extra)]}
    return backend


def _retry(route: TaskRoute) -> dict[str, Any]:
    """Return retries at one candidate first, then the next: Envoy has one list of faults for both.

    With retries, faults of `switch_on` are passed to the caller, because they would be retried at the same candidate
    first. Without, each further try is at the next candidate, so they count too.
    """
    kinds = route.failover.retry_on if route.failover.retries else (*route.failover.retry_on, *route.failover.switch_on)
    statuses = route.retry_statuses if route.failover.retries else route.switch_statuses
    triggers = {trigger for kind in kinds for trigger in _TRIGGERS.get(kind, ())}
    if statuses:
        triggers.add("retriable-status-codes")
    if not triggers:
        # An empty list of triggers would mean Envoy's own.
        return {"numRetries": 0}
    tries = route.failover.retries + 1
    n_retries = tries * len(route.hops) - 1
    pauses = {"baseInterval": f"{_BASE_PAUSE_S}s", "maxInterval": f"{_longest_pause_s(route, n_retries)}s"}
    return {
        "numAttemptsPerPriority": tries,
        "numRetries": n_retries,
        "perRetry": {"timeout": _duration(route.failover.upstream_timeout_s), "backOff": pauses},
        "retryOn": {"triggers": sorted(triggers), "httpStatusCodes": list(statuses)},
    }


def _longest_pause_s(route: TaskRoute, n_retries: int) -> int:
    """Return the longest pause the client's patience leaves room for: Envoy's go on growing over the candidates.

    Raises:
        InputError: when even the shortest pauses are too long for it.
    """
    for longest in _LONGEST_PAUSES_S:
        pauses_s = sum(min(_BASE_PAUSE_S * 2**number, longest) for number in range(n_retries))
        if len(route.hops) * (route.failover.retries + 1) * route.failover.upstream_timeout_s + pauses_s <= (
            route.failover.client_timeout_s
        ):
            return longest
    route.require_patience(n_retries * _BASE_PAUSE_S / len(route.hops))
    return _BASE_PAUSE_S


def _duration(seconds: float) -> str:
    """Return a Gateway API duration: at most five digits before a unit, never zero, cut at eleven years."""
    whole, milliseconds = divmod(max(1, int(seconds * 1000)), 1000)
    hours, rest = divmod(whole, 3600)
    parts = ((min(hours, _MAX_HOURS), "h"), (rest, "s"), (milliseconds, "ms"))
    return "".join(f"{number}{unit}" for number, unit in parts if number)


def _ref(group: str, kind: str, name: str) -> dict[str, str]:
    return {"group": group, "kind": kind, "name": name}


def _object(kind: str, name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    return {"apiVersion": _VERSIONS[kind], "kind": kind, "metadata": {"name": name}, "spec": spec}


def _yaml(routing: Routing, objects: list[dict[str, Any]]) -> bytes:
    owner = {"app.kubernetes.io/managed-by": "evalkit", "app.kubernetes.io/instance": dns_label(routing.audience)}
    for one in objects:
        one["metadata"]["labels"] = {**owner, _SOURCE_LABEL: routing.source}
    # What an older export left behind would go on serving tasks that are denied now: applying a file deletes nothing.
    older = ",".join([*(f"{name}={value}" for name, value in owner.items()), f"{_SOURCE_LABEL}!={routing.source}"])
    lines = [
        *routing.provenance,
        *unsaid_beside_order(routing),
        "after applying it, remove what an older export left:",
        f"kubectl delete aigatewayroutes,backendtrafficpolicies -l '{older}'",
    ]
    head = commented(lines)
    if not objects:
        return head.encode()
    return (head + yaml.dump_all(objects, Dumper=_Dumper, sort_keys=False, explicit_start=True, width=1000)).encode()


class _Dumper(yaml.SafeDumper):
    """Quotes whatever another YAML reader might take for a number or a truth value, and writes no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        """Repeat equal parts: Kubernetes tools differ in what they make of anchors."""
        del data
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if _PLAIN.fullmatch(text) else '"')


_Dumper.add_representer(str, _text)
