"""The bound every share gate is decided on, against published and recomputed values."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from evalkit.stats.bounds import (
    INSUFFICIENT,
    Interval,
    anova_icc,
    clopper_pearson,
    gate_bound,
    pooled_icc,
    wilson_interval,
    worst_case_bound,
)

FOUR_CLUSTERS = [[1, 1, 0], [1, 1, 1], [0, 0], [1, 0, 1, 1]]
TWO_HUNDRED_TRIPLES = [[1, 1, 1]] * 170 + [[1, 1, 0]] * 15 + [[0, 0, 1]] * 10 + [[0, 0, 0]] * 5


def flat(groups):
    """Values and labels of grouped scores."""
    values = [score for group in groups for score in group]
    return values, [f"case-{index}" for index, group in enumerate(groups) for _ in group]


def binary(passes, n):
    """N values of which the first `passes` are 1."""
    return [1.0] * passes + [0.0] * (n - passes)


@pytest.mark.parametrize(
    ("passes", "n", "lower", "upper"),
    [(8, 10, 0.4931, None), (10, 10, 0.7411, 1.0), (170, 200, 0.8021, 0.8899), (300, 300, 0.9901, 1.0),
     (297, 300, 0.9744, None)],
)  # fmt: skip
def test_one_sided_reference_values(passes, n, lower, upper):
    """Independent binary scores give the published one-sided Clopper-Pearson limits."""
    bound = gate_bound(binary(passes, n), None, alpha=0.05)
    assert bound.lower == pytest.approx(lower, abs=5e-5)
    assert upper is None or bound.upper == pytest.approx(upper, abs=5e-5)


@pytest.mark.parametrize("n", [2, 7, 40])
@pytest.mark.parametrize("alpha", [0.05, 0.001])
def test_unclustered_equals_binomtest(n, alpha):
    """Without clusters the bound is scipy's exact one for every count."""
    for k in range(n + 1):
        bound = gate_bound(binary(k, n), None, alpha=alpha)
        low = stats.binomtest(k, n, alternative="greater").proportion_ci(1 - alpha, method="exact").low
        high = stats.binomtest(k, n, alternative="less").proportion_ci(1 - alpha, method="exact").high
        assert (bound.lower, bound.upper) == (pytest.approx(low, abs=1e-10), pytest.approx(high, abs=1e-10))


def test_clusters_of_one_are_no_clusters():
    """Labels that are all different change nothing, and the method says plain Clopper-Pearson."""
    values = binary(27, 30)
    bound = gate_bound(values, range(30), alpha=0.05)
    assert bound == gate_bound(values, None, alpha=0.05)
    assert (bound.method, bound.n_effective) == ("clopper_pearson", 30.0)


def test_four_unequal_clusters():
    """The worked example of four unequal clusters is met in every figure."""
    values, clusters = flat(FOUR_CLUSTERS)
    bound = gate_bound(values, clusters, alpha=0.05, rho=0.5)
    assert (bound.value, bound.lower, bound.upper, bound.n_effective) == pytest.approx(
        (0.66667, 0.2168, 0.9586, 4.5467), abs=5e-5
    )
    assert (bound.n, bound.n_clusters, bound.method, bound.problem) == (12, 4, "gate_bound", "")


@pytest.mark.parametrize(("rho", "expected"), [(0.5, (0.8856, 0.9414, 300.0)), (0.0, (0.8862, 0.9410, 310.77))])
def test_two_hundred_triples(rho, expected):
    """200 prompts with three trials give the reference bounds with and without pooled correlation."""
    bound = gate_bound(*flat(TWO_HUNDRED_TRIPLES), alpha=0.05, rho=rho)
    assert (bound.lower, bound.upper) == pytest.approx(expected[:2], abs=5e-5)
    assert bound.n_effective == pytest.approx(expected[2], abs=5e-3)


def test_perfect_triples_without_history_count_clusters():
    """600 perfect answers of 200 prompts are worth 200, not 600."""
    bound = gate_bound(*flat([[1, 1, 1]] * 200), alpha=0.05)
    assert (bound.lower, bound.upper, bound.n_effective) == (pytest.approx(0.9851, abs=5e-5), 1.0, 200.0)


def test_perfect_pairs_without_history():
    """80 perfect answers in 40 pairs give .928."""
    assert gate_bound(*flat([[1, 1]] * 40), alpha=0.05).lower == pytest.approx(0.928, abs=5e-4)


def test_explicit_zero_correlation_counts_every_sample():
    """Time blocks (rho 0) that all agree are worth every call in them."""
    assert gate_bound(*flat([[1] * 20] * 10), alpha=0.05, rho=0.0).n_effective == 200.0


