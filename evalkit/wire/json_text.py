"""Text → JSON, with how much had to be forgiven on the way.

Parsers rank models as much as models do: the same answers score 0 or 96 depending on how tolerant the reader is.
So a value always comes with its level (`strict`, `fence`, `lenient`) and the repairs that were made. Text is
hostile: every step is linear, depth and size are bounded, and nothing here raises for what a model wrote.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["MAX_DEPTH", "MAX_TEXT_CHARACTERS", "JsonText", "load_json", "parse_json_text", "strict_json"]

MAX_DEPTH = 128
"""Deepest nesting that is taken: beyond it, code that walks the value by recursion would fall over."""
MAX_TEXT_CHARACTERS = 32 * 2**20
MAX_VALUES = 500_000
"""Most commas and brackets, inside strings or out: no answer has nearly so many, and `{},` is three bytes that take a
hundred as a value. With this, no body however large unfolds to more than some tens of megabytes."""
_MAX_CANDIDATES = 64
"""Most fenced blocks tried, from the last one back: an answer has a few, an attack has millions."""

_MAX_PROBLEM = 160
_CROWDED = f"more than {MAX_VALUES:,} values"
_FENCE = "```"
_MISSING: Any = object()
_EXACT_INTEGER = 2**53
_STOP_TOKENS = ("</s>", "<|im_end|>", "<|eot_id|>", "<|endoftext|>", "<|end|>")

# What starts a string also takes one that never ends: without that, every quote would be scanned to the end.
_STRING = r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)'
_TRAILING_COMMA = re.compile(rf"({_STRING})|,\s*+(?=[}}\]])", re.DOTALL)
_BACKSLASH = re.compile(r'\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})|(\\)')
_SMART_QUOTES = str.maketrans({"“": '"', "”": '"', "„": '"', "‟": '"'})


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonText:
    """A value found in text; `level` None means none was found, and `problem` says why."""

    value: Any = None
    level: Literal["strict", "fence", "lenient"] | None = None
    """`strict`: the whole text is JSON. `fence`: without one fence around all of it. `lenient`: had to be searched."""
    repairs: tuple[str, ...] = ()
    """Sorted: what was forgiven (`preamble`, `control_characters`, …), or is odd in valid JSON (`duplicate_keys`)."""
    problem: str = ""
    """Why the strict reading failed; empty at level `strict`."""


class _Loaded(NamedTuple):
    value: Any
    notes: frozenset[str]
    problem: str


class _Notes:
    """Hooks for `json.loads` that record what a plain parse would hide."""

    def __init__(self) -> None:
        self.seen: set[str] = set()

    def pairs(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(pairs)
        if len(value) != len(pairs):
            self.seen.add("duplicate_keys")
        return value

    def integer(self, digits: str) -> int:
        value = int(digits)
        if abs(value) > _EXACT_INTEGER:
            self.seen.add("big_integer")
        return value

    def real(self, digits: str) -> float:
        value = float(digits)
        if not math.isfinite(value):
            raise ValueError(f"number out of range: {digits[:40]}")
        return value

    def constant(self, _name: str) -> None:
        self.seen.add("not_a_number")


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
"""Made once: `json.loads` would make one for every body."""


def load_json(text: str) -> Any:
    """Return the JSON value that `text` is, or raise.

    Raises:
        ValueError: when it is not JSON, holds NaN, an infinity or more than `MAX_VALUES`, or is nested deeper than
            `MAX_DEPTH`.
    """
    if _is_crowded(text):
        raise ValueError(_CROWDED)
    try:
        value = _DECODER.decode(text)
    except RecursionError:
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels") from None
    if text.count("[") + text.count("{") > MAX_DEPTH and _depth_of(value) > MAX_DEPTH:
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
    return value


def strict_json(text: str) -> JsonText:
    """Return the value if the whole text is JSON, else level None. One parse: the fast path of scoring."""
    loaded = _load(text)
    if loaded.value is _MISSING:
        return JsonText(problem=loaded.problem)
    return JsonText(value=loaded.value, level="strict", repairs=tuple(sorted(loaded.notes)))


def parse_json_text(text: str, *, accept: Callable[[Any], bool] | None = None) -> JsonText:
    """Return the JSON value in `text` with the mildest level that finds one.

    Args:
        text: an answer, with reasoning already removed.
        accept: which values count; the search goes on past others. None takes the first value found. A search that
            is told what to look for may also end at what follows the last `"answer":` on its line.
    """
    loaded = _load(text)
    if _is_accepted(loaded.value, accept):
        return JsonText(value=loaded.value, level="strict", repairs=tuple(sorted(loaded.notes)))
    problem = loaded.problem or "JSON, but not the value that was asked for"
    if len(text) > MAX_TEXT_CHARACTERS:
        return JsonText(problem=problem)
    inner = _whole_fence(text)
    if inner is not None:
        fenced = _load(inner)
        if _is_accepted(fenced.value, accept):
            repairs = tuple(sorted(fenced.notes | {"fence"}))
            return JsonText(value=fenced.value, level="fence", repairs=repairs, problem=problem)
    return _lenient(text, accept=accept, problem=problem)


def _is_accepted(value: Any, accept: Callable[[Any], bool] | None) -> bool:
    return value is not _MISSING and (accept is None or accept(value))


def _load(text: str, *, is_lenient: bool = False) -> _Loaded:
    """Parse without raising; `value` is `_MISSING` when that fails. Lenient: control characters, NaN as null."""
    if len(text) > MAX_TEXT_CHARACTERS:
        return _Loaded(_MISSING, frozenset(), f"longer than {MAX_TEXT_CHARACTERS} characters")
    if _is_crowded(text):
        return _Loaded(_MISSING, frozenset(), _CROWDED)
    notes = _Notes()
    try:
        value = json.loads(
            text,
            strict=not is_lenient,
            object_pairs_hook=notes.pairs,
            parse_int=notes.integer,
            parse_float=notes.real,
            parse_constant=notes.constant if is_lenient else _refuse_constant,
        )
    except RecursionError:
        return _Loaded(_MISSING, frozenset(), f"nested deeper than {MAX_DEPTH} levels")
    except ValueError as error:
        return _Loaded(_MISSING, frozenset(), _short(str(error)))
    if text.count("[") + text.count("{") > MAX_DEPTH and _depth_of(value) > MAX_DEPTH:
        return _Loaded(_MISSING, frozenset(), f"nested deeper than {MAX_DEPTH} levels")
    return _Loaded(value, frozenset(notes.seen), "")


def _is_crowded(text: str) -> bool:
    return len(text) > MAX_VALUES and text.count(",") + text.count("[") + text.count("{") > MAX_VALUES


def _short(problem: str) -> str:
    return problem if len(problem) <= _MAX_PROBLEM else problem[: _MAX_PROBLEM - 1] + "…"


def _depth_of(value: Any) -> int:
    """Return the nesting depth, level by level; stops one past the limit."""
    depth = 0
    level = [value] if isinstance(value, (dict, list)) else []
    while level and depth <= MAX_DEPTH:
        level = [child for node in level for child in _children(node) if isinstance(child, (dict, list))]
        depth += 1
    return depth


def _children(node: Any) -> Any:
    return node.values() if isinstance(node, dict) else node


def _whole_fence(text: str) -> str | None:
    """Return what one fence around the whole text encloses, or None. Anything may follow the opening mark."""
    body = text.strip()
    if not body.startswith(_FENCE) or not body.endswith(_FENCE):
        return None
    first_line = body.find("\n")
    if first_line < 0 or first_line > len(body) - len(_FENCE):
        return None
    return body[first_line + 1 : -len(_FENCE)]


def _lenient(text: str, *, accept: Callable[[Any], bool] | None, problem: str) -> JsonText:
    trimmed, early = _trim(text)
    for candidate, found in _candidates(trimmed):
        for variant, repairs in _variants(candidate):
            loaded = _load(variant, is_lenient=True)
            if _is_accepted(loaded.value, accept):
                every = loaded.notes | early | found | repairs | _control_note(variant)
                return JsonText(value=loaded.value, level="lenient", repairs=tuple(sorted(every)), problem=problem)
    return _last_resort(trimmed, accept=accept, problem=problem)


def _trim(text: str) -> tuple[str, frozenset[str]]:
    """Drop what stands outside any answer: a byte-order mark, and stop tokens that leaked at the end."""
    repairs = set()
    if text.startswith("\ufeff"):
        text = text.lstrip("\ufeff")
        repairs.add("byte_order_mark")
    text = text.strip()
    end = len(text)
    while token := next((token for token in _STOP_TOKENS if text.endswith(token, 0, end)), None):
        end -= len(token)
        while end and text[end - 1].isspace():
            end -= 1
        repairs.add("stop_token")
    return text[:end], frozenset(repairs)


def _candidates(text: str) -> Iterator[tuple[str, frozenset[str]]]:
    """Yield the parts worth parsing: all of it, fenced blocks from the last back, first brace to last brace."""
    yield text, frozenset()
    for block in _fenced_blocks(text):
        yield block, frozenset({"fenced_block"})
    for opening, closing in (("{", "}"), ("[", "]")):
        start, end = text.find(opening), text.rfind(closing)
        if 0 <= start < end:
            yield text[start : end + 1], frozenset(_surroundings(text, start=start, end=end + 1))


def _fenced_blocks(text: str) -> list[str]:
    marks: list[int] = []
    at = text.rfind(_FENCE)
    while at >= 0 and len(marks) < 2 * _MAX_CANDIDATES:
        marks.append(at)
        at = text.rfind(_FENCE, 0, at)
    marks.reverse()
    blocks = []
    for index in range(0, len(marks), 2):
        start = marks[index] + len(_FENCE)
        end = marks[index + 1] if index + 1 < len(marks) else len(text)
        blocks.append(_without_info(text[start:end]))
    blocks.reverse()
    return blocks


def _without_info(block: str) -> str:
    """Drop the word after the opening fence, which need not end its line."""
    line, newline, rest = block.partition("\n")
    if newline and not any(mark in line for mark in "{["):
        return rest
    return block.lstrip(" \t").removeprefix("json").removeprefix("JSON")


def _surroundings(text: str, *, start: int, end: int) -> Iterator[str]:
    if text[:start].strip():
        yield "preamble"
    if text[end:].strip():
        yield "postamble"


def _variants(candidate: str) -> Iterator[tuple[str, frozenset[str]]]:
    """Yield the candidate as it is, then with each repair a model's habit calls for; control characters always pass."""
    yield candidate, frozenset()
    commas = _rewritten(candidate, _TRAILING_COMMA, _drop_if_comma)
    if commas != candidate:
        yield commas, frozenset({"trailing_comma"})
    doubled = _rewritten(candidate, _BACKSLASH, _double_if_lone)
    if doubled != candidate:
        yield doubled, frozenset({"lone_backslash"})
    both = commas if doubled == candidate else _rewritten(doubled, _TRAILING_COMMA, _drop_if_comma)
    if both not in {doubled, commas}:
        yield both, frozenset({"trailing_comma", "lone_backslash"})
    straight = candidate.translate(_SMART_QUOTES)
    if straight != candidate:
        yield straight, frozenset({"smart_quotes"})


