"""Mean cost and cost per success."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from evalkit.stats.bounds import INSUFFICIENT, clopper_pearson
from evalkit.stats.cost import NO_SUCCESS, cost_per_success_bound, mean_cost_bound

COSTS = np.random.default_rng(11).lognormal(-7, 0.8, size=100)


def test_cox_formula():
    """Positive costs get Cox's bound, recomputed here with scipy's own t."""
    logs = np.log(COSTS)
    s2 = logs.var(ddof=1)
    half = stats.t.ppf(0.95, 99) * math.sqrt(s2 / 100 + s2**2 / (2 * 99))
    bound = mean_cost_bound(COSTS, alpha=0.05)
    assert bound.upper == pytest.approx(math.exp(logs.mean() + s2 / 2 + half))
    assert bound.lower == pytest.approx(math.exp(logs.mean() + s2 / 2 - half))
    assert (bound.method, bound.value) == ("cox", pytest.approx(COSTS.mean()))


def test_cox_misses_no_more_than_measured():
    """On lognormal costs (sigma 1, n 100) the upper bound misses the mean about as often as its .064."""
    rng = np.random.default_rng(501)
    draws = rng.lognormal(size=(1000, 100))
    misses = sum(mean_cost_bound(draw, alpha=0.05).upper < math.exp(0.5) for draw in draws)
    assert misses / 1000 <= 0.064 + 2 * 0.008


def test_bounds_hold_the_mean_of_data_that_is_not_lognormal():
    """One huge cost among tiny ones cannot leave the sample mean outside its own bounds."""
    bound = mean_cost_bound([1e-6] * 500 + [1.0] * 500, alpha=0.05)
    assert bound.lower <= bound.value <= bound.upper


def test_equal_costs_are_not_certainty():
    """All costs alike leave a width that falls as 1/n."""
    few, many = mean_cost_bound([0.1] * 20, alpha=0.05), mean_cost_bound([0.1] * 2000, alpha=0.05)
    assert few.upper - few.lower == pytest.approx(2 * 0.1 * (1 - 0.05 ** (1 / 20)))
    assert 0 < many.upper - many.lower < (few.upper - few.lower) / 50
    assert few.method == "constant"


def test_costs_equal_but_for_rounding_count_as_equal():
    """Floating noise in a price is no spread."""
    assert mean_cost_bound([0.3, 0.1 + 0.2] * 10, alpha=0.05).method == "constant"


def test_free_calls_split_the_bound_in_two():
    """Zeros are bounded as a share, paid calls as costs, each at half the error."""
    bound = mean_cost_bound([0.0] * 40 + list(COSTS), alpha=0.05)
    paid = mean_cost_bound(COSTS, alpha=0.025)
    share = clopper_pearson(100, 140, alpha=0.025)
    assert bound.method == "two_part"
    assert (bound.lower, bound.upper) == pytest.approx((paid.lower * share.lower, paid.upper * share.upper))


def test_a_single_paid_call_gives_no_bound():
    """One paid call among free ones has no spread to bound it by."""
    bound = mean_cost_bound([0.0] * 40 + [0.1], alpha=0.05)
    assert (bound.upper, bound.problem) == (None, INSUFFICIENT)


@pytest.mark.parametrize(("n", "upper"), [(58, None), (59, 0.0)])
def test_free_models_are_free_once_shown(n, upper):
    """All-zero costs are believed from the call count on that shows 95% of calls free."""
    bound = mean_cost_bound([0.0] * n, alpha=0.05)
    assert (bound.lower, bound.upper) == (0.0, upper)


@pytest.mark.parametrize("costs", [[], [0.1]])
def test_too_few_costs_give_no_bound(costs):
    """No cost or one cost has neither bound."""
    bound = mean_cost_bound(costs, alpha=0.05)
    assert (bound.lower, bound.upper, bound.problem) == (None, None, INSUFFICIENT)
    assert bound.value == (costs[0] if costs else None)


def test_two_wildly_different_costs_have_no_finite_upper_bound():
    """An upper bound beyond all numbers is no bound."""
    bound = mean_cost_bound([1e-9, 1e3], alpha=0.01)
    assert (bound.upper, bound.problem) == (None, INSUFFICIENT)


@pytest.mark.parametrize("costs", [[0.1, -0.1], [0.1, math.inf], [math.nan, 0.1]])
def test_costs_that_are_no_costs_are_refused(costs):
    """Negative, infinite and unknown costs never enter a mean."""
    with pytest.raises(ValueError, match="costs"):
        mean_cost_bound(costs, alpha=0.05)


def test_cost_per_success_divides_opposite_bounds():
    """Upper is upper cost over lower success and the other way round, each at half the error."""
    bound = cost_per_success_bound(COSTS, [1] * 90 + [0] * 10, None, alpha=0.05)
    cost, share = mean_cost_bound(COSTS, alpha=0.025), clopper_pearson(90, 100, alpha=0.025)
    assert (bound.lower, bound.upper) == pytest.approx((cost.lower / share.upper, cost.upper / share.lower))
    assert bound.value == pytest.approx(COSTS.mean() / 0.9)
    assert (bound.method, bound.level, bound.problem) == ("cox/clopper_pearson", 0.95, "")


def test_cost_per_success_uses_clusters():
    """Successes of the same prompts count per prompt, so the upper bound rises."""
    successes = [1] * 90 + [0] * 10
    clustered = cost_per_success_bound(COSTS, successes, [i // 5 for i in range(100)], alpha=0.05)
    assert clustered.upper > cost_per_success_bound(COSTS, successes, None, alpha=0.05).upper
    assert clustered.n_clusters == 20


def test_no_success_has_a_lower_bound_only():
    """A model that never succeeds costs infinitely much per success; the finite lower bound can still fail a gate."""
    bound = cost_per_success_bound(COSTS, [0] * 100, None, alpha=0.05)
    assert (bound.value, bound.upper, bound.problem) == (math.inf, None, NO_SUCCESS)
    assert bound.lower > COSTS.mean()


@pytest.mark.parametrize(("costs", "successes"), [([], [1, 1, 0]), ([0.1, 0.2], []), ([0.1], [1, 0])])
def test_too_little_on_either_side_gives_no_upper_bound(costs, successes):
    """Unknown costs or unknown successes leave the gate without an upper bound."""
    bound = cost_per_success_bound(costs, successes, None, alpha=0.05)
    assert (bound.upper, bound.problem) == (None, INSUFFICIENT)
