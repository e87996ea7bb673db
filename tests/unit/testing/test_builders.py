"""Builders give valid values, and only what is named differs."""

from __future__ import annotations

import pytest

from evalkit.domain.outcome import Kind
from evalkit.testing.builders import a_call_key, a_case, a_model, a_run, a_suite, an_outcome


def test_outcome_has_a_turn_that_agrees_with_it():
    """Kind, usage and identity of the only turn are those of the outcome."""
    outcome = an_outcome(text="hello")
    assert (outcome.text, outcome.reading.kind, outcome.reading.usage) == ("hello", outcome.kind, outcome.usage)


@pytest.mark.parametrize("change", [{"suite": "b"}, {"case_id": "b"}, {"model_id": "b"}, {"trial": 1}])
def test_key_follows_the_coordinates(change):
    """Another call has another key, the same call the same."""
    assert an_outcome(**change).call_key != an_outcome().call_key
    assert an_outcome(sequence=5, kind=Kind.EMPTY).call_key == an_outcome().call_key


def test_call_key_looks_like_one():
    """64 hexadecimal digits."""
    assert len(bytes.fromhex(a_call_key("x", 1))) == 32


def test_unanswered_kind_has_no_text():
    """A refusal does not carry the default answer."""
    assert an_outcome(kind=Kind.REFUSAL).text is None


def test_suite_model_and_run_fit_together():
    """The defaults of all builders name the same suite, case and model."""
    outcome, suite, run = an_outcome(), a_suite(), a_run()
    assert run.cell(outcome.suite, outcome.model_id) is not None
    assert (suite.name, suite.cases[0].id, a_model().id) == (outcome.suite, outcome.case_id, outcome.model_id)


def test_suite_takes_cases_and_fields():
    """What is named replaces the default."""
    suite = a_suite("mail", cases=[a_case("x", tags=("long",))], trials=3)
    assert (suite.task, suite.trials, suite.cases[0].tags) == ("mail", 3, ("long",))
