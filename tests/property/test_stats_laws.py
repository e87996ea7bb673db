"""Laws every bound, quantile and comparison obeys, whatever the data."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from evalkit.stats.bounds import anova_icc, clopper_pearson, gate_bound, wilson_interval, worst_case_bound
from evalkit.stats.cost import cost_per_success_bound, mean_cost_bound
from evalkit.stats.multiplicity import benjamini_hochberg, holm
from evalkit.stats.paired import compare_paired, non_inferiority
from evalkit.stats.power import cases_to_decide, failures_allowed, pass_probability
from evalkit.stats.quantiles import quantile_bound, time_blocks

binary_scores = st.lists(st.sampled_from([0.0, 1.0]), max_size=40)
scores = st.one_of(binary_scores, st.lists(st.floats(0, 1), max_size=40))
alphas = st.sampled_from([0.001, 0.01, 0.05, 0.1, 0.3])
rhos = st.one_of(st.none(), st.floats(0, 1))
latencies = st.lists(st.one_of(st.floats(0.001, 100), st.sampled_from([1.0, 2.0, math.inf])), max_size=120)
costs = st.lists(st.one_of(st.floats(1e-6, 1.0), st.just(0.0), st.just(0.01)), max_size=40)


@st.composite
def clustered_scores(draw, values=scores):
    """Scores with a label each, or with none."""
    drawn = draw(values)
    has_labels = draw(st.booleans())
    labels = draw(st.lists(st.integers(0, 12), min_size=len(drawn), max_size=len(drawn))) if has_labels else None
    return drawn, labels


@st.composite
def two_sides(draw):
    """Trials of both sides over overlapping cases, and their clusters."""
    score = draw(st.sampled_from([st.sampled_from([0.0, 1.0]), st.floats(0, 1)]))
    case_ids = [f"case-{index}" for index in range(draw(st.integers(0, 25)))]
    trials = st.lists(score, max_size=3)
    sides = [{case_id: draw(trials) for case_id in case_ids} for _ in range(2)]
    return *sides, {case_id: f"cluster-{draw(st.integers(0, 15))}" for case_id in case_ids}


def shuffled(records, seed):
    """The records in another order."""
    return [records[index] for index in np.random.default_rng(seed).permutation(len(records))]


def assert_ordered(bound, *, low=-math.inf, high=math.inf):
    """Both bounds, where there are any, enclose the value, stay in range and are not both on it."""
    assert bound.lower is None or low <= bound.lower <= bound.value
    assert bound.upper is None or bound.value <= bound.upper <= high
    assert (bound.problem == "") == (bound.lower is not None and bound.upper is not None)


@given(clustered_scores(), alphas, rhos)
def test_gate_bound_is_ordered_and_in_range(data, alpha, rho):
    """0 <= lower <= value <= upper <= 1, never of width 0, worth between 1 and n samples."""
    bound = gate_bound(*data, alpha=alpha, rho=rho)
    assert_ordered(bound, low=0, high=1)
    if not bound.problem:
        assert bound.lower < bound.upper
        assert 1 <= bound.n_effective <= bound.n


@given(clustered_scores(), alphas, alphas, rhos)
def test_higher_level_is_not_narrower(data, alpha, other, rho):
    """A higher level moves no bound inwards."""
    strict, loose = sorted((alpha, other))
    tight, wide = gate_bound(*data, alpha=loose, rho=rho), gate_bound(*data, alpha=strict, rho=rho)
    assume(not tight.problem)
    assert wide.lower <= tight.lower + 1e-12
    assert wide.upper >= tight.upper - 1e-12


@given(st.lists(st.floats(0, 1), min_size=2, max_size=40), st.data(), alphas)
def test_a_worse_score_never_helps_unclustered(values, data, alpha):
    """At fixed n, without repeated trials, lowering a score raises neither bound."""
    index = data.draw(st.integers(0, len(values) - 1))
    worse = [*values[:index], data.draw(st.floats(0, values[index])), *values[index + 1 :]]
    before, after = gate_bound(values, None, alpha=alpha), gate_bound(worse, None, alpha=alpha)
    assert after.lower <= before.lower + 1e-12
    assert after.upper <= before.upper + 1e-12


@given(clustered_scores(), alphas, rhos, st.integers(0, 2**16))
def test_gate_bound_ignores_record_order(data, alpha, rho, seed):
    """Shuffling records changes nothing, to the last bit."""
    values, labels = data
    pairs = shuffled(list(zip(values, labels or range(len(values)), strict=True)), seed)
    again = gate_bound(
        [value for value, _ in pairs], None if labels is None else [label for _, label in pairs], alpha=alpha, rho=rho
    )
    assert again == gate_bound(values, labels, alpha=alpha, rho=rho)


@given(clustered_scores(), alphas, rhos)
def test_renaming_clusters_changes_nothing(data, alpha, rho):
    """Labels are names only."""
    values, labels = data
    assume(labels is not None)
    renamed = [f"passage {100 - label}" for label in labels]
    assert gate_bound(values, renamed, alpha=alpha, rho=rho) == gate_bound(values, labels, alpha=alpha, rho=rho)


@given(clustered_scores(binary_scores), alphas, rhos)
def test_failures_mirror_passes(data, alpha, rho):
    """Counting failures instead of passes mirrors both bounds."""
    values, labels = data
    bound = gate_bound(values, labels, alpha=alpha, rho=rho)
    mirror = gate_bound([1 - value for value in values], labels, alpha=alpha, rho=rho)
    assume(not bound.problem)
    assert (mirror.lower, mirror.upper) == pytest.approx((1 - bound.upper, 1 - bound.lower), abs=1e-9)


@given(clustered_scores(), alphas, rhos)
def test_clusters_never_count_for_more_than_samples(data, alpha, rho):
    """Saying that samples share clusters never raises the lower bound above the unclustered one."""
    values, labels = data
    bound, alone = gate_bound(values, labels, alpha=alpha, rho=rho), gate_bound(values, None, alpha=alpha)
    assume(not bound.problem)
    assert bound.lower <= alone.lower + 1e-12


@given(clustered_scores(), st.lists(st.integers(0, 12), max_size=10), alphas, rhos)
def test_missing_answers_never_help(data, missing, alpha, rho):
    """Bounding what is missing by the worst case narrows nothing."""
    observed = gate_bound(*data, alpha=alpha, rho=rho)
    bound = worst_case_bound(*data, missing, alpha=alpha, rho=rho)
    assert_ordered(bound, low=0, high=1)
    if not observed.problem:
        assert bound.lower <= observed.lower
        assert bound.upper >= observed.upper


@given(alphas, rhos, st.floats(0, 1), st.integers(0, 50))
def test_no_gate_passes_on_empty_data(alpha, rho, limit, n_missing):
    """Without a score no limit is met, not even 0, by any bound."""
    empties = [
        gate_bound([], None, alpha=alpha, rho=rho),
        worst_case_bound([], None, range(n_missing), alpha=alpha, rho=rho),
        clopper_pearson(0, 0, alpha=alpha),
        quantile_bound([], None, q=0.95, alpha=alpha),
        mean_cost_bound([], alpha=alpha),
        cost_per_success_bound([], [], None, alpha=alpha),
    ]
    assert not any(bound.lower is not None and bound.lower >= limit for bound in empties)
    assert not any(bound.upper is not None and bound.upper <= limit for bound in empties)
    assert non_inferiority({}, {}, {}, margin=0.99).status == "undecided"


@given(st.floats(0, 1), st.floats(0.1, 1e4), st.floats(0.5, 0.999))
def test_wilson_is_ordered(mean, n, level):
    """The display interval holds the mean and stays in [0, 1]."""
    low, high = wilson_interval(mean, n, level=level)
    assert 0 <= low <= mean + 1e-12
    assert mean - 1e-12 <= high <= 1


@given(clustered_scores())
def test_icc_is_a_share(data):
    """A correlation, where there is one, lies in [0, 1]."""
    values, labels = data
    icc = anova_icc(values, labels if labels is not None else list(range(len(values))))
    assert icc is None or 0 <= icc <= 1


@given(latencies, st.booleans(), st.sampled_from([0.5, 0.9, 0.95]), alphas, st.integers(0, 2**16))
def test_quantile_bounds_are_ordered_data(values, has_blocks, q, alpha, seed):
    """Quantile bounds are observed values around the sample quantile, whatever the order of records."""
    blocks = time_blocks(np.arange(len(values))).tolist() if has_blocks else None
    bound = quantile_bound(values, blocks, q=q, alpha=alpha)
    assert_ordered(bound)
    assert {bound.lower, bound.upper, bound.value} <= {*values, None}
    pairs = shuffled(list(zip(values, blocks or values, strict=True)), seed)
    again = quantile_bound([v for v, _ in pairs], blocks and [b for _, b in pairs], q=q, alpha=alpha)
    assert (again.lower, again.value, again.upper) == (bound.lower, bound.value, bound.upper)


@given(latencies, st.data(), alphas)
def test_a_slower_call_never_lowers_the_quantile(values, data, alpha):
    """Without blocks, slowing one call down lowers no bound."""
    assume(len(values) > 1)
    index = data.draw(st.integers(0, len(values) - 1))
    slower = [*values[:index], math.inf, *values[index + 1 :]]
    before = quantile_bound(values, None, q=0.9, alpha=alpha)
    after = quantile_bound(slower, None, q=0.9, alpha=alpha)
    assert before.lower is None or before.lower <= after.lower
    assert before.upper is None or before.upper <= after.upper


@given(costs, alphas, st.integers(0, 2**16))
def test_cost_bounds_are_ordered(values, alpha, seed):
    """Cost bounds hold the mean, are never both on it unless all is free, and ignore record order."""
    bound = mean_cost_bound(values, alpha=alpha)
    assert_ordered(bound, low=0)
    assert bound.problem or max(values) == 0 or bound.lower < bound.upper
    assert mean_cost_bound(shuffled(values, seed), alpha=alpha) == bound


@given(costs, clustered_scores(), alphas, rhos)
def test_cost_per_success_bounds_are_ordered(values, data, alpha, rho):
    """Cost per success lies between its bounds."""
    bound = cost_per_success_bound(values, *data, alpha=alpha, rho=rho)
    assert bound.lower is None or bound.value is None or bound.lower <= bound.value * (1 + 1e-12)
    assert bound.upper is None or bound.value is None or bound.value <= bound.upper * (1 + 1e-12)


@given(two_sides())
def test_swapping_sides_negates_the_difference(data):
    """Candidate and baseline exchanged give the negated difference, bounds and counts."""
    candidate, baseline, clusters = data
    there, back = compare_paired(candidate, baseline, clusters), compare_paired(baseline, candidate, clusters)
    assert (there.n, there.n_worse, there.n_better) == (back.n, back.n_better, back.n_worse)
    assume(there.n_clusters > 1)
    assert there.difference == pytest.approx(-back.difference, abs=1e-12)
    assert (there.lower, there.upper) == pytest.approx((-back.upper, -back.lower), abs=1e-9)


@given(two_sides())
def test_paired_test_is_ordered(data):
    """The bounds hold the difference inside [-1, 1], the p is a probability, and some width is left."""
    result = compare_paired(*data)
    assert 0 <= result.p_worse <= 1
    assume(result.n_clusters > 1)
    assert -1 <= result.lower <= result.difference <= result.upper <= 1
    assert result.lower < result.upper


@given(two_sides(), st.integers(0, 2**16))
def test_paired_test_ignores_record_order(data, seed):
    """The order in which cases arrived changes nothing, to the last bit."""
    candidate, baseline, clusters = data
    again = dict(shuffled(list(candidate.items()), seed))
    assert compare_paired(again, baseline, clusters) == compare_paired(candidate, baseline, clusters)


@given(st.lists(st.booleans(), min_size=2, max_size=60), st.data())
def test_a_lost_case_never_helps(base, data):
    """On single binary trials, turning a pass of the candidate into a fail raises neither Tango's bounds nor p."""
    index = data.draw(st.integers(0, len(base) - 1))
    baseline = {f"case-{i}": [float(score)] for i, score in enumerate(base)}
    candidate = {case_id: [data.draw(st.sampled_from([0.0, 1.0]))] for case_id in baseline} | {f"case-{index}": [1.0]}
    worse = candidate | {f"case-{index}": [0.0]}
    before, after = (non_inferiority(side, baseline, {}, margin=0.1) for side in (candidate, worse))
    assert after.lower <= before.lower + 1e-9
    assert after.upper <= before.upper + 1e-9
    assert compare_paired(worse, baseline, {}).p_worse <= compare_paired(candidate, baseline, {}).p_worse + 1e-12


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.integers(0, 2**16))
def test_adjusted_p_values_are_larger_and_keep_their_order(p, seed):
    """Adjusting lowers no p, Holm is never below Benjamini-Hochberg, and order of tests does not matter."""
    by_holm, by_bh = holm(p), benjamini_hochberg(p)
    assert all(
        raw <= bh + 1e-12 and bh <= strict + 1e-12 <= 1 + 2e-12
        for raw, bh, strict in zip(p, by_bh, by_holm, strict=True)
    )
    order = np.random.default_rng(seed).permutation(len(p))
    assert holm(np.asarray(p)[order]) == tuple(np.asarray(by_holm)[order])


@given(st.floats(0, 1), st.integers(0, 300), alphas, st.floats(0, 1))
def test_failures_allowed_is_the_edge(limit, n, alpha, true_share):
    """The allowed failures pass and one more does not; the pass probability is a probability."""
    allowed = failures_allowed(limit, n, alpha=alpha)
    if allowed is None:
        assert n < 2 or clopper_pearson(n, n, alpha=alpha).lower < limit
    else:
        assert clopper_pearson(n - allowed, n, alpha=alpha).lower >= limit
        assert allowed == n or clopper_pearson(n - allowed - 1, n, alpha=alpha).lower < limit
    assert 0 <= pass_probability(limit, n, alpha=alpha, true_share=true_share) <= 1


@given(st.floats(0, 1), st.integers(0, 500), st.floats(0, 1))
def test_more_cases_stay_decided(value, n, limit):
    """Once the observed rate decides a gate, more clusters at that rate do not undo it."""
    more = cases_to_decide(value, n, limit, alpha=0.05)
    assume(more is not None)
    assert cases_to_decide(value, n + more, limit, alpha=0.05) == 0
    assert cases_to_decide(value, n + more + 50, limit, alpha=0.05, max_n=30_000) == 0
