"""A real HTTP server on loopback, and builders for what a gateway is given."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from evalkit.domain.project import GatewayConfig, Limits
from evalkit.plugins import GatewayContext, Request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

COMPLETION = {"id": "c1", "model": "m1", "choices": [{"index": 0, "message": {"content": "hi"}}]}


@dataclass
class Served:
    """What a local server saw."""

    base_url: str
    requests: list = field(default_factory=list)
    bodies: list = field(default_factory=list)
    peers: set = field(default_factory=set)
    n_now: int = 0
    n_most: int = 0
    """Most requests that were being answered at once."""
    open_connections: Callable[[], int] = lambda: 0

    async def wait_until_idle(self):
        """Return once no connection is open; fails after two seconds."""
        await wait_until(lambda: self.open_connections() == 0)

    async def wait_until_busy(self, n_requests):
        """Return once that many requests are being answered; fails after two seconds."""
        await wait_until(lambda: self.n_now >= n_requests)


async def wait_until(is_so: Callable[[], bool]):
    """Return once the condition holds; fails after two seconds."""
    for _ in range(400):
        if is_so():
            return
        await asyncio.sleep(0.005)
    raise TimeoutError("the server did not get there")


async def answer_completion(_request):
    """Answer with a minimal completion."""
    return web.json_response(COMPLETION)


@pytest.fixture
def serving():
    """Give an async context manager: an aiohttp server around a handler, over TLS when given a context."""

    @contextlib.asynccontextmanager
    async def _serving(
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]] = answer_completion, *, tls=None
    ) -> AsyncIterator[Served]:
        served = Served(base_url="")

        async def counted(request):
            served.requests.append(request)
            served.bodies.append(await request.read())
            served.peers.add(request.transport.get_extra_info("peername"))
            served.n_now += 1
            served.n_most = max(served.n_most, served.n_now)
            try:
                return await handler(request)
            finally:
                served.n_now -= 1

        app = web.Application(client_max_size=2**26)
        app.router.add_route("*", "/{path:.*}", counted)
        runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        port = runner.addresses[0][1]
        served.base_url = f"{'https' if tls else 'http'}://127.0.0.1:{port}/v1"
        served.open_connections = lambda: len(runner.server.connections)
        try:
            yield served
        finally:
            await runner.cleanup()

    return _serving


@pytest.fixture
def serving_bytes():
    """Give an async context manager: a server that answers any request with these bytes, then hangs up."""

    @contextlib.asynccontextmanager
    async def _serving_bytes(
        data: bytes, *, is_reset: bool = False, is_closed: bool = True, late: bytes = b""
    ) -> AsyncIterator[Served]:
        served = Served(base_url="")
        writers: list[asyncio.StreamWriter] = []

        async def answer(reader, writer):
            writers.append(writer)
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                while True:
                    head = await reader.readuntil(b"\r\n\r\n")
                    served.requests.append(head)
                    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                    await reader.readexactly(length)
                    writer.write(data)
                    await writer.drain()
                    if late:
                        await asyncio.sleep(0.02)
                        writer.write(late)
                    if is_reset:
                        writer.transport.abort()
                    if is_reset or is_closed:
                        break
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        served.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        try:
            yield served
        finally:
            server.close()
            for writer in writers:
                writer.close()
                with contextlib.suppress(ConnectionError):
                    await writer.wait_closed()

    return _serving_bytes


@pytest.fixture
def a_context():
    """Return a builder of gateway contexts; `keys` are what reading the key gives, one after the other."""

    def _a_context(base_url: str | None = None, *, keys=(None,), limits=None, kind="openai", **rest) -> GatewayContext:
        context_fields = {name: rest.pop(name) for name in ("read_model_key", "resolve_path") if name in rest}
        left = list(keys)

        def read_key():
            return left.pop(0) if len(left) > 1 else left[0]

        return GatewayContext(
            config=GatewayConfig(kind=kind, base_url=base_url, **rest),
            limits=Limits(**(limits or {})),
            read_key=read_key,
            **context_fields,
        )

    return _a_context


@pytest.fixture
def a_request():
    """Return a builder of requests."""

    def _a_request(**fields) -> Request:
        body = json.dumps({"model": "route-1", "messages": [{"role": "user", "content": "hello"}]}).encode()
        defaults = {"body": body, "digest": "0" * 64, "timeout_s": 5.0}
        coordinates = {"suite": "s1", "case_id": "c1", "model_id": "m1"}
        return Request(**{**defaults, **coordinates, **fields})

    return _a_request


@pytest.fixture
def exchanging(a_context, a_request):
    """Give a coroutine function: one gateway, one send, everything closed."""

    async def _exchanging(build, base_url, *, request=None, **context):
        gateway = build(a_context(base_url, **context))
        try:
            return await gateway.send(request or a_request())
        finally:
            await gateway.aclose()

    return _exchanging


@pytest.fixture
def unused_port():
    """Return a loopback port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def full_backlog_url():
    """Return the URL of a port that listens and never accepts: its queue is full, so connecting hangs."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.settimeout(0)
            filler.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
