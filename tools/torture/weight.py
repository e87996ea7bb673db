"""Memory in proportion to a large input: what a hostile body may cost before anybody looks at it.

Fuzzed inputs are small, so a fixed floor hides what they take. Here each shape fills megabytes, and the peak of all
that is allocated while it is read is held against its length. JSON of nothing but small values is larger as Python
values than as text, whoever reads it: there the peak is held against what `json.loads` needs for the same text.
"""

from __future__ import annotations

import gc
import json
import tracemalloc
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from evalkit.wire.json_text import parse_json_text
from evalkit.wire.response import Asked, read_response
from torture.fuzz import MEMORY_FACTOR

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

N_BYTES = 4 * 2**20
OVER_PLAIN = 2
"""The value, and what is read out of it: most that reading may need as a multiple of `json.loads`."""
_ASKED = Asked(route="lumen-2-small", context_tokens=8192, prompt_tokens_estimate=100)
_CHUNK = (
    b'data: {"id": "c-1", "object": "chat.completion.chunk", "model": "m", "choices": [{"index": 0, "delta": %s}]}\n\n'
)
_END = b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'
_CALL = {"id": "c", "type": "function", "function": {"name": "look_up", "arguments": '{"a": 1}'}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed:
    """One shape, read once."""

    shape: str
    n_bytes: int
    factor: float
    """Peak of what was allocated, as a multiple of the input."""
    plain_factor: float
    """The same of `json.loads` on the JSON in it; 0 where it is none."""
    came_of_it: str

    @property
    def problem(self) -> str:
        """Return what is wrong; empty when nothing is."""
        if self.factor <= max(MEMORY_FACTOR, OVER_PLAIN * self.plain_factor):
            return ""
        return f"{self.shape}: peak {self.factor:.1f} × the input"

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON can say it."""
        return asdict(self) | {"problem": self.problem}


def weighed(n_bytes: int = N_BYTES) -> list[Weighed]:
    """Weigh every shape at about so many bytes."""
    found = []
    for shape, data in _bodies(n_bytes):
        kind = "text/event-stream" if shape.startswith("stream") else "application/json"
        status = 429 if shape.startswith("error") else 200
        found.append(_weighed(shape, data, lambda body, s=status, k=kind: _read(body, status=s, content_type=k)))
    for shape, text in _texts(n_bytes):
        found.append(_weighed(shape, text.encode(), lambda body: str(parse_json_text(body.decode()).level)))
    return found


def _read(data: bytes, *, status: int, content_type: str) -> str:
    return str(read_response(status, {"content-type": content_type}, data, asked=_ASKED).kind)


def _weighed(shape: str, data: bytes, read: Callable[[bytes], str]) -> Weighed:
    came_of_it, peak = _peak(read, data)
    inner = data.removeprefix(b"```json\n").removesuffix(b"\n```")
    _, plain = _peak(_plain, inner)
    return Weighed(
        shape=shape,
        n_bytes=len(data),
        factor=peak / len(data),
        plain_factor=plain / len(data),
        came_of_it=came_of_it,
    )


def _plain(data: bytes) -> str:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        tracemalloc.reset_peak()
        return ""
    return type(value).__name__


def _peak(read: Callable[[bytes], str], data: bytes) -> tuple[str, int]:
    read(data[:200])  # what is built at first use is no cost of this input
    gc.collect()
    tracemalloc.start()
    try:
        return read(data), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _bodies(n: int) -> Iterator[tuple[str, bytes]]:
    yield "answer of one long text", _body({"content": "word " * (n // 5)})
    yield "answer of escaped characters", _body({"content": "\u00e9\u4e2d" * (n // 12)})
    yield "answer of text parts", _body({"content": [{"type": "text", "text": "word"}] * (n // 35)})
    yield "answer of tool calls", _body({"content": None, "tool_calls": [_CALL] * (n // 100)})
    yield "answer of empty lists", b'{"choices": [' + b"[]," * (n // 3) + b"[]]}"
    yield "answer of empty objects", b'{"choices": [' + b"{}," * (n // 3) + b"{}]}"
    yield "answer of HTML", b"<html>" + b"<p>x</p>" * (n // 8)
    yield "error of one long message", json.dumps({"error": {"message": "x" * n, "code": 429}}).encode()
    yield "stream of words", _CHUNK % b'{"content": "word "}' * (n // 130) + _END
    yield "stream of one long chunk", _CHUNK % json.dumps({"content": "word " * (n // 5)}).encode() + _END
    yield "stream of comments", b": still here\n\n" * (n // 14) + _CHUNK % b'{"content": "a"}' + _END
    yield "stream of blank lines", b"\r\n" * (n // 2) + _CHUNK % b'{"content": "a"}' + _END
    yield "stream of torn chunks", b'data: {"id": \n\n' * (n // 16) + _END


def _body(message: dict[str, Any]) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop"}
    return json.dumps({"id": "x", "model": "m", "choices": [choice]}).encode()


def _texts(n: int) -> Iterator[tuple[str, str]]:
    yield "text of one long string", json.dumps({"a": "x" * n})
    yield "text of prose before JSON", "word " * (n // 5) + '{"a": 1}'
    yield "text of fenced records", "```json\n" + json.dumps([{"a": index} for index in range(n // 20)]) + "\n```"
    yield "text of open braces", "{" * n
    yield "text of empty lists", "[" + "[]," * (n // 3) + "[]]"
    yield "text of quotes", '"' * n
    yield "text of trailing commas", "[" + '"a",],' * (n // 6) + "]"
    yield "text of lone backslashes", '{"a": "' + "\\q" * (n // 2)
