"""What a measurement proves alone: every gate passed, or else why not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evalkit.domain.outcome import Kind
from evalkit.domain.policy import Policy
from evalkit.domain.run import Cell
from evalkit.domain.score import Score, Scored
from evalkit.pipeline.entry import entry_digest
from evalkit.pipeline.proving import Proof, prove, replayable, worst_answers
from evalkit.testing.builders import a_case, a_model, a_run, a_suite, an_outcome

N = 30
MODEL = a_model()
GATES = ({"metric": "exact", "at_least": 0.7},)


@pytest.fixture
def proved(a_project, a_recorder, scripted):
    """Give a function: what a run with these scores by case proves; None is a call nobody answered."""

    def _proved(values, *, gates=GATES, policy=None, n_planned=None, **case):
        cases = [a_case(f"c{n}", **(case if n == 0 else {})) for n in range(len(values))]
        suite = a_suite(cases=cases, gates=gates)
        project = a_project(suites=[suite], models=[MODEL])
        if policy is not None:
            project = replace(project, policy=Policy.model_validate({"version": 1, "tasks": {"qa": policy}}))
        recorder, _ = a_recorder(scripted(None), project)
        cell = Cell(
            suite="qa", task="qa", model_id=MODEL.id, model_digest=entry_digest(suite, MODEL, is_whole=True),
            prompts_digest=suite.prompts_digest, mode="text", n_planned=n_planned or len(values),
        )  # fmt: skip
        run = a_run("r", cells=(cell,), note="budget", suite_digests=(("qa", suite.digest),))
        store = recorder.ledger
        store.open_run(run)
        for n, value in enumerate(values):
            kind = Kind.TIMEOUT if value is None else Kind.OK
            outcome = an_outcome(f"c{n}", kind=kind, text=f"answer\n{n}", sequence=n)
            scored = () if value is None else (Scored(call_key=outcome.call_key, scores=(Score("exact", value),)),)
            store.append("r", [outcome], scored)
        return prove(project, store, run, suite=suite, model=MODEL), (store, run, suite)

    return _proved


def test_every_gate_passed_holds(proved):
    """Gate, estimate, bound, n and level are all there; nothing is held against it."""
    proof, _ = proved([1.0] * N)
    (gate,) = proof.gates
    assert (proof.is_held, proof.reasons, proof.worst) == (True, (), ())
    assert (gate.status, gate.rule, gate.estimate, gate.n, gate.level) == ("pass", "exact >= 0.7", 1.0, N, 0.95)
    assert str(gate).startswith("pass      exact >= 0.7: 1, bound 0.9")


def test_a_failed_gate_does_not_hold(proved):
    """The three worst answers come with it, the worst first, escaped."""
    proof, _ = proved([0.0] * (N - 2) + [1.0, 0.5])
    assert not proof.is_held
    assert proof.gates[0].status == "fail"
    assert len(proof.worst) == 3
    assert proof.worst[0] == "c0: ok; exact 0; answer 'answer\\n0'"


def test_an_undecided_gate_does_not_hold(proved):
    """Nothing was shown either way."""
    proof, _ = proved([1.0] * 24 + [0.0] * 6)
    assert (proof.is_held, proof.gates[0].status) == (False, "undecided")


def test_calls_nobody_answered_count_against_it(proved):
    """Below the coverage the policy wants, a passed bound is not enough."""
    proof, _ = proved([1.0] * N + [None] * 3, policy={"min_coverage": 0.95})
    assert not proof.is_held
    assert any(reason.startswith("low_coverage: ") for reason in proof.reasons)


def test_a_failed_critical_case_does_not_hold(proved):
    """One is enough, whatever the mean is."""
    proof, _ = proved([0.0] + [1.0] * N, critical=True)
    assert not proof.is_held
    assert proof.reasons[0].startswith("critical_case_failed: ")


def test_a_run_that_ended_early_proves_nothing(proved):
    """However good the answers are that it has."""
    proof, _ = proved([1.0] * N, n_planned=N + 1)
    assert (proof.is_held, proof.gates) == (False, ())
    assert proof.reasons == (f"{N} of {N + 1} calls were made: the run ended early (budget)",)


def test_without_a_gate_nothing_is_proved(proved):
    """A suite whose every gate was left out does not hold by default."""
    gates = ({"metric": "cost_usd", "at_most": 1},)
    proof, (store, run, suite) = proved([1.0] * N, gates=gates)
    assert proof.is_held
    bare = suite.model_copy(update={"gates": ()})
    assert not proof.is_empty
    assert Proof(suite="qa", model_id="m", is_held=False).is_empty
    assert worst_answers(store, run, suite=bare, model_id=MODEL.id) == ()


def test_incumbents_and_identity_do_not_matter_in_a_replay(a_project):
    """A replay keeps every gate but those on time and money, and asks nobody who answered."""
    gates = (
        {"metric": "exact", "at_least": 0.5},
        {"metric": "latency_s", "of": "p95", "at_most": 1},
        {"metric": "ttft_s", "of": "p95", "at_most": 1},
        {"metric": "cost_usd", "at_most": 1},
    )
    project = replayable(a_project(suites=[a_suite(gates=gates, payloads="digest")]))
    (suite,) = project.suites
    assert [gate.metric for gate in suite.gates] == ["exact"]
    assert suite.payloads == "full"
    assert project.policy.defaults_for("qa").min_identity == "unverifiable"
