"""A fixed-answer chat-completions server: as little work a request as stdlib asyncio allows.

It exists so that a client is measured, not a server. One valid completion, whatever was asked, over
HTTP/1.1 keep-alive (pipelining included); `GET /count` says how many requests were answered.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import sys

ANSWER = {
    "invoice_number": "INV-2026-00417",
    "issued_on": "2026-03-14",
    "due_on": "2026-04-13",
    "supplier": "Northwind Paper & Packaging",
    "customer": "Harbour Street Books",
    "currency": "EUR",
    "net_total": 1180.5,
    "tax_total": 224.3,
    "line_count": 7,
    "is_paid": False,
}
SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "additionalProperties": False,
    "required": sorted(ANSWER),
    "properties": {
        "invoice_number": {"type": "string", "pattern": "^INV-[0-9]{4}-[0-9]{5}$"},
        "issued_on": {"type": "string", "format": "date"},
        "due_on": {"type": "string", "format": "date"},
        "supplier": {"type": "string", "minLength": 1},
        "customer": {"type": "string", "minLength": 1},
        "currency": {"enum": ["EUR", "GBP", "USD"]},
        "net_total": {"type": "number", "minimum": 0},
        "tax_total": {"type": "number", "minimum": 0},
        "line_count": {"type": "integer", "minimum": 1},
        "is_paid": {"type": "boolean"},
    },
}
MODEL = "bench-model"
COMPLETION = {
    "id": "chatcmpl-bench",
    "object": "chat.completion",
    "created": 1790000000,
    "model": MODEL,
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": json.dumps(ANSWER)},
            "finish_reason": "stop",
        },
    ],
    "usage": {"prompt_tokens": 120, "completion_tokens": 96, "total_tokens": 216},
}
HEAD_END = b"\r\n\r\n"


def http_reply(body: bytes) -> bytes:
    """Return a whole 200 response around a JSON body."""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


REPLY = http_reply(json.dumps(COMPLETION).encode())


class Counter:
    """Requests answered so far, by every connection."""

    def __init__(self) -> None:
        self.n_requests = 0


class FixedAnswer(asyncio.Protocol):
    """One connection. Only `Content-Length` bodies are understood: every client here sends those."""

    def __init__(self, counter: Counter, *, delay_s: float) -> None:
        self.counter = counter
        self.delay_s = delay_s
        self.buffer = b""
        self.loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        data = self.buffer + data if self.buffer else data
        while (end := request_end(data)) is not None:
            self.answer(is_count=data.startswith(b"GET /count"))
            data = data[end:]
        self.buffer = data

    def answer(self, *, is_count: bool) -> None:
        if is_count:
            self.transport.write(http_reply(json.dumps({"requests": self.counter.n_requests}).encode()))
            return
        self.counter.n_requests += 1
        if self.delay_s:
            self.loop.call_later(self.delay_s, self.transport.write, REPLY)
        else:
            self.transport.write(REPLY)


def request_end(data: bytes) -> int | None:
    """Return where the first whole request of `data` ends, or None while it is not all there."""
    head = data.find(HEAD_END)
    if head < 0:
        return None
    n_body = 0
    lowered = data[:head].lower()
    at = lowered.find(b"\r\ncontent-length:")
    if at >= 0:
        value, _, _ = lowered[at + 17 :].partition(b"\r\n")
        n_body = int(value)
    end = head + len(HEAD_END) + n_body
    return end if end <= len(data) else None


async def serve(*, delay_ms: float, port: int, is_bound_to_stdin: bool) -> None:
    """Answer until killed or, when bound to it, until standard input closes: no orphan outlives a bench."""
    loop = asyncio.get_running_loop()
    counter = Counter()
    server = await loop.create_server(
        lambda: FixedAnswer(counter, delay_s=delay_ms / 1000), "127.0.0.1", port, backlog=8192
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    # Nothing here makes cycles worth collecting; a collection in the middle of a measurement is noise.
    gc.disable()
    if is_bound_to_stdin:
        await loop.run_in_executor(None, sys.stdin.read)
    else:
        await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--delay-ms", type=float, default=0.0, help="wait this long before each answer")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--until-stdin-closes", action="store_true", help="exit when standard input ends")
    options = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(delay_ms=options.delay_ms, port=options.port, is_bound_to_stdin=options.until_stdin_closes))


if __name__ == "__main__":
    main()
