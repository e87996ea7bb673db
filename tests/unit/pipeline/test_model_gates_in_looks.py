"""Model gates over suites that are asked look by look: no suite is left behind where its answers would tell."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from evalkit.domain.policy import Policy
from evalkit.domain.run import RunStatus
from evalkit.domain.verdict import GateStatus, Status
from evalkit.pipeline.decide import verdict_from_history
from evalkit.pipeline.history import History
from evalkit.pipeline.model_gates import ALL_SUITES
from evalkit.pipeline.plan import Selection, plan
from evalkit.pipeline.schedule import Batch, Scored, Stop, next_batch
from evalkit.stats.sequential import look_sizes
from evalkit.testing.builders import STARTED_AT, a_case, a_suite
from evalkit.testing.evidence import a_measurement, a_project, a_unit

N = 200
SIZES = look_sizes(N)
A, B = ("a", "gpt-4o"), ("b", "gpt-4o")


def a_demo(*, n_a=N, own=0.8, gate=0.85):
    """Tasks a and b, each with a suite and a gate of its own, and a model gate over both."""
    suites = [
        a_suite(
            name,
            cases=[a_case(f"{name}{index}", vars={"question": f"{name} {index}"}) for index in range(n)],
            gates=[{"metric": "exact", "at_least": own}],
        )
        for name, n in (("a", n_a), ("b", N))
    ]
    project = a_project(suites)
    document = project.policy.model_dump(mode="json", exclude_none=True)
    gates = [{"metric": "exact", "at_least": gate}]
    return replace(project, policy=Policy.model_validate(document | {"model_gates": gates}))


def cells_of(project, *, whole=()):
    """The cells of a sequential run, of which some suites are asked whole."""
    cells = (one.cell for one in plan(project, Selection(is_sequential=True)).cells)
    return [replace(cell, looks=()) if cell.suite in whole else cell for cell in cells]


def answered(project, *, whole=(), **asked):
    """A history of suite="how many calls, which positions in scheduled order fail"."""
    planned = plan(project, Selection(is_sequential=True))
    by_pair = {}
    for cell in cells_of(project, whole=whole):
        n, failing = asked[cell.suite]
        calls = [call for call in planned.calls_of(cell.model_id) if call.suite == cell.suite][:n]
        units = [
            a_unit(call.case_id, cluster_id=call.cluster_id, sequence=call.sequence, mode=cell.mode,
                   exact=float(not failing(position)))
            for position, call in enumerate(calls)
        ]  # fmt: skip
        if units:
            by_pair[cell.suite, cell.model_id] = [replace(a_measurement(units), cell=cell)]
    return History(by_pair, frozenset())


def verdict_on(project, history, *, task="b"):
    """The verdict on a task."""
    model = project.roster.by_id["gpt-4o"]
    return verdict_from_history(project, history, task=task, model=model, as_of=STARTED_AT)


def model_gate(project, history):
    """What the model gate says in the verdict on b."""
    return next(gate for gate in verdict_on(project, history).gates if gate.suite == ALL_SUITES)


def never(_position):
    """No answer is wrong."""
    return False


def every(k):
    """Every so manieth answer is wrong."""
    return lambda position: position % k == k - 1


def test_a_stub_does_not_carry_the_gate():
    """Half of a fails and ended a early: all of b beside it shows nothing of a, and admits nobody for b."""
    project = a_demo()
    history = answered(project, a=(SIZES[1], every(2)), b=(N, never))
    assert verdict_on(project, history, task="a").status is Status.INELIGIBLE
    gate = model_gate(project, history)
    assert (gate.status, gate.look, gate.estimate.n) == (GateStatus.UNDECIDED, 2, 2 * SIZES[1])
    assert gate.estimate.value == pytest.approx(0.75)
    assert gate.cure == "evalkit run a --model gpt-4o"
    assert verdict_on(project, history).status is Status.UNDECIDED


def test_an_interrupted_run_is_the_cheaper_cure():
    """What is not finished goes on where it was."""
    project = a_demo()
    history = answered(project, a=(SIZES[1], every(2)), b=(N, never))
    (night,) = history.by_pair[A]
    history.by_pair[A] = [replace(night, run=replace(night.run, status=RunStatus.INTERRUPTED))]
    assert model_gate(project, history).cure == "evalkit run --resume run-1"


def test_it_passes_at_a_look_that_every_suite_has_taken():
    """Both are good: as far as both were asked is enough, and the rest of b is not needed."""
    project = a_demo(gate=0.9)
    gate = model_gate(project, answered(project, a=(SIZES[3], never), b=(SIZES[7], never)))
    assert (gate.status, gate.look) == (GateStatus.PASS, 2)
    assert gate.estimate.n == 2 * SIZES[1]


def test_it_fails_at_a_look_that_every_suite_has_taken():
    """What a pool with the weights of the plan has failed stays failed, however well b goes on."""
    project = a_demo(gate=0.9)
    gate = model_gate(project, answered(project, a=(SIZES[1], every(2)), b=(N, never)))
    assert (gate.status, gate.look) == (GateStatus.FAIL, 2)


def test_a_small_suite_measured_whole_is_not_overrepresented():
    """All sixty of a beside the first twenty of b would be .925 of a pool of which the plan's mean is .815."""
    project = a_demo(n_a=60, own=0.5, gate=0.85)
    history = answered(project, whole=["a"], a=(60, never), b=(SIZES[0], every(4)))
    gate = model_gate(project, history)
    assert (gate.estimate.n, gate.estimate.value) == (26, pytest.approx(21 / 26))


