"""TokenMix: hosted and OpenAI-compatible, and nothing else is documented that could be relied on.

Whether it fails over, and how it would say so, is not known: an answer is worth its `model` field and no more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.gateways.http_gateway import HttpGateway, with_base_url
from evalkit.plugins import Profile

if TYPE_CHECKING:
    from evalkit.plugins import Gateway, GatewayContext

__all__ = ["BASE_URL", "build"]

BASE_URL = "https://api.tokenmix.ai/v1"


def build(context: GatewayContext) -> Gateway:
    """Return a gateway that asks TokenMix, or `base_url` where one is given.

    Raises:
        InputError: when `base_url` or `headers` of the configuration cannot be used.
    """
    profile = Profile(kind="tokenmix", model_field=context.config.model_field or "upstream")
    return HttpGateway(profile=profile, context=with_base_url(context, BASE_URL))
