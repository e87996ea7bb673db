"""Sizes of changes: what moved, by how much, and what it rests on."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from evalkit.stats.shifts import between_shift, ratio_of_means, within_shift


def test_difference_by_hand():
    """Two cases, two nights a side: .25 to .75, pooled within-case variance, t with 4 degrees of freedom."""
    values = [[0, 0], [1, 0], [1, 1], [0, 1]]
    found = within_shift(values, 2, of="difference")
    variance = (0.5 + 0 + 0.5 + 0 + 0.5**2) / 4
    half = stats.t.ppf(0.95, 4) * math.sqrt(variance * 4 * 0.5 / 4)
    assert found.value == pytest.approx(0.5)
    assert (found.lower, found.upper) == pytest.approx((0.5 - half, 0.5 + half))
    assert (found.level, found.method, found.n, found.n_clusters) == (0.95, "within_case_t", 8, 2)


def test_only_shared_cases_count():
    """A case that only one side has says nothing of the change."""
    values = [[0.5, 0.1, math.nan], [0.7, 0.1, math.nan], [0.4, math.nan, 9.0]]
    found = within_shift(values, 2, of="difference")
    assert found.value == pytest.approx(-0.2)
    assert (found.n, found.n_clusters) == (3, 1)


def test_nothing_shared_is_an_error():
    """Sides without a common case have no difference."""
    with pytest.raises(ValueError, match="no case has values on both sides"):
        within_shift([[1.0, math.nan], [math.nan, 1.0]], 1, of="difference")


def test_values_that_never_varied_have_a_width():
    """From always right to always wrong is still not known without error."""
    found = within_shift([[1.0] * 5] * 8 + [[0.0] * 5] * 3, 8, of="difference")
    assert found.lower < -1 < found.upper


def test_ratio():
    """Lengths that doubled are a ratio of 2, with an interval around it on the log scale."""
    rng = np.random.default_rng(1)
    before = rng.gamma(20, 5, size=(20, 50))
    found = within_shift(np.vstack([before, 2 * before]), 20, of="ratio")
    assert found.value == pytest.approx(2.0)
    assert found.lower * found.upper == pytest.approx(4.0)
    assert 1.9 < found.lower < 2 < found.upper < 2.1


def test_ratio_to_nothing_has_no_interval():
    """A mean of 0 has no logarithm: the ratio is shown, its bounds are unknown."""
    found = within_shift([[5.0], [5.0], [0.0]], 2, of="ratio")
    assert (found.lower, found.upper) == (None, None)
    assert found.value == pytest.approx(1e-6 / 5)


def test_between_by_hand():
    """Ratio of geometric means; its interval is the pooled two-sample t of the logarithms."""
    values = [1.0, 1.2, 0.9, 1.1, 2.0, 2.4, 1.9]
    logs = np.log(values)
    before, after = logs[:4], logs[4:]
    shift = after.mean() - before.mean()
    squares = ((before - before.mean()) ** 2).sum() + ((after - after.mean()) ** 2).sum() + shift**2
    half = stats.t.ppf(0.95, 5) * math.sqrt(squares / 5 * (1 / 4 + 1 / 3))
    found = between_shift(values, 4)
    assert found.value == pytest.approx(math.exp(shift))
    assert (found.lower, found.upper) == pytest.approx((math.exp(shift - half), math.exp(shift + half)))
    assert (found.n, found.method) == (7, "between_nights_t")


def test_between_needs_both_sides():
    """A change before the first night has no before."""
    with pytest.raises(ValueError, match="no night on one side"):
        between_shift([1.0, 2.0], 0)


@pytest.mark.parametrize("of", ["difference", "ratio"])
def test_interval_covers(of):
    """A one-sided 95% bound of a change that is known in advance misses about once in 20: 400 simulations, seeded."""
    rng = np.random.default_rng(5)
    true, missed = (0.1 if of == "difference" else 1.2), 0
    for _ in range(400):
        level = rng.uniform(0.4, 0.8, size=30)
        before, after = rng.normal(level, 0.2, size=(10, 30)), rng.normal(level, 0.2, size=(6, 30))
        after = after + true if of == "difference" else after * true
        missed += within_shift(np.vstack([before, after]), 10, of=of).lower > true
    assert missed / 400 == pytest.approx(0.05, abs=0.025)


def test_ratio_of_means_by_hand():
    """Sum over sum; the error comes from cluster sums of what the ratio does not explain."""
    ours, theirs = [10, 20, 30, 40], [10, 10, 20, 20]
    residuals = np.array([10 - 10 * 100 / 60 + 20 - 10 * 100 / 60, 30 - 20 * 100 / 60, 40 - 20 * 100 / 60])
    half = stats.t.ppf(0.95, 2) * math.sqrt(3 / 2 * (residuals**2).sum()) / 100
    found = ratio_of_means(ours, theirs, ["a", "a", "b", "c"])
    assert found.value == pytest.approx(100 / 60)
    assert (found.lower, found.upper) == pytest.approx((100 / 60 * math.exp(-half), 100 / 60 * math.exp(half)))
    assert (found.n, found.n_clusters, found.method) == (4, 3, "ratio_of_means")


@pytest.mark.parametrize(
    ("ours", "theirs", "clusters"),
    [([3.0, 4.0], [1.0, 1.0], "aa"), ([2.0, 4.0], [1.0, 2.0], "ab"), ([0.0, 0.0], [1.0, 2.0], "ab")],
    ids=["one cluster", "one and the same ratio", "no length at all"],
)
def test_ratio_without_interval(ours, theirs, clusters):
    """Too little to tell a spread by gives no interval, and never one of width 0."""
    found = ratio_of_means(ours, theirs, list(clusters))
    assert (found.lower, found.upper) == (None, None)


@pytest.mark.parametrize(("ours", "theirs"), [([], []), ([1.0], [0.0]), ([1.0], [1.0, 2.0])])
def test_no_ratio(ours, theirs):
    """Nothing below the line, or sides that do not match, is no ratio."""
    with pytest.raises(ValueError, match="with a sum of"):
        ratio_of_means(ours, theirs, ["a"] * len(ours))
