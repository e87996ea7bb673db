"""`number`: what counts as a number, which one, and how near is near enough."""

from __future__ import annotations

import gzip
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.plugins import ScorerContext, load_plugin
from evalkit.scorers.number import numbers_in
from evalkit.testing.builders import a_case, a_suite, an_outcome


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("42", [42]),
        ("-3.50 and +2", [-3.5, 2]),
        ("$1,234.50", [1234.5]),
        ("-$5", [-5]),
        ("1\u202f234\u00a0567", [1234567]),
        ("\u221212 \u20ac", [-12]),
        ("\uff14\uff12%", [42]),
        ("10-15", [10, 15]),
        ("10\u201115", [10, 15]),
        ("2.5e3", [2500]),
        (".5", [0.5]),
        ("v1.2.3", [1.2, 0.3]),
        ("x = -7", [-7]),
        ("none", []),
        (3, [3]),
        (2.5, [2.5]),
        (True, []),
        (None, []),
        (["12", 3], [12, 3]),
    ],
)
def test_numbers_in(text, numbers):
    """Signs, separators, currencies, full-width digits and narrow spaces are read as people mean them."""
    assert list(numbers_in(text)) == numbers


def test_decimal_comma():
    """Where commas are decimal, points separate thousands."""
    assert list(numbers_in("1.234,5", "comma")) == [1234.5]


def test_huge_whole_number_is_not_a_crash():
    """More digits than any float holds are infinite, and read in no time."""
    assert list(numbers_in("9" * 5_000)) == [math.inf]


@pytest.mark.parametrize(
    ("answer", "expected", "params", "value_"),
    [
        ("The answer is 42.", 42, {}, 1),
        ("6 x 7 = 42", 42, {}, 0),
        ("6 x 7 = 42", 42, {"pick": "last"}, 1),
        ("42, yes 42.0", 42, {"pick": "only"}, 1),
        ("41 or 42", 42, {"pick": "only"}, 0),
        ("42", "42", {}, 1),
        ("42", ["41", 42], {}, 1),
        ("41.9", 42, {"abs_tol": 0.1}, 1),
        ("41.8", 42, {"abs_tol": 0.1}, 0),
        ("101", 100, {"rel_tol": 0.01}, 1),
        ("102", 100, {"rel_tol": 0.01}, 0),
        ("9007199254740993", 9007199254740992, {}, 0),
        ("9" * 400, 5, {"rel_tol": 0.5}, 0),
        ("no idea", 42, {}, 0),
        ("no idea", None, {}, 1),
        ("42", None, {}, 0),
        ('{"answer": "$1,042"}', 1042, {"field": "answer"}, 1),
        ('{"answer": 42.0, "n": 1}', 42, {"field": "answer"}, 1),
        ('{"answer": null}', None, {"field": "answer"}, 1),
        ('{"answer": true}', 1, {"field": "answer"}, 0),
        ('{"steps": [{"n": 5}]}', 5, {"field": "/steps/0/n"}, 1),
        ("42", 42, {"field": "answer"}, 0),
    ],
)
def test_number(value, answer, expected, params, value_):
    """Known answers."""
    assert value("number", answer, expected=expected, **params) == value_


@pytest.mark.parametrize(
    ("answer", "params", "finding"),
    [
        ("no idea", {}, "unparsed"),
        ("1 or 2", {"pick": "only"}, "ambiguous"),
        ("no json", {"field": "answer"}, "unparsed"),
        ("no json", {"field": "answer"}, "invalid_json"),
        ('```\n{"answer": 1}\n```', {"field": "answer"}, "repair:fence"),
        ('Sure: {"answer": "?"}', {"field": "answer"}, "unparsed"),
    ],
)
def test_findings(grade, answer, params, finding):
    """An answer that could not be read is wrong, but never in silence."""
    assert finding in grade("number", answer, expected=1, **params)["number"].findings


def test_rationale_quotes_both_numbers(grade):
    """A person sees what was read and what was expected."""
    assert grade("number", "it is 41", expected=42)["number"].rationale == "41 is not 42"


@given(st.integers() | st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(["first", "last", "only"]))
def test_perfect_answer_is_right(value, number, pick):
    """The expected number, written as JSON, always gets 1, alone or in a field."""
    assert value("number", json.dumps(number), expected=number, pick=pick) == 1.0
    assert value("number", json.dumps({"a": number}), expected=number, field="a") == 1.0


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.floats(0, 100), st.floats(0, 100))
def test_wider_tolerance_never_fails_a_pass(value, got, gold, tolerance, more):
    """What is near enough stays near enough when the tolerance grows."""
    narrow = value("number", repr(got), expected=gold, abs_tol=tolerance)
    assert value("number", repr(got), expected=gold, abs_tol=tolerance + more) >= narrow


@pytest.mark.data
@pytest.mark.parametrize("level", ["strict", "fence", "lenient"])
def test_recorded_models_get_their_published_counts(data, level):
    """Ten real models on 250 grade-school problems: every count of correct answers, at every parse level."""
    folder = data / "outputs" / "zeroeval_gsm"
    published = json.loads((folder / "expected.json").read_text(encoding="utf-8"))["models"]
    lines = (folder / "cases.jsonl").read_text(encoding="utf-8").splitlines()
    # A case id of the data set holds a number sign, which no id of ours may.
    cases = {row["case_id"]: a_case(f"c-{n}", expected=row["expected"]) for n, row in enumerate(map(json.loads, lines))}
    params = {"field": "answer", "accept": level}
    suite = a_suite(cases=list(cases.values()), scorers=[{"name": "number", "params": params}])
    scorer = load_plugin("scorers", "number")(ScorerContext(params=params, suite=suite))
    correct = dict.fromkeys(published, 0)
    for model_id in published:
        with gzip.open(folder / "responses" / f"{model_id}.jsonl.gz", "rt", encoding="utf-8") as rows:
            for row in map(json.loads, rows):
                (score,) = scorer.score(cases[row["case_id"]], an_outcome(text=row["output"]), ())
                correct[model_id] += score.value
    assert correct == {model_id: counts[level]["correct"] for model_id, counts in published.items()}
    assert len(correct) == 10
