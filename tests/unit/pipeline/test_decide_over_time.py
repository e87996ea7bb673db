"""Decide over several nights and several models: what is kept, what is pooled, who is compared with whom."""

from __future__ import annotations

import pytest

from evalkit.domain.verdict import ReasonCode, Status
from evalkit.pipeline.history import MAX_NIGHTS
from evalkit.store.memory import MemoryStore
from evalkit.testing.builders import STARTED_AT, a_model
from evalkit.testing.contract_store import ManualClock
from evalkit.testing.evidence import DAY_S, a_project, answers_failing, answers_missing, store_night
from evalkit.testing.verdicts import (
    BAD,
    GOOD,
    NIGHT_2,
    POOR,
    N,
    a_demo,
    a_gated_suite,
    codes,
    verdict_of,
)

ELIGIBLE, INELIGIBLE, UNDECIDED = Status.ELIGIBLE, Status.INELIGIBLE, Status.UNDECIDED


@pytest.fixture
def store():
    """An empty store."""
    return MemoryStore(clock=ManualClock())


def test_undecided_night_keeps_earlier_evidence(store):
    """An outage tonight does not take a model out while last night's evidence is fresh, and no longer than that."""
    project = a_demo(defaults={"valid_for": "50h"})
    store_night(store, project, GOOD)
    store_night(store, project, answers_missing(60, then=GOOD), run_id="night-2", started_at=NIGHT_2)
    found = verdict_of(project, store)
    assert (found.status, codes(found)[:2]) == (ELIGIBLE, [ReasonCode.KEPT, ReasonCode.LOW_COVERAGE])
    assert found.valid_until == STARTED_AT + 0.5 + 50 * 3600
    assert verdict_of(project, store, as_of=found.valid_until).status is UNDECIDED


def test_failure_between_ends_the_keeping(store):
    """What failed last night is not brought back by an older success."""
    project = a_demo()
    for number, answers in enumerate([GOOD, BAD, POOR]):
        store_night(store, project, answers, run_id=f"n{number}", started_at=STARTED_AT + number * 7200)
    assert verdict_of(project, store).status is UNDECIDED


def test_failure_tonight_ends_it_at_once(store):
    """Promote on the pool, drop on tonight."""
    project = a_demo()
    for number in range(10):
        store_night(store, project, GOOD, run_id=f"n{number}", started_at=STARTED_AT + number * 7200)
    store_night(store, project, BAD, run_id="tonight", started_at=STARTED_AT + 11 * 7200)
    assert verdict_of(project, store).status is INELIGIBLE


@pytest.mark.parametrize(("is_critical", "status"), [(False, ELIGIBLE), (True, UNDECIDED)])
def test_critical_gate_keeps_nobody(store, is_critical, status):
    """While a critical gate is not passed, earlier evidence does not keep the model."""
    project = a_demo(a_gated_suite(gates=[{"metric": "exact", "at_least": 0.9, "critical": is_critical}]))
    store_night(store, project, GOOD)
    store_night(store, project, answers_missing(60, then=GOOD), run_id="night-2", started_at=NIGHT_2)
    assert verdict_of(project, store).status is status


def test_repeating_until_it_passes_does_not_admit(store):
    """Nights are pooled: the luckiest of many runs says no more than their mean."""
    project = a_demo()
    lucky = answers_failing(3)
    for number, answers in enumerate(
        [answers_failing(9), answers_failing(9, first=20), answers_failing(9, first=40), lucky]
    ):
        store_night(store, project, answers, run_id=f"n{number}", started_at=STARTED_AT + number * 7200)
    assert verdict_of(project, store).status is UNDECIDED
    alone = MemoryStore(clock=ManualClock())
    store_night(alone, project, lucky)
    assert verdict_of(project, alone).status is ELIGIBLE


def test_an_old_run_is_not_judged_without_those_it_was_pooled_with(store):
    """Hourly runs, one of them perfect by luck: it passed nothing in its pool, and must not when the pool moves on."""
    project = a_demo()
    for number in range(MAX_NIGHTS + 8):
        answers = GOOD if number == 6 else POOR
        store_night(store, project, answers, run_id=f"r{number}", started_at=STARTED_AT + number * 3600)
        assert verdict_of(project, store).status is UNDECIDED


def test_thin_nights_are_not_pooled(store):
    """A night that was mostly an outage neither helps nor harms."""
    project = a_demo()
    store_night(store, project, answers_missing(80, then=BAD))
    store_night(store, project, answers_failing(3), run_id="night-2", started_at=NIGHT_2)
    assert verdict_of(project, store).status is ELIGIBLE


def test_another_served_name_starts_anew(store):
    """Evidence of the model that answered before keeps nobody once another name answers."""
    project = a_demo()
    store_night(store, project, answers_failing(0, served_model="gpt-4o-08"))
    store_night(store, project, answers_failing(8, served_model="gpt-4o-11"), run_id="night-2", started_at=NIGHT_2)
    found = verdict_of(project, store)
    assert (found.status, codes(found)) == (UNDECIDED, [ReasonCode.GATE_UNDECIDED])


