"""How often the bounds are wrong, by seeded simulation at the worst place: a model exactly at the limit.

The short form always runs; the whole grid is marked slow.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from evalkit.stats.bounds import gate_bound, pooled_icc
from evalkit.stats.quantiles import quantile_bound, time_blocks

ALPHA = 0.05


def tolerated(runs, *, share=ALPHA):
    """The error share plus two Monte Carlo standard errors."""
    return share + 2 * math.sqrt(share * (1 - share) / runs)


def simulated_suite(rng, limit, sizes, *, icc, is_graded):
    """Scores and labels of one model whose true mean is exactly `limit`."""
    labels = np.repeat(np.arange(len(sizes)), sizes)
    if icc:
        concentration = (1 - icc) / icc
        shares = rng.beta(limit * concentration, (1 - limit) * concentration, size=len(sizes))[labels]
    else:
        shares = np.full(len(labels), limit)
    if is_graded:
        # Mean of each score is its share, spread inside [0, 1].
        return rng.beta(np.maximum(2 * shares, 1e-9), np.maximum(2 * (1 - shares), 1e-9)), labels
    return (rng.random(len(labels)) < shares).astype(float), labels


def false_eligible(limit, sizes, *, icc, runs, is_graded=False, seed=102):
    """Share of runs in which a model exactly at the limit passes, without history."""
    rng = np.random.default_rng((seed, int(limit * 1000), len(sizes), int(icc * 10)))
    passed = 0
    for _ in range(runs):
        values, labels = simulated_suite(rng, limit, sizes, icc=icc, is_graded=is_graded)
        passed += gate_bound(values, labels, alpha=ALPHA).lower >= limit
    return passed / runs


UNEQUAL = [1, 2, 3, 5, 8] * 8

SHORT = [
    (0.85, [1] * 100, 0.0), (0.95, [3] * 60, 0.3), (0.85, [3] * 100, 0.7), (0.98, [1] * 200, 0.0),
    (0.95, UNEQUAL, 0.3), (0.85, UNEQUAL, 0.7),
]  # fmt: skip

GRID = [
    (limit, sizes, icc)
    for limit in (0.85, 0.95, 0.98, 0.99)
    for sizes in ([1] * 20, [1] * 100, [1] * 500, [3] * 20, [3] * 60, [3] * 166, [5] * 40, UNEQUAL)
    for icc in (0.0, 0.3, 0.7)
]


@pytest.mark.parametrize(("limit", "sizes", "icc"), SHORT)
def test_false_eligible_is_rare(limit, sizes, icc):
    """A model exactly at the limit passes in at most 5% of runs."""
    assert false_eligible(limit, sizes, icc=icc, runs=600) <= tolerated(600)


@pytest.mark.slow
@pytest.mark.parametrize(("limit", "sizes", "icc"), GRID)
def test_false_eligible_is_rare_everywhere(limit, sizes, icc):
    """The same over sizes, limits and correlations."""
    assert false_eligible(limit, sizes, icc=icc, runs=3000) <= tolerated(3000)


@pytest.mark.parametrize(("limit", "sizes", "icc"), [(0.85, [1] * 100, 0.0), (0.95, [3] * 60, 0.3)])
def test_false_eligible_is_rare_for_graded_scores(limit, sizes, icc):
    """Graded scores keep the same promise."""
    assert false_eligible(limit, sizes, icc=icc, runs=600, is_graded=True) <= tolerated(600)


def test_point_rule_is_a_coin_toss_where_the_bound_is_not():
    """The simulation can tell: passing on the mean alone lets a model at the limit through about half the time."""
    rng = np.random.default_rng(4)
    means = rng.binomial(100, 0.85, size=2000) / 100
    assert (means >= 0.85).mean() > 0.5


def test_false_eligible_with_history():
    """With the correlation of eight earlier models the bound is sharper and still keeps its promise."""
    rng = np.random.default_rng(106)
    sizes, limit = [3] * 100, 0.9
    earlier = [simulated_suite(rng, mean, sizes, icc=0.3, is_graded=False) for mean in np.linspace(0.6, 0.95, 8)]
    rho = pooled_icc(earlier)
    assert rho == pytest.approx(0.3, abs=0.1)
    passed = 0
    for _ in range(600):
        values, labels = simulated_suite(rng, limit, sizes, icc=0.3, is_graded=False)
        passed += gate_bound(values, labels, alpha=ALPHA, rho=rho).lower >= limit
    assert passed / 600 <= tolerated(600)


@pytest.mark.parametrize(("n", "tail"), [(60, "lognormal"), (200, "lognormal"), (200, "pareto")])
def test_latency_bound_rarely_below_the_true_p95(n, tail):
    """On independent calls the upper p95 bound lies below the true p95 in at most 5% of runs, heavy tail or not."""
    rng = np.random.default_rng((501, n))
    draws = rng.lognormal(size=(600, n)) if tail == "lognormal" else rng.pareto(1.5, size=(600, n))
    true_p95 = math.exp(1.6448536) if tail == "lognormal" else 0.05 ** (-1 / 1.5) - 1
    misses = sum(quantile_bound(row, None, q=0.95, alpha=ALPHA).upper < true_p95 for row in draws)
    assert misses / 600 <= tolerated(600)


def test_time_blocks_tame_bursts():
    """Under bursts (AR(1) .7, n 500) ten blocks keep the miss near 7%, where independent counting misses far more."""
    rng = np.random.default_rng(502)
    n, runs, misses = 500, 400, {"blocks": 0, "none": 0}
    blocks = time_blocks(np.arange(n))
    for _ in range(runs):
        noise = rng.normal(size=n) * math.sqrt(1 - 0.49)
        level = np.empty(n)
        level[0] = rng.normal()
        for i in range(1, n):
            level[i] = 0.7 * level[i - 1] + noise[i]
        misses["blocks"] += quantile_bound(level, blocks, q=0.95, alpha=ALPHA).upper < 1.6448536
        misses["none"] += quantile_bound(level, None, q=0.95, alpha=ALPHA).upper < 1.6448536
    assert misses["blocks"] / runs <= tolerated(runs, share=0.07)
    assert misses["none"] > misses["blocks"]
