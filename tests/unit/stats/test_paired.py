"""Paired comparison and non-inferiority."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import optimize, stats
from statsmodels.stats.contingency_tables import StratifiedTable, mcnemar

from evalkit.stats._conditional import exact_p_worse
from evalkit.stats._tango import tango_bounds
from evalkit.stats.paired import compare_models, compare_paired, non_inferiority, worst_case_difference


def discordant(gains, losses, n, *, prefix="case"):
    """Both sides of n single-trial cases, of which some are won and some lost by the candidate."""
    candidate = [1.0] * gains + [0.0] * losses + [1.0] * (n - gains - losses)
    baseline = [0.0] * gains + [1.0] * losses + [1.0] * (n - gains - losses)
    names = [f"{prefix}-{index:04d}" for index in range(n)]
    return {k: [v] for k, v in zip(names, candidate, strict=True)}, {
        k: [v] for k, v in zip(names, baseline, strict=True)
    }


def trials(passes, n_trials):
    """Case id to trials, the given number of them passed."""
    return {f"case-{i}": [1.0] * k + [0.0] * (n_trials - k) for i, k in enumerate(passes)}


@pytest.mark.parametrize(
    ("losses", "gains", "one_sided"), [(10, 2, 0.019287), (7, 1, 0.0703 / 2), (12, 0, 0.000244), (0, 0, 1.0)]
)
def test_mcnemar_references(losses, gains, one_sided):
    """One binary trial a side gives McNemar's exact one-sided p."""
    result = compare_paired(*discordant(gains, losses, 40), {})
    assert result.p_worse == pytest.approx(one_sided, abs=5e-5)
    assert (result.method, result.n_worse, result.n_better) == ("mcnemar_exact", losses, gains)


def test_mcnemar_equals_statsmodels():
    """Twice the one-sided p is the oracle's exact two-sided p."""
    oracle = mcnemar([[0, 10], [2, 0]], exact=True).pvalue
    assert 2 * compare_paired(*discordant(2, 10, 40), {}).p_worse == pytest.approx(oracle)


def test_stratified_reference():
    """Five against three trials of four prompts give the reference exact p, near its normal form."""
    result = compare_paired(trials([3, 1, 0, 2], 3), trials([5, 4, 3, 5], 5), {})
    assert (result.p_worse, result.method) == (pytest.approx(0.024713, abs=5e-7), "stratified_exact")
    tables = [np.array([[a, 3 - a], [b, 5 - b]]) for a, b in zip([3, 1, 0, 2], [5, 4, 3, 5], strict=True)]
    assert StratifiedTable(tables).test_null_odds().pvalue == pytest.approx(0.018353, abs=5e-6)


def test_exact_p_equals_enumeration():
    """The convolution is the share of all relabelings of trials that are as bad."""
    ours, theirs = ([1, 0], [0], [1, 0]), ([1, 1], [1, 0], [1])
    observed = sum(map(sum, ours))
    pools = [(a + b, len(a)) for a, b in zip(ours, theirs, strict=True)]
    sums = [
        [sum(pick) for pick in itertools.combinations(pool, size)]
        for pool, size in pools
    ]  # fmt: skip
    totals = [sum(choice) for choice in itertools.product(*sums)]
    expected = sum(total <= observed for total in totals) / len(totals)
    strata = [(sum(a), len(a), sum(b), len(b)) for a, b in zip(ours, theirs, strict=True)]
    assert exact_p_worse(strata) == pytest.approx(expected)


def test_graded_scores_use_paired_t():
    """From 20 clusters on graded scores give scipy's one-sided paired t and its bounds."""
    rng = np.random.default_rng(5)
    base, cand = rng.random(40), rng.random(40)
    result = compare_paired({f"c{i}": [x] for i, x in enumerate(cand)}, {f"c{i}": [x] for i, x in enumerate(base)}, {})
    oracle = stats.ttest_rel(cand, base, alternative="less")
    assert (result.method, result.p_worse) == ("paired_t", pytest.approx(oracle.pvalue))
    assert result.upper == pytest.approx(oracle.confidence_interval(0.95).high)


