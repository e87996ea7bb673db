"""How large a change is: after against before, and one model's length against another's, each with its interval."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import special

from evalkit.domain.estimate import Estimate

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from numpy.typing import ArrayLike

__all__ = ["between_shift", "ratio_of_means", "within_shift"]

_LEVEL = 0.95
_MIN_CLUSTERS = 2
_LEAST = 1e-6
# Its exponential is still a number.
_LARGEST_LOG = 700.0


def within_shift(values: ArrayLike, change: int, *, of: Literal["difference", "ratio"]) -> Estimate:
    """Return the mean after minus, or over, the mean before, over the cases that both sides have.

    Only the sampling of answers is random: the error comes from the variance within cases, pooled over both sides. It
    holds for a change named in advance; one found by a chart is on average a little smaller than it looks.

    Args:
        values: shape (n_nights, n_cases), NaN where a case has no value.
        change: index of the first night after.
        of: the interval of a `ratio` is one of logarithms; a mean of 0 counts as one in a million, without interval.

    Raises:
        ValueError: when no case has values on both sides.
    """
    sides = np.split(np.asarray(values, dtype=float), [change])
    counts = [(~np.isnan(side)).sum(axis=0) for side in sides]
    shared = (counts[0] > 0) & (counts[1] > 0)
    if not shared.any():
        raise ValueError("no case has values on both sides of the change")
    sides = [side[:, shared] for side in sides]
    counts = [count[shared] for count in counts]
    means = [np.nansum(side, axis=0) / count for side, count in zip(sides, counts, strict=True)]
    squares = sum(float(np.nansum((side - mean) ** 2)) for side, mean in zip(sides, means, strict=True))
    freedom = max(sum(int((count - 1).sum()) for count in counts), 1)
    n_cases = int(shared.sum())
    before, after = (float(mean.mean()) for mean in means)
    variance = _never_zero(squares, after - before, freedom=freedom)
    errors = [variance * float((1 / count).sum()) / n_cases**2 for count in counts]
    n = sum(int(count.sum()) for count in counts)
    return _shift((before, after), errors, _Basis("within_case_t", n, n_cases, freedom), of=of)


def between_shift(values: ArrayLike, change: int) -> Estimate:
    """Return the ratio of geometric means after and before, the nights being what varies; values are above 0."""
    logs = np.log(np.asarray(values, dtype=float))
    sides = np.split(logs, [change])
    if not all(len(side) for side in sides):
        raise ValueError("no night on one side of the change")
    before, after = (float(side.mean()) for side in sides)
    squares = sum(float(((side - side.mean()) ** 2).sum()) for side in sides)
    freedom = max(len(logs) - 2, 1)
    variance = _never_zero(squares, after - before, freedom=freedom)
    error = math.sqrt(variance * sum(1 / len(side) for side in sides))
    return _exponential(after - before, error, _Basis("between_nights_t", len(logs), len(logs), freedom))


def ratio_of_means(ours: ArrayLike, theirs: ArrayLike, clusters: Sequence[Hashable]) -> Estimate:
    """Return the mean of ours over the mean of theirs, paired per case, with a clustered interval on the log scale.

    Args:
        ours: shape (n,), at or above 0.
        theirs: shape (n,), of the same cases.
        clusters: shape (n,); prompts like these are what varies, so clusters are the units. With fewer than two, with a
            mean of 0, or when all clusters have one and the same ratio there is no interval.

    Source: Cochran 1977, Sampling Techniques, chapter 6 (ratio estimator, linearised).
    """
    a, b = np.asarray(ours, dtype=float), np.asarray(theirs, dtype=float)
    if not len(a) == len(b) == len(clusters) or not len(a) or not b.sum() > 0:
        raise ValueError(f"{len(a)} and {len(b)} values of {len(clusters)} clusters, with a sum of {b.sum()!r} below")
    value = float(a.sum() / b.sum())
    codes = {name: index for index, name in enumerate(dict.fromkeys(clusters))}
    n_clusters = len(codes)
    residuals = np.bincount([codes[name] for name in clusters], weights=a - value * b, minlength=n_clusters)
    basis = _Basis("ratio_of_means", len(a), n_clusters, n_clusters - 1)
    if n_clusters < _MIN_CLUSTERS or value <= 0 or np.abs(residuals).max() <= 1e-9 * float(a.max()):
        return _estimate(value, (None, None), basis)
    error = math.sqrt(n_clusters / (n_clusters - 1) * float((residuals**2).sum())) / float(a.sum())
    return _exponential(math.log(value), error, basis)


@dataclass(frozen=True, slots=True)
class _Basis:
    """What an estimate rests on."""

    method: str
    n: int
    n_clusters: int
    freedom: int = 1


def _never_zero(squares: float, shift: float, *, freedom: int) -> float:
    """Return a variance; values that never varied are still not known to one part in infinity.

    One more answer, off by as much as the shift, is counted in: it matters only where nothing else varies.
    """
    return (squares + shift**2) / freedom


def _shift(means: tuple[float, float], errors: list[float], basis: _Basis, *, of: str) -> Estimate:
    before, after = means
    if of == "difference":
        half = _quantile(basis) * math.sqrt(sum(errors))
        value = after - before
        return _estimate(value, (value - half, value + half), basis)
    if not (before > 0 and after > 0):
        return _estimate(max(after, _LEAST) / max(before, _LEAST), (None, None), basis)
    error = math.sqrt(errors[0] / before**2 + errors[1] / after**2)
    return _exponential(math.log(after / before), error, basis)


def _exponential(log_value: float, error: float, basis: _Basis) -> Estimate:
    half = _quantile(basis) * error
    low, value, high = (math.exp(min(at, _LARGEST_LOG)) for at in (log_value - half, log_value, log_value + half))
    return _estimate(value, (low, high), basis)


def _quantile(basis: _Basis) -> float:
    return float(special.stdtrit(basis.freedom, _LEVEL))


def _estimate(value: float, bounds: tuple[float | None, float | None], basis: _Basis) -> Estimate:
    return Estimate(
        value=value,
        lower=bounds[0],
        upper=bounds[1],
        level=_LEVEL,
        method=basis.method,
        n=basis.n,
        n_clusters=basis.n_clusters,
    )
