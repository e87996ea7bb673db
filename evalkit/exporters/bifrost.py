"""Bifrost: a virtual key a task, which names its models, and a routing rule that fixes their order.

Written to its documented schema (transports/config.schema.json and the documentation of 2.0.0-prerelease2), not run.
File mode only: with a configuration store, virtual keys that are gone from the file would live on in the store.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from evalkit.errors import InputError
from evalkit.exporters.addresses import address_of
from evalkit.exporters.names import dns_label, names_of, variable_name
from evalkit.exporters.remarks import notes_file, unsaid_bodies, unsaid_denials, unsaid_latencies, unsaid_sessions
from evalkit.exporters.routing import routing_from_document

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from evalkit.exporters.addresses import Address
    from evalkit.exporters.routing import Hop, Routing, TaskRoute
    from evalkit.plugins import Exporter

__all__ = ["build"]

_SCHEMA = "https://www.getbifrost.ai/schema"
_DENY_EMPTY_LISTS = 2
_NATIVE = frozenset(
    {
        *("openai", "anthropic", "cohere", "mistral", "groq", "gemini", "openrouter", "parasail", "perplexity"),
        *("cerebras", "deepseek", "huggingface", "fireworks", "nebius", "xai", "sarvam"),
    }
)
"""Providers Bifrost knows by name and opens with a key alone."""
_NEED_MORE = frozenset(
    {
        *("azure", "bedrock", "bedrock_mantle", "vertex", "vllm", "sgl", "ollama", "replicate"),
        *("opencode-go", "opencode-zen", "elevenlabs", "deepgram", "runway", "runware"),
    }
)
"""Names Bifrost keeps for itself and that need more than a key, or do not chat."""
_CHAT_PATHS = {"openai": "/chat/completions", "anthropic": "/messages"}
"""What a provider of another name may be built on, and where such a provider chats."""
_PROVIDER = re.compile(r"[a-z0-9][a-z0-9._-]*")
_PATTERN = "regex:"
"""What begins with it is a pattern in Bifrost's lists, and no name."""
_FIRST_PAUSE_MS, _LONGEST_PAUSE_MS = 1_000, 8_000
"""As `Failover.backoff_s` reckons."""


def build() -> Exporter:
    """Return the exporter."""
    return _Bifrost()