def test_few_graded_clusters_use_every_sign_flip():
    """Below 20 clusters the p is scipy's exact permutation value."""
    differences = np.array([-0.3, -0.1, 0.05, -0.2, 0.1, -0.25, -0.15])
    candidate = {f"c{i}": [0.5 + d] for i, d in enumerate(differences)}
    result = compare_paired(candidate, {case_id: [0.5] for case_id in candidate}, {})
    oracle = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", alternative="less", n_resamples=np.inf
    )
    assert (result.method, result.p_worse) == ("sign_flip", pytest.approx(oracle.pvalue))


@pytest.mark.parametrize(("drop", "expected"), [(0.25, 0.5**30), (0.0, 1.0), (-0.25, 1.0)])
def test_equal_graded_differences_have_a_finite_p(drop, expected):
    """When all clusters move alike t would divide by zero; the sign patterns still count."""
    base = {f"c{i}": [0.5] for i in range(30)}
    result = compare_paired({case_id: [0.5 - drop] for case_id in base}, base, {})
    assert result.p_worse == pytest.approx(expected)


def test_identical_sides_are_not_certainty():
    """No difference anywhere still leaves room for clusters not seen."""
    side, _ = discordant(0, 0, 50)
    result = compare_paired(side, side, {})
    unseen = 1 - 0.05 ** (1 / 50)
    assert (result.difference, result.lower, result.upper) == pytest.approx((0.0, -unseen, unseen))


def test_bounds_are_over_cluster_means():
    """Cases of one passage count once: the estimate is the mean over clusters and n_clusters says how many."""
    candidate, baseline = discordant(0, 3, 6)
    clusters = {"case-0000": "a", "case-0001": "a", "case-0002": "a"}
    result = compare_paired(candidate, baseline, clusters)
    assert (result.n, result.n_clusters, result.difference) == (6, 4, pytest.approx(-0.25))


def test_only_common_cases_count():
    """Cases on one side only, or without a trial, are left out."""
    result = compare_paired({"a": [1.0], "b": [1.0], "c": []}, {"b": [0.0], "c": [1.0], "d": [1.0]}, {})
    assert (result.n, result.n_better, result.lower, result.upper) == (1, 1, None, None)


def test_nothing_in_common_is_no_evidence():
    """Without a common case there is no difference and no alarm."""
    result = compare_paired({"a": [1.0]}, {"b": [0.0]}, {})
    assert (result.difference, result.p_worse, result.n, result.method) == (None, 1.0, 0, "none")


@pytest.mark.parametrize("score", [1.5, -0.5, math.nan])
def test_scores_that_are_no_shares_are_refused(score):
    """A score outside [0, 1] is refused on either side."""
    with pytest.raises(ValueError, match=r"not all in \[0, 1\]"):
        compare_paired({"a": [score]}, {"a": [0.5]}, {})


def constrained_log_likelihood(lost, gains, losses, n, *, difference):
    """Multinomial log-likelihood at P(baseline only) = lost and P(candidate only) = lost + difference."""
    same = 1 - 2 * lost - difference
    return sum(
        count * math.log(max(share, 1e-300))
        for count, share in ((gains, lost + difference), (losses, lost), (n - gains - losses, same))
        if count
    )


def brute_force_statistic(difference, gains, losses, n):
    """Tango's statistic with the nuisance share found by numeric maximisation."""
    low, high = max(0.0, -difference), (1 - difference) / 2
    grid = np.linspace(low, high, 4001)
    likelihoods = [constrained_log_likelihood(x, gains, losses, n, difference=difference) for x in grid]
    best = int(np.argmax(likelihoods))
    around = (grid[max(best - 1, 0)], grid[min(best + 1, 4000)])
    lost = optimize.minimize_scalar(
        lambda x: -constrained_log_likelihood(x, gains, losses, n, difference=difference),
        bounds=around, method="bounded", options={"xatol": 1e-12},
    ).x  # fmt: skip
    return (gains - losses - n * difference) / math.sqrt(n * (2 * lost + difference * (1 - difference)))


@pytest.mark.parametrize(("gains", "losses", "n"), [(2, 10, 60), (7, 1, 40), (5, 5, 30), (1, 0, 20), (0, 6, 25)])
def test_tango_bounds_invert_the_brute_force_statistic(gains, losses, n):
    """At each bound the statistic, maximised numerically, is the normal quantile."""
    low, high = tango_bounds(gains, losses, n, alpha=0.05)
    assert brute_force_statistic(low, gains, losses, n) == pytest.approx(1.644854, abs=2e-4)
    assert brute_force_statistic(high, gains, losses, n) == pytest.approx(-1.644854, abs=2e-4)


