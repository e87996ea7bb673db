"""Deciding early: levels for repeated looks at one sample, and when to give up.

Looks are taken at sizes fixed beforehand, never when the scores look good. Each look has its own small error, and all
of them together spend alpha and no more, so a bound that decides at *some* look is as sure as one look at the end.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from evalkit.stats._distributions import beta_binomial_cdf
from evalkit.stats._limits import check_alpha, lower_limit, upper_limit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from evalkit.stats._limits import FloatArray

__all__ = [
    "FUTILE_BELOW",
    "MIN_LOOK_CLUSTERS",
    "N_LOOKS",
    "LastLook",
    "decision_probability",
    "look_sizes",
    "nominal_levels",
    "power_spending",
    "size_at",
]

N_LOOKS = 10
"""Looks at equal fractions of what is scheduled."""

MIN_LOOK_CLUSTERS = 20
"""No look rests on fewer, unless the whole sample does."""

FUTILE_BELOW = 0.02
"""With a smaller chance of ever being decided a gate is not worth its calls; .10 saves little more, and loses more."""

_POWER = 1.5
_STEP = 0.02
"""Grid of the recursion in standard deviations of the last look: a finer one changes no level by 1e-7."""
_FAR = 8.5
"""Where a normal density is as good as nothing, in standard deviations."""


def look_sizes(n_clusters: int) -> tuple[int, ...]:
    """Return after how many clusters looks are taken: each tenth of them from the twentieth on; the last is at the end.

    Empty for no clusters. They depend on the size alone, so on nothing that was answered.
    """
    tenths = (size_at(n_clusters, tenth=tenth) for tenth in range(1, N_LOOKS + 1))
    return tuple(dict.fromkeys(n for n in tenths if n >= min(MIN_LOOK_CLUSTERS, n_clusters) and n > 0))


def size_at(n_clusters: int, *, tenth: int) -> int:
    """Return how many of the clusters are asked by a tenth of the plan, 1 to 10."""
    return math.ceil(n_clusters * tenth / N_LOOKS)


def power_spending(time: float) -> float:
    """Return the share of alpha that may be spent by this share of the planned information, both in [0, 1].

    Source: Kim and DeMets 1987, "Design and analysis of group sequential tests based on the type I error spending
    rate function", Biometrika 74; their power family, at 1.5 between Pocock's and O'Brien and Fleming's.
    """
    return float(min(time, 1.0) ** _POWER)


def nominal_levels(
    times: Sequence[float], *, alpha: float, spending: Callable[[float], float] = power_spending
) -> tuple[float, ...]:
    """Return the one-sided error of each look such that all looks together err with probability `alpha` at most.

    The level of a look depends on looks up to it only: what comes later, or never comes, changes nothing. A look that
    adds no information gets level 0: it cannot decide.

    Args:
        times: share of the planned information at each look, never falling, in [0, 1].
        alpha: one-sided error of all looks together, in (0, 0.5).
        spending: share of alpha spent by a time; rises from 0 to 1.

    Source: Lan and DeMets 1983, "Discrete sequential boundaries for clinical trials", Biometrika 70, by the recursion
    of Armitage, McPherson and Rowe 1969.
    """
    check_alpha(alpha)
    _check_times(times)
    return _levels(tuple(times), alpha, spending)


@lru_cache(maxsize=256)
def _levels(times: tuple[float, ...], alpha: float, spending: Callable[[float], float]) -> tuple[float, ...]:
    walk = _Walk()
    levels: list[float] = []
    spent = 0.0
    for time in times:
        due = alpha * spending(time) - spent
        if time <= walk.time or due <= 0:
            levels.append(0.0)
            continue
        # Of the first look the level is what it spends, to the last bit: one look at the end is an ordinary test.
        level = due if walk.is_new else _level_that_spends(due, walk.density_at(time), time=time)
        walk.go_on(time, below=_z(level) * math.sqrt(time))
        levels.append(level)
        spent += due
    return tuple(levels)


def _check_times(times: Sequence[float]) -> None:
    is_rising = all(earlier <= later for earlier, later in pairwise(times))
    if not is_rising or not all(0 <= time <= 1 for time in times):
        raise ValueError(f"times {tuple(times)!r} are not a rising row in [0, 1]")


def _z(level: float) -> float:
    return -float(special.ndtri(level))


@dataclass(frozen=True, slots=True)
class _Density:
    """Where the sum is at a look, of those walks that no earlier look has ended, as normal steps from a grid."""

    starts: FloatArray
    weights: FloatArray
    sd: float

    def above(self, cut: float) -> float:
        return float(self.weights @ special.ndtr((self.starts - cut) / self.sd))

    def at(self, places: FloatArray) -> FloatArray:
        steps = (places[:, None] - self.starts[None, :]) / self.sd
        kernel = np.exp(-0.5 * np.square(steps)) / (self.sd * math.sqrt(2 * math.pi))
        return np.asarray(kernel @ self.weights, dtype=float)


class _Walk:
    """A sum of independent normal steps with variance `time`, and what is left of it below the boundaries so far."""

    def __init__(self) -> None:
        self.time = 0.0
        self._starts: FloatArray = np.zeros(1)
        self._weights: FloatArray = np.ones(1)

    @property
    def is_new(self) -> bool:
        return self.time == 0

    def density_at(self, time: float) -> _Density:
        return _Density(self._starts, self._weights, math.sqrt(time - self.time))

    def go_on(self, time: float, *, below: float) -> None:
        """Move to `time` and keep what is below a boundary there, on a grid for Simpson's rule."""
        density = self.density_at(time)
        low = -_FAR * math.sqrt(time)
        high = min(below, _FAR * math.sqrt(time))
        n_steps = 2 * max(math.ceil((high - low) / math.sqrt(time) / _STEP / 2), 1)
        grid = np.linspace(low, high, n_steps + 1)
        simpson = np.ones(n_steps + 1)
        simpson[1:-1:2], simpson[2:-1:2] = 4.0, 2.0
        simpson *= (high - low) / n_steps / 3
        self._weights = density.at(grid) * simpson
        self._starts = grid
        self.time = time


