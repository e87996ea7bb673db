"""Gates: what passes, what fails, what stays open, and what never may pass."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from evalkit.domain.outcome import Kind
from evalkit.domain.suite import MIN_LATENCY_CALLS
from evalkit.domain.verdict import GateStatus
from evalkit.pipeline.gates import GateContext, judge_gate
from evalkit.stats.bounds import clopper_pearson
from evalkit.testing.builders import a_case, a_suite
from evalkit.testing.evidence import a_measurement, a_unit

PASS, FAIL, UNDECIDED = GateStatus.PASS, GateStatus.FAIL, GateStatus.UNDECIDED


def a_gated_suite(gate, n=100, **case_fields):
    """A suite of n cases with one gate."""
    return a_suite(cases=[a_case(f"c{index}", **case_fields) for index in range(n)], gates=[gate])


def judged(gate, units, *, suite=None, others=(), probes=(), **context):
    """What the gate says of these units, and of streamed calls beside them."""
    suite = suite or a_gated_suite(gate, n=max(1, len(units)))
    mine = replace(a_measurement(units, suite=suite), probes=list(probes))
    given = {"alpha": 0.05, "fail_alpha": 0.05, "of_task": [mine, *others]} | context
    return judge_gate(suite.gates[0], GateContext(suite=suite, measurement=mine, **given))


def scored(n, n_failed=0, **fields):
    """So many units of which some score 0."""
    return [a_unit(f"c{index}", exact=float(index >= n_failed), sequence=index, **fields) for index in range(n)]


def missing(n, start=1000, kind=Kind.CONNECTION, **fields):
    """So many units nobody knows the answer of."""
    return [a_unit(f"c{start + index}", kind=kind, sequence=start + index, **fields) for index in range(n)]


def test_a_bound_decides_not_the_mean():
    """96 of 100 is above .9 yet open only when its bound is: here it passes; 94 does not."""
    gate = {"metric": "exact", "at_least": 0.9}
    assert judged(gate, scored(100, 4)).status is PASS
    assert judged(gate, scored(100, 6)).status is UNDECIDED


def test_evidence_is_the_exact_bound():
    """The file shows the mean, the Clopper-Pearson bound that decided, and the level it was taken at."""
    found = judged({"metric": "exact", "at_least": 0.9}, scored(100, 4))
    assert found.bound == pytest.approx(clopper_pearson(96, 100, alpha=0.05).lower)
    assert (found.estimate.value, found.estimate.n, found.estimate.level) == (0.96, 100, 0.95)
    assert found.estimate.method == "clopper_pearson"


def test_fail_takes_the_stricter_level():
    """With K gates a fail needs a bound at alpha / K, and the evidence says so."""
    gate = {"metric": "exact", "at_least": 0.9}
    assert judged(gate, scored(100, 16), fail_alpha=0.05).status is FAIL
    assert judged(gate, scored(100, 16), fail_alpha=0.05 / 5).status is UNDECIDED
    failed = judged(gate, scored(100, 40), fail_alpha=0.05 / 5)
    assert failed.bound == pytest.approx(clopper_pearson(60, 100, alpha=0.01).upper)
    assert failed.estimate.level == pytest.approx(0.99)


def test_at_most_is_judged_on_the_complement():
    """A limit on a bad rate reads in its own unit: the bound that passes is an upper one."""
    suite_gate = {"metric": "refusal", "at_most": 0.1}
    found = judged(suite_gate, scored(100))
    assert found.status is PASS
    assert found.estimate.value == 0
    assert found.bound == pytest.approx(1 - 0.05 ** (1 / 100))
    refused = [a_unit(f"c{index}", kind=Kind.REFUSAL) for index in range(40)] + scored(100)[40:]
    failed = judged(suite_gate, refused)
    assert failed.status is FAIL
    assert 0.1 < failed.bound < failed.estimate.value == 0.4


@pytest.mark.parametrize("metric", ["refusal", "over_refusal", "safety_block", "truncated", "empty", "availability"])
def test_measures_are_gated_without_a_scorer(metric):
    """Every share that comes free with an outcome can be gated."""
    side = "at_least" if metric == "availability" else "at_most"
    assert judged({"metric": metric, side: 0.9 if side == "at_least" else 0.1}, scored(100)).status is PASS


@pytest.mark.parametrize(
    "gate",
    [
        {"metric": "exact", "at_least": 0.0},
        {"metric": "exact", "at_least": 0.9},
        {"metric": "refusal", "at_most": 1.0},
        {"metric": "availability", "at_least": 0.0},
        {"metric": "latency_s", "of": "p95", "at_most": 1e9},
        {"metric": "latency_s", "at_most": 1e9},
        {"metric": "ttft_s", "of": "p95", "at_most": 1e9},
        {"metric": "output_tokens", "of": "p99", "at_most": 1e9},
        {"metric": "cost_usd", "at_most": 1e9},
        {"metric": "cost_usd", "of": "per_success", "at_most": 1e9},
    ],
)
def test_nothing_passes_on_nothing(gate):
    """No gate passes on empty data, not even one that asks for nothing."""
    found = judged(gate, [])
    assert (found.status, found.estimate, found.bound) == (UNDECIDED, None, None)
    assert found.cure


def test_one_cluster_shows_nothing():
    """A thousand trials of one prompt are one prompt."""
    units = [a_unit("c0", trial=trial) for trial in range(1000)]
    assert judged({"metric": "exact", "at_least": 0.5}, units).status is UNDECIDED


@pytest.mark.parametrize("limit", [0.0, 1.0])
def test_limits_of_nothing_and_of_certainty(limit):
    """At least 0 holds for anything measured; at least 1 can never be shown."""
    found = judged({"metric": "exact", "at_least": limit}, scored(100))
    assert found.status is (PASS if limit == 0 else UNDECIDED)


def test_missing_is_bounded_both_ways():
    """Missing answers count as wrong to pass and as right to fail."""
    gate = {"metric": "exact", "at_least": 0.9}
    assert judged(gate, scored(95)).status is PASS
    held = judged(gate, scored(95) + missing(5), suite=a_gated_suite(gate, 2000))
    assert held.status is UNDECIDED
    assert held.n_missing == 5
    assert judged(gate, scored(60, 10) + missing(40), suite=a_gated_suite(gate, 2000)).status is UNDECIDED


def test_unscored_is_missing_and_says_which_cure():
    """An answer its scorer could not grade is no zero and no pass."""
    gate = {"metric": "exact", "at_least": 0.9}
    units = scored(90) + [a_unit(f"c{index}", exact=None) for index in range(90, 100)]
    found = judged(gate, units)
    assert (found.status, found.n_missing) == (UNDECIDED, 10)
    assert "resume" not in found.cure


def test_cure_names_the_run_to_resume():
    """Missing calls are cheapest to send again."""
    gate = {"metric": "exact", "at_least": 0.9}
    found = judged(gate, scored(60) + missing(4), suite=a_gated_suite(gate, 2000))
    assert found.cure == "send the 4 missing calls again: evalkit run --resume run-1"


def test_cure_counts_cases():
    """Where more cases would decide, the cure says how many, and never none."""
    gate = {"metric": "exact", "at_least": 0.9}
    cure = judged(gate, scored(100, 6)).cure
    assert cure.endswith("cases")
    assert int(cure.removeprefix("+").split()[0]) > 0
    assert "hardly" in judged(gate, scored(100, 10)).cure


def test_slice_takes_only_its_tag():
    """`where` looks at tagged cases alone, also when it flips."""
    cases = [a_case(f"c{index}", tags=("hard",) if index < 40 else ()) for index in range(200)]
    units = [a_unit(f"c{index}", exact=float(index >= 40)) for index in range(200)]
    for tag, status, n in (("hard", FAIL, 40), ("other", UNDECIDED, 0)):
        suite = a_suite(cases=cases, gates=[{"metric": "exact", "at_least": 0.5, "where": {"tag": tag}}])
        found = judged({}, units, suite=suite)
        assert found.status is status
        assert (found.estimate.n if found.estimate else 0) == n


def test_over_refusal_counts_only_what_should_be_answered():
    """Refusing what must be refused is no over-refusal."""
    cases = [a_case(f"c{index}", expect="refusal" if index < 50 else "answer") for index in range(150)]
    gate = {"metric": "over_refusal", "at_most": 0.1}
    suite = a_suite(cases=cases, gates=[gate])
    units = [a_unit(f"c{index}", kind=Kind.REFUSAL if index < 50 else Kind.OK) for index in range(150)]
    found = judged(gate, units, suite=suite)
    assert (found.status, found.estimate.n) == (PASS, 100)
    assert len(suite.gates[0].cases_of(suite.active_cases)) == 100


def test_availability_counts_what_is_missing_as_a_failure():
    """Availability is the one share a missing answer is known for."""
    gate = {"metric": "availability", "at_least": 0.95}
    found = judged(gate, scored(80) + missing(20), suite=a_gated_suite(gate, 2000))
    assert (found.status, found.estimate.value, found.n_missing) == (FAIL, 0.8, 0)


def nights(*failed, n=100):
    """Measurements with so many failures each."""
    return [a_measurement(scored(n, n_failed)) for n_failed in failed]


def test_pass_pools_the_nights():
    """A lucky night among mediocre ones admits nobody: the pool decides."""
    gate = {"metric": "exact", "at_least": 0.9}
    suite = a_gated_suite(gate, 100)
    assert judged(gate, scored(100, 3), suite=suite).status is PASS
    assert judged(gate, scored(100, 3), suite=suite, earlier=nights(9, 9, 9)).status is UNDECIDED


def test_nights_never_count_for_more_than_clusters():
    """Thirteen perfect nights of 25 prompts say no more than one does."""
    gate = {"metric": "exact", "at_least": 0.9}
    alone = judged(gate, scored(25))
    pooled = judged(gate, scored(25), earlier=nights(*[0] * 12, n=25))
    assert alone.status is pooled.status is UNDECIDED
    assert pooled.estimate.n_clusters == 25
    assert pooled.estimate.n == 325
    assert pooled.bound == pytest.approx(alone.bound)


def test_fail_looks_at_tonight_alone():
    """However good the past was, what failed tonight has failed."""
    gate = {"metric": "exact", "at_least": 0.9}
    assert judged(gate, scored(100, 30), earlier=nights(*[0] * 13)).status is FAIL


def test_a_failed_night_is_behind_us():
    """After a failed night the pool starts again: what was mended does not inherit it."""
    gate = {"metric": "exact", "at_least": 0.9}
    assert judged(gate, scored(100, 2), earlier=nights(1, 60, 9, 9)).status is PASS


def test_missing_answers_of_earlier_nights_count_against():
    """The pool bounds what is missing as a single night does."""
    gate = {"metric": "exact", "at_least": 0.9}
    suite = a_gated_suite(gate, 100)
    gone = a_measurement([*scored(70), *missing(30, start=70)], suite=suite)
    assert judged(gate, scored(100), suite=suite, earlier=[gone]).estimate.lower < 0.97
    assert judged(gate, scored(100, 1), suite=suite, earlier=[gone, gone, gone]).status is UNDECIDED


def test_unequal_clusters_must_hold_both_ways():
    """The mean of cluster means would forget that the one large cluster fails."""
    gate = {"metric": "exact", "at_least": 0.9}
    large = [a_unit(f"x{index}", cluster_id="large", exact=0.0) for index in range(40)]
    suite = a_suite(
        cases=[*(a_case(f"c{i}") for i in range(150)), *(a_case(f"x{i}", cluster="large") for i in range(40))],
        gates=[gate],
    )
    night = a_measurement([*scored(150), *large], suite=suite)
    assert judged(gate, night.units, suite=suite, earlier=[night, night]).status is not PASS


P95 = {"metric": "latency_s", "of": "p95", "at_most": 2.0}


def timed(n, latency_s=1.0, **fields):
    """So many answered calls, half a second apart."""
    return [a_unit(f"c{index}", sequence=index, latency_s=latency_s, **fields) for index in range(n)]


def test_latency_needs_calls():
    """Below 200 calls no latency gate is decided, whatever they say."""
    assert judged(P95, timed(MIN_LATENCY_CALLS)).status is PASS
    found = judged(P95, timed(MIN_LATENCY_CALLS - 1))
    assert (found.status, found.estimate) == (UNDECIDED, None)
    assert found.cure == "+1 calls: 199 of at least 200 were measured"


def test_slow_calls_fail():
    """A p95 that is surely above its limit fails, at the stricter level."""
    found = judged(P95, timed(500, 3.0), fail_alpha=0.05 / 4)
    assert found.status is FAIL
    assert (found.bound, found.estimate.level) == (3.0, 1 - 0.05 / 4)


def test_timeouts_exceed_every_limit():
    """Dropping timeouts would call a model fast for not answering, and so would counting only the try that answered."""
    again = timed(300)
    again[::10] = [replace(unit, has_timed_out=True) for unit in again[::10]]
    assert judged(P95, again).status is not PASS
    units = timed(300)
    for index in range(0, 300, 10):
        units[index] = a_unit(f"c{index}", sequence=index, kind=Kind.TIMEOUT, latency_s=1.0)
    assert judged(P95, units).status is not PASS


def test_other_missing_calls_are_bounded():
    """A gateway that cuts slow calls off with a 5xx must not look fast either, nor fail for it."""
    units = timed(300)
    for index in range(0, 300, 10):
        units[index] = a_unit(f"c{index}", sequence=index, kind=Kind.PROVIDER_ERROR, latency_s=0.1)
    found = judged(P95, units)
    assert (found.status, found.n_missing, found.bound) == (UNDECIDED, 30, math.inf)
    assert found.estimate.value == 1.0


def test_latency_is_over_the_whole_task():
    """Calls of the other suites of the task count, in number and in time."""
    other = a_measurement(timed(150, 9.0))
    assert judged(P95, timed(150)).status is UNDECIDED
    assert judged(P95, timed(150), others=[other]).status is FAIL


def test_latency_slice_is_not_diluted():
    """A gate on slow cases is not passed by the fast calls of another suite."""
    gate = P95 | {"where": {"tag": "long"}}
    suite = a_gated_suite(gate, 300, tags=("long",))
    fast = a_measurement(timed(5000, 0.1))
    assert judged(gate, timed(300, 3.0), suite=suite, others=[fast]).status is FAIL


def test_tokens_are_of_the_gates_own_suite():
    """A quantile of output tokens is a property of the prompts, not of the task."""
    gate = {"metric": "output_tokens", "of": "p95", "at_most": 100}
    short = a_measurement(timed(5000, output_tokens=1))
    assert judged(gate, timed(150, output_tokens=500), others=[short]).status is FAIL
    assert judged(gate, timed(150, output_tokens=50), others=[short]).status is PASS


def test_tokens_of_another_model_do_not_count():
    """What a substitute wrote says nothing of the model asked."""
    gate = {"metric": "output_tokens", "of": "p95", "at_most": 100}
    units = [a_unit(f"c{i}", kind=Kind.SUBSTITUTED_MODEL, sequence=i, output_tokens=5) for i in range(300)]
    assert judged(gate, units).status is UNDECIDED
    assert judged(gate, [*timed(300, output_tokens=None)]).status is UNDECIDED


def test_first_token_needs_streams():
    """Graded calls are not streamed and have no time to first token: probes do, and without any that is said."""
    for gate in ({"metric": "ttft_s", "of": "p95", "at_most": 1.0}, {"metric": "ttft_s", "at_most": 1.0}):
        assert "streamed" in judged(gate, timed(300)).cure
        assert "streamed" in judged(gate, timed(300), probes=timed(60)).cure
        assert judged(gate, timed(300), probes=timed(60, ttft_s=0.2)).status is PASS
        assert judged(gate, timed(300, ttft_s=0.2), probes=timed(60, ttft_s=5.0)).status is FAIL


def test_a_probe_another_model_answered_is_void():
    """Its time is not the model's: it counts as unknown, which passes no limit."""
    gate = {"metric": "ttft_s", "of": "p95", "at_most": 1.0}
    void = missing(1, start=59, kind=Kind.SUBSTITUTED_MODEL, ttft_s=0.1)
    found = judged(gate, timed(300), probes=[*timed(59, ttft_s=0.2), *void])
    assert (found.status, found.n_missing) == (UNDECIDED, 1)