def test_outage_has_no_name_and_changes_none(store):
    """A night on which nobody answered is not another model's."""
    project = a_demo()
    store_night(store, project, answers_failing(0, served_model="gpt-4o-08"))
    store_night(store, project, answers_missing(N, then=GOOD), run_id="night-2", started_at=NIGHT_2)
    assert verdict_of(project, store).status is ELIGIBLE


def test_suite_measured_less_often_counts_on(store):
    """Each suite brings its own newest measurement; the older of them sets the age."""
    suites = [a_gated_suite("a", task="t"), a_gated_suite("b", task="t")]
    project = a_project(suites)
    store_night(store, project, GOOD)
    only_a = a_project(suites[:1], tasks={"t": {}})
    store_night(store, only_a, answers_missing(60, then=GOOD), run_id="night-2", started_at=NIGHT_2)
    found = verdict_of(project, store, task="t")
    assert (found.status, codes(found)[0], found.measured_at) == (ELIGIBLE, ReasonCode.KEPT, STARTED_AT + 0.5)


def test_incumbent_needs_no_comparison(store):
    """The incumbent is not compared with itself."""
    project = a_demo(tasks={"qa": {"incumbent": "gpt-4o"}})
    store_night(store, project, GOOD)
    assert verdict_of(project, store).status is ELIGIBLE


def by_model(**answers):
    """Answers that depend on the model."""
    return lambda suite, model, case: answers[model.id](suite, model, case)


@pytest.mark.parametrize(
    ("mine", "status", "code"),
    [
        (answers_failing(2), ELIGIBLE, None),
        (answers_failing(12), UNDECIDED, ReasonCode.GATE_UNDECIDED),
        (answers_failing(40), INELIGIBLE, ReasonCode.NOT_NON_INFERIOR),
    ],
)
def test_candidate_must_not_be_worse_than_the_incumbent(store, mine, status, code):
    """Passing one's own gates is not enough beside a better incumbent."""
    suite = a_gated_suite(gates=[{"metric": "exact", "at_least": 0.4}])
    project = a_project([suite], models=[a_model("old"), a_model("new")], tasks={"qa": {"incumbent": "old"}})
    store_night(store, project, by_model(old=GOOD, new=mine))
    found = verdict_of(project, store, model_id="new")
    assert (found.status, codes(found)) == (status, [] if code is None else [code])


def test_expired_incumbent_is_no_measure(store):
    """Who beat last year's incumbent has beaten nobody."""
    project = a_project([a_gated_suite()], models=[a_model("old"), a_model("new")], tasks={"qa": {"incumbent": "old"}})

    def only(name):
        return a_project([a_gated_suite()], models=[a_model(name)])

    store_night(store, only("old"), GOOD)
    store_night(store, only("new"), GOOD, run_id="later", started_at=STARTED_AT + 90 * DAY_S)
    found = verdict_of(project, store, model_id="new")
    assert (found.status, codes(found)) == (UNDECIDED, [ReasonCode.INCUMBENT_UNKNOWN])


def test_outage_of_the_incumbent_rejects_nobody(store):
    """The candidate cannot help it when the incumbent does not answer."""
    project = a_project([a_gated_suite()], models=[a_model("old"), a_model("new")], tasks={"qa": {"incumbent": "old"}})
    store_night(store, project, by_model(old=answers_missing(50, then=GOOD), new=GOOD))
    assert verdict_of(project, store, model_id="new").status is UNDECIDED


def test_a_poor_night_of_the_incumbent_admits_nobody(store):
    """Refused night after night, a candidate does not get in because the incumbent dips once."""
    suite = a_gated_suite(gates=[{"metric": "exact", "at_least": 0.4}])
    policy = {"qa": {"incumbent": "old", "non_inferiority_margin": 0.1}}
    project = a_project([suite], models=[a_model("old"), a_model("new")], tasks=policy)
    for number in range(5):
        answers = by_model(old=answers_failing(5 if number < 4 else 50), new=answers_failing(35))
        store_night(store, project, answers, run_id=f"night-{number}", started_at=STARTED_AT + number * DAY_S)
        wanted = (INELIGIBLE, ReasonCode.NOT_NON_INFERIOR) if number < 4 else (UNDECIDED, ReasonCode.GATE_UNDECIDED)
        found = verdict_of(project, store, model_id="new")
        assert (found.status, codes(found)) == (wanted[0], [wanted[1]])


def test_a_lucky_night_beside_the_incumbent_admits_nobody(store):
    """A candidate that hovers near the margin does not get in on its best night."""
    suite = a_gated_suite(gates=[{"metric": "exact", "at_least": 0.4}])
    policy = {"qa": {"incumbent": "old", "non_inferiority_margin": 0.1}}
    project = a_project([suite], models=[a_model("old"), a_model("new")], tasks=policy)
    for number in range(5):
        answers = by_model(old=GOOD, new=answers_failing(10 if number < 4 else 2))
        store_night(store, project, answers, run_id=f"night-{number}", started_at=STARTED_AT + number * DAY_S)
    found = verdict_of(project, store, model_id="new")
    assert (found.status, codes(found)) == (UNDECIDED, [ReasonCode.GATE_UNDECIDED])
    assert found.reasons[0].detail.endswith("n=100, 5 nights")
