"""Portkey, self-hosted or hosted: everything it does is asked for in headers, so these say once: one target, one try.

A configuration of the user's own replaces ours; it is looked into here, as far as it is JSON, because what it
switches on would be measured in place of the model.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from evalkit.errors import InputError, Place
from evalkit.gateways.http_gateway import HttpGateway
from evalkit.plugins import Profile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from evalkit.domain.roster import Model
    from evalkit.plugins import Gateway, GatewayContext

__all__ = ["build"]

KIND = "portkey"

_CONFIG = "x-portkey-config"
_PROVIDER = "x-portkey-provider"
_OWN_PROVIDER = frozenset({_PROVIDER, "x-portkey-virtual-key"})
# The cache of a configuration bound to a hosted key is asked for a fresh answer; without one nothing is cached.
_HEADERS = {_CONFIG: json.dumps({"retry": {"attempts": 0}}), "x-portkey-cache-force-refresh": "true"}
_MARGIN_S = 5.0
"""How much longer than ours Portkey's own timeout is: without one it goes on working for a client that has gone."""
_HOSTED_CONFIG = "pc-"
_MODES = frozenset({"fallback", "loadbalance", "conditional"})
_MAX_DEPTH = 20


def build(context: GatewayContext) -> Gateway:
    """Return a gateway that asks a Portkey gateway at `base_url`.

    Raises:
        InputError: when `base_url` or `headers` of the configuration cannot be used, or when its own Portkey
            configuration retries, falls back, balances, caches or names the model.
    """
    own = {name.lower(): value for name, value in context.config.headers.items()}
    timeout_ms = round((context.limits.call_timeout_s + _MARGIN_S) * 1000)
    profile = Profile(
        kind=KIND,
        model_field=context.config.model_field or "upstream",
        extra_headers={**_HEADERS, "x-portkey-request-timeout": str(timeout_ms)},
        headers_for=_headers_for(own),
    )
    return HttpGateway(profile=profile, context=context)


def _headers_for(own: Mapping[str, str]) -> Callable[[Model], dict[str, str]]:
    """Return the function that names a model's provider, unless the user's own headers do."""
    has_provider = not _OWN_PROVIDER.isdisjoint(own) or _is_provider_named(own.get(_CONFIG))

    def headers_for(model: Model) -> dict[str, str]:
        if has_provider or model.route_for(KIND).startswith("@"):
            return {}
        if model.provider is None:
            raise InputError(
                f"model {model.id!r} names no provider, and Portkey must be told one",
                next_step=f"give it `provider`, or set {_PROVIDER} in gateway.headers",
            )
        return {_PROVIDER: model.provider}

    return headers_for


def _is_provider_named(text: str | None) -> bool:
    """Check the user's own configuration, and return whether it says where requests go."""
    if text is None:
        return False
    if text.startswith(_HOSTED_CONFIG):
        return True  # what it holds is known to its owner: the response headers are watched
    config = _parsed(text)
    for where, part in _parts(config):
        reason = _why_not_clean(part)
        if reason:
            raise _refused(f"{reason}, in {where or 'the configuration'}: not the model alone would be measured")
    return bool(config.get("provider") or config.get("targets"))


def _parsed(text: str) -> dict[str, Any]:
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _refused("it is neither JSON nor the id of a hosted configuration (pc-…)") from error
    if not isinstance(config, dict):
        raise _refused("it is JSON, but no object")
    return config


def _parts(config: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the configuration and every target in it, with where they stand; spellings are brought together."""
    waiting = [("", config, 0)]
    while waiting:
        where, part, depth = waiting.pop()
        if depth > _MAX_DEPTH:
            raise _refused(f"its targets are nested deeper than {_MAX_DEPTH}")
        plain = {name.replace("_", "").lower(): value for name, value in part.items()}
        yield where, plain
        targets = plain.get("targets")
        named = enumerate(targets if isinstance(targets, list) else [])
        waiting += [(f"{where}/targets/{i}", one, depth + 1) for i, one in named if isinstance(one, dict)]


def _why_not_clean(part: Mapping[str, Any]) -> str:
    """Return what a part of a configuration switches on, as it is told; empty when nothing."""
    retry, strategy, cache = part.get("retry"), part.get("strategy"), part.get("cache")
    override = part.get("overrideparams")
    if isinstance(retry, dict) and retry.get("attempts"):
        return "it retries (retry.attempts)"
    if isinstance(strategy, dict) and strategy.get("mode") in _MODES:
        return f"it chooses between targets (strategy.mode {strategy['mode']!r})"
    if isinstance(part.get("targets"), list) and len(part["targets"]) > 1:
        return "it has more than one target"
    if cache:
        return "it caches (cache)"
    return "it names the model (override_params.model)" if isinstance(override, dict) and "model" in override else ""


def _refused(reason: str) -> InputError:
    """Return the error; the configuration is not shown, it may hold keys."""
    return InputError(
        f"the header {_CONFIG} cannot be used: {reason}",
        place=Place(pointer=f"/gateway/headers/{_CONFIG}"),
        next_step="take that out of it; evalkit sends a configuration without it by itself",
    )