@pytest.mark.parametrize("n", [20, 150])
def test_tango_without_discordant_pairs(n):
    """With no discordant pair the bounds are z² / (n + z²), not 0."""
    z2 = stats.norm.ppf(0.95) ** 2
    assert tango_bounds(0, 0, n, alpha=0.05) == pytest.approx((-z2 / (n + z2), z2 / (n + z2)))


@pytest.mark.parametrize(("gains", "losses", "end"), [(0, 10, 0), (10, 0, 1)])
def test_tango_when_every_pair_differs(gains, losses, end):
    """All pairs lost puts the lower bound at -1, all won the upper one at 1; the other side stays open."""
    bounds = tango_bounds(gains, losses, 10, alpha=0.05)
    assert bounds[end] == pytest.approx((-1.0, 1.0)[end])
    assert abs(bounds[1 - end]) < 1


@pytest.mark.parametrize(
    ("losses", "margin", "status"),
    [(0, 0.10, "pass"), (10, 0.10, "undecided"), (60, 0.10, "fail"), (0, 0.01, "undecided")],
)
def test_non_inferiority_by_tango(losses, margin, status):
    """Binary single trials are decided by where Tango's bounds lie against the margin."""
    result = non_inferiority(*discordant(0, losses, 150), {}, margin=margin)
    assert (result.status, result.method) == (status, "tango")
    assert result.difference == pytest.approx(-losses / 150)


def graded(n, *, shift, seed=3):
    """Both sides of n graded cases, the candidate lower by about `shift`."""
    rng = np.random.default_rng(seed)
    base = 0.6 + 0.2 * rng.random(n)
    cand = base - shift + 0.05 * (rng.random(n) - 0.5)
    return {f"c{i}": [x] for i, x in enumerate(cand)}, {f"c{i}": [x] for i, x in enumerate(base)}


@pytest.mark.parametrize(("n", "shift", "status"), [(99, 0.0, "undecided"), (100, 0.0, "pass"), (100, 0.3, "fail")])
def test_non_inferiority_of_graded_scores_needs_100_clusters(n, shift, status):
    """Graded scores are decided by t, and by nothing below 100 clusters."""
    result = non_inferiority(*graded(n, shift=shift), {}, margin=0.1)
    assert (result.status, result.method, result.n_clusters) == (status, "paired_t", n)


def test_non_inferiority_of_clustered_binary_scores_uses_t():
    """Binary cases that share clusters are not Tango's independent pairs."""
    candidate, baseline = discordant(0, 5, 300)
    clusters = {case_id: f"passage-{index // 2}" for index, case_id in enumerate(candidate)}
    result = non_inferiority(candidate, baseline, clusters, margin=0.1)
    assert (result.method, result.n_clusters, result.status) == ("paired_t", 150, "pass")


def test_non_inferiority_of_one_cluster_is_undecided():
    """A single graded case bounds nothing."""
    result = non_inferiority({"a": [0.5]}, {"a": [0.5]}, {}, margin=0.1)
    assert (result.status, result.lower) == ("undecided", None)


def test_non_inferiority_of_nothing_is_undecided():
    """Without a common case nobody takes over."""
    result = non_inferiority({}, {"a": [1.0]}, {}, margin=0.5)
    assert (result.status, result.lower, result.method) == ("undecided", None, "none")


def test_void_cases_count_against_the_candidate():
    """A void case, given as 0 against 1, lowers the bound by more than leaving it out."""
    candidate, baseline = discordant(0, 0, 150)
    left_out = non_inferiority(candidate, baseline, {}, margin=0.1)
    void = non_inferiority({**candidate, "void": [0.0]}, {**baseline, "void": [1.0]}, {}, margin=0.1)
    assert void.lower < left_out.lower


@pytest.mark.parametrize("night", [discordant(5, 9, 150), graded(120, shift=0.05)])
def test_nights_never_count_for_more_than_their_clusters(night):
    """The same answers night after night say no more than once."""
    alone = non_inferiority(*night, {}, margin=0.1)
    pooled = non_inferiority(*night, {}, margin=0.1, earlier=[night] * 13)
    assert (pooled.n, pooled.n_clusters, pooled.method) == (alone.n, alone.n_clusters, alone.method)
    assert (pooled.lower, pooled.upper) == pytest.approx((alone.lower, alone.upper))


