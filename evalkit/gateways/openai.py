"""Any OpenAI-compatible endpoint by its base URL: a provider itself, a self-hosted model, a gateway without a kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.gateways.http_gateway import HttpGateway
from evalkit.plugins import Profile

if TYPE_CHECKING:
    from evalkit.plugins import Gateway, GatewayContext

__all__ = ["build"]


def build(context: GatewayContext) -> Gateway:
    """Return a gateway that asks `{base_url}/chat/completions`, with the key as bearer token.

    Raises:
        InputError: when `base_url` or `headers` of the configuration cannot be used.
    """
    profile = Profile(kind="openai", model_field=context.config.model_field or "upstream")
    return HttpGateway(profile=profile, context=context)
