"""Order-statistic bounds of latency quantiles."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from evalkit.stats.bounds import INSUFFICIENT, gate_bound
from evalkit.stats.quantiles import quantile_bound, time_blocks


def ranks(n):
    """The values 1..n, shuffled, so that a bound is its own rank."""
    return np.random.default_rng(n).permutation(np.arange(1.0, n + 1))


@pytest.mark.parametrize(("n", "upper"), [(58, None), (59, 59), (93, 92), (100, 99), (200, 196), (500, 484)])
def test_p95_reference_ranks(n, upper):
    """The upper p95 bound of 1..n is the reference order statistic; below 59 there is none."""
    bound = quantile_bound(ranks(n), None, q=0.95, alpha=0.05)
    assert bound.upper == upper
    assert bound.problem == (INSUFFICIENT if upper is None else "")


@pytest.mark.parametrize(("q", "n"), [(0.5, 5), (0.9, 29), (0.99, 299)])
def test_smallest_sample_with_an_upper_bound(q, n):
    """A quantile gets an upper bound exactly from its reference sample size on."""
    assert quantile_bound(ranks(n), None, q=q, alpha=0.05).upper == n
    assert quantile_bound(ranks(n - 1), None, q=q, alpha=0.05).upper is None


@pytest.mark.parametrize("q", [0.5, 0.9, 0.95])
@pytest.mark.parametrize("n", [20, 77, 150])
def test_both_bounds_equal_scipy(q, n):
    """Without blocks both bounds are those of scipy's quantile test."""
    values = ranks(n)
    bound = quantile_bound(values, None, q=q, alpha=0.05)
    high = stats.quantile_test(values, p=q, alternative="less").confidence_interval(0.95).high
    low = stats.quantile_test(values, p=q, alternative="greater").confidence_interval(0.95).low
    assert (bound.lower or math.nan, bound.upper or math.nan) == pytest.approx((low, high), nan_ok=True)


def test_one_block_per_value_is_no_blocks():
    """Blocks of one call each change nothing."""
    values = ranks(100)
    assert quantile_bound(values, range(100), q=0.95, alpha=0.05) == quantile_bound(values, None, q=0.95, alpha=0.05)


def test_blocks_decide_by_gate_bound():
    """With blocks the upper bound is where the share gate with rho 0 begins to hold, and holds from there on."""
    values = np.random.default_rng(7).lognormal(size=300)
    blocks = time_blocks(np.arange(300))
    upper = quantile_bound(values, blocks, q=0.9, alpha=0.05).upper
    lowers = {x: gate_bound(values <= x, blocks, alpha=0.05, rho=0.0).lower for x in values}
    assert all(lower >= 0.9 for x, lower in lowers.items() if x >= upper)
    assert lowers[max(x for x in values if x < upper)] < 0.9


def test_a_sample_may_count_for_fewer_calls():
    """A hundred calls over and over, worth a hundred at the most, bound no more than once."""
    once, again = ranks(100), np.repeat(ranks(100), 14)
    alone = quantile_bound(once, None, q=0.95, alpha=0.05)
    pooled = quantile_bound(again, None, q=0.95, alpha=0.05, worth_at_most=100)
    assert (pooled.lower, pooled.upper, pooled.n_effective) == (alone.lower, alone.upper, 100)
    assert quantile_bound(again, None, q=0.95, alpha=0.05).upper < alone.upper


def test_a_burst_widens_the_upper_bound():
    """Slow calls that come together count for less than the same calls spread out."""
    slow_together = np.where(np.arange(300) < 12, 9.0, 1.0) + np.arange(300) / 1e4
    slow_apart = np.where(np.arange(300) % 25 == 0, 9.0, 1.0) + np.arange(300) / 1e4
    blocks = time_blocks(np.arange(300))
    together = quantile_bound(slow_together, blocks, q=0.93, alpha=0.05)
    apart = quantile_bound(slow_apart, blocks, q=0.93, alpha=0.05)
    assert apart.upper < 2 < together.upper
    assert together.n_effective < apart.n_effective


def test_timeouts_are_exceedances():
    """When more calls time out than the quantile allows, even the lower bound is infinite: no limit can hold."""
    bound = quantile_bound([1.0] * 70 + [math.inf] * 30, None, q=0.95, alpha=0.05)
    assert (bound.lower, bound.value, bound.upper) == (math.inf, math.inf, math.inf)


def test_few_timeouts_leave_a_finite_bound():
    """Two timeouts in 200 calls are within what p95 allows."""
    bound = quantile_bound([1.0] * 198 + [math.inf] * 2, None, q=0.95, alpha=0.05)
    assert (bound.lower, bound.value, bound.upper) == (1.0, 1.0, 1.0)


def test_lower_bound_is_none_when_even_no_call_below_is_too_likely():
    """Two calls say nothing of a quantile whose share of none-below is still within reach."""
    assert quantile_bound([1.0, 2.0], None, q=0.5, alpha=0.05).lower is None


@pytest.mark.parametrize(("values", "blocks"), [([], None), ([1.0], None), ([1.0, 2.0, 3.0], ["a", "a", "a"])])
def test_too_little_data_gives_no_bound(values, blocks):
    """No calls, one call or one block: no bound, and the sample quantile only where there is one."""
    bound = quantile_bound(values, blocks, q=0.5, alpha=0.05)
    assert (bound.lower, bound.upper, bound.problem) == (None, None, INSUFFICIENT)
    assert (bound.value is None) == (not values)


@pytest.mark.parametrize("q", [0.0, 1.0, math.nan])
def test_senseless_quantile_is_refused(q):
    """Only quantiles inside (0, 1) have bounds."""
    with pytest.raises(ValueError, match="q="):
        quantile_bound([1.0, 2.0], None, q=q, alpha=0.05)


def test_nan_is_refused():
    """A call that never came back is +inf; NaN would sort silently to the end."""
    with pytest.raises(ValueError, match="NaN"):
        quantile_bound([1.0, math.nan], None, q=0.5, alpha=0.05)


def test_time_blocks_are_equal_counts_in_time_order():
    """Calls are cut by start into blocks of equal count, whatever the pauses between them."""
    starts = np.concatenate((np.arange(50.0), 1e6 + np.arange(50.0)))
    shuffled = np.random.default_rng(1).permutation(100)
    blocks = time_blocks(starts[shuffled])
    assert np.bincount(blocks).tolist() == [10] * 10
    assert (blocks == shuffled // 10).all()


def test_simultaneous_calls_share_a_block():
    """Equal starts give one block, so that record order cannot matter."""
    assert time_blocks([5.0] * 30).tolist() == [0] * 30


def test_time_blocks_of_nothing():
    """No calls, no blocks."""
    assert time_blocks([]).tolist() == []


@pytest.mark.parametrize(("starts", "n_blocks"), [([1.0], 0), ([math.nan], 10)])
def test_time_blocks_refuse_nonsense(starts, n_blocks):
    """No blocks, or a start that is no time, is a caller's mistake."""
    with pytest.raises(ValueError, match=r"n_blocks|started_at"):
        time_blocks(starts, n_blocks)
