"""The LiteLLM proxy: retries, fallbacks and cache off for each request, and a way to ask what it can prove.

It overwrites the answer's `model` with the name that was asked for. Only a callback on the proxy sees what the
upstream said; the probe finds out whether that callback is there, before anything is spent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evalkit.errors import InputError
from evalkit.gateways.http_gateway import HttpGateway
from evalkit.plugins import IdentityProbe, Profile

if TYPE_CHECKING:
    from evalkit.domain.roster import Model
    from evalkit.plugins import Gateway, GatewayContext, Reply

__all__ = ["build"]

# `max_retries` is no switch here: the proxy retries all the same. Without `no-store` it would keep our answers.
_SWITCHES = {"num_retries": 0, "disable_fallbacks": True, "cache": {"no-cache": True, "no-store": True}}
_PINNED_FIELDS = frozenset({*_SWITCHES, "caching", "context_window_fallbacks", "fallbacks", "mock_response"})
_MARGIN_S = 5.0
"""How much longer than ours the proxy's own timeout is: ours must be the one that is met, and it must end."""

_PROBE_ROUTE = "evalkit/identity-probe"
_PROBE_HEADERS = {"x-evalkit-probe": "identity"}
_PROBE_CODE = b"evalkit_probe"
_FORBIDDEN = 403
_CURE = (
    "add `evalkit.router.litellm_hook.evaluation` to litellm_settings.callbacks of the proxy "
    "(docs/reference/gateways.md#litellm)"
)


def build(context: GatewayContext) -> Gateway:
    """Return a gateway that asks a LiteLLM proxy at `base_url`.

    Raises:
        InputError: when `base_url` or `headers` of the configuration cannot be used.
    """
    profile = Profile(
        kind="litellm",
        model_field=context.config.model_field or "echo",
        identity_probe=IdentityProbe(route=_PROBE_ROUTE, headers=_PROBE_HEADERS, is_proof=_is_proof),
        identity_cure=_CURE,
        extra_body=_SWITCHES,
        body_for=_refuse_extras,
        extra_headers={"x-litellm-timeout": f"{context.limits.call_timeout_s + _MARGIN_S:g}"},
        cost_header="x-litellm-response-cost",
    )
    return HttpGateway(profile=profile, context=context)


def _refuse_extras(model: Model) -> dict[str, Any]:
    """Add nothing; extras are laid over the switches, so those that would undo one are refused.

    Raises:
        InputError: when `adapt.extra_body` brings retries, fallbacks or the cache back.
    """
    extras = model.adapt.extra_body
    undone = sorted(name for name in _PINNED_FIELDS & extras.keys() if extras[name] != _SWITCHES.get(name))
    if undone:
        problem = f"model {model.id!r} has {', '.join(undone)} in adapt.extra_body, which would undo a switch"
        raise InputError(problem, next_step="take it out: retries, fallbacks and the cache hide what is measured")
    return {}


def _is_proof(reply: Reply) -> bool:
    """Say whether the callback refused: the proxy wraps its code differently from path to path."""
    return reply.status == _FORBIDDEN and _PROBE_CODE in reply.body