def test_flat_graded_clusters_are_not_certainty():
    """Equal graded scores everywhere, whose sums carry rounding, still count clusters only."""
    bound = gate_bound(*flat([[0.7, 0.7, 0.7]] * 20), alpha=0.05)
    assert bound.n_effective == 20.0
    assert bound.lower < 0.6
    assert bound.upper > 0.8


def test_own_variance_matches_the_clustered_oracle():
    """The effective size uses the cluster-robust variance that the textbook example has: se .16355."""
    values, clusters = flat(FOUR_CLUSTERS)
    worth = 12**2 / (9 + 9 + 4 + 16)
    few = stats.t.ppf(0.95, 11) / stats.t.ppf(0.95, worth - 1)
    own = (2 / 3) * (1 / 3) / 0.16355**2 * few**2
    assert gate_bound(values, clusters, alpha=0.05, rho=0.0).n_effective == pytest.approx(own, rel=1e-3)


def test_graded_scores_of_single_trials_use_n():
    """Graded scores without clusters keep ne = n and say so by the method."""
    bound = gate_bound([0.5, 0.75, 1.0, 0.9], None, alpha=0.05)
    assert (bound.method, bound.n_effective) == ("gate_bound", 4.0)


@pytest.mark.parametrize(("values", "clusters"), [([], None), ([1.0], None), ([1, 1, 1], ["a"] * 3), ([], [])])
def test_too_little_data_gives_no_bound(values, clusters):
    """No data, or one cluster, has neither bound and says why."""
    bound = gate_bound(values, clusters, alpha=0.05)
    assert (bound.lower, bound.upper, bound.problem) == (None, None, INSUFFICIENT)
    assert bound.value == (1.0 if values else None)


def test_one_dominating_cluster_gives_no_bound():
    """Two clusters of which one holds nearly everything are worth fewer than two."""
    assert gate_bound([1] * 21, ["a"] * 20 + ["b"], alpha=0.05).problem == INSUFFICIENT


def test_a_failure_may_help_in_clusters():
    """The documented limit: in clusters of several trials one spread-out failure raises the effective size."""
    perfect = gate_bound(*flat([[1, 1, 1]] * 200), alpha=0.05)
    marred = gate_bound(*flat([[1, 1, 1]] * 199 + [[1, 1, 0]]), alpha=0.05)
    assert marred.lower > perfect.lower


@pytest.mark.parametrize("values", [[0.5, 1.2], [-0.1, 0.0], [0.5, float("nan")], [[0.5, 0.5]]])
def test_values_that_are_no_shares_are_refused(values):
    """Anything but one row of shares is refused, NaN too."""
    with pytest.raises(ValueError, match="values"):
        gate_bound(values, None, alpha=0.05)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0, -0.1, float("nan")])
def test_senseless_alpha_is_refused(alpha):
    """An error share outside (0, 0.5) has no bound."""
    with pytest.raises(ValueError, match="alpha"):
        gate_bound([1, 0], None, alpha=alpha)


def test_senseless_rho_is_refused():
    """A correlation outside [0, 1] is refused."""
    with pytest.raises(ValueError, match="rho"):
        gate_bound([1, 0], None, alpha=0.05, rho=1.5)


def test_labels_must_match_values():
    """One label short is an error, not a silent misalignment."""
    with pytest.raises(ValueError, match="2 cluster labels for 3 values"):
        gate_bound([1, 0, 1], ["a", "b"], alpha=0.05)


def test_labels_may_be_an_array():
    """Integer arrays, as `time_blocks` gives them, are labels like any other."""
    values, _ = flat(FOUR_CLUSTERS)
    labels = [0, 0, 0, 1, 1, 1, 2, 2, 3, 3, 3, 3]
    assert gate_bound(values, np.asarray(labels), alpha=0.05) == gate_bound(values, labels, alpha=0.05)


def test_bound_is_frozen():
    """A bound cannot be changed after the fact."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        gate_bound([1, 0], None, alpha=0.05).lower = 1.0


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [(8, 10, 0.4439, 0.9748), (10, 10, 0.6915, 1.0), (0, 20, 0.0, 0.1684), (1, 29, 0.0009, 0.1776),
     (15, 148, 0.0578, 0.1617), (81, 263, 0.2527, 0.3676)],
)  # fmt: skip
def test_clopper_pearson_two_sided_references(k, n, low, high):
    """At half the error each, both bounds make the published two-sided interval; statsmodels agrees."""
    bound = clopper_pearson(k, n, alpha=0.025)
    assert (bound.lower, bound.upper) == pytest.approx((low, high), abs=5e-5)
    assert (bound.lower, bound.upper) == pytest.approx(proportion_confint(k, n, method="beta"), abs=1e-9)


def test_clopper_pearson_of_nothing():
    """No tries, no bounds."""
    bound = clopper_pearson(0, 0, alpha=0.05)
    assert (bound.value, bound.lower, bound.upper, bound.problem) == (None, None, None, INSUFFICIENT)


@pytest.mark.parametrize(("k", "n"), [(-1, 3), (4, 3)])
def test_clopper_pearson_refuses_impossible_counts(k, n):
    """More passes than tries is a caller's mistake."""
    with pytest.raises(ValueError, match="passes in"):
        clopper_pearson(k, n, alpha=0.05)


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [(8, 10, 0.4902, 0.9433), (10, 10, 0.7225, 1.0), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718),
     (15, 148, 0.0624, 0.1605), (81, 263, 0.2553, 0.3662)],
)  # fmt: skip
def test_wilson_references(k, n, low, high):
    """Wilson's interval meets Newcombe's published examples and statsmodels."""
    interval = wilson_interval(k / n, n)
    assert interval == pytest.approx((low, high), abs=5e-5)
    assert interval == pytest.approx(proportion_confint(k, n, method="wilson"), abs=1e-9)