def after(project, **asked):
    """What is asked next."""
    return next_batch(cells_of(project), Scored(history=answered(project, **asked)), project)


def test_a_suite_that_failed_goes_on_while_another_task_waits_for_the_gate():
    """The model is out for a, and may be admitted for b: only more of a can tell whether the model gate is held."""
    batch = after(a_demo(gate=0.7), a=(SIZES[1], every(2)), b=(SIZES[1], never))
    assert isinstance(batch, Batch)
    assert batch.until.keys() == {A, B}


def test_it_ends_when_the_gate_is_decided():
    """Failed, and the model is out for both; held, and nothing more is needed of either."""
    failed = after(a_demo(gate=0.9), a=(SIZES[2], every(2)), b=(SIZES[2], never))
    assert failed == Stop({A: "failed", B: "failed"})
    held = after(a_demo(gate=0.5), a=(SIZES[3], every(2)), b=(SIZES[3], never))
    assert held == Stop({A: "failed", B: "decided"})


def test_it_ends_when_no_other_task_can_be_had():
    """The model is out for b, too, or b is past deciding: the model gate may stay open."""
    project = a_demo(gate=0.5)
    assert after(project, a=(SIZES[1], every(2)), b=(SIZES[1], every(2))) == Stop({A: "failed", B: "failed"})
    late = after(a_demo(gate=0.67), a=(SIZES[8], every(2)), b=(SIZES[8], every(5)))
    assert late == Stop({A: "failed", B: "futile"})


def test_what_will_hardly_be_decided_goes_on_as_well():
    """A suite on its own gate is past deciding for its own task, and not for the other."""
    batch = after(a_demo(gate=0.87), a=(SIZES[8], every(5)), b=(SIZES[8], every(25)))
    assert isinstance(batch, Batch)
    assert batch.until.keys() == {A, B}


def test_nobody_waits_for_a_gate_that_this_run_cannot_move():
    """A suite of an earlier run ended early and is not asked in this one: more of a would change nothing."""
    project = a_demo(gate=0.75)
    history = answered(project, a=(SIZES[1], every(2)), b=(SIZES[1], never))
    cells = [cell for cell in cells_of(project) if cell.suite == "a"]
    assert next_batch(cells, Scored(history=history), project) == Stop({A: "failed"})


def asked_to_the_end(project, wrong):
    """The history when nothing more is asked, of answers that are wrong at these positions of each suite."""
    calls = tuple(plan(project, Selection(is_sequential=True)).calls_of("gpt-4o"))
    n_asked = dict.fromkeys(wrong, 0)
    is_start = True
    while True:
        history = answered(project, **{name: (n, wrong[name].__contains__) for name, n in n_asked.items()})
        batch = next_batch(cells_of(project), Scored(history=history, is_start=is_start), project)
        if isinstance(batch, Stop):
            return history
        for name, n in n_asked.items():
            n_asked[name] = max(n, sum(batch.wants(call) for call in calls if call.suite == name))
        is_start = False


@pytest.mark.slow
def test_a_model_below_the_gate_is_not_admitted_for_its_good_task():
    """Half of a and nearly all of b are right, .745 of a plan gated at .85: b alone would carry it nearly always."""
    project = a_demo()
    rng = random.Random(7)
    for _ in range(15):
        wrong = {
            name: {position for position in range(N) if rng.random() >= share}
            for name, share in (("a", 0.5), ("b", 0.99))
        }
        assert verdict_on(project, asked_to_the_end(project, wrong)).status is not Status.ELIGIBLE
