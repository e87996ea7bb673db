"""One HTTP request at a time to a live gateway, for `evalkit verify-gateway`: any path, any key, no profile.

Not `HttpGateway`: a probe must go out as an app would send it, without the switches evaluation sets.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import httpx
from httpx_aiohttp import AiohttpTransport

from evalkit.gateways._connections import open_session
from evalkit.gateways._exchange import Exchange
from evalkit.gateways._faults import OUTSIDE_FAILURES, fault_kind_and_detail
from evalkit.gateways._masking import Masker, secrets_of_request
from evalkit.gateways.http_gateway import completions_url
from evalkit.plugins import Fault, Reply

if TYPE_CHECKING:
    from collections.abc import Mapping

    from evalkit.domain.project import GatewayConfig

__all__ = ["ProbeClient"]

_MIN_MASKED = 8
_CHAT = "/chat/completions"


class ProbeClient:
    """Asks one gateway; give it back with `aclose`. Redirects are answers, nothing is retried, no cookie is kept.

    Args:
        config: where the gateway is, and the user's own headers, already expanded.
        secrets: every key in use: none of them is in any reply.
        timeout_s: seconds one exchange may take.

    Raises:
        InputError: when `base_url` cannot be used.
    """

    def __init__(self, config: GatewayConfig, *, secrets: tuple[str, ...], timeout_s: float) -> None:
        self._chat_url = completions_url(config)
        self._headers = {name.lower(): value for name, value in config.headers.items()}
        in_address = secrets_of_request(self._chat_url, {})
        self._masker = Masker((*secrets, *in_address), least=_MIN_MASKED)
        self._timeout_s = timeout_s
        is_verified = config.verify_tls and self._chat_url.scheme == "https"
        ssl_context = httpx.create_ssl_context(verify=is_verified)
        session = partial(open_session, ssl_context=ssl_context, n_connections=1)
        self._transport = AiohttpTransport(verify=ssl_context, client=session)

    async def chat(
        self, body: bytes, *, key: str | None, headers: Mapping[str, str], without: frozenset[str] = frozenset()
    ) -> Reply | Fault:
        """Ask for a chat completion.

        Args:
            body: JSON.
            key: bearer token, or None.
            headers: laid over the user's own.
            without: names, lower-case, of headers that are not sent; `authorization` leaves the key out.
        """
        own = {name: value for name, value in self._all_headers(key).items() if name not in without}
        whole = {**own, **{name.lower(): value for name, value in headers.items()}}
        request = httpx.Request("POST", self._chat_url, content=body, headers=whole)
        return await self._exchange(request)

    async def read(self, path: str, *, key: str | None, from_root: bool = False) -> Reply | Fault:
        """Ask for a page, below the base URL or, `from_root`, beside `/v1`."""
        base = self._chat_url.path.removesuffix(_CHAT)
        if from_root:
            base = base.removesuffix("/v1")
        request = httpx.Request("GET", self._chat_url.copy_with(path=base + path), headers=self._all_headers(key))
        return await self._exchange(request)

    async def aclose(self) -> None:
        """Give back the connection."""
        await self._transport.aclose()

    def _all_headers(self, key: str | None) -> dict[str, str]:
        plain = {"accept": "application/json", "accept-encoding": "gzip", "content-type": "application/json"}
        credentials = {} if key is None else {"authorization": f"Bearer {key}"}
        return {**plain, "user-agent": "evalkit", **self._headers, **credentials}

    async def _exchange(self, request: httpx.Request) -> Reply | Fault:
        exchange = Exchange()
        try:
            async with asyncio.timeout(self._timeout_s):
                await exchange.run(self._transport, request)
        except OUTSIDE_FAILURES as error:
            kind, detail = fault_kind_and_detail(error, is_event_stream=exchange.is_event_stream)
            return Fault(kind=kind, detail=detail, latency_s=exchange.elapsed_s)
        return Reply(
            status=exchange.status,
            headers=self._masker.clean_headers(exchange.headers),
            body=self._masker.clean(exchange.body),
            latency_s=exchange.elapsed_s,
        )
