"""Looks that spend alpha together, and the chance that going on is worth it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import special, stats

from evalkit.stats._distributions import beta_binomial_cdf
from evalkit.stats.bounds import clopper_pearson
from evalkit.stats.sequential import (
    LastLook,
    decision_probability,
    look_sizes,
    nominal_levels,
    power_spending,
)

FIFTHS = [look / 5 for look in range(1, 6)]
TENTHS = [look / 10 for look in range(1, 11)]


def z_of(levels):
    """The z-values of one-sided levels."""
    return [-float(special.ndtri(level)) for level in levels]


def lan_demets_obf(time):
    """O'Brien and Fleming's boundary as a spending function, at .025."""
    return 2 * (1 - special.ndtr(-special.ndtri(0.0125) / math.sqrt(time))) / 0.025


def crossing_probability(times, boundaries):
    """P(a standardised sum of independent normal steps is above its boundary at any look), by Gauss and Legendre.

    Another rule on another grid than the code under test.
    """
    nodes, weights = np.polynomial.legendre.leggauss(400)
    starts, mass = np.zeros(1), np.ones(1)
    before = crossed = 0.0
    for time, boundary in zip(times, boundaries, strict=True):
        sd, cut, low = math.sqrt(time - before), boundary * math.sqrt(time), -9 * math.sqrt(time)
        crossed += mass @ special.ndtr((starts - cut) / sd)
        places = low + (cut - low) * (nodes + 1) / 2
        density = stats.norm.pdf(places[:, None], loc=starts[None, :], scale=sd) @ mass
        starts, mass, before = places, density * weights * (cut - low) / 2, time
    return crossed


def test_ten_looks_at_power_spending():
    """The default levels are the published ones, to five decimals."""
    expected = [0.00158, 0.00333, 0.00529, 0.00755, 0.01012, 0.01300, 0.01618, 0.01967, 0.02347, 0.02757]
    assert [*nominal_levels(TENTHS, alpha=0.05)] == pytest.approx(expected, abs=6e-6)


def test_five_looks_at_power_spending():
    """So are those of five looks, as z-values."""
    assert z_of(nominal_levels(FIFTHS, alpha=0.05)) == pytest.approx([2.614, 2.335, 2.144, 1.988, 1.852], abs=6e-4)


def test_lan_demets_boundary():
    """With Lan and DeMets' spending function the recursion gives their table."""
    levels = nominal_levels(FIFTHS, alpha=0.025, spending=lan_demets_obf)
    assert z_of(levels) == pytest.approx([4.877, 3.357, 2.680, 2.290, 2.031], abs=6e-4)


@pytest.mark.parametrize(
    ("boundaries", "expected"),
    [([2.413] * 5, 0.02501), ([2.040 * math.sqrt(5 / look) for look in range(1, 6)], 0.02500)],
)
def test_classical_boundaries_cross_as_published(boundaries, expected):
    """Pocock's and O'Brien and Fleming's boundaries are crossed as often as their authors say."""
    assert crossing_probability(FIFTHS, boundaries) == pytest.approx(expected, abs=6e-6)


def test_one_look_at_the_end_is_an_ordinary_test():
    """One look spends alpha, to the last bit."""
    assert nominal_levels([1.0], alpha=0.05) == (0.05,)


def test_levels_know_nothing_of_the_future():
    """What a look may err by does not depend on the looks after it, so stopping early changes no level."""
    assert nominal_levels(TENTHS[:4], alpha=0.05) == nominal_levels(TENTHS, alpha=0.05)[:4]


def test_all_looks_together_spend_alpha():
    """Uneven looks spend alpha exactly, no more."""
    times = [0.13, 0.31, 0.32, 0.9, 1.0]
    levels = nominal_levels(times, alpha=0.01)
    assert crossing_probability(times, z_of(levels)) == pytest.approx(0.01, abs=1e-6)


def test_a_look_without_news_decides_nothing():
    """A second look at the same sample has level 0."""
    levels = nominal_levels([0.0, 0.5, 0.5, 1.0], alpha=0.05)
    assert levels[0] == levels[2] == 0
    assert levels[3] == pytest.approx(nominal_levels([0.5, 1.0], alpha=0.05)[1])


@pytest.mark.parametrize("times", [[0.5, 0.4], [-0.1, 1.0], [0.5, 1.1], [math.nan]])
def test_impossible_times(times):
    """Times run forward from 0 to 1."""
    with pytest.raises(ValueError, match="rising row"):
        nominal_levels(times, alpha=0.05)


REFERENCE = [(50, 33), (95, 74), (139, 115), (182, 157), (226, 198), (269, 240), (312, 282), (355, 325), (398, 366),
             (440, 409)]  # fmt: skip
