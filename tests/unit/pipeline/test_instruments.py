"""Which metrics are asked for, found out without walking every case."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evalkit.domain.judging import Instrument
from evalkit.domain.roster import Roster
from evalkit.domain.suite import ScorerSpec
from evalkit.pipeline.instruments import instruments_of, merged_instruments
from evalkit.testing.builders import a_case, a_model, a_suite


@pytest.fixture
def judged(a_project):
    """Return the builder of a project whose roster has a judge."""

    def build(suite):
        project = a_project(suites=[suite])
        judges = [a_model("judge", provider="jury")]
        return replace(project, roster=Roster(version=1, models=project.roster.models, judges=judges))

    return build


def a_rubric(*criteria, **params):
    """Return a rubric as a suite names it."""
    listed = [{"id": f"c{place}", "text": text} for place, text in enumerate(criteria)]
    own = {"judge": "judge", **({"criteria": listed} if listed else {}), **params}
    return {"name": "rubric", "params": own}


def test_metrics_that_ask(judged):
    """By the name the suite gives them; `exact` asks nobody."""
    suite = a_suite(scorers=["exact", a_rubric("good", pass_at=1) | {"as": "tone"}])
    found = instruments_of(judged(suite), suite)
    assert set(found) == {"tone"}
    assert found["tone"].is_yes_or_no


def test_a_suite_that_asks_nobody(judged):
    """Nothing is found, and nothing about it changed."""
    suite = a_suite()
    assert instruments_of(judged(suite), suite) == {}


def test_criteria_of_cases_are_part_of_it(judged):
    """Another criterion in a single case is another instrument."""
    suites = [a_suite(cases=[a_case(expected=[text])], scorers=[a_rubric()]) for text in ("good", "better")]
    one, other = (instruments_of(judged(suite), suite)["rubric"] for suite in suites)
    assert one.digest != other.digest


def test_scorers_of_a_single_case_count(judged):
    """A case that is judged by another rubric makes the metric's instrument another one."""
    own = ScorerSpec.model_validate(a_rubric("kind", pass_at=1))
    plain = a_suite(scorers=[a_rubric("good", pass_at=1)])
    mixed = a_suite(cases=[a_case(), a_case("case-2", scorers=(own,))], scorers=[a_rubric("good", pass_at=1)])
    assert instruments_of(judged(plain), plain) != instruments_of(judged(mixed), mixed)
    assert instruments_of(judged(mixed), mixed)["rubric"].is_yes_or_no


def test_merging_takes_the_strictest():
    """One opinion among measurements makes an opinion; one share among answers of yes or no makes a share."""
    parts = [
        Instrument(model_ids=("a",), digest="1", is_opinion=False, is_yes_or_no=True),
        Instrument(model_ids=("b", "a"), digest="2", is_opinion=True, is_yes_or_no=False),
    ]
    merged = merged_instruments([("m", part) for part in parts])["m"]
    assert (merged.model_ids, merged.is_opinion, merged.is_yes_or_no) == (("a", "b"), True, False)
    assert merged.digest == merged_instruments([("m", part) for part in reversed(parts)])["m"].digest