def test_probes_do_not_move_latency():
    """A streamed call takes its time differently: latency is of the graded calls alone."""
    gate = {"metric": "latency_s", "of": "p95", "at_most": 1.0}
    assert judged(gate, timed(300, 0.2), probes=timed(300, 50.0)).status is PASS


def test_latency_without_a_reading_does_not_pass():
    """An answer whose latency nobody measured may have taken any time."""
    assert judged(P95, timed(300) + timed(60, latency_s=None)).status is UNDECIDED


def test_mean_latency_with_a_hole_has_no_upper_bound():
    """The mean of a time that includes a timeout is not bounded by the others."""
    gate = {"metric": "latency_s", "at_most": 2.0}
    suite = a_gated_suite(gate, 2000)
    assert judged(gate, timed(300), suite=suite).status is PASS
    found = judged(gate, timed(300) + missing(3, kind=Kind.TIMEOUT), suite=suite)
    assert (found.status, found.bound) == (UNDECIDED, None)
    assert "p95" in found.cure
    assert judged(gate, timed(300, 9.0) + missing(3, kind=Kind.TIMEOUT), suite=suite).status is FAIL


COST = {"metric": "cost_usd", "of": "per_success", "at_most": 0.01}


def priced(n, usd=0.001, **fields):
    """So many answers at about this price."""
    return [a_unit(f"c{index}", sequence=index, cost_usd=usd * (1 + index % 7 / 10), **fields) for index in range(n)]


