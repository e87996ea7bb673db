"""Which nights count with which: only what was asked in today's way, of who answers now, and could count alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evalkit.domain.outcome import IdentityClass
from evalkit.domain.roster import Roster
from evalkit.domain.verdict import ReasonCode, Status
from evalkit.pipeline.entry import entry_digest
from evalkit.store.memory import MemoryStore
from evalkit.testing.builders import STARTED_AT, a_model
from evalkit.testing.contract_store import ManualClock
from evalkit.testing.evidence import DAY_S, Answer, answers_failing, store_night
from evalkit.testing.verdicts import GOOD, POOR, N, a_demo, codes, verdict_of

ELIGIBLE, UNDECIDED = Status.ELIGIBLE, Status.UNDECIDED
WEAK = IdentityClass.UNVERIFIABLE


@pytest.fixture
def store():
    """An empty store."""
    return MemoryStore(clock=ManualClock())


def with_model(project, **fields):
    """Return the project with another entry for its only model."""
    return replace(project, roster=Roster(version=1, models=(a_model("gpt-4o", **fields),)))


def nights(store, project, *answers, apart_s=DAY_S):
    """Store a night for each of the answers, oldest first, the last at the usual moment."""
    for number, one in enumerate(answers):
        at = STARTED_AT - (len(answers) - 1 - number) * apart_s
        store_night(store, project, one, run_id=f"night-{number}", started_at=at)


@pytest.mark.parametrize(
    "fields",
    [{"max_output_tokens": 16}, {"capabilities": {"temperature": False}}, {"route": "elsewhere"}],
    ids=lambda fields: next(iter(fields)),
)
def test_what_is_asked_otherwise_now_has_to_be_measured_again(store, fields):
    """A shorter answer, another temperature: what was measured is not what a router would get."""
    project = a_demo()
    store_night(store, project, GOOD)
    assert verdict_of(project, store).status is ELIGIBLE
    edited = verdict_of(with_model(project, **fields), store)
    assert codes(edited) == [ReasonCode.NOT_MEASURED]


@pytest.mark.parametrize("fields", [{"max_output_tokens": 999_999}, {"context_tokens": 999_999}, {"seed": True}])
def test_what_changes_no_call_changes_no_verdict(store, fields):
    """A limit that was never reached may be corrected."""
    project = a_demo()
    store_night(store, project, GOOD)
    given = {"capabilities": fields} if "seed" in fields else fields
    assert verdict_of(with_model(project, **given), store).status is ELIGIBLE


def test_a_window_that_left_cases_out_may_not_be_widened_after(store):
    """The cases that did not fit were never asked: a wider window would have to be measured."""
    narrow = with_model(a_demo(), context_tokens=8_000)
    run = store_night(store, narrow, lambda suite, _model, case: Answer() if case in suite.cases[:60] else None)
    digest = entry_digest(narrow.suites[0], narrow.roster.models[0], is_whole=False)
    fitting = {"n_planned": 60, "n_skipped": N - 60, "model_digest": digest}
    store.open_run(replace(run, cells=tuple(replace(cell, **fitting) for cell in run.cells)))
    assert verdict_of(narrow, store).status is ELIGIBLE
    wide = verdict_of(with_model(a_demo(), context_tokens=128_000), store)
    assert codes(wide) == [ReasonCode.NOT_MEASURED]


def test_recent_nights_of_the_same_model_carry_a_pass(store):
    """What the other tests take away is there: alone this night says too little, with the ones before it enough."""
    project = a_demo()
    nights(store, project, POOR)
    assert verdict_of(project, store).status is UNDECIDED
    nights(store, project, *[GOOD] * 5, POOR)
    assert verdict_of(project, store).status is ELIGIBLE


def test_nights_that_could_not_count_alone_are_not_pooled(store):
    """Nobody knows who answered on them."""
    project = a_demo()
    nights(store, project, *[answers_failing(0, identity_class=WEAK)] * 5, POOR)
    assert verdict_of(project, store).status is UNDECIDED


def test_nights_that_mostly_another_model_answered_are_not_pooled(store):
    """The alias moved: one stray answer of today's model on the nights before is no bridge."""

    def mixed(_suite, _model, case):
        return Answer(served_model="gpt-4o" if case.id == "c0" else "gpt-4o-2024-05-13")

    project = a_demo()
    nights(store, project, *[mixed] * 5, POOR)
    assert verdict_of(project, store).status is UNDECIDED


def test_a_stray_name_breaks_no_series(store):
    """An upstream in several places may answer once under another of its names."""

    def stray(_suite, _model, case):
        return Answer(served_model="gpt-4o-2024-05-13" if case.id == "c0" else "gpt-4o")

    project = a_demo()
    nights(store, project, *[stray] * 5, POOR)
    assert verdict_of(project, store).status is ELIGIBLE


@pytest.mark.parametrize(("apart_s", "status"), [(5 * DAY_S, ELIGIBLE), (31 * DAY_S, UNDECIDED)])
def test_old_nights_are_not_pooled(store, apart_s, status):
    """What a model was months ago says little of it."""
    project = a_demo()
    nights(store, project, *[GOOD] * 5, POOR, apart_s=apart_s)
    assert verdict_of(project, store).status is status
