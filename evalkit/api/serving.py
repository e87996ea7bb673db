"""Serving an eligibility file over HTTP, for routers that cannot import Python.

Needs the file alone: no project and no store. There is no authentication, because there is no secret and nothing can
be changed; what may be reached from elsewhere is the operator's decision, and starts with loopback.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from evalkit.clock import SystemClock
from evalkit.errors import InputError, RefusedError
from evalkit.router.http_answers import Asked, EligibilityDesk
from evalkit.router.reader import EligibilityReader

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path

__all__ = ["ServeOptions", "is_loopback", "serve", "serving"]

_SHUTDOWN_LIMIT_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """What is served, and where."""

    file: Path
    audience: str
    public_keys: Mapping[str, str] = field(default_factory=dict)
    """Key id to base64 Ed25519 public key; with any, an unsigned file is refused."""
    allow_simulated: bool = False
    check_every_s: float = 1.0
    """Seconds between looks at the file."""
    host: str = "127.0.0.1"
    port: int = 0
    """0 takes a free one."""
    idle_limit_s: float = 75.0
    """Seconds a connection may take over a request's head, or stay open between two."""


def serve(
    options: ServeOptions, *, is_required: bool, started: Callable[[str], None], told: Callable[[str], None]
) -> None:
    """Serve until interrupted.

    Args:
        options: what and where.
        is_required: end at once when the file is refused at the start; else everything is refused until it is mended.
        started: called with the base URL once connections are accepted.
        told: called with a line whenever another version of the file is accepted, or it is refused.

    Raises:
        InputError: when the address cannot be bound.
        RefusedError: when the file is refused at the start and `is_required`.
    """
    reader = _reader(options)
    if is_required:
        _ = reader.document

    async def run() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        async with serving(options, reader=reader) as base_url:
            started(base_url)
            await _watch(reader, every_s=options.check_every_s, told=told, stop=stop)

    asyncio.run(run())


@asynccontextmanager
async def serving(options: ServeOptions, *, reader: EligibilityReader | None = None) -> AsyncIterator[str]:
    """Serve while the context is open; gives the base URL, without `/v1`.

    Raises:
        InputError: when the address cannot be bound.
    """
    desk = EligibilityDesk(reader or _reader(options), check_every_s=options.check_every_s, now=SystemClock().now)

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        answer = desk.answer(_asked(request))
        # The name and version of the server's library are nobody's business.
        return web.Response(status=answer.status, body=answer.body, headers={**answer.headers, "server": "evalkit"})

    server = web.Server(handle, access_log=None, logger=_log(), keepalive_timeout=options.idle_limit_s)
    runner = web.ServerRunner(server, shutdown_timeout=_SHUTDOWN_LIMIT_S)
    await runner.setup()
    try:
        await _start(web.TCPSite(runner, options.host, options.port, backlog=1024), options)
        host, port = runner.addresses[0][:2]
        yield f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    finally:
        await runner.cleanup()


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach an address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _reader(options: ServeOptions) -> EligibilityReader:
    return EligibilityReader(
        options.file,
        audience=options.audience,
        public_keys=options.public_keys,
        allow_simulated=options.allow_simulated,
        check_every_s=options.check_every_s,
        now=SystemClock().now,
    )


async def _start(site: web.TCPSite, options: ServeOptions) -> None:
    try:
        await site.start()
    # OverflowError and UnicodeError: what the system says to a host name that is none.
    except (OSError, OverflowError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        problem = f"cannot listen on {options.host}:{options.port}: {reason}"
        raise InputError(problem, next_step="choose another --port or --host, or port 0 for any free one") from error


async def _watch(
    reader: EligibilityReader, *, every_s: float, told: Callable[[str], None], stop: asyncio.Event
) -> None:
    """Tell of every change in what the file says, until `stop` is set."""
    last = ""
    while not stop.is_set():
        state = _state(reader)
        if state != last:
            told(state)
            last = state
        try:
            await asyncio.wait_for(stop.wait(), timeout=every_s)
        except TimeoutError:
            continue


def _state(reader: EligibilityReader) -> str:
    try:
        document = reader.document
    except RefusedError as error:
        return f"refused, everything is denied: {error}"
    label = "SIMULATED, " if document["simulated"] else ""
    digest = str(document["digest"]).removeprefix("sha256:")[:12]
    return f"accepted: {digest} ({label}generated {document['generated_at']})"


def _asked(request: web.BaseRequest) -> Asked:
    # As on the wire: a parser of URLs would cut a fragment off, and so answer for another model than was named.
    path, _, query = request.raw_path.partition("?")
    headers = tuple((name.lower(), value) for name, value in request.headers.items())
    return Asked(method=request.method, path=path, query=query, headers=headers)


def _log() -> logging.Logger:
    """Return where the server's library tells of our bugs; what is wrong with a request it tells the client alone."""
    log = logging.getLogger(__name__)
    log.addFilter(_is_ours)
    return log


def _is_ours(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError)
