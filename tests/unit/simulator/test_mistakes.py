"""Wrong answers fit the schema and are wrong; broken ones do not fit it."""

from __future__ import annotations

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.simulator.book import Question
from evalkit.simulator.dice import Dice
from evalkit.simulator.mistakes import broken_answer, instance_of, wrong_answer


def _questions(book, suite):
    return [entry.question for entry in book._entries if entry.question.suite == suite]


@pytest.mark.parametrize("suite", ["invoice-extraction", "ticket-triage", "policy-qa"])
def test_wrong_answers_of_the_starter_are_valid_and_wrong(book, suite):
    """A wrong answer is a task failure and nothing else."""
    questions = _questions(book, suite)
    validator = jsonschema.Draft202012Validator(questions[0].schema)
    for question in questions:
        answer = wrong_answer(question, Dice(question.case_id), slip_share=0.5)
        validator.validate(answer)
        assert answer != question.right_answer
        for key in question.decisive:
            assert answer[key] != question.right_answer[key]


@pytest.mark.parametrize("suite", ["invoice-extraction", "ticket-triage", "policy-qa"])
def test_broken_answers_of_the_starter_violate_the_schema(book, suite):
    """A broken answer is a format failure, whichever way it is broken."""
    questions = _questions(book, suite)
    validator = jsonschema.Draft202012Validator(questions[0].schema)
    assert not any(validator.is_valid(broken_answer(question, Dice(question.case_id))) for question in questions)


@given(st.recursive(st.none() | st.booleans() | st.integers(-999, 999) | st.text(min_size=1, max_size=9),
                    lambda inner: st.lists(inner, min_size=1, max_size=3)
                    | st.dictionaries(st.text(min_size=1, max_size=3), inner, min_size=1, max_size=3), max_leaves=8),
       st.integers(0, 9))  # fmt: skip
def test_a_wrong_answer_is_never_the_right_one(expected, seed):
    """Whatever JSON is expected; only emptiness has nothing to be wrong about."""
    question = Question(suite="s", task="t", case_id="c", expected=expected)
    assert wrong_answer(question, Dice(seed), slip_share=0.3) != expected


def test_slips_grow_with_their_share(book):
    """`slip_share` is the share of leaves that differ."""
    question = _questions(book, "invoice-extraction")[0]
    right = question.right_answer

    def n_wrong(share):
        answer = wrong_answer(question, Dice(1), slip_share=share)
        return sum(answer[key] != right[key] for key in right)

    assert n_wrong(0.0) == 1
    assert n_wrong(1.0) == len(right)


@pytest.mark.parametrize(
    "schema",
    [
        {
            "type": "object",
            "required": ["a", "b"],
            "properties": {"a": {"type": ["string", "null"]}, "b": {"enum": [1, 2]}},
        },
        {"type": "array", "items": {"type": "string"}},
        {"anyOf": [{"type": "string"}, {"type": "integer"}]},
        {"const": 4},
        {"type": "boolean"},
    ],
)
def test_an_instance_fits_its_schema(schema):
    """Even a model that knows nothing keeps to the shape."""
    jsonschema.validate(instance_of(schema), schema)


def test_prose_gives_way_to_an_answer_known_to_be_wrong():
    """A slip in prose may leave it right; where a label is chosen, another label is the mistake as before."""
    dice = Dice(0, "m", "c", 0)
    prose = Question(suite="s", task="t", case_id="c", known_good=("Dear all, hello.",), known_bad="No.")
    label = Question(suite="s", task="t", case_id="c", expected="a", labels=("a", "b"), known_bad="No.")
    assert wrong_answer(prose, dice, slip_share=0.5) == "No."
    assert wrong_answer(label, dice, slip_share=0.5) == "b"
