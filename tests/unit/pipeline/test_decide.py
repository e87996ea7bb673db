"""Decide: what the store must hold before a model may serve a task, and what takes it out again."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from evalkit.domain.outcome import IdentityClass, Kind
from evalkit.domain.policy import Waiver
from evalkit.domain.run import RunStatus
from evalkit.domain.score import Score, Scored
from evalkit.domain.verdict import ReasonCode, Status
from evalkit.pipeline.decide import decide
from evalkit.store.memory import MemoryStore
from evalkit.testing.builders import STARTED_AT, a_model
from evalkit.testing.contract_store import ManualClock
from evalkit.testing.evidence import DAY_S, a_project, answers_failing, store_night
from evalkit.testing.verdicts import (
    BAD,
    GOOD,
    NIGHT_2,
    POOR,
    N,
    a_demo,
    a_gated_suite,
    cases,
    codes,
    verdict_of,
)

ELIGIBLE, INELIGIBLE, UNDECIDED = Status.ELIGIBLE, Status.INELIGIBLE, Status.UNDECIDED


@pytest.fixture
def store():
    """An empty store."""
    return MemoryStore(clock=ManualClock())


def test_good_evidence_admits(store):
    """A whole, fresh, good measurement is what it takes."""
    project = a_demo()
    store_night(store, project, GOOD)
    verdict = verdict_of(project, store)
    assert (verdict.status, verdict.reasons, verdict.admitted_by) == (ELIGIBLE, (), "evidence")
    assert (verdict.coverage, verdict.identity_class) == (1.0, IdentityClass.SELF_REPORTED)
    assert verdict.run_ids == ("night-1",)
    assert verdict.mode == "text"


@pytest.mark.parametrize(("answers", "status"), [(GOOD, ELIGIBLE), (POOR, UNDECIDED), (BAD, INELIGIBLE)])
def test_three_answers(store, answers, status):
    """Surely good, surely bad, or not known."""
    project = a_demo()
    store_night(store, project, answers)
    assert verdict_of(project, store).status is status


def test_empty_store_admits_nobody(store):
    """Without evidence every model is undecided, with what to do about it."""
    decision = decide(a_demo(), store)
    assert [one.status for one in decision.verdicts] == [UNDECIDED]
    assert codes(decision.verdicts[0]) == [ReasonCode.NOT_MEASURED]
    assert decision.verdicts[0].reasons[0].cure == "evalkit run qa --model gpt-4o"
    assert (decision.runs, decision.as_of) == ((), 0.0)


def test_task_without_a_suite_admits_nobody(store):
    """A task that nothing measures has a reason, too."""
    project = a_demo(tasks={"other": {}})
    store_night(store, project, GOOD)
    verdict = verdict_of(project, store, task="other")
    assert (verdict.status, codes(verdict)) == (UNDECIDED, [ReasonCode.NOT_MEASURED])


def test_evidence_of_another_project_does_not_count(store):
    """A store may hold many projects."""
    store_night(store, replace(a_demo(), config=a_project(name="another").config), GOOD)
    assert codes(verdict_of(a_demo(), store)) == [ReasonCode.NOT_MEASURED]


def test_order_of_verdicts(store):
    """Policy order, then roster order."""
    project = a_project([a_gated_suite("b"), a_gated_suite("a")], models=[a_model("z"), a_model("y")])
    found = [(one.task, one.model_id) for one in decide(project, store).verdicts]
    assert found == [("b", "z"), ("b", "y"), ("a", "z"), ("a", "y")]


@pytest.mark.parametrize(
    "fields",
    [
        {"gateway_kind": "simulator"},
        {"gateway_kind": "replay"},
        {"environment": "prod"},
    ],
)
def test_evidence_of_elsewhere_does_not_count(store, fields):
    """Another gateway, project or environment says nothing here."""
    project = a_demo()
    store_night(store, project, GOOD, **fields)
    assert codes(verdict_of(project, store)) == [ReasonCode.NOT_MEASURED]


@pytest.mark.parametrize(
    "change",
    [
        lambda cell: replace(cell, is_partial=True),
        lambda cell: replace(cell, n_planned=N + 1),
        lambda cell: replace(cell, n_planned=N - 1),
        lambda cell: replace(cell, mode="prompted"),
        lambda cell: replace(cell, model_digest="sha256:other"),
        lambda cell: replace(cell, prompts_digest="sha256:other"),
    ],
)
def test_what_was_measured_otherwise_does_not_count(store, change):
    """A filtered, unfinished, padded or differently asked measurement is none."""
    project = a_demo()
    run = store_night(store, project, GOOD)
    store.open_run(replace(run, cells=tuple(map(change, run.cells))))
    assert codes(verdict_of(project, store)) == [ReasonCode.NOT_MEASURED]


def test_case_held_twice_is_no_measurement(store):
    """A run resumed under another roster may hold old and new answers to the same case."""
    project = a_demo()
    run = store_night(store, project, GOOD)
    twice = [replace(one, call_key="f" * 64) for one in store.outcomes(run.run_id)][:1]
    store.append(run.run_id, twice)
    store.open_run(replace(run, cells=tuple(replace(cell, n_planned=N + 1) for cell in run.cells)))
    assert codes(verdict_of(project, store)) == [ReasonCode.NOT_MEASURED]


def test_killed_run_counts_where_it_is_complete(store):
    """A run that never ended is judged pair by pair, by what it holds."""
    project = a_project([a_gated_suite("a"), a_gated_suite("b")])

    def half(suite, model, case):
        return GOOD(suite, model, case) if suite.name == "a" or case.id != "c7" else None

    run = store_night(store, project, half, status=RunStatus.RUNNING, finished_at=None)
    assert verdict_of(project, store, task="a").status is ELIGIBLE
    assert verdict_of(project, store, task="b").status is UNDECIDED
    assert decide(project, store).as_of == run.started_at + N * 0.5


def test_stale_scores_do_not_count(store):
    """Answers graded by other scorers are there, but say nothing; the cure is to grade again."""
    project = a_demo()
    store_night(store, project, GOOD, suite_digests=(("qa", "sha256:old"),))
    found = verdict_of(project, store)
    assert (codes(found), found.reasons[0].cure) == ([ReasonCode.SCORES_STALE], "evalkit score")


def test_stale_scores_without_texts_need_a_run(store):
    """Answers whose texts were not kept cannot be graded again: that is not offered as a cure."""
    project = a_demo(a_gated_suite(payloads="digest"))
    store_night(store, project, GOOD, suite_digests=(("qa", "sha256:old"),))
    assert verdict_of(project, store).reasons[0].cure == "evalkit run qa --model gpt-4o"


def test_ungraded_answers_admit_nobody(store):
    """Outcomes without scores are missing, whatever the run says of itself."""
    project = a_demo()
    run = store_night(store, project, GOOD)
    store.append_scores(
        run.run_id,
        [Scored(call_key=one.call_key, scores=()) for one in store.outcomes(run.run_id)],
        suite="qa",
        suite_digest=project.suites[0].digest,
    )
    assert verdict_of(project, store).status is UNDECIDED


def test_gone_from_the_roster_is_gone(store):
    """No verdict for a model or task that today's files do not name."""
    project = a_demo(models=[a_model("old"), a_model("new")])
    store_night(store, project, GOOD)
    today = replace(project, roster=project.roster.model_copy(update={"models": (a_model("new"),)}))
    assert [one.model_id for one in decide(today, store).verdicts] == ["new"]


