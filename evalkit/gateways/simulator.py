"""The embedded gateway, over the same wire as a real one. Everything it says is labelled simulated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.gateways.http_gateway import HttpGateway
from evalkit.plugins import Profile

if TYPE_CHECKING:
    from evalkit.plugins import Gateway, GatewayContext

__all__ = ["build"]


def build(context: GatewayContext) -> Gateway:
    """Return a gateway that asks a running simulator at `base_url`.

    The latency it reports replaces the measured one: a verdict then depends on the seed, not on the machine.

    Raises:
        InputError: when `base_url` or `headers` of the configuration cannot be used.
    """
    profile = Profile(
        kind="simulator",
        model_field=context.config.model_field or "upstream",
        latency_header="x-simulated-latency-s",
        ttft_header="x-simulated-ttft-s",
        is_simulated=True,
        accepts_evalkit_headers=True,
    )
    return HttpGateway(profile=profile, context=context)
