"""How the same answer looks from each provider: one set of switches a dialect, and two functions that obey them.

Every switch is something that was seen on the wire (QUIRKS 1.3 to 1.13); none of them changes what was answered.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["DIALECTS", "CalledTool", "Completion", "Dialect", "completion_body", "completion_stream"]

_CREATED = 1_790_000_000
"""Any fixed moment: an answer must not depend on when it was asked for."""
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
"""One for all: making one a body takes longer than using it."""
_PIECE = 48
"""Characters of text in one chunk of a stream."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CalledTool:
    """A function the model calls."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What a model says, before any provider has put it into its own words."""

    served_model: str
    text: str | None
    ident: str
    """Hexadecimal digits, the same for the same answer."""
    reasoning: str = ""
    refusal: str | None = None
    finish: str | None = "stop"
    native_finish: str | None = None
    tools: tuple[CalledTool, ...] = ()
    prompt_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    cost_usd: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """One provider's way of saying it."""

    name: str
    source: str
    id_prefix: str = "chatcmpl-"
    reasoning_in: Literal["reasoning_content", "reasoning", "blocks", "nowhere"] = "nowhere"
    """`blocks`: content becomes a list of typed blocks."""
    usage: Literal["plain", "openai", "gemini", "deepseek", "mistral", "openrouter", "groq"] = "plain"
    usage_in_stream: Literal["own_chunk", "last_chunk", "every_chunk"] = "own_chunk"
    tool_id: Literal["long", "short", "none"] = "long"
    has_tool_type: bool = True
    tool_index_from: int | None = 0
    """First `index` of streamed calls; None sends none."""
    fingerprint: str | None = None
    provider: str | None = None
    """Name of the host, as a router adds it."""
    before_json: bytes = b""
    """White space a server sends in front of the body to keep the connection alive."""
    comments: tuple[bytes, ...] = ()
    """SSE lines that carry nothing."""
    has_empty_first_chunk: bool = False
    has_done: bool = True
    line_end: bytes = b"\n"
    padding: str | None = None
    """A field of no meaning in every chunk."""
    headers: tuple[tuple[str, str], ...] = ()
    """On success."""


_OPENAI_BUCKETS = (
    ("x-ratelimit-limit-requests", "500"),
    ("x-ratelimit-remaining-requests", "499"),
    ("x-ratelimit-reset-requests", "120ms"),
)

DIALECTS: dict[str, Dialect] = {
    dialect.name: dialect
    for dialect in (
        Dialect(name="plain", source="the common core"),
        Dialect(name="openai", source="QUIRKS 1.7, 1.11, 1.12", usage="openai", fingerprint="fp_sim0a1b2c",
                padding="aX3", headers=_OPENAI_BUCKETS),
        Dialect(name="azure", source="QUIRKS 1.4, 1.12", usage="openai", has_empty_first_chunk=True),
        Dialect(name="anthropic", source="QUIRKS 1.8, 1.11", id_prefix="msg_", tool_index_from=1,
                usage_in_stream="last_chunk", headers=(("retry-after", "30"), ("x-should-retry", "false"))),
        Dialect(name="gemini", source="QUIRKS 1.7, 1.8", id_prefix="", usage="gemini", tool_id="none",
                usage_in_stream="last_chunk"),
        Dialect(name="deepseek", source="QUIRKS 1.5, 1.7, 1.12", id_prefix="", reasoning_in="reasoning_content",
                usage="deepseek", usage_in_stream="last_chunk", before_json=b"\n\n\n", comments=(b": keep-alive",),
                fingerprint="fp_sim_prod_fp8"),
        Dialect(name="mistral", source="QUIRKS 1.5, 1.7, 1.8", id_prefix="", reasoning_in="blocks", usage="mistral",
                usage_in_stream="last_chunk", tool_id="short", has_tool_type=False, tool_index_from=None),
        Dialect(name="qwen", source="QUIRKS 1.3, 1.5", reasoning_in="reasoning_content"),
        Dialect(name="llama", source="QUIRKS 1.7, 1.12", reasoning_in="reasoning", usage="groq",
                usage_in_stream="last_chunk", has_done=False),
        Dialect(name="router", source="QUIRKS 1.6, 1.7, 1.12", id_prefix="gen-", reasoning_in="reasoning",
                usage="openrouter", provider="SimHost", comments=(b": OPENROUTER PROCESSING",) * 2),
        Dialect(name="perplexity", source="QUIRKS 1.7, 1.12", usage_in_stream="every_chunk", has_done=False,
                comments=(b": ping - 2026-11-22",), line_end=b"\r\n"),
    )
}  # fmt: skip
"""By name."""


def completion_body(dialect: Dialect, said: Completion) -> bytes:
    """Return the whole JSON body."""
    message: dict[str, Any] = {"role": "assistant", "content": _content(dialect, said)}
    if said.refusal is not None or dialect.name == "openai":
        message["refusal"] = said.refusal
    if said.reasoning and dialect.reasoning_in in {"reasoning_content", "reasoning"}:
        message[dialect.reasoning_in] = said.reasoning
    if said.tools:
        message["tool_calls"] = [_call(dialect, said, number) for number in range(len(said.tools))]
    choice: dict[str, Any] = {"index": 0, "message": message, "finish_reason": said.finish}
    _add_native(dialect, said, choice)
    body = {**_head(dialect, said, kind="chat.completion"), "choices": [choice], "usage": _usage(dialect, said)}
    return dialect.before_json + _encoded(body)


