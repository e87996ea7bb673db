"""One way to grade one answer, and the recorded data."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from evalkit.domain.judging import Judges
from evalkit.domain.roster import Roster
from evalkit.plugins import ScorerContext, load_plugin
from evalkit.testing.builders import a_case, a_model, a_suite, an_outcome


def _build(name, *, expected="x", params=None, schema=None, more_expected=()):
    """Return a scorer in a suite of one case per expectation, all graded by it."""
    expectations = (expected, *more_expected)
    cases = [a_case(f"case-{index}", expected=item) for index, item in enumerate(expectations, start=1)]
    request = {"prompt": "?", **({} if schema is None else {"response": {"schema": schema}})}
    suite = a_suite(cases=cases, scorers=[{"name": name, "params": params or {}}], request=request)
    return load_plugin("scorers", name)(ScorerContext(params=params or {}, suite=suite))


def _grade(name, answer, *, expected="x", schema=None, more_expected=(), **params):
    """Return what the scorer says of an answer, as a dict from metric to entry."""
    scorer = _build(name, expected=expected, params=params, schema=schema, more_expected=more_expected)
    entries = scorer.score(a_case(expected=expected), an_outcome(text=answer), ())
    return {entry.metric: entry for entry in entries}


@pytest.fixture(scope="session")
def build():
    """Return a scorer for these parameters and expectations."""
    return _build


@pytest.fixture(scope="session")
def grade():
    """Return every metric of one answer."""
    return _grade


@pytest.fixture(scope="session")
def value():
    """Return the value of the metric that bears the scorer's name."""
    return lambda name, answer, **rest: _grade(name, answer, **rest)[name].value


def _judges(model_id="gpt-4o", **fields):
    """Return who may be asked: two judges, an embedder, and a candidate of another family."""
    judges = [a_model("judge", provider="jury"), a_model("second", provider="other"), a_model("embedder")]
    return Judges(Roster(version=1, models=[a_model(model_id, **fields)], judges=judges), gateway_kind="openai")


def _ask(name, answer, *, says, expected="x", **params):
    """Return the entry of an answer after its questions got the replies `says` gives: a function from call to text.

    A reply may be a whole outcome's fields as a dict, or None for a call nobody answered.
    """
    case = a_case(expected=expected, vars={"question": "What is six times seven?", "context": "It is 42."})
    request = {"system": "Be brief.", "prompt": "{{ question }}"}
    suite = a_suite(cases=[case], scorers=[{"name": name, "params": params}], request=request)
    context = ScorerContext(params=params, suite=suite, judges=_judges())
    scorer = load_plugin("scorers", name)(context)
    outcome = an_outcome(text=answer)
    replies = [_reply(call, says(call)) for call in scorer.ask(case, outcome)]
    (entry,) = scorer.score(case, outcome, tuple(reply for reply in replies if reply is not None))
    return entry


def _reply(call, said):
    if said is None:
        return None
    fields = said if isinstance(said, dict) else {"text": said}
    own = {"call_key": call.key, "model_id": call.model_id, "asked_about": call.asked_about}
    return an_outcome(call.case_id, **(own | fields))


@pytest.fixture(scope="session")
def judges():
    """Return the builder of who may be asked; its fields are those of the candidate."""
    return _judges


@pytest.fixture(scope="session")
def ask():
    """Return what a scorer that asks says of an answer once its questions are answered."""
    return _ask


@pytest.fixture(scope="session")
def data():
    """Return the folder of recorded data: next to the repository, or wherever EVALKIT_DATA says."""
    folder = Path(os.environ.get("EVALKIT_DATA") or Path(__file__).parents[4] / "shared" / "data")
    if not folder.is_dir():
        pytest.skip("recorded data not there")
    return folder