"""First counts of 50, 100, ... 500 that declare a model above .85, and below, when alpha is spent exactly."""


def binary_walk(sizes, *, limit, decide):
    """P(ever declared above), P(ever below) at a true share of `limit`, and the counts `decide` takes at each look."""
    reach = np.array([1.0])
    above = below = 0.0
    counts = []
    for look, (size, before) in enumerate(zip(sizes, [0, *sizes], strict=False)):
        reach = np.convolve(reach, stats.binom.pmf(np.arange(size - before + 1), size - before, limit))
        enough, few = decide(look, reach, above=above, below=below)
        above += reach[enough:].sum()
        below += reach[: few + 1].sum()
        reach[enough:] = reach[: few + 1] = 0.0
        counts.append((enough, few))
    return above, below, counts


def test_exact_spending_of_binary_looks():
    """Spent exactly over ten looks at 500 answers, alpha leaves the reference counts and errors."""

    def decide(look, reach, *, above, below):
        due = 0.05 * power_spending(TENTHS[look])
        n_above = int((np.cumsum(reach[::-1]) <= due - above).sum())
        n_below = int((np.cumsum(reach) <= due - below).sum())
        return len(reach) - n_above, n_below - 1

    above, below, counts = binary_walk(look_sizes(500), limit=0.85, decide=decide)
    assert counts == REFERENCE
    assert above == pytest.approx(0.0496, abs=6e-5)
    assert below == pytest.approx(0.0479, abs=6e-5)


@pytest.mark.parametrize(("limit", "n"), [(0.85, 500), (0.85, 100), (0.95, 300), (0.99, 500), (0.5, 60)])
def test_exact_error_of_bounds_at_nominal_levels(limit, n):
    """What decides, the Clopper-Pearson bound at the level of each look, errs no more than alpha on either side."""
    sizes = look_sizes(n)
    levels = nominal_levels([size / n for size in sizes], alpha=0.05)

    def decide(look, _reach, **_spent):
        bounds = [clopper_pearson(k, sizes[look], alpha=levels[look]) for k in range(sizes[look] + 1)]
        return sum(bound.lower < limit for bound in bounds), sum(bound.upper < limit for bound in bounds) - 1

    above, below, counts = binary_walk(sizes, limit=limit, decide=decide)
    assert above <= 0.05
    assert below <= 0.05
    if (limit, n) == (0.85, 500):
        assert np.abs(np.array(counts) - REFERENCE).max() <= 1


@pytest.mark.parametrize(
    ("n", "expected"),
    [(500, tuple(range(50, 501, 50))), (100, (20, 30, 40, 50, 60, 70, 80, 90, 100)), (60, (24, 30, 36, 42, 48, 54, 60)),
     (20, (20,)), (7, (7,)), (1, (1,)), (0, ())],
)  # fmt: skip
def test_look_sizes(n, expected):
    """Looks are tenths, from twenty clusters on; a small sample is looked at once, at its end."""
    assert look_sizes(n) == expected


@pytest.mark.parametrize(("n", "a", "b"), [(0, 1.0, 1.0), (10, 2.5, 1.5), (400, 86.0, 16.0)])
def test_beta_binomial(n, a, b):
    """It is scipy's, without the half second scipy.stats takes to import."""
    expected = stats.betabinom.cdf(np.arange(n + 1), n, a, b)
    assert beta_binomial_cdf(n, a=a, b=b) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("passed", "n"), [(85, 100), (95, 100), (70, 100), (212, 250), (40, 50)])
def test_chance_of_a_decision_is_the_posterior_predictive(passed, n):
    """It is the share of Beta-binomial futures whose count decides at the last look."""
    last = LastLook(limit=0.85, n=500, pass_alpha=0.0276, fail_alpha=0.01)
    more = 500 - n
    futures = np.arange(more + 1)
    weights = stats.betabinom.pmf(futures, more, passed + 1, n - passed + 1)
    bounds = [
        (
            clopper_pearson(passed + k, 500, alpha=0.0276).lower >= 0.85
            or clopper_pearson(passed + k, 500, alpha=0.01).upper < 0.85
        )
        for k in futures.tolist()
    ]
    assert decision_probability(passed / n, n, last) == pytest.approx(float(weights[bounds].sum()), abs=1e-9)


def test_nothing_left_to_ask():
    """With no cluster to come the chance is 0 or 1."""
    last = LastLook(limit=0.85, n=100, pass_alpha=0.05, fail_alpha=0.05)
    assert decision_probability(0.85, 100, last) == 0
    assert decision_probability(0.99, 100, last) == 1
    assert decision_probability(0.50, 100, last) == 1