class _Bifrost:
    def export(self, document: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
        """Yield the configuration and a text that says where it comes from; keys are named by variable.

        Raises:
            InputError: for a provider Bifrost cannot reach with a key alone, tasks that disagree on what Bifrost keeps
                once a provider, names that fall together, and models it cannot tell apart.
        """
        routing = routing_from_document(document)
        routing.require_one_host()
        routing.require_own_keys()
        routing.require_distinct()
        keys = names_of(
            (route.task for route in routing.tasks), lambda task: dns_label(f"evalkit-{task}"), what="tasks"
        )
        config = {
            "$schema": _SCHEMA,
            "version": _DENY_EMPTY_LISTS,
            "config_store": {"enabled": False},
            "client": {"enforce_auth_on_inference": True, "allow_direct_keys": False},
            "providers": _providers(routing),
            "governance": _governance(routing, keys),
        }
        yield "bifrost/config.json", json.dumps(config, indent=2, ensure_ascii=False).encode() + b"\n"
        yield "bifrost/notes.txt", notes_file(routing, _notes(routing))


def _notes(routing: Routing) -> Iterator[str]:
    yield from unsaid_denials(routing)
    yield from unsaid_latencies(routing)
    yield from unsaid_sessions(routing)
    yield from unsaid_bodies(routing)
    yield "keys of tasks, in the gateway's environment: each task of its own, such as a random text after sk-bf-"
    unpriced = sorted(_provider_names(routing) - _NATIVE)
    if unpriced and (routing.provider_caps or any(route.spend_cap for route in routing.tasks)):
        yield f"caps may not see what {', '.join(unpriced)} costs: Bifrost knows no prices of providers built on others"


def _providers(routing: Routing) -> dict[str, Any]:
    providers: dict[str, Any] = {}
    for hop in routing.hops:
        if hop.provider_name not in providers:
            providers[hop.provider_name] = _provider(hop, _shared_network(routing, hop))
        models = providers[hop.provider_name]["keys"][0]["models"]
        if _model(hop) not in models:
            models.append(_model(hop))
    return providers


def _provider(hop: Hop, network: dict[str, Any]) -> dict[str, Any]:
    """Return a provider without models yet: known to Bifrost by name, or built on one it knows."""
    name, kind, address = hop.provider_name, hop.provider_kind, address_of(hop)
    key = {"name": _key_name(hop), "value": f"env.{hop.api_key_env}", "models": [], "weight": 1.0}
    entry = {"keys": [key], "network_config": network}
    if name in _NATIVE:
        return entry | {"network_config": network | _native_base(hop, address)}
    if not _PROVIDER.fullmatch(name) or name in _NEED_MORE or kind not in _CHAT_PATHS or address is None:
        raise InputError(
            f"Bifrost cannot be told how to reach provider {name!r} (type {kind!r}) with a key alone",
            next_step=f"give {name!r} a `kind` ({', '.join(_CHAT_PATHS)}) and an `api_base` in the policy, and a name "
            "of small letters that Bifrost does not keep for itself",
        )
    path = address.path + _CHAT_PATHS[kind]
    custom = {
        "base_provider_type": kind,
        # Only what was measured: a kind of request that is not named is refused.
        "allowed_requests": {"chat_completion": True, "chat_completion_stream": True},
        "request_path_overrides": {"chat_completion": path, "chat_completion_stream": path},
    }
    return entry | {"network_config": network | {"base_url": address.origin}, "custom_provider_config": custom}


def _native_base(hop: Hop, address: Address | None) -> dict[str, str]:
    if address is None:
        return {}
    if not address.path.endswith("/v1"):
        raise InputError(
            f"the api_base {hop.terms.api_base!r} of provider {hop.provider_name!r} does not end in /v1, which Bifrost "
            "adds by itself for a provider it knows by name",
            next_step="leave `api_base` out in the policy, or give the provider a name of its own",
        )
    return {"base_url": address.origin + address.path.removesuffix("/v1")}


def _shared_network(routing: Routing, hop: Hop) -> dict[str, Any]:
    """Return what Bifrost keeps once a provider, for all tasks.

    Raises:
        InputError: when two tasks want it differently, or a timeout is no whole number of seconds.
    """
    routes = [route for route in routing.tasks if hop.provider_name in {other.provider_name for other in route.hops}]
    first = routes[0]
    wanted = (first.failover.retries, first.failover.upstream_timeout_s)
    for route in routes:
        if (route.failover.retries, route.failover.upstream_timeout_s) != wanted:
            raise InputError(
                f"tasks {first.task!r} and {route.task!r} differ in retries or upstream_timeout_s, and Bifrost keeps "
                f"both once a provider ({hop.provider_name!r})",
                next_step="write the same `retries` and `upstream_timeout_s` for both in the policy, then decide again",
            )
    retries, timeout_s = wanted
    if not float(timeout_s).is_integer():
        raise InputError(
            f"task {first.task!r} has upstream_timeout_s {timeout_s:g}, and Bifrost takes whole seconds",
            next_step="write a whole number in the policy, then decide again",
        )
    return {
        "default_request_timeout_in_seconds": int(timeout_s),
        "max_retries": retries,
        "retry_backoff_initial": _FIRST_PAUSE_MS,
        "retry_backoff_max": _LONGEST_PAUSE_MS,
    }


def _governance(routing: Routing, keys: Mapping[str, str]) -> dict[str, Any]:
    variables = names_of(
        (route.task for route in routing.tasks), lambda task: f"EVALKIT_VK_{variable_name(task)}", what="tasks"
    )
    caps = {name: cap for name, cap in routing.provider_caps.items() if name in _provider_names(routing)}
    return {
        "virtual_keys": [
            _virtual_key(route, keys[route.task], variable=variables[route.task])
            | {"description": "; ".join(routing.provenance)}
            for route in routing.tasks
        ],
        "routing_rules": [_rule(route, keys[route.task]) for route in routing.tasks],
        "budgets": [
            *(
                {
                    "id": f"task-{keys[route.task]}",
                    "virtual_key_id": keys[route.task],
                    "max_limit": route.spend_cap.usd,
                    "reset_duration": route.spend_cap.per,
                }
                for route in routing.tasks
                if route.spend_cap is not None
            ),
            *(
                {"id": f"provider-{name}", "max_limit": cap.usd, "reset_duration": cap.per}
                for name, cap in caps.items()
            ),
        ],
        "providers": [{"name": name, "budget_id": f"provider-{name}"} for name in caps],
    }


def _provider_names(routing: Routing) -> frozenset[str]:
    return frozenset(hop.provider_name for hop in routing.hops)


def _virtual_key(route: TaskRoute, name: str, *, variable: str) -> dict[str, Any]:
    """Return a task's key: these models of these providers, until the first of their measurements ends."""
    providers: dict[str, dict[str, Any]] = {}
    for hop in route.hops:
        # A weight would let Bifrost choose; the routing rule gives the order.
        fresh = {"provider": hop.provider_name, "weight": None, "allowed_models": [], "key_ids": [_key_name(hop)]}
        providers.setdefault(hop.provider_name, fresh)["allowed_models"].append(_model(hop))
    return {
        "id": name,
        "name": f"evalkit task {route.task}",
        "value": f"env.{variable}",
        "is_active": True,
        "expires_at": min(hop.valid_until for hop in route.hops),
        "provider_configs": list(providers.values()),
    }


def _rule(route: TaskRoute, name: str) -> dict[str, Any]:
    first, *others = route.hops
    return {
        "id": f"order-{name}",
        "name": f"evalkit order of task {route.task}",
        "enabled": True,
        "cel_expression": "true",
        "targets": [{"provider": first.provider_name, "model": _model(first), "weight": 1.0}],
        "fallbacks": [f"{hop.provider_name}/{_model(hop)}" for hop in others],
        "scope": "virtual_key",
        "scope_id": name,
        "priority": 0,
    }


def _key_name(hop: Hop) -> str:
    return f"evalkit-{hop.provider_name}"


def _model(hop: Hop) -> str:
    name = hop.upstream
    if name.lower().startswith(_PATTERN):
        raise InputError(
            f"the name {name!r} of model {hop.model_id!r} would be a pattern at Bifrost, and let in other models",
            next_step="set `routes.upstream` to the model's own name in the roster",
        )
    return name
