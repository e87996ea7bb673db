"""Gates over looks: what a measurement that stopped may decide, at which level, and what it may not."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from evalkit.domain.run import Look
from evalkit.domain.verdict import GateStatus, ReasonCode, Status
from evalkit.pipeline.looks import Evidence, look_levels
from evalkit.stats.bounds import clopper_pearson
from evalkit.stats.sequential import look_sizes, nominal_levels
from evalkit.store.memory import MemoryStore
from evalkit.testing.builders import a_case, a_model, a_suite
from evalkit.testing.contract_store import ManualClock
from evalkit.testing.evidence import a_measurement, a_project, a_unit, answers_failing, answers_missing, store_night
from evalkit.testing.verdicts import GOOD, NIGHT_2, a_gated_suite, codes, verdict_of

PASS, FAIL, UNDECIDED = GateStatus.PASS, GateStatus.FAIL, GateStatus.UNDECIDED
N = 100
SIZES = look_sizes(N)
LEVELS = nominal_levels([size / N for size in SIZES], alpha=0.05)


def looks_of(n, *, trials=1):
    """The looks at n clusters of so many calls each, asked in order from sequence 0."""
    return tuple(
        Look(n_clusters=size, n_calls=size * trials, last_sequence=size * trials - 1) for size in look_sizes(n)
    )


def a_suite_of(n=N, **fields):
    """A suite of n cases, gated at .8."""
    gates = fields.pop("gates", [{"metric": "exact", "at_least": 0.8}])
    return a_suite(cases=[a_case(f"c{index}") for index in range(n)], gates=gates, **fields)


def looked(scores, *, n=N, suite=None, extra=()):
    """A measurement that got as far as these scores, in scheduled order."""
    units = [a_unit(f"c{index}", sequence=index, exact=score) for index, score in enumerate(scores)]
    return a_measurement([*units, *extra], suite=suite or a_suite_of(n), n_planned=n, looks=looks_of(n))


def judged(measurement, suite=None, *, n_gates=1, earlier=()):
    """What the first gate of the suite says."""
    suites = [suite or a_suite_of()]
    evidence = Evidence(suites=suites, measurements=[measurement], earlier=[earlier], alpha=0.05, n_gates=n_gates)
    return next(iter(evidence.gates()))


def test_each_look_has_its_own_level():
    """Twenty perfect answers pass a .8 gate at .05, and so would an unadjusted look: the first look may not."""
    assert clopper_pearson(20, 20, alpha=0.05).lower >= 0.8
    found = judged(looked([1.0] * 20))
    assert found.status is UNDECIDED
    assert found.bound == pytest.approx(clopper_pearson(20, 20, alpha=LEVELS[0]).lower)
    assert (found.look, found.estimate.level) == (1, pytest.approx(1 - LEVELS[0]))


def test_the_first_look_that_passes_is_the_evidence():
    """A gate that passed has passed: the evidence is of that look, at its level and its n."""
    found = judged(looked([1.0] * 60))
    first = next(
        number for number, (size, level) in enumerate(zip(SIZES, LEVELS, strict=True), start=1)
        if clopper_pearson(size, size, alpha=level).lower >= 0.8
    )  # fmt: skip
    assert (found.status, found.look, found.estimate.n) == (PASS, first, SIZES[first - 1])


def test_a_fail_at_any_look_is_a_fail():
    """What failed at its repeated bound stays failed, also when it had passed before."""
    assert judged(looked([0.0] * 20)).status is FAIL
    assert judged(looked([1.0] * 40 + [0.0] * 60)).status is FAIL


def test_a_fail_is_shared_by_all_gates_of_the_task():
    """With more gates a fail needs more, at every look."""
    scores = [1.0] * 10 + [0.0] * 10
    assert judged(looked(scores)).status is FAIL
    assert judged(looked(scores), n_gates=10_000).status is UNDECIDED


def test_only_the_scheduled_prefix_is_looked_at():
    """Answers that came back early, from beyond the prefix, change nothing."""
    early = [a_unit(f"c{index}", sequence=index, exact=0.0) for index in range(60, 90)]
    alone, with_early = looked([1.0] * 50), looked([1.0] * 50, extra=early)
    assert judged(alone) == judged(with_early)
    assert with_early.n_looks == alone.n_looks == SIZES.index(50) + 1
    assert with_early.evidence.coverage == 1.0


def test_a_hole_ends_the_looks():
    """A look needs every call up to it: with one unanswered call in the prefix there is none, whatever came after."""
    units = [a_unit(f"c{index}", sequence=index) for index in range(N) if index != 3]
    assert a_measurement(units, n_planned=N, looks=looks_of(N)).n_looks == 0


def test_the_last_look_is_not_taken_at_full_alpha():
    """Asked to the end, a growing sample is held to what is left of alpha, not to all of it."""
    spread = [float(index % 8 != 3 or index > 101) for index in range(N)]
    found = judged(looked(spread), a_suite_of())
    assert sum(spread) == 87
    assert clopper_pearson(87, 100, alpha=0.05).lower >= 0.8
    assert found.status is UNDECIDED
    assert found.bound == pytest.approx(clopper_pearson(87, 100, alpha=LEVELS[-1]).lower)


def test_slices_are_looked_at_when_they_grow():
    """A gate on a tag is judged by its own clusters: their share sets the level, and none of them decides nothing."""
    cases = [a_case(f"c{index}", tags=["hard"] if index % 2 else []) for index in range(N)]
    gate = {"metric": "exact", "at_least": 0.8, "where": {"tag": "hard"}}
    suite = a_suite(cases=cases, gates=[gate])
    found = judged(looked([1.0] * 20, suite=suite), suite)
    level = nominal_levels([10 / 50], alpha=0.05)[0]
    assert (found.status, found.estimate.n) == (UNDECIDED, 10)
    assert found.bound == pytest.approx(clopper_pearson(10, 10, alpha=level).lower)
    late = a_suite(cases=[a_case(f"c{i}", tags=["hard"] if i >= 50 else []) for i in range(N)], gates=[gate])
    assert judged(looked([1.0] * 40, suite=late), late).status is UNDECIDED


def test_latency_is_looked_at_over_the_whole_task():
    """The calls of all suites count, each as far as it was asked, at the levels of the common schedule."""
    gate = {"metric": "latency_s", "of": "p95", "at_most": 1.0}
    suites = [a_suite_of(200, gates=[gate]), a_suite_of(200)]
    measurements = [looked([1.0] * 200, n=200, suite=suites[0]), looked([1.0] * 100, n=200, suite=suites[1])]
    evidence = Evidence(suites=suites, measurements=measurements, earlier=[[], []], alpha=0.05, n_gates=1)
    found, _ = evidence.gates()
    assert found.status is PASS
    # Two hundred calls are there from the fifth look on.
    assert (found.look, found.estimate.n) == (5, 200)
    assert found.estimate.level == pytest.approx(1 - nominal_levels([k / 10 for k in range(1, 11)], alpha=0.05)[4])


@pytest.mark.parametrize("n", [100, 200])
def test_a_model_at_its_gate_is_rarely_let_in(n):
    """Looked at as often as there are looks, and stopped at the first that passes: the error stays below alpha."""
    rng = random.Random(11)
    suite = a_suite_of(n)
    n_nights, wrong, naive = 250, 0, 0
    for _ in range(n_nights):
        scores = [float(rng.random() < 0.8) for _ in range(n)]
        wrong += judged(looked(scores, n=n, suite=suite), suite).status is PASS
        naive += any(clopper_pearson(int(sum(scores[:size])), size, alpha=0.05).lower >= 0.8 for size in look_sizes(n))
    assert wrong / n_nights <= 0.05 + 2 * (0.05 * 0.95 / n_nights) ** 0.5
    assert naive / n_nights > 0.10


def test_levels_of_few_looks_are_those_of_the_whole_schedule():
    """How far the asking got changes no level."""
    times = [size / N for size in SIZES]
    whole = [*look_levels(times, n_taken=len(times), alpha=0.05, n_gates=3)]
    assert [*look_levels(times, n_taken=3, alpha=0.05, n_gates=3)] == whole[:3]
    assert [level.alpha for level in whole] == pytest.approx(LEVELS)


@pytest.fixture
def store():
    """An empty store."""
    return MemoryStore(clock=ManualClock())


def store_looked(store, project, answers, *, n_asked, **fields):
    """Keep a night of which each suite × model was asked as far as `n_asked` cases, with looks at a hundred."""

    def until(suite, model, case):
        return answers(suite, model, case) if suite.active_cases.index(case) < n_asked else None

    run = store_night(store, project, until, **fields)
    looks = tuple(Look(n_clusters=size, n_calls=size, last_sequence=size) for size in SIZES)  # sequences from 1
    cells = tuple(replace(cell, looks=looks) for cell in run.cells)
    store.open_run(replace(run, cells=cells))
    return run


def test_a_stopped_measurement_decides_as_complete_evidence(store):
    """Sixty perfect answers of a hundred admit by the look they were taken for, with full coverage."""
    project = a_project([a_gated_suite()])
    store_looked(store, project, GOOD, n_asked=60)
    verdict = verdict_of(project, store)
    assert (verdict.status, verdict.coverage, verdict.admitted_by) == (Status.ELIGIBLE, 1.0, "evidence")
    assert verdict.gates[0].estimate.level > 0.95


def test_a_stopped_measurement_that_says_too_little_is_undecided(store):
    """Thirty perfect answers would pass .9 at .05 and do not at their look: undecided, and not for low coverage."""
    project = a_project([a_gated_suite()])
    assert clopper_pearson(30, 30, alpha=0.05).lower >= 0.9
    store_looked(store, project, GOOD, n_asked=30)
    verdict = verdict_of(project, store)
    assert (verdict.status, codes(verdict)) == (Status.UNDECIDED, [ReasonCode.GATE_UNDECIDED])


def test_before_the_first_look_nothing_is_measured(store):
    """Nineteen answers are no look."""
    project = a_project([a_gated_suite()])
    store_looked(store, project, GOOD, n_asked=19)
    assert codes(verdict_of(project, store)) == [ReasonCode.NOT_MEASURED]


def test_missing_calls_count_within_the_look(store):
    """Coverage is of what was asked: three of twenty missing are too many, and the look decides nothing."""
    project = a_project([a_gated_suite()])
    store_looked(store, project, answers_missing(3, then=answers_failing(0)), n_asked=20)
    verdict = verdict_of(project, store)
    assert (verdict.status, verdict.coverage) == (Status.UNDECIDED, 0.85)
    assert ReasonCode.LOW_COVERAGE in codes(verdict)


def test_a_whole_night_after_a_stopped_one_stands_on_its_own_too(store):
    """What stopped because it looked good lends nothing: the next whole night must pass alone as well."""
    project = a_project([a_gated_suite()], defaults={"valid_for": "12h"})
    store_looked(store, project, GOOD, n_asked=60)
    poor = answers_failing(8, first=92)
    store_night(store, project, poor, run_id="night-2", started_at=NIGHT_2)
    gate = verdict_of(project, store).gates[0]
    assert gate.status is UNDECIDED
    assert gate.bound <= clopper_pearson(92, 100, alpha=0.05).lower + 1e-12


def test_an_incumbent_that_stopped_is_no_yardstick(store):
    """Others are not held against answers that ended the asking themselves."""
    models = [a_model("gpt-4o"), a_model("old")]
    project = a_project([a_gated_suite()], models=models, tasks={"qa": {"incumbent": "old"}})
    store_looked(store, project, GOOD, n_asked=60)
    assert ReasonCode.INCUMBENT_UNKNOWN in codes(verdict_of(project, store))


def test_non_inferiority_is_looked_at_at_the_same_levels(store):
    """Forty pairs without a difference would do at .05, and do not at their look."""
    models = [a_model("gpt-4o"), a_model("old")]
    project = a_project(
        [a_gated_suite(gates=[{"metric": "exact", "at_least": 0.5}])],
        models=models,
        tasks={"qa": {"incumbent": "old", "non_inferiority_margin": 0.10}},
    )
    run = store_looked(store, project, GOOD, n_asked=40)
    whole = store_night(store, project, GOOD, run_id="night-0", started_at=run.started_at - 3600)
    cells = tuple(cell for cell in whole.cells if cell.model_id == "old")
    store.open_run(replace(whole, cells=cells))
    mine = tuple(cell for cell in store.run(run.run_id).cells if cell.model_id == "gpt-4o")
    store.open_run(replace(store.run(run.run_id), cells=mine))
    verdict = verdict_of(project, store)
    assert (verdict.status, codes(verdict)) == (Status.UNDECIDED, [ReasonCode.GATE_UNDECIDED])