def completion_stream(dialect: Dialect, said: Completion, *, wants_usage: bool = True) -> tuple[bytes, ...]:
    """Return the pieces of the event stream, each one or more whole lines."""
    chunks = [_chunk_of(dialect, said, delta) for delta in _deltas(dialect, said)]
    last = _chunk_of(dialect, said, {}, finish=said.finish)
    _add_native(dialect, said, last["choices"][0])
    chunks.append(last)
    usage = _usage(dialect, said)
    if dialect.usage_in_stream == "every_chunk":
        chunks = [{**chunk, "usage": usage} for chunk in chunks]
    elif dialect.usage_in_stream == "last_chunk":
        last["usage"] = usage
    elif dialect.usage_in_stream == "own_chunk" and wants_usage:
        chunks.append({**_head(dialect, said, kind="chat.completion.chunk"), "choices": [], "usage": usage})
    if dialect.has_empty_first_chunk:
        empty = {"id": "", "object": "", "created": 0, "model": "", "choices": [], "prompt_filter_results": []}
        chunks.insert(0, empty)
    return tuple(_events(dialect, chunks))


def _events(dialect: Dialect, chunks: list[dict[str, Any]]) -> Iterator[bytes]:
    gap = dialect.line_end * 2
    for comment in dialect.comments:
        yield comment + gap
    for chunk in chunks:
        yield b"data: " + _encoded(chunk) + gap
    if dialect.has_done:
        yield b"data: [DONE]" + gap


def _encoded(value: Any) -> bytes:
    return _ENCODER.encode(value).encode("utf-8", "replace")


def _head(dialect: Dialect, said: Completion, *, kind: str) -> dict[str, Any]:
    head: dict[str, Any] = {
        "id": f"{dialect.id_prefix}{said.ident}",
        "object": kind,
        "created": _CREATED,
        "model": said.served_model,
    }
    if dialect.fingerprint:
        head["system_fingerprint"] = dialect.fingerprint
    if dialect.provider:
        head["provider"] = dialect.provider
    return head


def _content(dialect: Dialect, said: Completion) -> Any:
    if dialect.reasoning_in != "blocks" or not said.reasoning or said.text is None:
        return said.text
    return [*_thinking(said), {"type": "text", "text": said.text}]


def _thinking(said: Completion) -> list[dict[str, Any]]:
    return [{"type": "thinking", "thinking": [{"type": "text", "text": said.reasoning}]}]


def _add_native(dialect: Dialect, said: Completion, choice: dict[str, Any]) -> None:
    native = said.native_finish or (said.finish if dialect.provider else None)
    if native is not None:
        choice["native_finish_reason"] = native


def _call(dialect: Dialect, said: Completion, number: int) -> dict[str, Any]:
    tool = said.tools[number]
    digits = {"long": f"call_{said.ident[:22]}{number}", "short": f"{said.ident[:8]}{number}", "none": ""}
    call: dict[str, Any] = {"id": digits[dialect.tool_id]}
    if dialect.has_tool_type:
        call["type"] = "function"
    return {**call, "function": {"name": tool.name, "arguments": tool.arguments}}


def _chunk_of(
    dialect: Dialect, said: Completion, delta: dict[str, Any], *, finish: str | None = None
) -> dict[str, Any]:
    chunk = _head(dialect, said, kind="chat.completion.chunk")
    chunk["choices"] = [{"index": 0, "delta": delta, "finish_reason": finish}]
    if dialect.padding:
        chunk["obfuscation"] = dialect.padding
    return chunk


def _deltas(dialect: Dialect, said: Completion) -> Iterator[dict[str, Any]]:
    yield {"role": "assistant", "content": None if said.reasoning else ""}
    if said.reasoning and dialect.reasoning_in == "blocks":
        yield {"content": _thinking(said)}
    elif said.reasoning and dialect.reasoning_in != "nowhere":
        for piece in _pieces(said.reasoning):
            yield {"content": None, dialect.reasoning_in: piece}
    if said.refusal is not None:
        yield {"refusal": said.refusal}
    for piece in _pieces(said.text or ""):
        yield {"content": piece}
    for number in range(len(said.tools)):
        yield from _tool_deltas(dialect, said, number)


def _tool_deltas(dialect: Dialect, said: Completion, number: int) -> Iterator[dict[str, Any]]:
    """Open with empty arguments and send them after, where the dialect counts its calls; else all at once."""
    call = _call(dialect, said, number)
    if dialect.tool_index_from is None:
        yield {"tool_calls": [call]}
        return
    index = dialect.tool_index_from + number
    opening = {**call, "index": index, "function": {"name": said.tools[number].name, "arguments": ""}}
    yield {"tool_calls": [opening]}
    yield {"tool_calls": [{"index": index, "function": {"arguments": said.tools[number].arguments}}]}


def _pieces(text: str) -> Iterator[str]:
    for at in range(0, len(text), _PIECE):
        yield text[at : at + _PIECE]


def _usage(dialect: Dialect, said: Completion) -> dict[str, Any]:
    """Return tokens as this provider counts them."""
    answer, thought = said.completion_tokens, said.reasoning_tokens
    usage: dict[str, Any] = {
        "prompt_tokens": said.prompt_tokens,
        "completion_tokens": answer + thought,
        "total_tokens": said.prompt_tokens + answer + thought,
    }
    if dialect.usage == "gemini":
        # Thinking is in the total and nowhere else: 35 + 12 = 109 was seen.
        return {**usage, "completion_tokens": answer}
    extras: dict[str, dict[str, Any]] = {
        "openai": {
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": thought},
        },
        "deepseek": {"prompt_cache_hit_tokens": 0, "prompt_cache_miss_tokens": said.prompt_tokens},
        "mistral": {"num_cached_tokens": 0},
        "groq": {"queue_time": 0.01, "total_time": 0.2},
        "openrouter": {"is_byok": False, "cost": said.cost_usd},
    }
    return usage | extras.get(dialect.usage, {})
