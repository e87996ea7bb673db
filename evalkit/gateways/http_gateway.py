"""One HTTP exchange with an OpenAI-compatible gateway, whatever its kind: a kind is a `Profile`, not a subclass.

httpx is the interface, aiohttp the engine, and httpx's client layer is left out: a prepared `httpx.Request` goes
straight to the transport. That layer (cookies, redirects, auth, URL parsing) costs more than all the rest and
evaluation wants none of it: a redirect is an answer, a cookie would tie calls together, and nothing is retried.
"""

from __future__ import annotations

import asyncio
import math
import re
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import httpx
from httpx_aiohttp import AiohttpTransport

from evalkit.errors import InputError, Place
from evalkit.gateways._connections import open_session
from evalkit.gateways._exchange import Exchange, SharedHeaders, wire_request
from evalkit.gateways._faults import OUTSIDE_FAILURES, fault_kind_and_detail
from evalkit.gateways._keys import KeyRing
from evalkit.gateways._masking import Masker, secrets_of_request
from evalkit.plugins import Fault, Reply

if TYPE_CHECKING:
    from collections.abc import Mapping

    from evalkit.domain.project import GatewayConfig
    from evalkit.plugins import GatewayContext, Profile, Request

__all__ = ["HEADER_NAME", "HttpGateway", "check_sendable", "completions_url", "with_base_url"]

HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A token, RFC 9110 section 5.1."""

_UNAUTHORIZED = 401
_MAX_PORT = 65_535
_CHAT = "/chat/completions"

# A key shorter than this ("EMPTY", "test") is a placeholder, and its letters may well stand in an honest message.
_MIN_MASKED_KEY = 16

_RESERVED_HEADERS = frozenset({"accept-encoding", "connection", "content-length", "te", "transfer-encoding"})


def with_base_url(context: GatewayContext, base_url: str) -> GatewayContext:
    """Return the context with the address of a hosted gateway, unless the configuration gives another."""
    if context.config.base_url is not None:
        return context
    return replace(context, config=context.config.model_copy(update={"base_url": base_url}))


def completions_url(config: GatewayConfig) -> httpx.URL:
    """Return where chat completions of the configured gateway are asked for; a query in `base_url` is kept.

    Raises:
        InputError: when there is no `base_url`, it is no URL, or it carries a password. Its value is not shown:
            a URL is where people put keys.
    """
    place = Place(pointer="/gateway/base_url")
    if config.base_url is None:
        problem = f"gateway kind {config.kind!r} has no base_url"
        raise InputError(problem, place=place, next_step="give the URL up to and including /v1")
    try:
        url = httpx.URL(config.base_url)
        check_sendable(url)
    except (httpx.InvalidURL, ValueError) as error:
        raise InputError("base_url is not a URL", place=place, next_step="write it as https://host/v1") from error
    if url.userinfo:
        problem = f"base_url of host {url.host!r} carries a user name or password"
        raise InputError(problem, place=place, next_step="take it out and name the key with api_key_env")
    if not url.host:
        raise InputError("base_url names no host", place=place, next_step="write it as https://host/v1")
    return url.copy_with(path=url.path.rstrip("/") + _CHAT, fragment=None)


def check_sendable(url: httpx.URL) -> None:
    """Raise ValueError for a port or host name that no connection can be made to, which httpx lets pass."""
    if url.port is not None and url.port > _MAX_PORT:
        raise ValueError(url.port)
    # Name resolution encodes the host like this, and a label that is empty or too long crashes it.
    url.raw_host.decode("ascii").encode("idna")


class HttpGateway:
    """Sends requests to paths below one URL. Safe for any number of concurrent sends on one event loop.

    Connections are kept alive and at most `limits.concurrency`; a send beyond that waits inside its own
    `timeout_s` and its latency, so a caller that times calls holds the limit itself. After a 401 the key is read
    again, and only when that gives another key is the request sent once more: the rejected one was never
    answered by a model, so this is no retry of an answer.
    """

    def __init__(self, *, profile: Profile, context: GatewayContext) -> None:
        config = context.config
        self.profile = profile
        self._url = completions_url(config)
        self._urls = {_CHAT: self._url}
        self._limits = context.limits
        self._keys = KeyRing(context)
        self._plain_headers = _plain_headers(self._url, profile=profile, config=config)
        self._headers_by_key: dict[str | None, SharedHeaders] = {}
        self._secrets = tuple(secrets_of_request(self._url, config.headers))
        self._maskers: dict[str | None, Masker] = {}
        # Loading the certificate store takes 10 ms and more, so not for plain http. SSL_CERT_FILE is honoured.
        is_verified = config.verify_tls and self._url.scheme == "https"
        ssl_context = httpx.create_ssl_context(verify=is_verified)
        # The transport asks for its session at the first send, when the loop runs.
        session = partial(open_session, ssl_context=ssl_context, n_connections=context.limits.concurrency)
        self._transport = AiohttpTransport(verify=ssl_context, client=session)

    def __repr__(self) -> str:
        """Return kind and address: no header, no query, no key."""
        return f"HttpGateway(kind={self.profile.kind!r}, url={str(self._url.copy_with(query=None))!r})"

    async def send(self, request: Request) -> Reply | Fault:
        """Make one exchange, within `request.timeout_s`.

        Raises:
            InputError: when the key the configuration names cannot be read.
        """
        key = await self._keys.key_for(request.model_id)
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        answer = await self._exchange(request, key=key, timeout_s=request.timeout_s)
        if isinstance(answer, Reply) and answer.status == _UNAUTHORIZED:
            left_s = started_s + request.timeout_s - loop.time()
            fresh = await self._keys.key_after_rejection(request.model_id, rejected=key)
            if fresh is not None:
                return await self._exchange(request, key=fresh, timeout_s=left_s)
        return answer

    async def aclose(self) -> None:
        """Give back every connection."""
        await self._transport.aclose()

    async def _exchange(self, request: Request, *, key: str | None, timeout_s: float) -> Reply | Fault:
        headers = self._headers(request, key=key)
        timeouts = {"connect": self._limits.connect_timeout_s}
        # A timer a call costs; when silence may last as long as the whole call, the total is enough.
        if self._limits.call_timeout_s < timeout_s:
            timeouts["read"] = self._limits.call_timeout_s
        exchange = Exchange()
        try:
            async with asyncio.timeout(timeout_s):
                message = wire_request(
                    self._url_of(request.path), headers=headers, body=request.body, timeouts=timeouts
                )
                await exchange.run(self._transport, message)
        except OUTSIDE_FAILURES as error:
            kind, detail = fault_kind_and_detail(error, is_event_stream=exchange.is_event_stream)
            return Fault(kind=kind, detail=detail, latency_s=exchange.elapsed_s)
        return self._reply(exchange, key=key)

    def _url_of(self, path: str) -> httpx.URL:
        if path not in self._urls:
            self._urls[path] = self._url.copy_with(path=self._url.path.removesuffix(_CHAT) + path)
        return self._urls[path]

    def _reply(self, exchange: Exchange, *, key: str | None) -> Reply:
        elapsed_s = exchange.elapsed_s
        masker = self._masker(key)
        reported_s = _reported_seconds(exchange.headers, name=self.profile.latency_header)
        return Reply(
            status=exchange.status,
            headers=masker.clean_headers(exchange.headers),
            body=masker.clean(exchange.body),
            latency_s=elapsed_s if reported_s is None else reported_s,
            ttft_s=self._first_token_s(exchange),
        )

    def _first_token_s(self, exchange: Exchange) -> float | None:
        if exchange.ttft_s is None:
            return None
        reported_s = _reported_seconds(exchange.headers, name=self.profile.ttft_header)
        return exchange.ttft_s if reported_s is None else reported_s

    def _masker(self, key: str | None) -> Masker:
        masker = self._maskers.get(key)
        if masker is None:
            secrets = self._secrets if key is None else (*self._secrets, key)
            masker = self._maskers[key] = Masker(secrets, least=_MIN_MASKED_KEY)
        return masker

    def _headers(self, request: Request, *, key: str | None) -> SharedHeaders:
        headers = self._headers_by_key.get(key)
        if headers is None:
            credentials = {} if key is None else {"authorization": f"Bearer {key}"}
            headers = SharedHeaders({**self._plain_headers, **credentials})
            self._headers_by_key[key] = headers
        if self.profile.accepts_evalkit_headers:
            coordinates = {"x-evalkit-trial": str(request.trial), "x-evalkit-attempt": str(request.attempt)}
            return SharedHeaders({**dict(headers.items()), **_lower_case_names(request.headers), **coordinates})
        if request.headers:
            return SharedHeaders({**dict(headers.items()), **_lower_case_names(request.headers)})
        return headers


def _plain_headers(url: httpx.URL, *, profile: Profile, config: GatewayConfig) -> dict[str, str]:
    """Return every header but the key, lower-case; what the user wrote wins over the profile."""
    for name, value in config.headers.items():
        _check_header(name, value)
    return {
        "host": url.netloc.decode("ascii"),
        "accept": "application/json, text/event-stream",
        "accept-encoding": "gzip",
        "content-type": "application/json",
        "user-agent": "evalkit",
        **_lower_case_names(profile.extra_headers),
        **_lower_case_names(config.headers),
    }


def _check_header(name: str, value: str) -> None:
    """Refuse what would change how the message is framed; the value is not shown, it may be a secret."""
    place = Place(pointer=f"/gateway/headers/{name}")
    if not HEADER_NAME.fullmatch(name):
        raise InputError(f"{name!r} is not a header name", place=place, next_step="use letters, digits and -")
    if name.lower() in _RESERVED_HEADERS:
        raise InputError(f"header {name!r} is set by evalkit itself", place=place, next_step="take it out")
    if any(ord(letter) < ord(" ") or letter == "\x7f" for letter in value):
        problem = f"the value of header {name!r} holds a line break or control character"
        raise InputError(problem, place=place, next_step="look at the environment variable it comes from")


def _lower_case_names(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _reported_seconds(headers: Mapping[str, str], *, name: str | None) -> float | None:
    """Return the latency the gateway reports, or None when it reports none that makes sense."""
    if name is None or name not in headers:
        return None
    try:
        seconds = float(headers[name])
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None
