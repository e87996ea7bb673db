"""Model gates: one rate over all suites, for every task of the model."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evalkit.domain.outcome import Kind
from evalkit.domain.policy import Policy
from evalkit.domain.verdict import GateStatus, ReasonCode, Status
from evalkit.pipeline.decide import decide
from evalkit.pipeline.model_gates import ALL_SUITES
from evalkit.stats.bounds import clopper_pearson
from evalkit.store.memory import MemoryStore
from evalkit.testing.builders import STARTED_AT
from evalkit.testing.contract_store import ManualClock
from evalkit.testing.evidence import DAY_S, Answer, a_project, answers_missing, store_night
from evalkit.testing.verdicts import GOOD, N, a_gated_suite, codes, verdict_of

REFUSAL = {"metric": "refusal", "at_most": 0.02}


@pytest.fixture
def store():
    """An empty store."""
    return MemoryStore(clock=ManualClock())


def a_demo(*gates, suites=("a", "b"), **fields):
    """A project of some suites of a hundred cases, each its own task, with model gates."""
    project = a_project([a_gated_suite(name) for name in suites], **fields)
    document = project.policy.model_dump(mode="json", exclude_none=True)
    return replace(project, policy=Policy.model_validate(document | {"model_gates": list(gates)}))


def refusing(n, suite_name="a"):
    """Answers of which the first n of one suite are refusals."""

    def answer(suite, _model, case):
        is_refused = suite.name == suite_name and suite.active_cases.index(case) < n
        return Answer(kind=Kind.REFUSAL) if is_refused else Answer()

    return answer


def everywhere(verdict):
    """The model gates of a verdict."""
    return [gate for gate in verdict.gates if gate.suite == ALL_SUITES]


def test_suites_are_pooled(store):
    """Two suites of a hundred show what neither could alone, and every task's verdict says so."""
    project = a_demo(REFUSAL)
    store_night(store, project, refusing(0))
    for task in ("a", "b"):
        verdict = verdict_of(project, store, task=task)
        (gate,) = everywhere(verdict)
        assert (verdict.status, gate.status, gate.estimate.n, gate.estimate.n_clusters) == (
            Status.ELIGIBLE, GateStatus.PASS, 2 * N, 2 * N,
        )  # fmt: skip
        assert gate.bound == pytest.approx(1 - clopper_pearson(2 * N, 2 * N, alpha=0.05).lower)


def test_a_fail_keeps_the_model_from_every_task(store):
    """Refusals in one suite are too many for the model, whatever the task."""
    project = a_demo(REFUSAL)
    store_night(store, project, refusing(14))
    for verdict in decide(project, store).verdicts:
        assert verdict.status is Status.INELIGIBLE
        assert [(one.code, one.suite, one.metric) for one in verdict.reasons if one.suite == ALL_SUITES] == [
            (ReasonCode.GATE_FAILED, ALL_SUITES, "refusal")
        ]


def test_undecided_admits_nobody(store):
    """Two refusals of two hundred are too many to be sure of .98."""
    project = a_demo(REFUSAL)
    store_night(store, project, refusing(2))
    verdict = verdict_of(project, store, task="b")
    assert (verdict.status, codes(verdict)) == (Status.UNDECIDED, [ReasonCode.GATE_UNDECIDED])


def test_a_suite_that_was_not_measured_leaves_it_open(store):
    """Where nobody asked may be where it refuses: the cure names the suite."""
    project = a_demo(REFUSAL)
    only_a = replace(project, suites=project.suites[:1])
    store_night(store, only_a, refusing(0))
    verdict = verdict_of(project, store, task="a")
    assert verdict.status is Status.UNDECIDED
    assert verdict.reasons[0].cure == "evalkit run b --model gpt-4o"


def test_expired_evidence_of_another_task_does_not_carry_it(store):
    """A verdict is as old as the oldest measurement its model gates rest on."""
    project = a_demo(REFUSAL)
    store_night(store, project, refusing(0), run_id="old")
    fresh = replace(project, suites=project.suites[:1])
    store_night(store, fresh, refusing(0), run_id="new", started_at=STARTED_AT + DAY_S)
    verdict = verdict_of(project, store, task="a", as_of=STARTED_AT + DAY_S + 3600)
    assert verdict.status is Status.ELIGIBLE
    assert verdict.measured_at < STARTED_AT + 3600
    late = verdict_of(project, store, task="a", as_of=STARTED_AT + 60 * 3600)
    assert late.status is not Status.ELIGIBLE


def test_thin_evidence_elsewhere_does_not_reject(store):
    """An outage in one suite must not throw the model out of the tasks of others."""
    project = a_demo({"metric": "availability", "at_least": 0.98})
    store_night(store, project, answers_missing(60, then=GOOD))
    assert verdict_of(project, store, task="b").status is Status.UNDECIDED


def test_only_suites_that_give_the_metric_count(store):
    """A metric of a scorer is over the suites that have it."""
    project = a_demo({"metric": "exact", "at_least": 0.97})
    other = a_gated_suite(
        "c", scorers=["contains"], primary="contains", gates=[{"metric": "contains", "at_least": 0.5}]
    )
    project = replace(project, suites=(*project.suites, other))
    store_night(store, project, GOOD)
    (gate,) = everywhere(verdict_of(project, store, task="a"))
    assert gate.estimate.n == 2 * N


def test_they_count_among_the_gates_of_a_task(store):
    """Each model gate may fail a model, so a fail of any gate needs that much more."""
    project = a_demo(REFUSAL, suites=("a",))
    store_night(store, project, refusing(40))
    gates = verdict_of(project, store, task="a").gates
    assert {round(gate.estimate.level, 6) for gate in gates} == {0.975}
