"""Reading an answer: normal forms, fields, and what is said when there is no text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.domain.outcome import Kind, Reading, ToolCall, Turn
from evalkit.domain.score import Score
from evalkit.scorers.answer import (
    MAX_GRADED_CHARACTERS,
    Found,
    field_tokens,
    normalised,
    parsed_answer,
    quoted,
    read_field,
    text_form,
    value_at,
)
from evalkit.testing.builders import a_case, an_outcome


@pytest.mark.parametrize(
    ("text", "how", "form"),
    [
        (" A\u202f\u00a0b\n", "none", " A\u202f\u00a0b\n"),
        (" A\u202f\u00a0b\n", "nfkc", "A b"),
        ("\uff21\uff11", "nfkc", "A1"),
        ("Stra\u00dfe", "casefold", "strasse"),
        ("A  B", "casefold", "a b"),
    ],
)
def test_normal_forms(text, how, form):
    """Each declared normaliser does what it says and no more."""
    assert normalised(text, how) == form


@given(st.text(), st.sampled_from(["none", "nfkc", "casefold"]))
def test_normal_form_is_its_own_normal_form(text, how):
    """Normalising twice is normalising once."""
    once = normalised(text, how)
    assert normalised(once, how) == once


@pytest.mark.parametrize(
    ("field", "found"),
    [
        ("a", Found([1, {"b/c": None}])),
        ("/a/0", Found(1)),
        ("/a/1/b~1c", Found(None)),
        ("/a/2", None),
        ("/a/-1", None),
        ("/a/x", None),
        ("/a/99999999999999999999", None),
        ("b", None),
        ("a/0", None),
    ],
)
def test_fields_are_found_by_key_or_pointer(field, found):
    """A name is a top-level key, anything from a slash on a JSON pointer; null is a value, absence is not."""
    assert value_at({"a": [1, {"b/c": None}]}, field_tokens(field)) == found


@pytest.mark.parametrize(
    ("value", "form"), [("a", "a"), (True, "true"), (None, "null"), (3.0, "3"), (0.5, "0.5"), ([1], "[1]")]
)
def test_text_form(value, form):
    """A JSON value has the text people write for it."""
    assert text_form(value) == form


def test_what_json_cannot_say_has_no_text():
    """Hand-made values are no reason to crash."""
    assert text_form({1, 2}) == ""


def test_quotes_are_short_and_storable():
    """What goes into a rationale is bounded and has a UTF-8 form."""
    assert len(quoted("x" * 10_000)) == 80
    assert quoted(["\ud800"]).encode()
    assert quoted("\ud800").encode()


@pytest.mark.parametrize(
    ("text", "accept", "is_accepted", "findings"),
    [
        ('{"a": 1}', "strict", True, ()),
        ('```json\n{"a": 1}\n```', "strict", False, ("repair:fence",)),
        ('```json\n{"a": 1}\n```', "fence", True, ("repair:fence",)),
        ('Sure: {"a": 1}', "fence", False, ("repair:lenient",)),
        ('Sure: {"a": 1}', "lenient", True, ("repair:lenient",)),
        ("no", "lenient", False, ("invalid_json",)),
    ],
)
def test_repair_is_accepted_up_to_a_level_and_always_named(text, accept, is_accepted, findings):
    """A level says how much repair is forgiven; a finding names the repair even when it is."""
    answer = parsed_answer(text, accept=accept)
    assert (answer.is_accepted, answer.findings) == (is_accepted, findings)


def test_reasoning_is_not_graded(value):
    """Text inside think marks is no part of the answer."""
    assert value("exact", "<think>Rome? No.</think>\nParis", expected="Paris") == 1.0


def test_only_tool_calls_is_a_wrong_answer(build):
    """An ok outcome without text gets 0 in every metric, and says why."""
    reading = Reading(kind=Kind.OK, tool_calls=(ToolCall(name="f", arguments="{}"),))
    scorer = build("fields", expected={"a": 1})
    entries = scorer.score(a_case(expected={"a": 1}), an_outcome(turns=(Turn(reading=reading),)), ())
    assert entries == tuple(Score(m, 0.0, "no text, only tool calls", ("no_text",)) for m in scorer.metrics)


@pytest.mark.parametrize("scorer", ["exact", "tool_calls"])
def test_endless_answers_get_no_score(build, scorer):
    """Beyond what any model is asked for nothing is graded, and the reason says so; up to it everything is."""
    graded = build(scorer, expected=[])
    longest = graded.score(a_case(expected=[]), an_outcome(text="x" * MAX_GRADED_CHARACTERS), ())
    assert all(isinstance(entry, Score) for entry in longest)
    longer = graded.score(a_case(expected=[]), an_outcome(text="x" * (MAX_GRADED_CHARACTERS + 1)), ())
    assert [entry.reason for entry in longer] == ["too_long"] * len(graded.metrics)


@pytest.mark.parametrize(
    ("text", "field", "found", "findings"),
    [
        ("Paris", None, Found("Paris"), ()),
        ('{"a": null}', "a", Found(None), ()),
        ('Sure: {"a": 1}', "a", Found(1), ("repair:lenient",)),
        ('{"b": 1}', "a", None, ("invalid_json",)),
    ],
)
def test_a_field_or_the_whole_text(text, field, found, findings):
    """Without a field the text is what is compared; with one a null is there and a missing key is not."""
    read = read_field(text, None if field is None else field_tokens(field), accept="lenient")
    assert (read.found, read.findings) == (found, findings)


def test_built_in_scorers_ask_nothing(build):
    """No built-in scorer needs another model."""
    assert build("exact").ask(a_case(), an_outcome()) == ()
