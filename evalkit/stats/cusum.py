"""Slow drift over many nights: self-starting CUSUM charts, which learn the usual level from the nights themselves.

A night becomes a *surprise*: how far it lies from the nights before it, as a standard normal would see it. Where every
night repeats the same cases, a night is held against each case's own history; where a night is one number, such as a
median latency, against the nights before. The chart adds up surprises; the alarm is set by how long a quiet chart runs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy import optimize, special

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from evalkit.stats._limits import FloatArray

__all__ = [
    "ALLOWANCE",
    "MIN_THRESHOLD",
    "NIGHTS_NEEDED",
    "NIGHTS_PER_FALSE_ALARM",
    "Alarm",
    "average_run_length",
    "between_surprises",
    "first_alarm",
    "threshold_for",
    "within_surprises",
]

ALLOWANCE = 0.5
"""k: what is taken off every surprise; a chart looks for shifts of twice as many standard errors of a night."""

MIN_THRESHOLD = 8.05
"""h: a quiet chart runs 20,000 nights on average before it alarms, so of 200 about one does within 100 nights."""

NIGHTS_PER_FALSE_ALARM = 100
"""What a whole family of quiet charts is allowed: one false alarm in so many nights."""

NIGHTS_NEEDED = 8
"""Nights of a series before its newest can be judged: seven to know the level by, and one to judge."""

_STATES = 101
_SMALL_FAMILY = 200
_LARGEST_THRESHOLD = 40.0
# Smaller skewness changes no normal score in the fourth decimal, and its gamma shape would lose digits.
_SKEWED = 1e-4
# Squared rounding error that centred sums may carry, relative to the squares themselves.
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class Alarm:
    """A chart above its threshold."""

    night: int
    """Index of the night on which it rose above."""
    change: int
    """Index of the first night of the rise: the night after the chart last stood at 0."""


@lru_cache(maxsize=64)
def average_run_length(threshold: float, *, allowance: float = ALLOWANCE, n_states: int = _STATES) -> float:
    """Return the nights a chart of standard normal surprises runs on average until its first, false, alarm.

    A Markov chain over the chart's height, its first state centred at 0.

    Args:
        threshold: h, above 0.
        allowance: k, at or above 0.
        n_states: of the chain; 101 are within .5% of the limit up to h = 12.

    Source: Brook and Evans 1972, Biometrika 59.
    """
    # Written so that NaN fails it.
    if not (threshold > 0 and allowance >= 0):
        raise ValueError(f"threshold={threshold!r}, allowance={allowance!r}: expected > 0 and >= 0")
    width = 2 * threshold / (2 * n_states - 1)
    steps = (np.arange(n_states)[None, :] - np.arange(n_states)[:, None]) * width + allowance
    up = special.ndtr(steps + width / 2)
    moves = up - special.ndtr(steps - width / 2)
    moves[:, 0] = up[:, 0]  # whatever would fall below 0 stays at 0
    return float(np.linalg.solve(np.eye(n_states) - moves, np.ones(n_states))[0])


@lru_cache(maxsize=64)
def threshold_for(n_charts: int) -> float:
    """Return the threshold at which so many charts together alarm falsely once in 100 nights, in one direction.

    Never below `MIN_THRESHOLD`, which is that of 200 charts: a small family is judged more strictly than it need be.
    Correlated charts alarm together, so the rate of nights with an alarm is lower still.
    """
    if n_charts <= _SMALL_FAMILY:
        return MIN_THRESHOLD
    wanted = math.log(NIGHTS_PER_FALSE_ALARM * n_charts)

    def excess(threshold: float) -> float:
        return math.log(average_run_length(threshold)) - wanted

    return float(optimize.brentq(excess, MIN_THRESHOLD, _LARGEST_THRESHOLD, xtol=1e-6))


def within_surprises(values: ArrayLike) -> FloatArray:
    """Return how surprising each night is, given what each case scored on all nights up to it; NaN where unjudged.

    If nothing changes, tonight's value of a case may be any of those the case has had, tonight's among them, with equal
    chance: a permutation within cases, whatever the values are. Its first three moments give a gamma (Pearson type III)
    tail, and that a normal score, so that rare failures surprise no more than they should. For binary scores these are
    the moments of the exact stratified test of `compare_paired`, and for many cases the score is

        (tonight - mean of earlier nights) * sqrt(t / (t + 1)) / within-case standard error,    t earlier nights.

    Positive is a night above its past. A case with one value has no history; a night that could not differ is 0.

    Args:
        values: shape (n_nights, n_cases), oldest first, NaN where a case has no value that night.

    Source: Hawkins 1987, The Statistician 36 (self-starting charts); Quesenberry 1991, Journal of Quality Technology 23
    (normal scores of conditional tests); Mielke, Berry and Brier 1981, Monthly Weather Review 109 (Pearson type III).
    """
    given = np.asarray(values, dtype=float)
    known = ~np.isnan(given)
    # Centred on each case's first value: nothing is lost to rounding, and no later night is looked at.
    first = given[np.argmax(known, axis=0), np.arange(given.shape[1])]
    centred = np.where(known, given - first, 0.0)
    seen = np.cumsum(known, axis=0)
    is_judged = known & (seen > 1)
    n = np.maximum(seen, 1)
    squares = centred * centred
    mean, square, cube = (np.cumsum(power, axis=0) / n for power in (centred, squares, squares * centred))
    variance = square - mean**2
    variance[variance <= _ROUNDING * square] = 0.0
    third = np.where(variance > 0, cube - 3 * mean * square + 2 * mean * mean * mean, 0.0)
    above, spread, skew = (
        np.where(is_judged, part, 0.0).sum(axis=1)
        for part in (np.where(variance > 0, centred - mean, 0), variance, third)
    )
    scores = np.zeros(len(given))
    moves = spread > 0
    scores[moves] = _normal_scores(above[moves] / np.sqrt(spread[moves]), skew[moves] / spread[moves] ** 1.5)
    scores[: NIGHTS_NEEDED - 1] = np.nan
    return scores


def _normal_scores(z: FloatArray, skewness: FloatArray) -> FloatArray:
    """Return normal scores of standardised sums with this skewness: the long tail by a gamma, the short one as it is.

    In the short tail a normal score exceeds z; z itself is kept there, which errs towards no alarm. A count that stands
    still is an atom, not a point of a curve: a night on the mean's one side is never a surprise on the other.
    """
    is_long = np.abs(skewness) > _SKEWED
    is_long &= np.sign(skewness) == np.sign(z)
    scores = z.copy()
    shape = 4 / skewness[is_long] ** 2
    size = np.abs(z[is_long])
    # The upper tail by itself: one minus the lower would lose it.
    tail = special.gammaincc(shape, shape + size * np.sqrt(shape))
    scores[is_long] = np.sign(z[is_long]) * np.clip(-special.ndtri(tail), 0.0, size)
    return scores


def between_surprises(values: ArrayLike) -> FloatArray:
    """Return how surprising each night's one number is, given the nights before it; NaN where unjudged.

    Student's t of tonight against the earlier nights, as a normal score; exact for independent normal nights, whatever
    their level and spread. Positive is above. Where all earlier nights were alike, another value counts as beyond all
    bounds (infinite), the same value as 0.

    Args:
        values: shape (n_nights,), oldest first; logarithms where ratios matter.

    Source: Hawkins 1987, The Statistician 36.
    """
    given = np.asarray(values, dtype=float)
    scores = np.full(len(given), np.nan)
    if len(given) < NIGHTS_NEEDED:
        return scores
    judged = slice(NIGHTS_NEEDED - 1, None)
    centred = given - given[0]
    t = np.arange(len(given), dtype=float)[judged]
    mean, square = (np.cumsum(power)[NIGHTS_NEEDED - 2 : -1] / t for power in (centred, centred * centred))
    spread = np.sqrt(np.maximum(square - mean**2, 0.0) * t / (t - 1))
    step = centred[judged] - mean
    largest = np.maximum.accumulate(np.abs(given))[judged]
    varies = spread > math.sqrt(_ROUNDING) * largest
    statistic = np.abs(step) / np.where(varies, spread, 1.0) * np.sqrt(t / (t + 1))
    found = np.sign(step) * -special.ndtri(special.stdtr(t - 1, -statistic))
    moved = np.where(np.abs(step) > math.sqrt(_ROUNDING) * largest, np.copysign(np.inf, step), 0.0)
    scores[judged] = np.where(varies, found, moved)
    return scores


def first_alarm(surprises: ArrayLike, *, threshold: float) -> Alarm | None:
    """Return the first alarm of a one-sided chart that rises with positive surprises, or None.

    No single night raises it: a surprise counts at most so much that two such nights are needed. An outage or one bad
    night is not a drift; `compare` and the gates speak of single nights.

    Source: Page 1954, Biometrika 41; Lucas and Crosier 1982, Technometrics 24 (one outlier never signals).
    """
    most = (threshold / 2 + ALLOWANCE) * (1 + 1e-9)
    height, change = 0.0, 0
    for night, surprise in enumerate(np.asarray(surprises, dtype=float).tolist()):
        if math.isnan(surprise):
            continue
        if height <= 0.0:
            height, change = 0.0, night
        height += min(surprise, most) - ALLOWANCE
        if height > threshold:
            return Alarm(night, change)
    return None
