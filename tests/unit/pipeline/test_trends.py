"""Trends: one point a suite × model a night, as far back as a picture is worth."""

from __future__ import annotations

import pytest

from evalkit.pipeline import trends
from evalkit.pipeline.history import MAX_NIGHTS
from evalkit.pipeline.trends import night_points
from evalkit.store.memory import MemoryStore
from evalkit.testing.builders import STARTED_AT, a_case, a_model, a_suite
from evalkit.testing.contract_store import ManualClock
from evalkit.testing.evidence import DAY_S, a_project, answers_failing, answers_missing, store_night

N = 40


@pytest.fixture
def store():
    """An empty store."""
    return MemoryStore(clock=ManualClock())


def a_demo(**changes):
    """A project of one suite with forty cases."""
    return a_project(
        [a_suite(cases=[a_case(f"c{index}") for index in range(N)], **changes)], models=[a_model("gpt-4o")]
    )


def a_night(store, project, index, answers=None, **fields):
    """Store the night of a day."""
    started_at = STARTED_AT + index * DAY_S
    return store_night(
        store, project, answers or answers_failing(0), run_id=f"night-{index}", started_at=started_at, **fields
    )


def test_the_first_night_has_no_trend(store):
    """One point is no line."""
    project = a_demo()
    assert night_points(project, store, a_night(store, project, 0)) == ()


def test_nights_come_oldest_first_with_this_one_last(store):
    """Each with its own value, interval, coverage, latency and cost."""
    project = a_demo()
    a_night(store, project, 0, answers_failing(4))
    run = a_night(store, project, 1, answers_missing(2, then=answers_failing(0)))
    first, last = night_points(project, store, run)
    assert (first.primary.value, last.primary.value) == (0.9, 1.0)
    assert first.primary.lower < 0.9 < first.primary.upper
    assert (first.coverage, last.coverage) == (1.0, 0.95)
    assert last.run_id == run.run_id
    assert last.latency_p50_s is not None


def test_later_runs_and_filtered_ones_are_no_nights(store):
    """An older run's report shows what was known then."""
    project = a_demo()
    a_night(store, project, 0)
    run = a_night(store, project, 1)
    a_night(store, project, 2)
    a_night(store, project, 0.5, is_partial=True)
    assert [point.started_at for point in night_points(project, store, run)] == [STARTED_AT, STARTED_AT + DAY_S]


def test_other_prompts_are_shown_and_marked(store):
    """A line over a change of prompts would lie."""
    old = a_demo()
    a_night(store, old, 0)
    cases = [a_case(f"c{index}", vars={"question": "new"}) for index in range(N)]
    project = a_project([a_suite(cases=cases)], models=[a_model("gpt-4o")])
    first, last = night_points(project, store, a_night(store, project, 1))
    assert (first.is_comparable, last.is_comparable) == (False, True)


def test_only_the_newest_nights_are_read(store, monkeypatch):
    """A year is not read for a picture; one night before this one always is."""
    project = a_demo()
    runs = [a_night(store, project, index) for index in range(MAX_NIGHTS + 4)]
    assert len(night_points(project, store, runs[-1])) == MAX_NIGHTS
    monkeypatch.setattr(trends, "MAX_ANSWERS", 1)
    assert len(night_points(project, store, runs[-1])) == 2


def test_a_night_without_an_answer_has_no_point(store):
    """Unknown is no zero on the line."""
    project = a_demo()
    a_night(store, project, 0, answers_missing(N, then=answers_failing(0)))
    run = a_night(store, project, 1)
    assert [point.run_id for point in night_points(project, store, run)] == [run.run_id]