def test_cost_per_success():
    """Dear answers fail, cheap ones pass, in USD."""
    assert judged(COST, priced(100)).status is PASS
    failed = judged(COST, priced(100, 0.1), fail_alpha=0.05 / 4)
    assert failed.status is FAIL
    assert failed.bound > 0.01


def test_one_unknown_cost_leaves_it_open():
    """An unknown price is never free."""
    found = judged(COST, [*priced(100), a_unit("c100", cost_usd=None)])
    assert (found.status, found.estimate) == (UNDECIDED, None)
    assert found.cure == "price missing on 1 of 101 calls: add it to the roster"


def test_failures_make_successes_dearer():
    """Half the answers wrong doubles what a right one costs."""
    units = [a_unit(f"c{i}", cost_usd=0.007 * (1 + i % 3 / 100), exact=float(i % 2)) for i in range(200)]
    assert judged(COST, units).status is FAIL


def test_unscored_answers_do_not_fail_the_cost():
    """Answers nobody graded are no proof that success is dear; nor do they pass."""
    units = priced(200, scores={"exact": None})
    found = judged(COST, units)
    assert (found.status, found.bound) == (UNDECIDED, None)


def test_cost_of_calls_that_failed_counts_when_it_was_billed():
    """A stream that broke off was paid for; what was never sent cost nothing and proves nothing."""
    gate = {"metric": "cost_usd", "at_most": 0.0014}
    suite = a_gated_suite(gate, 2000)
    assert judged(gate, priced(100), suite=suite).status is PASS
    billed = missing(30, kind=Kind.STREAM_CUT, cost_usd=0.5)
    assert judged(gate, priced(100) + billed, suite=suite).status is FAIL
    free = judged(gate, priced(100) + missing(30, cost_usd=0.0), suite=suite)
    assert free.bound == judged(gate, priced(100), suite=suite).bound


def test_trials_are_no_new_evidence_of_cost():
    """Ten trials of each prompt do not narrow what prompts cost."""
    gate = {"metric": "cost_usd", "at_most": 0.01}
    rng = np.random.default_rng(7)
    usd = rng.lognormal(-6.9, 0.8, size=20)
    once = [a_unit(f"c{i}", cost_usd=float(value)) for i, value in enumerate(usd)]
    often = [a_unit(f"c{i}", trial=t, cost_usd=float(value)) for i, value in enumerate(usd) for t in range(10)]
    suite = a_gated_suite(gate, 20)
    assert judged(gate, often, suite=suite).bound == pytest.approx(judged(gate, once, suite=suite).bound)


def test_result_carries_the_gate():
    """Suite, metric, rule, limit and whether it is critical come from the gate."""
    found = judged({"metric": "exact", "at_least": 0.9, "critical": True}, scored(100))
    assert (found.suite, found.metric, found.rule, found.limit, found.critical) == ("qa", "exact", ">= 0.9", 0.9, True)