def test_evidence_expires(store):
    """At the end of its time it says nothing, to the second."""
    project = a_demo(defaults={"valid_for": "50h"})
    store_night(store, project, GOOD)
    first = STARTED_AT + 0.5
    assert verdict_of(project, store, as_of=first + 50 * 3600 - 1).status is ELIGIBLE
    found = verdict_of(project, store, as_of=first + 50 * 3600)
    assert (found.status, codes(found)) == (UNDECIDED, [ReasonCode.EVIDENCE_EXPIRED])


def test_expired_failure_says_nothing_either(store):
    """Old failures do not condemn, not even certain ones."""
    project = a_demo()
    store_night(store, project, answers_failing(40, kind=Kind.OK))
    assert verdict_of(project, store, as_of=STARTED_AT + 9 * DAY_S).status is UNDECIDED


def test_resuming_does_not_make_answers_new(store):
    """The age of evidence is that of its oldest answer, not of the last time somebody touched the run."""
    project = a_demo()
    run = store_night(store, project, GOOD)
    store.open_run(replace(run, finished_at=STARTED_AT + 30 * DAY_S))
    found = verdict_of(project, store)
    assert found.measured_at == STARTED_AT + 0.5
    assert codes(found) == [ReasonCode.EVIDENCE_EXPIRED]


def test_as_of_sees_nothing_later(store):
    """A decision for a past moment knows only what was there then."""
    project = a_demo()
    store_night(store, project, GOOD)
    store_night(store, project, BAD, run_id="night-2", started_at=NIGHT_2)
    assert verdict_of(project, store).status is INELIGIBLE
    assert verdict_of(project, store, as_of=NIGHT_2 + 10).status is ELIGIBLE
    assert verdict_of(project, store, as_of=STARTED_AT + 10).status is UNDECIDED


