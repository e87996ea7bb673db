"""What a suite can decide before anything is spent."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from evalkit.stats.bounds import clopper_pearson, gate_bound
from evalkit.stats.paired import non_inferiority
from evalkit.stats.power import (
    cases_to_decide,
    clusters_needed,
    equal_pass_probability,
    failures_allowed,
    latency_calls_needed,
    pass_probability,
)


@pytest.mark.parametrize(("limit", "n"), [(0.85, 19), (0.90, 29), (0.95, 59), (0.98, 149), (0.99, 299)])
def test_zero_failure_sizes(limit, n):
    """The reference sizes are exactly where a perfect run begins to pass."""
    assert clusters_needed(limit, alpha=0.05) == n
    assert gate_bound([1] * n, None, alpha=0.05).lower >= limit
    assert gate_bound([1] * (n - 1), None, alpha=0.05).lower < limit


@pytest.mark.parametrize(("limit", "expected"), [(1.0, None), (0.0, 2), (1e-6, 2)])
def test_extreme_limits(limit, expected):
    """Certainty can never pass; anything else needs two clusters at least."""
    assert clusters_needed(limit, alpha=0.05) == expected


@pytest.mark.parametrize(("q", "n"), [(0.5, 5), (0.9, 29), (0.95, 59), (0.99, 299)])
def test_latency_calls(q, n):
    """Quantile gates need the reference number of calls."""
    assert latency_calls_needed(q, 0.05) == n


@pytest.mark.parametrize(
    ("limit", "n", "failures"),
    [(0.95, 58, None), (0.95, 59, 0), (0.95, 92, 0), (0.95, 93, 1), (0.95, 124, 2), (0.95, 153, 3), (0.95, 181, 4),
     (0.95, 208, 5), (0.99, 299, 0), (0.99, 473, 1), (0.99, 628, 2), (0.0, 10, 10), (1.0, 1000, None), (0.0, 1, None),
     (0.0, 0, None)],
)  # fmt: skip
def test_failures_allowed(limit, n, failures):
    """Allowed failures are the reference values, and None where no run can pass."""
    assert failures_allowed(limit, n, alpha=0.05) == failures


@pytest.mark.parametrize(
    ("limit", "n", "true_share", "expected"),
    [(0.95, 80, 0.99, 0.45), (0.90, 150, 0.97, 0.96), (0.85, 200, 0.90, 0.648), (0.85, 500, 0.90, 0.954),
     (0.85, 500, 0.85, 0.043), (0.85, 100, 0.85, 0.027), (0.95, 50, 1.0, 0.0)],
)  # fmt: skip
def test_pass_probability_references(limit, n, true_share, expected):
    """The exact pass probability meets the tables."""
    assert pass_probability(limit, n, alpha=0.05, true_share=true_share) == pytest.approx(expected, abs=5e-3)


def test_pass_probability_equals_enumeration():
    """Summing over every count that passes gives the same."""
    expected = sum(stats.binom.pmf(k, 60, 0.97) for k in range(61) if clopper_pearson(k, 60, alpha=0.05).lower >= 0.9)
    assert pass_probability(0.9, 60, alpha=0.05, true_share=0.97) == pytest.approx(expected)


@pytest.mark.parametrize(("value", "n", "limit"), [(0.97, 60, 0.95), (1.0, 10, 0.95), (0.88, 100, 0.9), (0.0, 2, 0.5)])
def test_cases_to_decide_is_where_the_bound_crosses(value, n, limit):
    """With that many more clusters at the same rate the gate is decided, with one fewer it is not."""
    total = n + cases_to_decide(value, n, limit, alpha=0.05)
    decided = [
        stats.beta.ppf(0.05, value * size, size - value * size + 1) >= limit
        if value >= limit
        else stats.beta.ppf(0.95, value * size + 1, size - value * size) < limit
        for size in (total - 1, total)
    ]
    assert decided == [False, True]


@pytest.mark.parametrize(
    ("value", "n", "limit", "max_n", "expected"),
    [(0.5, 100, 0.95, 20_000, 0), (0.95, 100, 0.95, 20_000, None), (0.951, 100, 0.95, 20_000, None),
     (0.5, 100, 0.95, 50, 0), (0.951, 100, 0.95, 50, None), (1.0, 0, 0.95, 20_000, 59)],
)  # fmt: skip
def test_cases_to_decide_at_the_edges(value, n, limit, max_n, expected):
    """Decided already is 0, beyond reach is None, and an empty run is told the whole number."""
    assert cases_to_decide(value, n, limit, alpha=0.05, max_n=max_n) == expected


def test_equal_pass_probability_equals_simulation():
    """The exact probability agrees with deciding simulated identical candidates one by one."""
    rng = np.random.default_rng(8)
    passed = 0
    for _ in range(400):
        shares = rng.beta(0.9 * 3 / 7, 0.1 * 3 / 7, size=60)
        sides = ({f"c{i}": [float(x)] for i, x in enumerate(rng.random(60) < shares)} for _ in range(2))
        passed += non_inferiority(*sides, {}, margin=0.1).status == "pass"
    assert equal_pass_probability(0.1, 60, 0.9, rho=0.7) == pytest.approx(passed / 400, abs=0.075)


def test_equal_pass_probability_is_near_the_tables():
    """A .03 margin is a gamble at 150 cases and a .10 margin is not."""
    narrow = [equal_pass_probability(0.03, 150, 0.9, rho=rho) for rho in (0.3, 0.7)]
    wide = [equal_pass_probability(0.10, 150, 0.9, rho=rho) for rho in (0.3, 0.7)]
    assert 0.2 < narrow[0] < narrow[1] < 0.5
    assert 0.94 < wide[0] < wide[1] <= 1.0


@pytest.mark.parametrize(("n", "rho", "expected"), [(0, 0.5, 0.0), (20, 1.0, 0.0), (200, 1.0, 1.0)])
def test_equal_pass_probability_at_the_edges(n, rho, expected):
    """No case never passes; answers that never differ pass once there are enough of them."""
    assert equal_pass_probability(0.1, n, 0.9, rho=rho) == pytest.approx(expected)


@pytest.mark.parametrize(
    "ask",
    [
        lambda: clusters_needed(1.5, alpha=0.05),
        lambda: clusters_needed(0.9, alpha=0.7),
        lambda: latency_calls_needed(1.0, 0.05),
        lambda: failures_allowed(math.nan, 10, alpha=0.05),
        lambda: pass_probability(0.9, 10, alpha=0.05, true_share=2.0),
        lambda: cases_to_decide(2.0, 10, 0.9, alpha=0.05),
        lambda: equal_pass_probability(0.0, 10, 0.9),
        lambda: equal_pass_probability(0.1, 10, 1.9),
    ],
)
def test_senseless_questions_are_refused(ask):
    """A share, margin, quantile or error outside its range is refused."""
    with pytest.raises(ValueError, match="outside"):
        ask()
