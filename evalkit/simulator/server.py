"""The embedded gateway on a real socket: loopback only, labelled simulated in every answer.

The low-level server of aiohttp is used: no routing table and no access log stand between a request and its answer,
for the simulator must not be the bottleneck of what it is used to measure.
"""

from __future__ import annotations

import asyncio
import hmac
import json
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from aiohttp import web

from evalkit.errors import InputError
from evalkit.simulator.answers import Asked, Coordinates, answer_order, fault_answer
from evalkit.simulator.controls import Controls, parse_down, parse_names
from evalkit.simulator.endpoints import ENDPOINTS, answer_at, order_at
from evalkit.simulator.faults import FAULTS
from evalkit.simulator.judging import task_in
from evalkit.simulator.order import Answer, OrderError, order_from_object, parse_object
from evalkit.simulator.personas import PERSONAS
from evalkit.simulator.scenarios import PREFIX, SCENARIOS, scenario_answer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from evalkit.simulator.book import AnswerBook
    from evalkit.simulator.options import ServerOptions
    from evalkit.simulator.order import Order

__all__ = ["LOOPBACK", "run_server", "serving"]

LOOPBACK = ("127.0.0.1", "::1", "localhost")
"""The only addresses it binds to: what it says must never be taken for evidence by somebody else."""

_MAX_BODY_BYTES = 64 * 2**20
_MAX_DIGITS = 9
_JSON = "application/json"
_CHAT = "/v1/chat/completions"


async def run_server(
    book: AnswerBook, options: ServerOptions, *, on_ready: Callable[[str], None], stop: asyncio.Event
) -> None:
    """Serve until `stop` is set; `on_ready` gets the base URL once the socket is open.

    Raises:
        InputError: when the address is not a loopback address or cannot be bound.
    """
    async with serving(book, options) as base_url:
        on_ready(base_url)
        await stop.wait()


@asynccontextmanager
async def serving(book: AnswerBook, options: ServerOptions) -> AsyncIterator[str]:
    """Serve while the context is open; gives the base URL, up to and including `/v1`.

    Raises:
        InputError: when the address is not a loopback address or cannot be bound.
    """
    if options.host not in LOOPBACK:
        problem = f"the simulator does not listen on {options.host!r}"
        raise InputError(problem, next_step=f"one of: {', '.join(LOOPBACK)}")
    desk = _Desk(book, options)
    runner = web.ServerRunner(web.Server(desk.handle, access_log=None), shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, options.host, options.port, backlog=1024)
        await _start(site, options)
        address = runner.addresses[0]
        host = f"[{address[0]}]" if ":" in address[0] else address[0]
        yield f"http://{host}:{address[1]}/v1"
    finally:
        await runner.cleanup()


async def _start(site: web.TCPSite, options: ServerOptions) -> None:
    try:
        await site.start()
    except OSError as error:
        problem = f"cannot listen on {options.host}:{options.port}: {error.strerror or error}"
        raise InputError(problem, next_step="choose another port, or 0 for any free one") from error


class _TooLargeError(Exception):
    """A body nobody sends by intention."""


