"""`exact`, `contains` and `regex`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.domain.score import Unscored
from evalkit.testing.builders import a_case, an_outcome


@pytest.mark.parametrize(
    ("answer", "expected", "params", "value_"),
    [
        ("Paris", "Paris", {}, 1),
        (" Paris\n", "Paris", {}, 1),
        (" Paris\n", "Paris", {"normalise": "none"}, 0),
        ("paris", "Paris", {}, 0),
        ("paris", "Paris", {"normalise": "casefold"}, 1),
        ("New\u202fYork", "New York", {}, 1),
        ("\uff30aris", "Paris", {}, 1),
        ("Paris.", "Paris", {}, 0),
        ("b", ["a", "b"], {}, 1),
        ("b", [], {}, 0),
        ("3", 3, {}, 1),
        ("true", True, {}, 1),
        ("null", None, {}, 1),
        ("none", None, {}, 0),
        ('{"answer": "Paris"}', "Paris", {"field": "answer"}, 1),
        ('{"answer": {"city": "Paris"}}', "Paris", {"field": "/answer/city"}, 1),
        ('{"answer": 3.0}', 3, {"field": "answer"}, 1),
        ('{"answer": null}', None, {"field": "answer"}, 1),
        ('{"other": null}', None, {"field": "answer"}, 0),
        ("Paris", "Paris", {"field": "answer"}, 0),
        ('Sure: {"answer": "Paris"}', "Paris", {"field": "answer"}, 1),
        ('Sure: {"answer": "Paris"}', "Paris", {"field": "answer", "accept": "fence"}, 0),
    ],
)
def test_exact(value, answer, expected, params, value_):
    """Known answers under each normal form, with and without a field."""
    assert value("exact", answer, expected=expected, **params) == value_


def test_exact_says_what_it_saw(grade):
    """A wrong answer is quoted beside the expected one, a repaired one is marked."""
    entry = grade("exact", 'x {"answer": "Rome"}', expected=["Paris", "Lyon"], field="answer")["exact"]
    assert entry.rationale == "'Rome' is not 'Paris' or 'Lyon'"
    assert entry.findings == ("repair:lenient",)


@given(st.text(min_size=1), st.sampled_from(["none", "nfkc", "casefold"]))
def test_perfect_answer_is_exact(value, text, how):
    """The expected text itself always gets 1, unless it is reasoning."""
    text = text.replace("<", "")
    assert value("exact", text, expected=text, normalise=how) == 1.0


@pytest.mark.parametrize(
    ("answer", "expected", "params", "value_"),
    [
        ("It is Paris.", "Paris", {}, 1),
        ("It is paris.", "Paris", {}, 0),
        ("It is paris.", "Paris", {"normalise": "casefold"}, 1),
        ("It is Lyon.", ["Paris", "Lyon"], {}, 1),
        ("It is Rome.", ["Paris", "Lyon"], {}, 0),
        ("a b", None, {"all": ["a", "b"]}, 1),
        ("a", None, {"all": ["a", "b"]}, 0),
        ("a c", None, {"all": ["a"], "any": ["b", "c"]}, 1),
        ("a d", None, {"all": ["a"], "any": ["b", "c"]}, 0),
        ("only a", "something else", {"any": ["a"]}, 1),
        ("costs 12", 12, {}, 1),
    ],
)
def test_contains(value, answer, expected, params, value_):
    """All of `all`, one of `any`, else one of the expected alternatives."""
    assert value("contains", answer, expected=expected, **params) == value_


def test_contains_names_what_is_missing(grade):
    """The missing words are in the rationale."""
    assert grade("contains", "a", all=["a", "b", "c"])["contains"].rationale == "missing: 'b', 'c'"


@pytest.mark.parametrize(
    ("answer", "expected", "params", "value_"),
    [
        ("order 66 done", r"\d+", {}, 1),
        ("order done", r"\d+", {}, 0),
        ("66", None, {"pattern": r"\d+", "fullmatch": True}, 1),
        ("\n66 ", None, {"pattern": r"\d+", "fullmatch": True}, 1),
        ("66 done", None, {"pattern": r"\d+", "fullmatch": True}, 0),
        ("b", ["^a$", "^b$"], {}, 1),
        ("PARIS", None, {"pattern": "(?i)paris"}, 1),
    ],
)
def test_regex(value, answer, expected, params, value_):
    """The parameter, else the expectation, is the pattern."""
    assert value("regex", answer, expected=expected, **params) == value_


def test_slow_pattern_gives_no_number(grade):
    """A pattern that runs away says nothing of the model."""
    entry = grade("regex", "a" * 5_000 + "!", pattern="(a|aa)+$")["regex"]
    assert isinstance(entry, Unscored)
    assert entry.reason == "regex_timeout"


def test_nothing_to_look_for_gives_no_number(build):
    """A case without words or pattern is unscored, never a silent 0."""
    for name in ("contains", "regex"):
        (entry,) = build(name, expected="x").score(a_case(expected=None), an_outcome(), ())
        assert isinstance(entry, Unscored)
