"""The discrete distributions the exact tests need, from scipy's special functions.

`scipy.stats` has them, and takes half a second to import: longer than most of what evalkit does in a run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import special

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["beta_binomial_cdf", "binomial_cdf", "binomial_pmf", "hypergeometric_pmf"]


def binomial_cdf(successes: int, n: int, share: float) -> float:
    """Return P(at most `successes` of n), each with probability `share` in [0, 1]."""
    return float(special.bdtr(successes, n, share))


def binomial_pmf(successes: ArrayLike, n: int, share: float) -> NDArray[np.float64]:
    """Return P(exactly k of n) for each k in `successes`; shape as `successes`."""
    k = np.asarray(successes, dtype=float)
    ways = special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(n - k + 1)
    log_pmf = ways + special.xlogy(k, share) + special.xlog1py(n - k, -share)
    return np.asarray(np.exp(log_pmf), dtype=np.float64)


def beta_binomial_cdf(n: int, *, a: float, b: float) -> NDArray[np.float64]:
    """Return P(at most k of n) for k = 0..n, when the probability itself is drawn from Beta(a, b)."""
    k = np.arange(n + 1, dtype=float)
    log_pmf = _log_choose(n, k) + special.betaln(k + a, n - k + b) - special.betaln(a, b)
    return np.asarray(np.minimum(np.cumsum(np.exp(log_pmf)), 1.0), dtype=np.float64)


def hypergeometric_pmf(hits: ArrayLike, *, total: int, good: int, drawn: int) -> NDArray[np.float64]:
    """Return P(exactly k good among `drawn` of `total`, `good` of which are good) for each possible k in `hits`."""
    k = np.asarray(hits, dtype=float)
    log_pmf = _log_choose(good, k) + _log_choose(total - good, drawn - k) - _log_choose(total, drawn)
    return np.asarray(np.exp(log_pmf), dtype=np.float64)


def _log_choose(n: ArrayLike, k: ArrayLike) -> NDArray[np.float64]:
    n, k = np.asarray(n, dtype=float), np.asarray(k, dtype=float)
    return np.asarray(special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(n - k + 1), dtype=np.float64)
