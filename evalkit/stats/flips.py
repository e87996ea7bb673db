"""How often two nights of the same model disagree: nights drawn from what was seen, and the share of pairs that differ.

A flip is a pair of nights of which one passes and the other does not. With p the chance to pass, that is 2p(1 - p): at
most one pair in two, and rare only where p is close to 0 or 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from evalkit.stats._limits import lower_limit, upper_limit

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import ArrayLike

__all__ = ["FlipRate", "NightDraw", "Population", "draw_nights", "observed_flip_rate", "resampled_flip_rate"]

_LEVEL = 0.95
_ALPHA = (1 - _LEVEL) / 2
_MOST = 0.5
_MIN_NIGHTS = 2
_IMAGINED_WEIGHT = 0.5
"""With it a yes-or-no metric gets Jeffreys' prior."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlipRate:
    """Share of pairs of nights that disagree, with a two-sided interval."""

    value: float
    """In [0, 0.5]."""
    lower: float
    upper: float
    level: float
    """Two-sided, in (0, 1)."""
    method: str
    """`resampled` or `observed`."""
    n_nights: int
    """Nights behind it, simulated or real."""
    n_passed: int
    """How many of them passed."""

    @property
    def n_pairs(self) -> int:
        """Pairs of these nights."""
        return self.n_nights * (self.n_nights - 1) // 2

    @property
    def n_flips(self) -> int:
        """Pairs of which one night passed and the other did not."""
        return self.n_passed * (self.n_nights - self.n_passed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Population:
    """What the clusters of one suite are drawn from."""

    n_observed: int
    """At least 2."""
    n_imagined: int = 0
    """Clusters nobody saw, at half the weight of a seen one: so that a perfect night is no proof of perfection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NightDraw:
    """One simulated night."""

    counts: tuple[tuple[int, ...], ...]
    """Suite by suite, how often each cluster is drawn: the observed ones, then the imagined."""
    occasion: float
    """In [0, 1): which of the stored nights it is drawn from."""


def draw_nights(
    populations: Sequence[Population], *, scale: float, n_truths: int, n_nights: int, seed: Sequence[int]
) -> Iterator[tuple[NightDraw, ...]]:
    """Yield, for each of `n_truths` worlds that what was seen allows, `n_nights` nights in that world.

    A world gives every cluster a weight (the Bayesian bootstrap): it is what the suite's prompts could be like. A night
    draws its clusters by these weights. The worlds are the same at every scale.

    Args:
        populations: one a suite.
        scale: clusters of a night, as a multiple of those observed.
        n_truths: at least 1.
        n_nights: at least 1.
        seed: whole numbers of at least 0.

    Source: Rubin 1981, "The Bayesian bootstrap", Annals of Statistics 9; whole clusters are drawn, as Davison and
    Hinkley 1997, "Bootstrap Methods and their Application", 3.8, recommend for nested data.
    """
    worlds, nights = np.random.default_rng([*seed, 0]), np.random.default_rng([*seed, 1])
    priors = [[1.0] * found.n_observed + [_IMAGINED_WEIGHT] * found.n_imagined for found in populations]
    sizes = [max(2, round(found.n_observed * scale)) for found in populations]
    for _ in range(n_truths):
        drawn = [
            nights.multinomial(size, worlds.dirichlet(prior), size=n_nights).tolist()
            for size, prior in zip(sizes, priors, strict=True)
        ]
        occasions = nights.random(n_nights).tolist()
        yield tuple(
            NightDraw(counts=tuple(tuple(suite[index]) for suite in drawn), occasion=occasions[index])
            for index in range(n_nights)
        )


def resampled_flip_rate(passed: ArrayLike) -> FlipRate:
    """Return the flip rate to expect, from nights simulated in several worlds.

    The value is the chance that the next two nights of one world disagree, averaged over worlds: no pair across worlds
    counts. The interval is that of the rate in single worlds. A world differs from what was seen as much as a night
    differs from its world, being a draw of as many clusters: so on the normal scale half of the variance of what nights
    show lies between worlds, and the share of nights that passed gives the chance to pass in any of them. With no flip
    seen half a night counts as one, so the interval is never empty.

    Args:
        passed: shape (worlds, nights), at least 1 × 2, true where the night passes; nights as large as the stored one.
    """
    table = np.asarray(passed, dtype=bool)
    n_nights = table.shape[1]
    counts = table.sum(axis=1)
    pairs = n_nights * (n_nights - 1) / 2
    value = min(float((counts * (n_nights - counts)).mean() / pairs), _MOST)
    total, n = int(counts.sum()), table.size
    # Symmetric: the rarer answer is counted. Towards 0 what the number of simulated nights leaves open counts as well.
    rare = min(total, n - total)
    least, share = float(lower_limit(rare, n, alpha=_ALPHA)), (rare + 0.5) / (n + 1)
    reach = float(special.ndtri(1 - _ALPHA))
    ends = [math.sqrt(2) * float(special.ndtri(at)) + by for at, by in ((least, -reach), (share, reach))]
    low, high = _flip_interval(*(float(special.ndtr(end)) for end in ends))
    return FlipRate(
        value=value,
        lower=min(low, value),
        upper=max(high, value),
        level=_LEVEL,
        method="resampled",
        n_nights=n,
        n_passed=total,
    )


def observed_flip_rate(n_passed: int, n_nights: int) -> FlipRate:
    """Return the share of all pairs of real nights that disagree; above one in two it is cut to that.

    The interval is that of 2p(1 - p) over the exact interval of p, and rests on the nights being independent.

    Raises:
        ValueError: with fewer than two nights, or more that passed than there are.
    """
    if n_nights < _MIN_NIGHTS or not 0 <= n_passed <= n_nights:
        raise ValueError(f"{n_passed!r} of {n_nights!r} nights passed")
    value = min(2 * n_passed * (n_nights - n_passed) / (n_nights * (n_nights - 1)), _MOST)
    ends = (f(n_passed, n_nights, alpha=_ALPHA) for f in (lower_limit, upper_limit))
    low, high = _flip_interval(*(float(end) for end in ends))
    return FlipRate(
        value=value,
        lower=min(low, value),
        upper=max(high, value),
        level=_LEVEL,
        method="observed",
        n_nights=n_nights,
        n_passed=n_passed,
    )


def _flip_interval(low: float, high: float) -> tuple[float, float]:
    """Return the least and the largest 2p(1 - p) over a chance to pass between `low` and `high`."""
    ends = [2 * share * (1 - share) for share in (low, high)]
    return min(ends), _MOST if low <= _MOST <= high else max(ends)