def _level_that_spends(due: float, density: _Density, *, time: float) -> float:
    """Return the level at which this look ends exactly `due` of the walks that are left; by halving."""
    low, high = -_FAR, _FAR
    for _ in range(80):
        middle = (low + high) / 2
        if density.above(middle * math.sqrt(time)) > due:
            low = middle
        else:
            high = middle
    return float(special.ndtr(-high))


@dataclass(frozen=True, slots=True, kw_only=True)
class LastLook:
    """What is asked at the end: `mean >= limit` with so many clusters in all, and the errors then."""

    limit: float
    n: int
    pass_alpha: float
    fail_alpha: float


def decision_probability(mean: float, n: float, last: LastLook) -> float:
    """Return how likely the last look decides, one way or the other, given what was seen so far.

    The clusters still to come pass with a probability drawn from Beta(k + 1, n - k + 1), k = mean · n.

    Args:
        mean: observed so far, in [0, 1].
        n: clusters (or effective samples) it rests on.
        last: the last look.

    Source: Spiegelhalter, Freedman and Blackburn 1986, "Monitoring clinical trials: conditional or predictive power?"
    """
    n_more = max(last.n - round(n), 0)
    passed = mean * n
    totals = passed + np.arange(n_more + 1)
    size = n + n_more
    has_passed = lower_limit(totals, size, alpha=last.pass_alpha) >= last.limit
    has_failed = upper_limit(totals, size, alpha=last.fail_alpha) < last.limit
    cdf = beta_binomial_cdf(n_more, a=passed + 1, b=n - passed + 1)
    # Both sides are tails: counts up to one fail, counts from another on pass.
    below = np.concatenate(([0.0], cdf))
    to_fail = below[int(has_failed.sum())]
    to_pass = 1.0 - below[n_more + 1 - int(has_passed.sum())]
    return float(min(max(to_pass, 0.0) + to_fail, 1.0))
