"""One JSON document to one address, for `evalkit nightly`: no gateway, but sent over the same kind of connection."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import httpx
from httpx_aiohttp import AiohttpTransport

from evalkit.errors import InputError
from evalkit.gateways._connections import open_session
from evalkit.gateways._exchange import Exchange
from evalkit.gateways._faults import OUTSIDE_FAILURES, fault_kind_and_detail
from evalkit.gateways.http_gateway import check_sendable

if TYPE_CHECKING:
    from collections.abc import Callable

    from evalkit.errors import Place

__all__ = ["post_json", "webhook_url"]

_TIMEOUT_S = 20.0
_GOOD = range(200, 300)


def webhook_url(text: str, *, is_loopback: Callable[[str], bool], place: Place) -> httpx.URL:
    """Return a webhook's address: TLS, or this machine. Neither the address nor a part of it is ever shown.

    Raises:
        InputError: when it cannot be used.
    """
    try:
        url = httpx.URL(text.strip())
        check_sendable(url)
    except (httpx.InvalidURL, ValueError) as error:
        raise InputError("the webhook's address is no URL", place=place, next_step="write https://host/path") from error
    if url.userinfo or not url.host:
        problem = "the webhook's address carries a password" if url.userinfo else "the webhook's address names no host"
        raise InputError(problem, place=place, next_step="write https://host/path")
    if url.scheme != "https" and not (url.scheme == "http" and is_loopback(url.host)):
        problem = "the webhook is not reached over TLS"
        raise InputError(problem, place=place, next_step="write https://…; http:// is for this machine alone")
    return url.copy_with(fragment=None)


async def post_json(url: httpx.URL, body: bytes) -> str:
    """Send a document once; return "" when it was taken, else what went wrong, without the address.

    A redirect is no success and is not followed: what is told would be told to somebody else.
    """
    ssl_context = httpx.create_ssl_context(verify=url.scheme == "https")
    session = partial(open_session, ssl_context=ssl_context, n_connections=1)
    transport = AiohttpTransport(verify=ssl_context, client=session)
    headers = {"content-type": "application/json", "user-agent": "evalkit", "accept-encoding": "identity"}
    exchange = Exchange()
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            await exchange.run(transport, httpx.Request("POST", url, content=body, headers=headers))
    except OUTSIDE_FAILURES as error:
        kind, _ = fault_kind_and_detail(error, is_event_stream=False)
        return f"the webhook could not be reached ({kind})"
    finally:
        await transport.aclose()
    return "" if exchange.status in _GOOD else f"the webhook answered {exchange.status}"
