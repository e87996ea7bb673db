"""Server-sent events as providers really write them: comments, fields no standard knows, no end mark, torn lines.

A conforming parser drops what it does not know, and with it a line such as `error: {…}`: the only sign that some
servers give of having failed half-way. This one keeps it, and says which oddities it saw.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from evalkit.wire.json_text import load_json

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["EventStream", "is_event_stream", "read_event_stream", "without_comments"]

# Possessive: each character is looked at once, however many comments there are.
_COMMENTS = re.compile(r"(?:\s*+:[^\r\n]*+[\r\n])++")

_FIELDS = frozenset({"data", "event", "id", "retry"})
_LABELS = ("id", "object", "created")
_DONE = "[DONE]"
_MAX_CHUNKS = 400_000
"""Three times the chunks of the longest answer any model gives; with the limit below, what bounds the time taken."""
_MAX_TORN = 1000
_JSON_STARTS = frozenset('{["-0123456789tf')


@dataclass(slots=True)
class EventStream:
    """What the lines of a stream said."""

    chunks: list[Any] = field(default_factory=list)
    """Parsed data, in order; a line `error: {…}`, or an event named `error`, stands as `{"error": …}`."""
    flags: set[str] = field(default_factory=set)
    is_done: bool = False
    """Whether `[DONE]` was seen."""
    torn_at: int | None = None
    """How many chunks came before the first data line that began like JSON and was none: a piece is lost there."""
    n_torn: int = 0
    """How many such lines there were."""


def is_event_stream(content_type: str, text: str) -> bool:
    """Return whether a body is an event stream, by its first line more than by its declared type."""
    head = text.lstrip("\ufeff \t\r\n")
    if head[:1] == ":":
        # Behind comments alone that keep a connection open may stand a plain body, whatever its type claims.
        head = without_comments(head).lstrip() or head
    if head[:1] in {"{", "[", "<"}:
        return False
    if head.startswith(("data:", "event:", "error:", "id:", "retry:")):
        return True
    return "text/event-stream" in content_type.lower()


def without_comments(text: str) -> str:
    """Drop comments before a body: some servers keep a slow connection alive with them, under JSON too."""
    comments = _COMMENTS.match(text)
    return text[comments.end() :] if comments else text


def read_event_stream(text: str) -> EventStream:
    """Return the chunks of a stream; never raises."""
    stream = EventStream()
    event, data = "", list[str]()
    for line in _lines(text):
        if stream.n_torn > _MAX_TORN or len(stream.chunks) > _MAX_CHUNKS:
            stream.torn_at = len(stream.chunks) if stream.torn_at is None else stream.torn_at
            break
        if not line:
            _dispatch(stream, event, data)
            event, data = "", []
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not name:
            stream.flags.add("sse_comments")
        elif name == "data":
            data.append(value)
        elif name == "event":
            event = value.strip()
            stream.flags.add("sse_event_field")
        elif name not in _FIELDS:
            stream.flags.add("sse_unknown_field")
            _keep_error_line(stream, name, value)
    _dispatch(stream, event, data)
    if not stream.is_done:
        stream.flags.add("no_done")
    return stream


def _lines(text: str) -> Iterator[str]:
    """Yield lines by the line ends of the standard only: JSON strings may hold U+2028 and other breaks as they are.

    One after the other: a list of a million empty comments takes five times the memory of their text.
    """
    text = text.removeprefix("\ufeff")
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    start = 0
    while (end := text.find("\n", start)) >= 0:
        yield text[start:end]
        start = end + 1
    yield text[start:]


def _dispatch(stream: EventStream, event: str, data: list[str]) -> None:
    """Take one event. Servers that forget the blank line put several chunks in one, so each line is tried alone."""
    loaded, n_bad = _load_each(data)
    if len(loaded) > 1 and 0 < n_bad <= _MAX_TORN:
        whole = _load("\n".join(data))
        if whole is not None:
            loaded = [("", whole)]
    for line, value in loaded:
        if line.strip() == _DONE:
            stream.is_done = True
        elif value is not None:
            stream.chunks.append(_as_error(value) if event == "error" else _without_labels(value))
        elif line.strip():
            _note_bad_line(stream, line, is_error=event == "error")


def _load_each(data: list[str]) -> tuple[list[tuple[str, Any]], int]:
    """Return the lines with their values, and how many have none; gives up on an event that is nothing but noise."""
    loaded: list[tuple[str, Any]] = []
    n_bad = 0
    for line in data:
        value = _load(line)
        loaded.append((line, value))
        n_bad += value is None and line.strip() != _DONE
        if n_bad > _MAX_TORN:
            break
    return loaded, n_bad


def _load(line: str) -> Any:
    """Return the parsed line, or None; `null` carries nothing either, and most noise does not even look like JSON."""
    if line.lstrip()[:1] not in _JSON_STARTS:
        return None
    try:
        return load_json(line)
    except ValueError:
        return None


def _without_labels(value: Any) -> Any:
    """Return a chunk of an answer without what every chunk repeats and nobody reads: a third of its memory."""
    if isinstance(value, dict) and "choices" in value:
        for label in _LABELS:
            value.pop(label, None)
    return value


def _as_error(value: Any) -> Any:
    return value if isinstance(value, dict) and value.get("error") else {"error": value}


def _note_bad_line(stream: EventStream, line: str, *, is_error: bool) -> None:
    stream.flags.add("sse_bad_json")
    if is_error:
        stream.chunks.append({"error": line})
    elif line.lstrip().startswith(("{", "[")):
        stream.n_torn += 1
        stream.torn_at = len(stream.chunks) if stream.torn_at is None else stream.torn_at


def _keep_error_line(stream: EventStream, name: str, value: str) -> None:
    if name == "error" and value.strip():
        loaded = _load(value)
        stream.chunks.append({"error": value if loaded is None else loaded})