def test_unsupported_mode_is_ineligible(store):
    """What the model cannot be asked it may not serve."""
    project = a_demo(
        a_gated_suite(request={"prompt": "{{ question }}", "response": {"schema": {}, "modes": ["json_schema"]}}),
        models=[a_model(capabilities={"structured": "none"})],
    )
    found = verdict_of(project, store)
    assert (found.status, codes(found)) == (INELIGIBLE, [ReasonCode.UNSUPPORTED_MODE])


def test_unknown_cost_has_its_own_reason(store):
    """A missing price is named as such."""
    project = a_demo(a_gated_suite(gates=[{"metric": "cost_usd", "of": "per_success", "at_most": 1.0}]))
    store_night(store, project, answers_failing(0, cost_usd=None))
    found = verdict_of(project, store)
    assert (found.status, codes(found)) == (UNDECIDED, [ReasonCode.COST_UNKNOWN])


def test_too_few_calls_have_their_own_reason(store):
    """A latency gate on a small suite is not a failure of the model."""
    project = a_demo(a_gated_suite(gates=[{"metric": "latency_s", "of": "p95", "at_most": 1.0}]))
    store_night(store, project, GOOD)
    found = verdict_of(project, store)
    assert (found.status, codes(found)) == (UNDECIDED, [ReasonCode.TOO_FEW_CALLS])
    assert found.reasons[0].detail == "latency_s p95 <= 1: nothing to estimate from"


def test_endless_estimate_is_told_in_words(store):
    """No success at all: the cost of one is beyond every number, and the text says so."""
    project = a_demo(a_gated_suite(gates=[{"metric": "cost_usd", "of": "per_success", "at_most": 1e-6}]))
    store_night(store, project, answers_failing(N))
    found = verdict_of(project, store)
    assert found.status is INELIGIBLE
    assert "nothing to estimate from" in found.reasons[0].detail


def a_waiver(action, until, **fields):
    """A waiver for the demo's one model."""
    at = datetime.fromtimestamp(until, tz=UTC)
    return Waiver(
        **({"task": "qa", "model": "gpt-4o", "action": action, "reason": "why", "by": "me", "until": at} | fields)
    )


def test_waivers_are_for_one_task_and_model(store):
    """A waiver of another model or task changes nothing."""
    end = STARTED_AT + 5 * DAY_S
    waivers = [a_waiver("deny", end, model="x"), a_waiver("deny", end, task="x")]
    project = a_demo(waivers=waivers)
    store_night(store, project, GOOD)
    assert verdict_of(project, store).status is ELIGIBLE
    denied = replace(project, waivers=(a_waiver("deny", end),))
    assert codes(verdict_of(denied, store)) == [ReasonCode.WAIVER_DENY]


def test_task_may_ask_for_more(store):
    """A task's own confidence, coverage and identity stand over the defaults."""
    project = a_demo(tasks={"qa": {"confidence": 0.9999}})
    store_night(store, project, answers_failing(2))
    assert verdict_of(project, store).status is UNDECIDED
    assert verdict_of(a_demo(), store).status is ELIGIBLE


def test_trials_are_clusters(store):
    """Thirty prompts ten times over are thirty prompts."""
    suite = a_gated_suite(cases=cases(25), trials=10)
    project = a_demo(suite)
    store_night(store, project, GOOD)
    assert verdict_of(project, store).status is UNDECIDED


def test_scores_between_replace_the_status(store):
    """Grading again changes the verdict without a call."""
    project = a_demo()
    run = store_night(store, project, GOOD)
    regraded = [Scored(call_key=one.call_key, scores=(Score("exact", 0.0),)) for one in store.outcomes(run.run_id)]
    store.append_scores(run.run_id, regraded, suite="qa", suite_digest=project.suites[0].digest)
    assert verdict_of(project, store).status is INELIGIBLE


def test_runs_that_were_used(store):
    """Only runs behind a verdict are named, newest first."""
    project = a_demo()
    store_night(store, project, GOOD)
    store_night(store, project, GOOD, run_id="night-2", started_at=NIGHT_2)
    store_night(store, project, GOOD, run_id="elsewhere", gateway_kind="replay", started_at=NIGHT_2)
    assert [run.run_id for run in decide(project, store).runs] == ["night-2"]


def test_evidence_of_another_mode_does_not_count(store):
    """What was measured with strict JSON says nothing once the roster says the model cannot be asked that way."""
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    request = {"prompt": "{{ question }}", "response": {"schema": schema, "modes": ["json_schema", "prompted"]}}
    suite = a_gated_suite(request=request)
    store_night(store, a_demo(suite), GOOD)
    weaker = a_demo(suite, models=[a_model(capabilities={"structured": "none"})])
    assert verdict_of(a_demo(suite), store).mode == "json_schema"
    assert codes(verdict_of(weaker, store)) == [ReasonCode.NOT_MEASURED]
