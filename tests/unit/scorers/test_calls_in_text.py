"""Calls read out of text, and what is no call."""

from __future__ import annotations

import pytest

from evalkit.scorers.calls_in_text import GivenCall, calls_of_value, leaked_calls, read_arguments, written_calls

CALL = {"name": "f", "arguments": {"a": 1}}


@pytest.mark.parametrize(
    ("value", "calls"),
    [
        (CALL, (GivenCall("f", {"a": 1}),)),
        ([CALL, CALL], (GivenCall("f", {"a": 1}),) * 2),
        ({"tool_calls": [CALL]}, (GivenCall("f", {"a": 1}),)),
        ({"type": "function", "function": CALL}, (GivenCall("f", {"a": 1}),)),
        ({"name": "f", "parameters": {}}, (GivenCall("f", {}, is_repaired=True),)),
        ({"name": "f", "arguments": '{"a": 1}'}, (GivenCall("f", {"a": 1}, is_repaired=True),)),
        ({"name": "f", "arguments": None}, (GivenCall("f", {}),)),
        ({"name": "f", "arguments": [1]}, (GivenCall("f", None),)),
        ([], ()),
        (None, ()),
        ({"name": "Ada"}, None),
        ({"name": 1, "arguments": {}}, None),
        ([CALL, 1], None),
        ("f", None),
    ],
)
def test_values_that_are_calls(value, calls):
    """A call needs a name and arguments; nothing at all is no calls, anything else is something else."""
    assert calls_of_value(value) == calls


@pytest.mark.parametrize(
    ("text", "arguments", "is_repaired"),
    [
        ("", {}, False),
        (" ", {}, False),
        ('{"a": 1}', {"a": 1}, False),
        ('{"a": 1,}', {"a": 1}, True),
        ("[1]", None, True),
    ],
)
def test_arguments(text, arguments, is_repaired):
    """Empty text is no arguments; what is no object after repair is none."""
    assert read_arguments(text) == (arguments, is_repaired)


def test_written_calls_need_the_accepted_level():
    """Prose around the JSON is only taken where repair is."""
    text = 'Sure: {"name": "f", "arguments": {"a": 1}}'
    assert written_calls(text, accept="fence")[0] == ()
    assert written_calls(text, accept="lenient")[0] == (GivenCall("f", {"a": 1}),)


def test_marks_make_a_call_of_a_bare_name():
    """Between marks a name alone is a call; elsewhere it is any object."""
    assert leaked_calls('<tool_call>{"name": "f"}</tool_call>', lambda _: False) == (
        GivenCall("f", {}, is_repaired=True),
    )
    assert leaked_calls('{"name": "f"}', lambda _: True) == ()
    assert leaked_calls('{"name": "f", "arguments": {}}', lambda name: name == "g") == ()
    assert leaked_calls("<tool_call>nothing</tool_call>", lambda _: True) == ()


def test_a_flood_of_marks_is_bounded():
    """No more than 64 calls are read out of an answer."""
    text = '<tool_call>{"name": "f", "arguments": {}}</tool_call>' * 1_000
    assert len(leaked_calls(text, lambda _: True)) == 64