@pytest.mark.parametrize(
    ("lucky", "usual"),
    [(discordant(0, 0, 150), discordant(0, 20, 150)), (graded(120, shift=0.05), graded(120, shift=0.1094, seed=4))],
)
def test_a_lucky_night_is_one_of_many(lucky, usual):
    """What tonight alone would show the nights together need not."""
    assert non_inferiority(*lucky, {}, margin=0.1).status == "pass"
    pooled = non_inferiority(*lucky, {}, margin=0.1, earlier=[usual] * 9)
    assert pooled.status == "undecided"
    low, high = (non_inferiority(*night, {}, margin=0.1).difference for night in (usual, lucky))
    assert pooled.difference == pytest.approx(0.9 * low + 0.1 * high)


def test_gains_of_one_night_do_not_undo_losses_of_another():
    """Cases that are won and lost in turn have no difference on average, and the spread of a night all the same."""
    won, lost = discordant(20, 0, 150), discordant(0, 20, 150)
    pooled = non_inferiority(*won, {}, margin=0.1, earlier=[lost])
    assert pooled.difference == pytest.approx(0)
    assert pooled.lower == pytest.approx(non_inferiority(*discordant(10, 10, 150), {}, margin=0.1).lower)


def test_cases_asked_on_some_nights_only_lend_nothing():
    """Where clusters have unequally many nights tonight has to show it by itself, too."""
    tonight = discordant(0, 12, 150)
    part = tuple({case_id: side[case_id] for case_id in sorted(side)[:100]} for side in discordant(0, 0, 150))
    alone = non_inferiority(*tonight, {}, margin=0.1)
    pooled = non_inferiority(*tonight, {}, margin=0.1, earlier=[part] * 5)
    assert alone.status == pooled.status == "undecided"
    assert pooled.lower <= alone.lower
    assert pooled.difference > alone.difference


def test_nights_of_one_graded_cluster_are_undecided():
    """However many nights, a single cluster bounds nothing."""
    result = non_inferiority(
        {"a": [0.5]}, {"a": [0.5]}, {}, margin=0.1, earlier=[({"a": [0.4]}, {"a": [0.9]}), ({}, {})]
    )
    assert (result.status, result.lower) == ("undecided", None)


@pytest.mark.parametrize("margin", [0.0, 1.0, math.nan])
def test_senseless_margin_is_refused(margin):
    """Only margins inside (0, 1) ask a question."""
    with pytest.raises(ValueError, match="margin"):
        non_inferiority({"a": [1.0]}, {"a": [1.0]}, {}, margin=margin)


def test_models_are_compared_over_clusters():
    """On prompts like these trials of a case, and cases of a passage, are one answer; single answers are McNemar's."""
    candidate, baseline = discordant(2, 10, 40)
    assert compare_models(candidate, baseline, {}) == compare_paired(candidate, baseline, {})
    passages = {case_id: f"p{index // 2}" for index, case_id in enumerate(candidate)}
    result = compare_models(candidate, baseline, passages)
    by_passage = np.array([-1.0] * 5 + [0.0] * 14 + [1.0])
    gains_first = [c[0] - b[0] for c, b in zip(candidate.values(), baseline.values(), strict=True)]
    assert sorted((gains_first[i] + gains_first[i + 1]) / 2 for i in range(0, 40, 2)) == sorted(by_passage)
    oracle = stats.ttest_1samp(by_passage, 0, alternative="less")
    assert (result.method, result.p_worse) == ("paired_t", pytest.approx(oracle.pvalue))


def test_the_worst_case_is_both_ways():
    """What is missing on one side keeps what the other said; on both it may be anything."""
    candidate, baseline = {"a": [1.0], "b": [0.0]}, {"a": [1.0], "c": [1.0]}
    found = worst_case_difference(candidate, baseline, {}, case_ids=["a", "b", "c", "d"])
    # a is equal; b lost to a possible pass, or drew; c lost, or drew; d anything.
    assert found == pytest.approx(((0 - 1 - 1 - 1) / 4, (0 + 0 + 0 + 1) / 4))
    with pytest.raises(ValueError, match="no case"):
        worst_case_difference(candidate, baseline, {}, case_ids=[])