def test_wilson_of_nothing_is_everything():
    """Without data the display interval is the whole range."""
    assert wilson_interval(0.5, 0) == Interval(0.0, 1.0)


def test_wilson_refuses_what_is_no_share():
    """A mean outside [0, 1] is refused."""
    with pytest.raises(ValueError, match="value_mean"):
        wilson_interval(1.2, 10)


@pytest.mark.parametrize(("groups", "expected"), [(FOUR_CLUSTERS, 0.3148), (TWO_HUNDRED_TRIPLES, 0.4563)])
def test_icc_references(groups, expected):
    """The analysis-of-variance correlation meets the reference values."""
    assert anova_icc(*flat(groups)) == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize("groups", [[[1], [0], [1]], [[1, 0, 1]], [[1, 1], [1, 1]], [[0.7, 0.7, 0.7], [0.7, 0.7]], []])
def test_icc_unknown(groups):
    """Single trials, a single cluster, or no spread cannot tell a correlation."""
    assert anova_icc(*flat(groups)) is None


@pytest.mark.parametrize(("groups", "expected"), [([[1, 1], [0, 0]], 1.0), ([[1, 0], [0, 1], [1, 0]], 0.0)])
def test_icc_is_clipped(groups, expected):
    """Clusters that agree entirely have correlation 1; negative estimates become 0."""
    assert anova_icc(*flat(groups)) == expected


def test_pooled_icc_of_equal_models_is_theirs():
    """Five models alike pool to the value of each."""
    assert pooled_icc([flat(FOUR_CLUSTERS)] * 5) == pytest.approx(0.3148, abs=5e-5)


def test_pooled_icc_needs_five_models_that_tell_something():
    """A perfect model tells nothing of correlation and does not count among the five."""
    perfect = flat([[1, 1, 1]] * 4)
    assert pooled_icc([flat(FOUR_CLUSTERS)] * 4 + [perfect]) is None
    assert pooled_icc([flat(FOUR_CLUSTERS)] * 5 + [perfect]) == pytest.approx(0.3148, abs=5e-5)


def test_worst_case_counts_missing_both_ways():
    """Missing answers are failures for the lower bound and passes for the upper one."""
    bound = worst_case_bound(binary(90, 95), None, range(5), alpha=0.05)
    assert bound.lower == clopper_pearson(90, 100, alpha=0.05).lower
    assert bound.upper == clopper_pearson(95, 100, alpha=0.05).upper
    assert (bound.n, bound.value) == (95, pytest.approx(90 / 95))


def test_worst_case_without_missing_is_the_gate_bound():
    """With nothing missing there is nothing to add."""
    values, clusters = flat(FOUR_CLUSTERS)
    assert worst_case_bound(values, clusters, [], alpha=0.05) == gate_bound(values, clusters, alpha=0.05)


def test_worst_case_of_nothing_observed_has_no_bound():
    """A run in which everything is missing has no bound: a limit of 0 must not pass on it."""
    assert worst_case_bound([], None, range(50), alpha=0.05).lower is None


def test_missing_never_helps_in_clusters():
    """A missing trial cannot raise the lower bound, although a zero would raise the effective size."""
    values, clusters = flat([[1, 1, 1]] * 199 + [[1, 1]])
    observed = gate_bound(values, clusters, alpha=0.05)
    assert worst_case_bound(values, clusters, ["case-199"], alpha=0.05).lower <= observed.lower


def test_missing_clusters_can_make_a_bound_possible():
    """One observed cluster has no bound; with the missing ones bounded there are enough clusters for a wide one."""
    bound = worst_case_bound([1, 1], ["a", "a"], ["b", "c", "d"], alpha=0.05)
    assert bound.lower < 0.5
    assert (bound.upper, bound.problem) == (1.0, "")


def test_worst_case_in_one_cluster_has_no_bound():
    """Missing answers of the only cluster do not make a second one."""
    assert worst_case_bound([1, 1], ["a", "a"], ["a"], alpha=0.05).problem == INSUFFICIENT
