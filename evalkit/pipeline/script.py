"""A case becomes a script: every template rendered, nothing of any model in it yet."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from evalkit.domain.call import Message, Script, ScriptTurn
from evalkit.errors import InputError, Place
from evalkit.rendering import render_prompt

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pydantic import JsonValue

    from evalkit.domain.suite import Case, Suite, TurnSpec

__all__ = ["CHARACTERS_PER_TOKEN", "expected_of_turn", "script_from_messages", "script_of"]

CHARACTERS_PER_TOKEN = 4
"""A planning estimate only: billing and limits use what the provider reports."""


_VARIABLE = re.compile(r"\{\{\s*(\w+)\s*\}\}")


def script_of(suite: Suite, case: Case) -> Script:
    """Return the rendered conversation of a case.

    Raises:
        InputError: when a template needs a variable the case does not give.
    """
    request = suite.request
    place = Place(file=suite.name, pointer=f"case {case.id}")
    system = None if request.system is None else render_prompt(request.system, case.vars, place=place)
    return _script(system, tuple(_turns(suite, case, place=place)))


def script_from_messages(suite: Suite, case: Case, messages: Sequence[Message]) -> Script:
    """Return what an application says instead of the suite's own words; its tools stay the suite's.

    Raises:
        InputError: for a suite of several turns, whose later questions the messages would not replace, or no message.
    """
    place = Place(file=suite.name, pointer=f"case {case.id}")
    if len(suite.request.turns) > 1:
        problem = "the suite is a conversation, and prompts of the application replace one question only"
        raise InputError(problem, place=place, next_step="write a suite with a prompt of its own for this")
    if not messages:
        raise InputError("the application gave no message", place=place, next_step="return a text or messages")
    tools = suite.request.tools if case.tools is None else case.tools
    return _script(None, (ScriptTurn(messages=tuple(messages), tools=tools),))


def _script(system: str | None, turns: tuple[ScriptTurn, ...]) -> Script:
    characters = len(system or "") + sum(len(message.content) for turn in turns for message in turn.messages)
    return Script(system=system, turns=turns, n_prompt_tokens=1 + characters // CHARACTERS_PER_TOKEN)


def expected_of_turn(turn: TurnSpec, case: Case) -> JsonValue:
    """Return what a turn's own answer should be for a case; None when the turn does not say.

    Raises:
        InputError: when it needs a variable the case does not give.
    """
    place = Place(pointer=f"case {case.id}")
    return None if turn.expect is None else _rendered(turn.expect.expected, case.vars, place=place)


def _rendered(value: JsonValue, variables: Mapping[str, JsonValue], *, place: Place) -> JsonValue:
    if isinstance(value, str):
        bare = _VARIABLE.fullmatch(value)
        # A number in the case stays a number here, which no template could give.
        is_given = bare is not None and bare[1] in variables
        return variables[bare[1]] if bare and is_given else render_prompt(value, variables, place=place)
    if isinstance(value, list):
        return [_rendered(item, variables, place=place) for item in value]
    if isinstance(value, dict):
        return {key: _rendered(item, variables, place=place) for key, item in value.items()}
    return value


def _turns(suite: Suite, case: Case, *, place: Place) -> Iterator[ScriptTurn]:
    request = suite.request
    tools = request.tools if case.tools is None else case.tools
    if request.turns:
        for turn in request.turns:
            user = Message(role="user", content=render_prompt(turn.user, case.vars, place=place))
            yield ScriptTurn(messages=(user,), tools=turn.tools or tools, tool_results=turn.tool_results)
        return
    written = (
        [("user", request.prompt)]
        if request.prompt is not None
        else [(spec.role, spec.content) for spec in request.messages]
    )
    messages = tuple(
        Message(role=role, content=render_prompt(content, case.vars, place=place)) for role, content in written
    )
    yield ScriptTurn(messages=messages, tools=tools)
