"""The arithmetic every bound shares, over whole arrays: beta limits and the effective sample size.

Kept apart from `bounds` because quantiles and power judge hundreds of counts at once: one array call
costs what one scalar call costs. Nothing here checks its input; the public modules do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import special

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from numpy.typing import ArrayLike, NDArray

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.intp]

__all__ = [
    "NO_HISTORY_RHO",
    "ROUNDING",
    "check_alpha",
    "cluster_codes",
    "effective_clusters",
    "effective_size",
    "lower_limit",
    "upper_limit",
]

NO_HISTORY_RHO = 0.5
"""Intra-cluster correlation assumed until five models have run the suite; tuned so that no simulated cell misses."""

ROUNDING = 1e-24
"""Squared rounding error a sum of scores may carry per sample; real spreads are many orders larger."""

_LARGEST_ALPHA = 0.5


def check_alpha(alpha: float) -> None:
    """Refuse an error share for which the formulas have no meaning.

    Raises:
        ValueError: unless 0 < alpha < 0.5.
    """
    if not 0 < alpha < _LARGEST_ALPHA:
        raise ValueError(f"alpha={alpha!r} is outside (0, 0.5)")


def cluster_codes(clusters: Sequence[Hashable] | NDArray[np.generic], *, n: int) -> IntArray:
    """Return one small integer per label, numbered by first appearance.

    Raises:
        ValueError: when there is not exactly one label per value.
    """
    if len(clusters) != n:
        raise ValueError(f"{len(clusters)} cluster labels for {n} values")
    labels = clusters.tolist() if isinstance(clusters, np.ndarray) else clusters
    codes: dict[Hashable, int] = {}
    return np.asarray([codes.setdefault(label, len(codes)) for label in labels], dtype=np.intp)


def effective_clusters(sizes: FloatArray) -> float:
    """Return how many equal clusters weigh as much as these: n² / Σ m²."""
    return float(sizes.sum() ** 2 / np.square(sizes).sum())


def effective_size(sums: FloatArray, sizes: FloatArray, *, alpha: float, rho: float | None) -> FloatArray:
    """Return how many independent samples each row of cluster sums is worth, in [1, n].

    Args:
        sums: shape (..., G), the score sum of each cluster.
        sizes: shape (G,), samples in each cluster; at least two effective clusters.
        alpha: one-sided error; enters through the ratio of t quantiles that pays for few clusters.
        rho: pooled intra-cluster correlation in [0, 1], or None without history: then 0.5, and clusters that all
            agree count as one sample each.

    Source: Korn and Graubard 1998, "Confidence intervals for proportions with small expected number of positive
    counts estimated from survey data"; the smaller of own and pooled design effect as calibrated for evalkit.
    """
    n = sizes.sum()
    n_clusters = len(sizes)
    worth = effective_clusters(sizes)
    mean = sums.sum(axis=-1) / n
    residual = sums - sizes * np.asarray(mean)[..., None]
    spread = np.square(residual).sum(axis=-1)
    is_flat = spread <= ROUNDING * n
    variance = np.where(is_flat, 1.0, n_clusters / (n_clusters - 1) * spread / n**2)
    few = special.stdtrit(n - 1, 1 - alpha) / special.stdtrit(worth - 1, 1 - alpha)
    own = np.where(is_flat, worth if rho is None else n, mean * (1 - mean) / variance * few**2)
    mean_size = n / worth
    pooled = n / (1 + (mean_size - 1) * (NO_HISTORY_RHO if rho is None else rho))
    return np.asarray(np.clip(np.minimum(own, pooled), 1.0, n), dtype=float)


def lower_limit(successes: ArrayLike, n: ArrayLike, *, alpha: float) -> FloatArray:
    """Return the one-sided Clopper-Pearson lower limit at error `alpha`; counts may be fractional. 0 where none passed.

    Source: Clopper and Pearson 1934, in its beta form.
    """
    k, size = np.asarray(successes, dtype=float), np.asarray(n, dtype=float)
    has_some = k > 0
    limit = special.betaincinv(np.where(has_some, k, 1.0), np.where(has_some, size - k + 1, 1.0), alpha)
    return np.where(has_some, limit, 0.0)


def upper_limit(successes: ArrayLike, n: ArrayLike, *, alpha: float) -> FloatArray:
    """Return the one-sided Clopper-Pearson upper limit at error `alpha`; 1 where all passed.

    Taken as the mirror of the lower limit, so that swapping passes and failures swaps the limits to the last bit.
    """
    failures = np.asarray(n, dtype=float) - np.asarray(successes, dtype=float)
    return 1.0 - lower_limit(np.maximum(failures, 0.0), n, alpha=alpha)
