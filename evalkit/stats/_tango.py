"""Tango's score interval for a difference of paired shares: honest where no pair differs and t claims certainty."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from evalkit.stats.bounds import Interval

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["tango_bounds", "tango_statistic"]

# Root finding stays this far inside (-1, 1), where the statistic is finite.
_EDGE = 1e-12


def tango_statistic(gains: ArrayLike, losses: ArrayLike, n: int, *, difference: float) -> NDArray[np.float64]:
    """Return the score statistic z of "the true difference is `difference`"; large means it is larger.

    Args:
        gains: pairs that only the candidate passes.
        losses: pairs that only the baseline passes.
        n: all pairs, at least 1.
        difference: candidate minus baseline, in (-1, 1).

    Source: Tango 1998, "Equivalence test and confidence interval for the difference in proportions for the
    paired-sample design", Statistics in Medicine 17; the nuisance share is its maximum-likelihood value.
    """
    up, down = np.asarray(gains, dtype=float), np.asarray(losses, dtype=float)
    linear = -up - down + (2 * n - up + down) * difference
    constant = -down * difference * (1 - difference)
    root = np.sqrt(np.maximum(linear**2 - 8 * n * constant, 0.0))
    share_lost = np.maximum((root - linear) / (4 * n), 0.0)
    variance = n * (2 * share_lost + difference * (1 - difference))
    excess = up - down - n * difference
    # No variance is left only where the hypothesis fits the data exactly.
    return np.where(variance > 0, excess / np.sqrt(np.where(variance > 0, variance, 1.0)), 0.0)


def tango_bounds(gains: float, losses: float, n: int, *, alpha: float) -> Interval:
    """Return the *one-sided* lower and upper bound of the difference, each at error `alpha`; counts may be fractional.

    Pairs that differ by less than 1 vary less than whole ones of the same gains and losses, so for them it is wider.
    """
    z = float(special.ndtri(1 - alpha))
    observed = (gains - losses) / n

    # The statistic falls from beyond any quantile at -1, through 0 at the observed difference, to the same at 1.
    def root(target: float, low: float, high: float) -> float:
        # Sixty halvings are as exact as a float gets; scipy.optimize takes longer to import than this ever will.
        for _ in range(60):
            middle = (low + high) / 2
            if float(tango_statistic(gains, losses, n, difference=middle)) > target:
                low = middle
            else:
                high = middle
        return (low + high) / 2

    low = -1.0 if losses == n else root(z, -1 + _EDGE, min(observed, 1 - _EDGE))
    high = 1.0 if gains == n else root(-z, max(observed, -1 + _EDGE), 1 - _EDGE)
    return Interval(min(low, observed), max(high, observed))
