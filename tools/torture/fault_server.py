"""A gateway that answers sums rightly, except when it breaks: how, how often and by which seed stands in the URL.

`http://127.0.0.1:PORT/<fault,fault>/<percent>/<seed>/v1` is a gateway of its own. Whether a request is hit follows
from the seed, the body and how often that body has come, so a matrix can be run again. The fault `late` is a right
answer after 20 ms. `GET …/count` says how often each body came and how often it was answered whole. A program of its
own: it may be as rude as it likes to its sockets.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import hashlib
import json
import re
import socket
import struct
import sys
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from evalkit.domain.outcome import Kind
from evalkit.simulator.scenarios import SCENARIOS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Raw = Callable[[asyncio.StreamWriter, bytes], Awaitable[None]]

MIB = 2**20
ROUTES = {"good": "gpt-4o-2024-08-06", "bad": "claude-3-5-haiku-20241022", "border": "mistral-large-2407"}
"""Model id to route: real names, so that a swapped model can be told."""
_SUM = re.compile(r"What is (\d+) plus (\d+)\?")
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
_SSE = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
_N_DRIPS = 2_000
_DRIP_S = 0.02
_LONG_S = 30.0


class HangUpError(Exception):
    """The connection ends here."""


def answer_to(request: dict[str, Any]) -> bytes:
    """Return the completion: `good` is always right, `bad` on two sums of five, `border` on five of six."""
    found = _SUM.search(json.dumps(request.get("messages", "")))
    a, b = (int(digits) for digits in found.groups()) if found else (0, 0)
    model = str(request.get("model"))
    is_right = {ROUTES["bad"]: a % 5 < 2, ROUTES["border"]: a % 6 > 0}.get(model, True)
    message = {"role": "assistant", "content": str(a + b if is_right else a + b + 1)}
    usage = {"prompt_tokens": 20, "completion_tokens": 3, "total_tokens": 23}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    return json.dumps({"id": "c", "model": model, "choices": [choice], "usage": usage}).encode()


def _sized(body: bytes, *, status: str = "200 OK", more: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{more}content-length: {len(body)}\r\n\r\n"
    return head.encode("latin-1") + body


async def _slow_drip(writer: asyncio.StreamWriter, answer: bytes) -> None:
    writer.write(_HEAD + f"content-length: {len(answer)}\r\n\r\n".encode())
    for at in range(min(len(answer), _N_DRIPS)):
        writer.write(answer[at : at + 1])
        await writer.drain()
        await asyncio.sleep(_DRIP_S)


async def _endless_comments(writer: asyncio.StreamWriter, _answer: bytes) -> None:
    writer.write(_SSE)
    for _ in range(_N_DRIPS):
        writer.write(b": still there\n\n")
        await writer.drain()
        await asyncio.sleep(_DRIP_S)


async def _half_closed(writer: asyncio.StreamWriter, answer: bytes) -> None:
    writer.write(_HEAD + f"content-length: {len(answer)}\r\n\r\n".encode() + answer[: len(answer) // 2])
    await writer.drain()
    writer.write_eof()
    await asyncio.sleep(_LONG_S)


async def _silent(_writer: asyncio.StreamWriter, _answer: bytes) -> None:
    await asyncio.sleep(_LONG_S)


async def _closed_at_once(_writer: asyncio.StreamWriter, _answer: bytes) -> None:
    raise HangUpError


async def _reset_mid_sse(writer: asyncio.StreamWriter, answer: bytes) -> None:
    delta = {"choices": [{"index": 0, "delta": {"content": json.loads(answer)["choices"][0]["message"]["content"]}}]}
    writer.write(_SSE + b"data: " + json.dumps(delta).encode() + b"\n\n")
    await writer.drain()
    await asyncio.sleep(_DRIP_S)
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()
    raise HangUpError


async def _length_too_long(writer: asyncio.StreamWriter, answer: bytes) -> None:
    writer.write(_HEAD + f"content-length: {len(answer) + 7}\r\n\r\n".encode() + answer)
    await writer.drain()
    raise HangUpError


async def _length_too_short(writer: asyncio.StreamWriter, answer: bytes) -> None:
    writer.write(_HEAD + f"content-length: {len(answer) - 9}\r\n\r\n".encode() + answer)


async def _second_answer(writer: asyncio.StreamWriter, answer: bytes) -> None:
    """Answer twice: whoever asks next on this connection must not be given the second."""
    writer.write(_sized(answer) + _sized(answer.replace(b'"content"', b'"content" ')))


async def _gzip_bomb(writer: asyncio.StreamWriter, _answer: bytes) -> None:
    writer.write(_sized(_bomb(), more="content-encoding: gzip\r\n"))


async def _huge_body(writer: asyncio.StreamWriter, _answer: bytes) -> None:
    writer.write(_HEAD + f"content-length: {100 * MIB}\r\n\r\n".encode())
    for _ in range(100):
        writer.write(b" " * MIB)
        await writer.drain()


async def _redirect_loop(writer: asyncio.StreamWriter, _answer: bytes) -> None:
    writer.write(_sized(b"", status="307 Temporary Redirect", more="location: chat/completions\r\n"))


async def _not_http(writer: asyncio.StreamWriter, _answer: bytes) -> None:
    writer.write(b"\x16\x03\x01\x00\x05hello\r\n\r\n")
    raise HangUpError


async def _endless_headers(writer: asyncio.StreamWriter, _answer: bytes) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    for number in range(_N_DRIPS):
        writer.write(f"x-{number}: {'a' * 4000}\r\n".encode())
        await writer.drain()


async def _broken_chunks(writer: asyncio.StreamWriter, answer: bytes) -> None:
    writer.write(_HEAD + b"transfer-encoding: chunked\r\n\r\nfffff\r\n" + answer + b"\r\nzz\r\n")
    raise HangUpError


async def _continue_for_ever(writer: asyncio.StreamWriter, _answer: bytes) -> None:
    for _ in range(_N_DRIPS):
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(_DRIP_S)


async def _wrong_type(writer: asyncio.StreamWriter, answer: bytes) -> None:
    """A stream's type around half a body."""
    half = answer[: len(answer) // 2]
    writer.write(_SSE.replace(b"\r\n\r\n", f"\r\ncontent-length: {len(half)}\r\n\r\n".encode()) + half)


def _bomb() -> bytes:
    if not _BOMB:
        _BOMB.append(gzip.compress(b"\0" * (64 * MIB), 1))
    return _BOMB[0]


_BOMB: list[bytes] = []
RAW: dict[str, Raw] = {
    "slow_drip": _slow_drip,
    "endless_comments": _endless_comments,
    "half_closed": _half_closed,
    "silent": _silent,
    "closed_at_once": _closed_at_once,
    "reset_mid_sse": _reset_mid_sse,
    "length_too_long": _length_too_long,
    "length_too_short": _length_too_short,
    "second_answer": _second_answer,
    "gzip_bomb": _gzip_bomb,
    "body_100mb": _huge_body,
    "redirect_loop": _redirect_loop,
    "not_http": _not_http,
    "endless_headers": _endless_headers,
    "broken_chunks": _broken_chunks,
    "continue_for_ever": _continue_for_ever,
    "wrong_type": _wrong_type,
}
"""Faults that only a socket can show."""
QUIRKS = tuple(name for name, scenario in SCENARIOS.items() if scenario.kind is not Kind.OK)
"""Faults of the quirk catalogue: every scenario of the simulator that is no good answer."""


async def _quirk(name: str, writer: asyncio.StreamWriter, model: str) -> None:
    answer = SCENARIOS[name].make(model, 0.0)
    if answer.ending == "stall":
        await asyncio.sleep(_LONG_S)
    if answer.ending == "reset":
        writer.transport.abort()
        raise HangUpError
    body = b"".join(answer.pieces)
    more = "".join(f"{key}: {value}\r\n" for key, value in answer.headers.items() if key != "content-type")
    kind = answer.headers.get("content-type", "application/json")
    head = f"HTTP/1.1 {answer.status} Said\r\ncontent-type: {kind}\r\n{more}content-length: {len(body)}\r\n\r\n"
    writer.write(head.encode("latin-1"))
    if answer.ending == "cut":
        writer.write(body[: len(body) // 2])
        await writer.drain()
        raise HangUpError
    writer.write(body)


def echoed(name: str, head: bytes, answer: bytes) -> bytes:
    """Return an answer that quotes the whole request it answers, keys and all, in one of the ways gateways do."""
    said = head.decode("latin-1")
    in_header = "x-said: " + said.replace("\r\n", " ") + "\r\n"
    error = json.dumps({"error": {"message": f"no: {said}"[:3000], "type": "x", "code": said[-200:]}}).encode()
    match name:
        case "echo_401":
            return _sized(error, status="401 No", more=in_header)
        case "echo_500_page":
            return _sized(f"<html>{said}</html>".encode(), status="500 Broken", more=in_header)
        case "echo_200_error":
            return _sized(error, more=in_header)
        case "echo_200_answer":
            whole = json.loads(answer)
            whole["choices"][0]["message"] = {"role": "assistant", "content": said, "refusal": None, "reasoning": said}
            return _sized(json.dumps(whole | {"system_fingerprint": said, "provider": said}).encode())
        case "echo_redirect":
            return _sized(b"", status="302 Found", more=f"location: http://127.0.0.1:9/{quote(said[:2000])}\r\n")
        case _:
            body = b"event: error\ndata: " + error + b"\n\n"
            return _SSE.replace(b"\r\n\r\n", f"\r\ncontent-length: {len(body)}\r\n\r\n".encode()) + body


HOSTILE = (
    "=cmd|' /C calc'!A0\n<script>alert(1)</script><img src=x onerror=alert(2)>\x1b[2J\x1b]0;title\x07\x9b31m\u202e"
    '"><a href="javascript:alert(3)">x</a> {{ 7*7 }} ${7*7} ]]>--> | ``` \r+1'
)
"""An answer made against whatever shows it: spreadsheets, browsers, terminals, templates."""


class Server:
    """Counts and answers; one for all gateways of all URLs."""

    def __init__(self) -> None:
        self.n_came: dict[str, Counter[str]] = defaultdict(Counter)
        self.n_whole: dict[str, Counter[str]] = defaultdict(Counter)

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until it ends."""
        with contextlib.suppress(OSError, HangUpError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            while True:
                await self._one(reader, writer)
                await writer.drain()
        writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        path = head.split(b" ", 2)[1].decode("latin-1")
        found = re.search(rb"\r\ncontent-length:\s*(\d+)", head, re.IGNORECASE)
        body = await reader.readexactly(int(found[1])) if found else b""
        gateway, _, rest = path.partition("/v1/")
        if not body:
            counts = {"came": self.n_came[gateway], "whole": self.n_whole[gateway]}
            writer.write(_sized(json.dumps(counts).encode()))
            return
        request = json.loads(body)
        digest = hashlib.sha256(body).hexdigest()[:16]
        self.n_came[gateway][digest] += 1
        fault = self._fault(gateway, digest) if rest.startswith("chat/completions") else None
        if fault == "late":
            await asyncio.sleep(_DRIP_S)
        if fault in {None, "late"}:
            self.n_whole[gateway][digest] += 1
            writer.write(_sized(answer_to(request)))
        elif fault == "hostile":
            whole = json.loads(answer_to(request))
            whole["choices"][0]["message"]["content"] = HOSTILE
            writer.write(_sized(json.dumps(whole).encode()))
        elif fault.startswith("away-"):
            target = f"location: http://127.0.0.1:{fault.removeprefix('away-')}/v1/chat/completions\r\n"
            writer.write(_sized(b"", status="307 Temporary Redirect", more=target))
        elif fault.startswith("echo"):
            writer.write(echoed(fault, head, answer_to(request)))
        elif fault in RAW:
            await RAW[fault](writer, answer_to(request))
        else:
            await _quirk(fault, writer, str(request.get("model")))

    def _fault(self, gateway: str, digest: str) -> str | None:
        _, faults, percent, seed = gateway.split("/")
        mark = hashlib.sha256(f"{seed} {digest} {self.n_came[gateway][digest]}".encode()).digest()
        if int.from_bytes(mark[:4], "big") % 100 >= int(percent):
            return None
        names = {"RAW": tuple(RAW), "QUIRKS": QUIRKS, "ALL": (*RAW, *QUIRKS)}.get(faults) or faults.split(",")
        return names[int.from_bytes(mark[4:8], "big") % len(names)]


async def serve() -> None:
    """Listen on loopback until standard input ends."""
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, _context: None)
    server = await asyncio.start_server(Server().connected, "127.0.0.1", 0, limit=2**20, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve())
