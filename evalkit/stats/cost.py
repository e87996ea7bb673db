"""Bounds of mean cost and of cost per success: the one gate that is not a share.

Costs follow token counts and are right-skewed; Student's t misses three times as often as it says. Logarithms with
Cox's correction do better, and the awkward samples (free calls, all calls equal, two calls) get an answer of their own.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from evalkit.stats._limits import check_alpha, lower_limit, upper_limit
from evalkit.stats.bounds import INSUFFICIENT, Bound, Interval, gate_bound

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from numpy.typing import ArrayLike, NDArray

    from evalkit.stats._limits import FloatArray

__all__ = ["NO_SUCCESS", "cost_per_success_bound", "mean_cost_bound"]

NO_SUCCESS = "no_success"
"""The `problem` of a cost per success whose success share may be 0."""

_MIN_COSTS = 2
_MIN_FREE_SHARE = 0.95
# Prices times whole tokens: costs closer than this differ by rounding alone.
_SAME = 1e-9


def mean_cost_bound(costs: ArrayLike, *, alpha: float) -> Bound:
    """Return *one-sided* bounds of the mean cost of a call; `value` is the sample mean, always inside the bounds.

    - All costs above 0 and not all alike: Cox's interval on logarithms (method `cox`).
    - Some costs are 0 (a free or cached call, which no logarithm can hold): the share of paid calls and the mean of
      the paid ones are bounded at alpha/2 each and multiplied (`two_part`); errors add up to at most alpha.
    - All alike, above 0: lognormal theory would claim certainty. Instead at most a share 1 - alpha**(1/n) of calls
      costs something else, and that is taken to lie between nothing and twice the usual (`constant`): the width is
      never 0 and falls as 1/n. The lower bound needs no assumption; the upper rests on "at most twice".
    - All 0: a price of zero, not a measurement. Both bounds are 0 once the sample shows that at least 95% of calls
      are free (59 calls at alpha .05); before that there is no upper bound.

    Args:
        costs: shape (n,), USD, finite and at least 0.
        alpha: one-sided error of each bound, in (0, 0.5).

    Source: Cox's method with Student's t, Olsson 2005, "Confidence intervals for the mean of a log-normal
    distribution", Journal of Statistics Education 13(1).
    """
    check_alpha(alpha)
    usd = np.sort(np.asarray(costs, dtype=float))
    if len(usd) and not (np.isfinite(usd).all() and usd[0] >= 0):
        raise ValueError("costs hold a value that is negative or not finite; an unknown cost is left out and counted")
    if len(usd) < _MIN_COSTS:
        return _bound(usd, method="cox", low=None, high=None, alpha=alpha)
    if usd[-1] == 0:
        is_free = float(lower_limit(len(usd), len(usd), alpha=alpha)) >= _MIN_FREE_SHARE
        return _bound(usd, method="constant", low=0.0, high=0.0 if is_free else None, alpha=alpha)
    if usd[0] == 0:
        return _two_part(usd, alpha=alpha)
    return _positive_bound(usd, alpha=alpha)


def _positive_bound(usd: FloatArray, *, alpha: float) -> Bound:
    if usd[-1] - usd[0] <= _SAME * usd[-1]:
        unseen = 1 - alpha ** (1 / len(usd))
        typical = float(usd.mean())
        return _bound(usd, method="constant", low=typical * (1 - unseen), high=typical * (1 + unseen), alpha=alpha)
    interval = _cox(usd, alpha=alpha)
    high = interval.high if math.isfinite(interval.high) else None
    return _bound(usd, method="cox", low=interval.low, high=high, alpha=alpha)


def _cox(usd: FloatArray, *, alpha: float) -> Interval:
    logs = np.log(usd)
    n, variance = len(logs), float(logs.var(ddof=1))
    centre = float(logs.mean()) + variance / 2
    error = math.sqrt(variance / n + variance**2 / (2 * (n - 1)))
    half = float(special.stdtrit(n - 1, 1 - alpha)) * error
    with np.errstate(over="ignore"):
        return Interval(float(np.exp(centre - half)), float(np.exp(centre + half)))


def _two_part(usd: FloatArray, *, alpha: float) -> Bound:
    paid = usd[usd > 0]
    each = mean_cost_bound(paid, alpha=alpha / 2)
    share_low = float(lower_limit(len(paid), len(usd), alpha=alpha / 2))
    share_high = float(upper_limit(len(paid), len(usd), alpha=alpha / 2))
    low = None if each.lower is None else each.lower * share_low
    high = None if each.upper is None else each.upper * share_high
    return _bound(usd, method="two_part", low=low, high=high, alpha=alpha)


def _bound(usd: FloatArray, *, method: str, low: float | None, high: float | None, alpha: float) -> Bound:
    """Return the bound, widened to hold the sample mean where the data is not lognormal at all."""
    mean = math.fsum(usd) / len(usd) if len(usd) else None
    return Bound(
        value=mean,
        lower=None if low is None or mean is None else min(low, mean),
        upper=None if high is None or mean is None else max(high, mean),
        level=1 - alpha,
        method=method,
        n=len(usd),
        n_clusters=len(usd),
        n_effective=float(len(usd)),
        problem=INSUFFICIENT if low is None or high is None else "",
    )


def cost_per_success_bound(
    costs: ArrayLike,
    successes: ArrayLike,
    clusters: Sequence[Hashable] | NDArray[np.generic] | None,
    *,
    alpha: float,
    rho: float | None = None,
) -> Bound:
    """Return *one-sided* bounds of mean cost divided by success share: what one good answer costs.

    Upper = upper mean cost / lower success share, each at alpha/2; lower is the mirror. With no success seen the
    value is +inf and the upper bound None (problem `no_success`), but the lower bound still stands and can fail a gate.

    Args:
        costs: USD of each call whose cost is known.
        successes: score in [0, 1] of each call; need not be as many as the costs.
        clusters: one label per success, as in `gate_bound`.
        alpha: one-sided error of each bound, in (0, 0.5).
        rho: as in `gate_bound`.
    """
    check_alpha(alpha)
    cost = mean_cost_bound(costs, alpha=alpha / 2)
    share = gate_bound(successes, clusters, alpha=alpha / 2, rho=rho)
    upper = None if cost.upper is None or not share.lower else cost.upper / share.lower
    lower = None if cost.lower is None or share.upper is None else cost.lower / share.upper
    value = None
    if cost.value is not None and share.value is not None:
        value = cost.value / share.value if share.value > 0 else math.inf
    has_no_success = cost.upper is not None and share.lower == 0
    return Bound(
        value=value,
        lower=lower,
        upper=upper,
        level=1 - alpha,
        method=f"{cost.method}/{share.method}",
        n=min(cost.n, share.n),
        n_clusters=share.n_clusters,
        n_effective=share.n_effective,
        problem=(NO_SUCCESS if has_no_success else INSUFFICIENT) if upper is None or lower is None else "",
    )
