"""Tool calls written as text: those a prompt asked for, and those a model leaked instead of making them.

Reading is linear and bounded; nothing here raises for what a model wrote.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evalkit.scorers.answer import parsed_answer
from evalkit.wire.json_text import load_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from evalkit.scorers.answer import Accept, ParsedAnswer

__all__ = ["GivenCall", "Untyped", "calls_of_value", "leaked_calls", "read_arguments", "written_calls"]

_MAX_CALLS = 64
"""Most calls read out of one answer: more are never right, and an attack writes millions."""
_MARK = re.compile(r"<tool_call>|<\|python_start\|>|<\|python_tag\|>|\[TOOL_CALLS\]|<function=([\w.:-]{1,128})>")
_END = re.compile(r"</tool_call>|<\|python_end\|>|<\|eom_id\|>|<\|eot_id\|>|</function>")
_PARAMETER = re.compile(r"<parameter=([\w.:-]{1,128})>")
_ARGUMENT_KEYS = ("arguments", "parameters", "args")


@dataclass(frozen=True, slots=True)
class GivenCall:
    """One call of an answer, as far as it could be read."""

    name: str
    arguments: dict[str, Any] | None
    """None when they are no JSON object."""
    is_repaired: bool = False
    """Whether the arguments had to be repaired, or came under another name than `arguments`."""


class Untyped(str):
    """An argument written between tags: text that may stand for a number, a list or a flag."""

    __slots__ = ()


def read_arguments(text: str) -> tuple[dict[str, Any] | None, bool]:
    """Return the arguments of a native call and whether they needed repair; empty text means no arguments."""
    if not text.strip():
        return {}, False
    try:
        value = load_json(text)
    except ValueError:
        value = None
    if isinstance(value, dict):
        return value, False
    answer = parsed_answer(value if isinstance(value, str) else text, accept="lenient", wanted=_is_object)
    return (answer.value, True) if answer.is_accepted else (None, True)


def written_calls(text: str, *, accept: Accept) -> tuple[tuple[GivenCall, ...], ParsedAnswer]:
    """Return the calls an answer consists of as JSON, and how it was read; a call needs `name` and `arguments`."""
    answer = parsed_answer(text, accept=accept, wanted=lambda value: calls_of_value(value) is not None)
    return (calls_of_value(answer.value) or ()) if answer.is_accepted else (), answer


def leaked_calls(text: str, is_known: Callable[[str], bool]) -> tuple[GivenCall, ...]:
    """Return the calls in a text: between the marks of a chat template, else as JSON that names a known tool."""
    marked = tuple(_marked_calls(text))
    if marked:
        return marked
    found, _ = written_calls(text, accept="lenient")
    return tuple(call for call in found if is_known(call.name))


def calls_of_value(value: Any) -> tuple[GivenCall, ...] | None:
    """Return the calls a JSON value is: one, a list of them, or `{"tool_calls": […]}`; None when it is something else.

    An empty list and null are no calls.
    """
    if isinstance(value, dict) and isinstance(value.get("tool_calls"), list):
        value = value["tool_calls"]
    items = [] if value is None else value if isinstance(value, list) else [value]
    calls = [_call_of(item) for item in items[:_MAX_CALLS]]
    found = tuple(call for call in calls if call is not None)
    return found if len(found) == len(calls) else None


def _call_of(item: Any) -> GivenCall | None:
    if isinstance(item, dict) and isinstance(item.get("function"), dict):
        item = item["function"]
    if not isinstance(item, dict):
        return None
    name = item.get("name")
    key = next((key for key in _ARGUMENT_KEYS if key in item), None)
    if not isinstance(name, str) or key is None:
        return None
    given = item[key]
    if isinstance(given, str):
        arguments, _ = read_arguments(given)
        return GivenCall(name, arguments, is_repaired=True)
    return GivenCall(name, {} if given is None else given if isinstance(given, dict) else None, key != "arguments")


def _marked_calls(text: str) -> Iterator[GivenCall]:
    n_calls = 0
    for match, body in _marked_parts(text):
        found = [_tagged(match[1], body)] if match[1] else list(_from_body(body))
        for call in found:
            n_calls += 1
            if n_calls > _MAX_CALLS:
                return
            yield call


def _marked_parts(text: str) -> Iterator[tuple[re.Match[str], str]]:
    """Yield each mark with what follows it, up to its end or the next mark; `<function=…>` counts within others."""
    marks = []
    for match in _MARK.finditer(text):
        marks.append(match)
        if len(marks) > _MAX_CALLS:
            break
    for index, match in enumerate(marks):
        stop = marks[index + 1].start() if index + 1 < len(marks) else len(text)
        end = _END.search(text, match.end(), stop)
        body = text[match.end() : end.start() if end else stop]
        if body.strip() or match[1]:
            yield match, body


def _from_body(body: str) -> Iterator[GivenCall]:
    answer = parsed_answer(body, accept="lenient", wanted=lambda value: bool(calls_of_value(value)))
    calls = calls_of_value(answer.value) if answer.is_accepted else None
    if calls:
        yield from calls
    elif (bare := _bare_name(body)) is not None:
        yield bare


def _bare_name(body: str) -> GivenCall | None:
    """Read `{"name": …}` without arguments: between marks that is a call, elsewhere any object."""
    answer = parsed_answer(body, accept="lenient", wanted=_is_object)
    name = answer.value.get("name") if answer.is_accepted else None
    return GivenCall(name, {}, is_repaired=True) if isinstance(name, str) else None


def _tagged(name: str, body: str) -> GivenCall:
    """Read what follows `<function=NAME>`: parameters between tags, or a JSON object."""
    marks = list(_PARAMETER.finditer(body))[:_MAX_CALLS]
    if not marks:
        arguments, _ = read_arguments(body)
        return GivenCall(name, arguments, is_repaired=True)
    stops = [mark.start() for mark in marks[1:]] + [len(body)]
    arguments = {
        mark[1]: Untyped(body[mark.end() : stop].partition("</parameter>")[0].strip())
        for mark, stop in zip(marks, stops, strict=True)
    }
    return GivenCall(name, arguments, is_repaired=True)


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)
