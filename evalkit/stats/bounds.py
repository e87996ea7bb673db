"""One-sided bounds of a mean of scores in [0, 1]: what every gate but cost is decided on.

A mean never decides, a bound does. Too little data gives no bound at all (`None`, with `problem` saying why),
never a narrow one: a perfect run of ten has a lower bound of 0.74, and an empty run has none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import special

from evalkit.domain.estimate import Estimate
from evalkit.stats._limits import (
    ROUNDING,
    check_alpha,
    cluster_codes,
    effective_clusters,
    effective_size,
    lower_limit,
    upper_limit,
)

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from numpy.typing import ArrayLike, NDArray

    from evalkit.stats._limits import FloatArray

    Clusters = Sequence[Hashable] | NDArray[np.generic]

__all__ = [
    "INSUFFICIENT",
    "MIN_POOLED_MODELS",
    "Bound",
    "Interval",
    "anova_icc",
    "clopper_pearson",
    "gate_bound",
    "pooled_icc",
    "wilson_interval",
    "worst_case_bound",
]

INSUFFICIENT = "insufficient"
"""The `problem` of a bound that the data cannot give."""

MIN_POOLED_MODELS = 5
"""Models a pooled intra-cluster correlation must rest on."""

_MIN_CLUSTERS = 2


class Interval(NamedTuple):
    """A two-sided interval, for display only."""

    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """A value between two bounds, each *one-sided* at `level`."""

    value: float | None
    """None when there is nothing to estimate from."""
    lower: float | None
    """None where the data cannot give one."""
    upper: float | None
    """None where the data cannot give one."""
    level: float
    """1 - alpha: one-sided confidence of each bound alone, in (0.5, 1)."""
    method: str
    n: int
    """Samples behind the value."""
    n_clusters: int
    n_effective: float
    """Independent samples the data is worth; 0 when there is none."""
    problem: str = ""
    """Why a bound is None, such as `insufficient`; empty when both are there."""

    def estimate(self) -> Estimate | None:
        """Return it as other layers take it; None when there is nothing to estimate from."""
        if self.value is None:
            return None
        return Estimate(
            value=self.value,
            lower=self.lower,
            upper=self.upper,
            level=self.level,
            method=self.method,
            n=self.n,
            n_clusters=self.n_clusters,
        )


def gate_bound(values: ArrayLike, clusters: Clusters | None, *, alpha: float, rho: float | None = None) -> Bound:
    """Return one-sided bounds of the mean score of *prompts like these*.

    Prompts are the random units: more trials of the same prompts never count for more than their clusters.
    When every cluster holds one sample this is plain Clopper-Pearson with n_effective = n (also for graded scores,
    where it is conservative); else Clopper-Pearson at an effective size. Order of records does not matter.

    With clusters of several samples the bound is *not* monotone in single scores: one more failure can show that
    failures are spread out, and so raise the effective size.

    Args:
        values: shape (n,), each in [0, 1].
        clusters: one hashable label per value; None makes every value its own cluster.
        alpha: one-sided error of each bound, in (0, 0.5).
        rho: intra-cluster correlation of the suite from earlier runs, in [0, 1]; None without history (0.5 then);
            0 for time blocks.

    Returns:
        Method `clopper_pearson` (binary, clusters of one) or `gate_bound`; bounds None with problem `insufficient`
        when there are fewer than two effective clusters.

    Raises:
        ValueError: for a value outside [0, 1] or NaN, labels that do not match, or alpha or rho out of range.

    Source: Clopper and Pearson 1934; Korn and Graubard 1998; Miller 2024, arXiv:2411.00640, for the estimand.
    """
    check_alpha(alpha)
    if rho is not None and not 0 <= rho <= 1:
        raise ValueError(f"rho={rho!r} is outside [0, 1]")
    scores = _shares(values)
    sums, sizes = _cluster_sums(scores, clusters)
    if len(sums) == 0 or effective_clusters(sizes) < _MIN_CLUSTERS:
        return _no_bound(scores, n_clusters=len(sums), alpha=alpha)
    n = len(scores)
    total = float(sums.sum())
    mean = min(total / n, 1.0)
    is_flat = len(sums) == n
    size = float(n) if is_flat else float(effective_size(sums, sizes, alpha=alpha, rho=rho))
    successes = total if is_flat else mean * size
    return Bound(
        value=mean,
        lower=min(float(lower_limit(successes, size, alpha=alpha)), mean),
        upper=max(float(upper_limit(successes, size, alpha=alpha)), mean),
        level=1 - alpha,
        method="clopper_pearson" if is_flat and _is_binary(scores) else "gate_bound",
        n=n,
        n_clusters=len(sums),
        n_effective=size,
    )


def _shares(values: ArrayLike) -> FloatArray:
    scores = np.asarray(values, dtype=float)
    if scores.ndim != 1:
        raise ValueError(f"values have shape {scores.shape}, expected one dimension")
    # Written so that NaN fails it.
    if len(scores) and not (scores.min() >= 0 and scores.max() <= 1):
        raise ValueError(f"values run from {scores.min()!r} to {scores.max()!r}, expected [0, 1]")
    return scores


def _is_binary(scores: FloatArray) -> bool:
    return bool(((scores == 0) | (scores == 1)).all())


def _cluster_sums(scores: FloatArray, clusters: Clusters | None) -> tuple[FloatArray, FloatArray]:
    """Return the sum and size of each cluster, both in an order that no shuffling of records changes.

    Floating sums depend on their order: sorting first makes verdicts the same to the last bit at any concurrency.
    """
    if clusters is None:
        return np.sort(scores), np.ones(len(scores), dtype=float)
    codes = cluster_codes(clusters, n=len(scores))
    order = np.argsort(scores, kind="stable")
    sums: FloatArray = np.bincount(codes[order], weights=scores[order]).astype(float)
    sizes: FloatArray = np.bincount(codes).astype(float)
    order = np.lexsort((sizes, sums))
    return sums[order], sizes[order]


def _no_bound(scores: FloatArray, *, n_clusters: int, alpha: float) -> Bound:
    n = len(scores)
    return Bound(
        value=min(math.fsum(scores) / n, 1.0) if n else None,
        lower=None,
        upper=None,
        level=1 - alpha,
        method="gate_bound",
        n=n,
        n_clusters=n_clusters,
        n_effective=float(min(n_clusters, 1)),
        problem=INSUFFICIENT,
    )


def worst_case_bound(
    values: ArrayLike, clusters: Clusters | None, missing_clusters: Clusters, *, alpha: float, rho: float | None = None
) -> Bound:
    """Return bounds that hold whatever the missing answers would have been: lower with all 0, upper with all 1.

    `value`, `n` and `n_clusters` are of the observed answers alone; `n_effective` is the smaller of the two sides.

    Args:
        values: shape (n,), the observed scores in [0, 1].
        clusters: one label per observed value, or None.
        missing_clusters: one label per missing answer; with `clusters` None only their number counts.
        alpha: one-sided error of each bound, in (0, 0.5).
        rho: as in `gate_bound`.

    Source: Manski 1990, "Nonparametric bounds on treatment effects", for bounding what is not observed.
    """
    observed = gate_bound(values, clusters, alpha=alpha, rho=rho)
    if observed.n == 0 or len(missing_clusters) == 0:
        return observed
    scores = np.asarray(values, dtype=float)
    labels = None if clusters is None else [*clusters, *missing_clusters]
    n_missing = len(missing_clusters)
    low = gate_bound(np.concatenate((scores, np.zeros(n_missing))), labels, alpha=alpha, rho=rho)
    high = gate_bound(np.concatenate((scores, np.ones(n_missing))), labels, alpha=alpha, rho=rho)
    if low.lower is None or high.upper is None:
        return observed
    # In clusters one more zero can raise the effective size: what is missing must never help.
    return replace(
        observed,
        lower=low.lower if observed.lower is None else min(low.lower, observed.lower),
        upper=high.upper if observed.upper is None else max(high.upper, observed.upper),
        method=low.method,
        n_effective=min(low.n_effective, high.n_effective),
        problem="",
    )


def clopper_pearson(k: float, n: int, *, alpha: float) -> Bound:
    """Return the exact one-sided bounds of k passes in n independent tries; k may be a mean, and fractional.

    Raises:
        ValueError: unless 0 <= k <= n and 0 < alpha < 0.5.

    Source: Clopper and Pearson 1934, "The use of confidence or fiducial limits illustrated in the case of the
    binomial", Biometrika 26.
    """
    check_alpha(alpha)
    if not 0 <= k <= n:
        raise ValueError(f"k={k!r} passes in n={n!r} tries")
    return Bound(
        value=k / n if n else None,
        lower=float(lower_limit(k, n, alpha=alpha)) if n else None,
        upper=float(upper_limit(k, n, alpha=alpha)) if n else None,
        level=1 - alpha,
        method="clopper_pearson",
        n=n,
        n_clusters=n,
        n_effective=float(n),
        problem="" if n else INSUFFICIENT,
    )


def wilson_interval(value_mean: float, n_effective: float, *, level: float = 0.95) -> Interval:
    """Return the *two-sided* Wilson score interval of a share, for display only: decisions use `gate_bound`.

    Args:
        value_mean: observed share in [0, 1].
        n_effective: independent samples behind it, `Bound.n_effective`; at or below 0 the interval is (0, 1).
        level: two-sided confidence in (0, 1).

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference".
    """
    if not 0 <= value_mean <= 1:
        raise ValueError(f"value_mean={value_mean!r} is outside [0, 1]")
    if n_effective <= 0:
        return Interval(0.0, 1.0)
    z2 = float(special.ndtri((1 + level) / 2)) ** 2
    centre = (value_mean + z2 / (2 * n_effective)) / (1 + z2 / n_effective)
    half = math.sqrt(z2 * (value_mean * (1 - value_mean) / n_effective + z2 / (4 * n_effective**2)))
    half /= 1 + z2 / n_effective
    # Exact at the ends: rounding must not push 0 of n above 0, nor n of n below 1.
    low = 0.0 if value_mean == 0 else max(centre - half, 0.0)
    high = 1.0 if value_mean == 1 else min(centre + half, 1.0)
    return Interval(low, high)


def anova_icc(values: ArrayLike, clusters: Clusters) -> float | None:
    """Return the intra-cluster correlation by one-way analysis of variance, clipped to [0, 1].

    None when the data cannot tell: fewer than two clusters, no cluster with two samples, or no spread at all.

    Source: Donner 1986, "A review of inference procedures for the intraclass correlation coefficient".
    """
    parts = _variance_parts(_shares(values), clusters)
    return _icc((parts,)) if parts is not None else None


def pooled_icc(models: Sequence[tuple[ArrayLike, Clusters]]) -> float | None:
    """Return one intra-cluster correlation for a suite, from the (values, clusters) of each model that ran it.

    Variance components are summed over models before dividing, so a model that passes everything, and so says
    nothing about correlation, does not pull the estimate to 0. None with fewer than five models, or fewer than five
    that show any spread.
    """
    parts = [_variance_parts(_shares(values), clusters) for values, clusters in models]
    known = tuple(part for part in parts if part is not None)
    return _icc(known) if len(known) >= MIN_POOLED_MODELS else None


class _VarianceParts(NamedTuple):
    between: float
    within: float


def _variance_parts(scores: FloatArray, clusters: Clusters) -> _VarianceParts | None:
    sums, sizes = _cluster_sums(scores, clusters)
    n, n_clusters = len(scores), len(sums)
    if n_clusters < _MIN_CLUSTERS or n == n_clusters:
        return None
    mean = sums.sum() / n
    square_total = float(np.square(np.sort(scores) - mean).sum())
    if square_total <= ROUNDING * n:
        return None
    square_between = float((np.square(sums / sizes - mean) * sizes).sum())
    mean_between = square_between / (n_clusters - 1)
    mean_within = max(square_total - square_between, 0.0) / (n - n_clusters)
    typical_size = (n - float(np.square(sizes).sum()) / n) / (n_clusters - 1)
    return _VarianceParts(between=(mean_between - mean_within) / typical_size, within=mean_within)


def _icc(parts: Sequence[_VarianceParts]) -> float:
    between = math.fsum(part.between for part in parts)
    within = math.fsum(part.within for part in parts)
    # Without spread inside clusters the total is all between them; with spread anywhere it is above 0.
    return min(max(between / (between + within), 0.0), 1.0)