class _Desk:
    """Takes requests and hands out answers; its state is what was asked how often and what was switched."""

    def __init__(self, book: AnswerBook, options: ServerOptions) -> None:
        self._book = book
        self._options = options
        self._controls = Controls(options.down)
        self._n_seen: Counter[tuple[str, str]] = Counter()
        self._handlers = {
            ("GET", "/healthz"): self._health,
            ("GET", "/count"): self._count,
            ("PUT", "/down"): self._set_down,
            ("PUT", "/serve-as"): self._set_serve_as,
            ("PUT", "/act-as"): self._set_act_as,
        }

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one HTTP request."""
        handler = self._handlers.get((request.method, request.path), self._serve)
        try:
            return await handler(request)
        except _TooLargeError:
            return _complaint("request too large", status=413)

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer as an upstream does. Whatever arrives is counted, also what it does not know."""
        self._controls.count_request()
        raw, problem = _object_in(await _body_of(request))
        self._controls.count_model(raw.get("model"))
        if request.path.startswith("/v1/") and not self._is_allowed(request):
            return _response(fault_answer(FAULTS["openai_bad_key"], "", service_s=0.0, hint_scale=1.0))
        if (request.method, request.path) == ("GET", "/v1/models"):
            return _models()
        if request.method != "POST" or (request.path != _CHAT and request.path not in ENDPOINTS):
            return _plain({"error": {"message": f"no such path: {request.method} {request.path}"}}, status=404)
        return _complaint(problem) if problem else await self._complete(request, raw)

    def _is_allowed(self, request: web.BaseRequest) -> bool:
        key = self._options.key
        sent = request.headers.get("authorization", "")
        return key is None or hmac.compare_digest(sent.encode(), f"Bearer {key}".encode())

    async def _complete(self, request: web.BaseRequest, raw: dict[str, Any]) -> web.StreamResponse:
        path = request.path
        try:
            order = order_from_object(raw) if path == _CHAT else order_at(path, raw)
        except OrderError as error:
            return _complaint(str(error))
        answer = self._answer(order, request)
        await self._wait(answer)
        rest_s = 0.0 if answer.first_s is None else (answer.service_s - answer.first_s) * self._options.time_scale
        return await _deliver(request, answer if path == _CHAT else answer_at(path, raw, answer), rest_s=rest_s)

    def _answer(self, order: Order, request: web.BaseRequest) -> Answer:
        scale = self._options.time_scale
        if self._controls.is_down(order.route):
            return fault_answer(FAULTS["openai_overloaded"], order.route, service_s=0.05, hint_scale=scale)
        served_as = self._controls.name_for(order.route)
        persona = self._controls.acting(order.route)
        if persona is not None:
            at = self._coordinates(order, request)
            question = self._book.find(*map(task_in, order.user_texts))
            return answer_order(Asked(persona=persona, order=order, question=question, served_as=served_as), at)
        name = order.route.removeprefix(PREFIX).partition("/")[0]
        found = scenario_answer(name, route=served_as or _served_name(order.route), hint_scale=scale)
        if order.route.startswith(PREFIX) and found is not None:
            return found
        return fault_answer(FAULTS["unknown_model"], order.route, service_s=0.05, hint_scale=scale)

    def _coordinates(self, order: Order, request: web.BaseRequest) -> Coordinates:
        """Take trial and attempt from evalkit's own headers; else count how often this was asked, as new trials."""
        options = self._options
        trial = _number(request.headers.get("x-evalkit-trial"))
        attempt = _number(request.headers.get("x-evalkit-attempt"))
        if trial is None:
            seen = (order.route, order.user_text)
            trial = self._n_seen[seen]
            self._n_seen[seen] += 1
        return Coordinates(seed=options.seed, trial=trial, attempt=attempt or 0, hint_scale=options.time_scale)

    async def _wait(self, answer: Answer) -> None:
        if answer.ending == "stall":
            # As a dead upstream would: until the client gives up and closes, which cancels this.
            await asyncio.Event().wait()
        seconds = (answer.service_s if answer.first_s is None else answer.first_s) * self._options.time_scale
        if seconds > 0:
            await asyncio.sleep(seconds)

    async def _health(self, _request: web.BaseRequest) -> web.StreamResponse:
        return _plain({"status": "ok", "questions": len(self._book)})

    async def _count(self, _request: web.BaseRequest) -> web.StreamResponse:
        return _plain(self._controls.counts)

    async def _set_down(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await _body_of(request)
        try:
            self._controls.set_down(parse_down(body))
        except InputError as error:
            return _complaint(str(error))
        return _plain({"routes": self._controls.down})

    async def _set_serve_as(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await _body_of(request)
        try:
            self._controls.set_serve_as(parse_names(body))
        except InputError as error:
            return _complaint(str(error))
        return _plain({"routes": self._controls.serve_as})

    async def _set_act_as(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await _body_of(request)
        try:
            self._controls.set_act_as(parse_names(body))
        except InputError as error:
            return _complaint(str(error))
        return _plain({"routes": self._controls.act_as})


async def _body_of(request: web.BaseRequest) -> bytes:
    body = await request.content.read(_MAX_BODY_BYTES) if request.can_read_body else b""
    while not request.content.at_eof():
        # One read gives what has arrived, not all there is.
        body += await request.content.read(_MAX_BODY_BYTES)
        if len(body) > _MAX_BODY_BYTES:
            raise _TooLargeError
    return body


def _object_in(body: bytes) -> tuple[dict[str, Any], str]:
    """Return the JSON object in a body, and what is wrong with it: nothing, or there is none."""
    try:
        return parse_object(body), ""
    except OrderError as error:
        return {}, str(error)


def _models() -> web.Response:
    data = [{"id": persona.route, "object": "model", "owned_by": "simulated"} for persona in PERSONAS]
    data += [{"id": f"{PREFIX}{name}", "object": "model", "owned_by": "simulated"} for name in SCENARIOS]
    return _plain({"object": "list", "data": data})


def _served_name(route: str) -> str:
    """Return the model a scenario claims to be: what follows its name, so that a client can ask for any."""
    return route.removeprefix(PREFIX).partition("/")[2] or route


def _number(value: str | None) -> int | None:
    is_number = value is not None and value.isascii() and value.isdigit() and len(value) <= _MAX_DIGITS
    return int(value) if value is not None and is_number else None


async def _deliver(request: web.BaseRequest, answer: Answer, *, rest_s: float) -> web.StreamResponse:
    if answer.ending == "reset":
        _hang_up(request)
        return web.Response(status=500)
    if answer.ending == "whole" and len(answer.pieces) == 1:
        return _response(answer)
    return await _stream(request, answer, rest_s=rest_s)


def _response(answer: Answer) -> web.Response:
    return web.Response(body=answer.pieces[0], status=answer.status, headers=_headers(answer))


async def _stream(request: web.BaseRequest, answer: Answer, *, rest_s: float) -> web.StreamResponse:
    """Send an answer in pieces, the last of them `rest_s` after the others; a cut one promises more than it sends."""
    response = web.StreamResponse(status=answer.status, headers=_headers(answer))
    pieces = answer.pieces
    if answer.ending == "cut" and len(pieces) == 1:
        response.content_length = len(pieces[0])
        pieces = (pieces[0][: len(pieces[0]) // 2],)
    await response.prepare(request)
    for piece in pieces[:-1]:
        await response.write(piece)
    if rest_s > 0:
        await asyncio.sleep(rest_s)
    await response.write(pieces[-1])
    if answer.ending == "cut":
        # Let what was written reach the client first: the cut is in the middle, not at the start.
        await asyncio.sleep(0.01)
        _hang_up(request)
        return response
    await response.write_eof()
    return response


def _hang_up(request: web.BaseRequest) -> None:
    if request.transport is not None:
        request.transport.abort()


def _headers(answer: Answer) -> dict[str, str]:
    first = {} if answer.first_s is None else {"x-simulated-ttft-s": f"{answer.first_s:.6f}"}
    return {
        **answer.headers,
        "x-evalkit-simulated": "1",
        "x-simulated-latency-s": f"{answer.service_s:.6f}",
        **first,
    }


def _plain(value: Any, *, status: int = 200) -> web.Response:
    return _response(Answer(pieces=(json.dumps(value).encode(),), status=status, headers={"content-type": _JSON}))


def _complaint(message: str, *, status: int = 400) -> web.Response:
    return _plain({"error": {"message": message, "type": "invalid_request_error"}}, status=status)