def _rewritten(text: str, pattern: re.Pattern[str], repair: Callable[[re.Match[str]], str]) -> str:
    """Do what `pattern.sub` does, which holds every piece until the end: of all quotes, thirty times the text."""
    written = StringIO()
    end = 0
    for match in pattern.finditer(text):
        repaired = repair(match)
        if repaired != match[0]:
            written.write(text[end : match.start()])
            written.write(repaired)
            end = match.end()
    written.write(text[end:])
    return written.getvalue()


def _drop_if_comma(match: re.Match[str]) -> str:
    return match[1] or ""


def _double_if_lone(match: re.Match[str]) -> str:
    return "\\\\" if match[1] else match[0]


def _control_note(text: str) -> frozenset[str]:
    """Name the repair when only the control characters kept the variant from being JSON."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return frozenset({"control_characters"})
    return frozenset()


def _last_resort(text: str, *, accept: Callable[[Any], bool] | None, problem: str) -> JsonText:
    _, mark, rest = text.rpartition('"answer":')
    first_line = rest.strip().partition("\n")[0]
    value = {"answer": first_line.strip(" \t\r,}").strip('"')}
    if not mark or accept is None or not accept(value):
        return JsonText(problem=problem)
    return JsonText(value=value, level="lenient", repairs=("text_after_answer",), problem=problem)
