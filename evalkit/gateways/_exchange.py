"""One request and its answer on the wire: everything known of it so far, so that a failure can still be told apart."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

import httpx

from evalkit.gateways._body import BodyBuffer
from evalkit.wire.first_token import FirstToken

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, ItemsView, Mapping

__all__ = ["Exchange", "SharedHeaders", "wire_request"]

_OK = 200

# aiohttp warns above 1 MiB in one piece, and rightly: writing that stops the loop.
_ONE_PIECE_BYTES = 2**20
_SLICE_BYTES = 2**16


class Exchange:
    """State of one exchange; whatever was learnt stays readable after `run` failed."""

    __slots__ = ("_loop", "_started_s", "body", "headers", "status", "ttft_s")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._started_s = self._loop.time()
        self.status = 0
        """0 until the head of the answer is there."""
        self.headers: dict[str, str] = {}
        """Lower-case names; repeated ones joined by a comma."""
        self.body = b""
        self.ttft_s: float | None = None
        """When the first piece of an answer came; None until it did, and for what is no stream."""

    @property
    def elapsed_s(self) -> float:
        """Seconds since the exchange began."""
        return self._loop.time() - self._started_s

    @property
    def is_event_stream(self) -> bool:
        """Whether an event stream has begun with status 200."""
        return self.status == _OK and self.headers.get("content-type", "").lower().startswith("text/event-stream")

    async def run(self, transport: httpx.AsyncBaseTransport, request: httpx.Request) -> None:
        """Send the request and read the whole answer. However this ends, the connection is given back or closed."""
        response = await transport.handle_async_request(request)
        stream = cast("httpx.AsyncByteStream", response.stream)
        try:
            self.status = response.status_code
            self.headers = _lower_case_headers(response.headers)
            self.body = await self._read_body(stream)
        finally:
            await stream.aclose()

    async def _read_body(self, stream: httpx.AsyncByteStream) -> bytes:
        buffer = BodyBuffer(self.headers.get("content-encoding", "").strip().lower())
        first = FirstToken() if self.is_event_stream else None
        chunks = cast("AsyncGenerator[bytes, None]", aiter(stream))
        try:
            async for chunk in chunks:
                arrived_s = self.elapsed_s
                data = buffer.feed(chunk)
                if first is not None and first.is_in(data):
                    self.ttft_s, first = arrived_s, None
        except BaseException:
            # Left half read, an async generator is finished by Python in a task nobody waits for.
            await chunks.aclose()
            raise
        return buffer.finish()


class SharedHeaders(httpx.Headers):
    """Headers of many requests, never changed: decoded once and not for each, a thirtieth of a call."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        super().__init__(headers, encoding="utf-8")
        self._decoded = dict(super().items())

    def items(self) -> ItemsView[str, str]:
        """Return the decoded pairs; names are unique."""
        return self._decoded.items()


def wire_request(url: httpx.URL, *, headers: SharedHeaders, body: bytes, timeouts: dict[str, float]) -> httpx.Request:
    """Return a POST ready for a transport."""
    extensions = {"timeout": timeouts}
    if len(body) > _ONE_PIECE_BYTES:
        sized = httpx.Headers({**dict(headers.items()), "content-length": str(len(body))}, encoding="utf-8")
        return httpx.Request("POST", url, headers=sized, stream=_Sliced(body), extensions=extensions)
    request = httpx.Request("POST", url, stream=httpx.ByteStream(body), extensions=extensions)
    request.read()
    # Set, not passed: the constructor would copy them and forget their encoding, which is a third of its cost.
    request.headers = headers
    return request


class _Sliced(httpx.AsyncByteStream):
    """A large body in pieces, so that other calls go on while it is written."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for at in range(0, len(self._body), _SLICE_BYTES):
            yield self._body[at : at + _SLICE_BYTES]


def _lower_case_headers(headers: httpx.Headers) -> dict[str, str]:
    # Latin-1 takes any byte: a header in an odd encoding is never worth losing an answer.
    joined: dict[str, str] = {}
    for raw_name, raw_value in headers.raw:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        joined[name] = f"{joined[name]}, {value}" if name in joined else value
    return joined
