"""A measured figure with its Monte Carlo interval, beside what was aimed at."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evalkit.stats.bounds import clopper_pearson

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Figure", "at_least", "at_most", "exact_at_most", "mean_at_least", "mean_at_most"]

_ONE_SIDED = 0.025
_Z = 1.96
_TOLERATED = 2.0
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One row of the page."""

    goal: str
    """Heading it stands under."""
    settings: str
    what: str
    n: int
    """Simulations; 0 where every possible outcome was judged and weighed by its probability."""
    value: float
    low: float
    """Of the 95% Monte Carlo interval; NaN where no two simulations differed, so that nothing is known of it."""
    high: float
    aim: float
    is_ceiling: bool
    error: float
    """Monte Carlo standard error: of a share were the truth exactly the aim, of a mean as observed."""

    @property
    def errors_beyond(self) -> float:
        """By how many Monte Carlo standard errors the figure misses its aim; 0 when it keeps it."""
        beyond = (self.value - self.aim) * (1 if self.is_ceiling else -1)
        if beyond <= _ROUNDING:
            return 0.0
        return beyond / self.error if self.error else math.inf

    @property
    def met(self) -> str:
        """How the figure compares with its aim: `yes`, `within error` (up to two standard errors beyond), `no`."""
        if not self.errors_beyond:
            return "yes"
        return "within error" if self.errors_beyond <= _TOLERATED else "no"


def at_most(hits: int, n: int, aim: float, **text: str) -> Figure:
    """Return the share of simulations in which something happened that should be rare."""
    return _share(hits, n, aim, is_ceiling=True, **text)


def exact_at_most(probability: float, aim: float, **text: str) -> Figure:
    """Return a probability that should be small and was summed, not simulated."""
    return Figure(
        n=0, value=probability, low=probability, high=probability, aim=aim, is_ceiling=True, error=0.0, **text
    )


def at_least(hits: int, n: int, aim: float, **text: str) -> Figure:
    """Return the share of simulations in which something happened that should be frequent."""
    return _share(hits, n, aim, is_ceiling=False, **text)


def _share(hits: int, n: int, aim: float, *, is_ceiling: bool, **text: str) -> Figure:
    bound = clopper_pearson(hits, n, alpha=_ONE_SIDED)
    error = math.sqrt(aim * (1 - aim) / n)
    return Figure(
        n=n, value=hits / n, low=bound.lower, high=bound.upper, aim=aim, is_ceiling=is_ceiling, error=error, **text
    )


def mean_at_least(values: Sequence[float], aim: float, **text: str) -> Figure:
    """Return a mean over simulations that should be large."""
    return _mean(values, aim, is_ceiling=False, **text)


def mean_at_most(values: Sequence[float], aim: float, **text: str) -> Figure:
    """Return a mean over simulations that should be small."""
    return _mean(values, aim, is_ceiling=True, **text)


def _mean(values: Sequence[float], aim: float, *, is_ceiling: bool, **text: str) -> Figure:
    mean = statistics.fmean(values)
    error = statistics.stdev(values) / math.sqrt(len(values))
    low, high = (mean - _Z * error, mean + _Z * error) if error else (math.nan, math.nan)
    return Figure(n=len(values), value=mean, low=low, high=high, aim=aim, is_ceiling=is_ceiling, error=error, **text)
