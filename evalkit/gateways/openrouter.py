"""OpenRouter: one model on one host, nothing repaired or shortened, and its own record of the route as evidence.

Left to itself it balances over hosts, falls back to others, and drops parameters a host does not know: each would
make the answer that of something else than the roster names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evalkit.errors import InputError
from evalkit.gateways.http_gateway import HttpGateway, with_base_url
from evalkit.plugins import Profile

if TYPE_CHECKING:
    from evalkit.domain.roster import Model
    from evalkit.plugins import Gateway, GatewayContext

__all__ = ["BASE_URL", "build"]

KIND = "openrouter"
BASE_URL = "https://openrouter.ai/api/v1"

_PLUGINS = [{"id": "context-compression", "enabled": False}, {"id": "response-healing", "enabled": False}]
_HEADERS = {"x-openrouter-metadata": "enabled", "x-openrouter-cache": "false"}
_ROUTERS = ("openrouter/auto", "openrouter/bodybuilder", "openrouter/free", "openrouter/fusion", "openrouter/pareto")
_MOVING_SUFFIXES = (":nitro", ":floor", ":exacto", ":online")
_PINNED_FIELDS = frozenset({"models", "plugins", "route", "transforms"})
_OWN_PREFERENCES = frozenset({"data_collection", "enforce_distillable_text", "max_price", "options", "zdr"})
"""What `adapt.extra_body.provider` may hold: it narrows the choice of a host and never widens it."""


def build(context: GatewayContext) -> Gateway:
    """Return a gateway that asks OpenRouter, or `base_url` where one is given.

    Raises:
        InputError: when `base_url` or `headers` of the configuration cannot be used.
    """
    profile = Profile(
        kind=KIND,
        model_field=context.config.model_field or "upstream",
        attests=True,
        extra_body={"plugins": _PLUGINS},
        extra_headers=_HEADERS,
        body_for=_pin,
    )
    return HttpGateway(profile=profile, context=with_base_url(context, BASE_URL))


def _pin(model: Model) -> dict[str, Any]:
    """Return the provider preferences that leave one host, or one at a time where the roster names none.

    Raises:
        InputError: for a route that OpenRouter resolves as it likes, or extras that would undo the pin.
    """
    _refuse_moving_route(model)
    _refuse_extras(model)
    provider: dict[str, Any] = {"allow_fallbacks": False, "require_parameters": True}
    if model.host is not None:
        provider |= {"only": [model.host], "order": [model.host]}
    if model.quantization is not None:
        provider["quantizations"] = [model.quantization]
    return {"provider": provider}


def _refuse_extras(model: Model) -> None:
    extras = model.adapt.extra_body
    preferences = extras.get("provider", {})
    undone = sorted(_PINNED_FIELDS & extras.keys())
    if isinstance(preferences, dict):
        undone += [f"provider.{name}" for name in sorted(preferences.keys() - _OWN_PREFERENCES)]
    else:
        undone.append("provider")
    if undone:
        problem = f"model {model.id!r} has {', '.join(undone)} in adapt.extra_body, which would undo the pin"
        raise InputError(problem, next_step="take it out; `host` and `quantization` of the model choose who answers")


def _refuse_moving_route(model: Model) -> None:
    route = model.route_for(KIND)
    reason = _why_it_moves(route.strip().lower())
    if reason:
        problem = f"model {model.id!r} asks OpenRouter for {route!r}, {reason}"
        raise InputError(problem, next_step="name one model, as author/model, and its host with `host`")


def _why_it_moves(route: str) -> str:
    if route.startswith(_ROUTERS):
        return "a router that picks a model for each request"
    if route.startswith("~"):
        return "an alias that moves to the newest model"
    if route.endswith(_MOVING_SUFFIXES):
        return "whose suffix lets OpenRouter choose the host or change the request"
    if "@preset/" in route:
        return "a preset whose content is changed elsewhere"
    return "a list of models to fall back to" if "," in route else ""
