"""What a suite can decide before anything is spent, and what would decide it afterwards.

`plan` prints these beside every gate: the smallest number of failures is a floor, not a plan.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from evalkit.stats._distributions import binomial_cdf, binomial_pmf
from evalkit.stats._limits import (
    NO_HISTORY_RHO,
    check_alpha,
    lower_limit,
    upper_limit,
)
from evalkit.stats._tango import tango_statistic

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "cases_to_decide",
    "clusters_needed",
    "equal_pass_probability",
    "failures_allowed",
    "latency_calls_needed",
    "pass_probability",
]

_MIN_CLUSTERS = 2
_NEGLIGIBLE = 1e-12


def clusters_needed(limit: float, *, alpha: float) -> int | None:
    """Return the fewest independent clusters that can pass `mean >= limit`, with no failure at all.

    None when no number can: a limit of 1 asks for certainty. At least 2, since one cluster bounds nothing.
    """
    _check_share(limit, name="limit")
    check_alpha(alpha)
    if limit == 1:
        return None
    if limit == 0:
        return _MIN_CLUSTERS
    guess = max(math.ceil(math.log(alpha) / math.log(limit)) - 1, _MIN_CLUSTERS)
    # The decision itself has the last word over rounding of the formula.
    while lower_limit(guess, guess, alpha=alpha) < limit:
        guess += 1
    return guess


def latency_calls_needed(q: float, alpha: float) -> int:
    """Return the fewest independent calls with which any latency limit on the q-quantile can pass: 59 for p95 at .05.

    Source: Conover 1999, "Practical Nonparametric Statistics", 3.3.
    """
    if not 0 < q < 1:
        raise ValueError(f"q={q!r} is outside (0, 1)")
    return clusters_needed(q, alpha=alpha) or 0


def failures_allowed(limit: float, n: int, *, alpha: float) -> int | None:
    """Return how many of n independent clusters may fail with `mean >= limit` still passing; None: not even 0."""
    _check_share(limit, name="limit")
    check_alpha(alpha)

    def passes(failures: int) -> bool:
        return bool(lower_limit(n - failures, n, alpha=alpha) >= limit)

    if n < _MIN_CLUSTERS or not passes(0):
        return None
    return _smallest(lambda failures: not passes(failures), low=1, high=n + 1) - 1 if not passes(n) else n


def pass_probability(limit: float, n: int, *, alpha: float, true_share: float) -> float:
    """Return the exact probability that n independent clusters pass `mean >= limit` at a true mean of `true_share`."""
    _check_share(true_share, name="true_share")
    allowed = failures_allowed(limit, n, alpha=alpha)
    return 0.0 if allowed is None else binomial_cdf(allowed, n, 1 - true_share)


def cases_to_decide(value: float, n: int, limit: float, *, alpha: float, max_n: int = 20_000) -> int | None:
    """Return how many more clusters would decide `mean >= limit`, either way, if the observed rate held.

    0 when n already decide it; None when even `max_n` clusters in all would not, or value and limit are equal. A guide
    to what to add, not a promise: the rate will not hold exactly.

    Args:
        value: observed mean in [0, 1].
        n: clusters (or effective samples) it rests on.
        limit: the gate, in [0, 1].
        alpha: one-sided error of the decision, in (0, 0.5).
        max_n: where to stop looking.
    """
    _check_share(value, name="value")
    _check_share(limit, name="limit")
    check_alpha(alpha)

    def decides(size: int) -> bool:
        if value >= limit:
            return bool(lower_limit(value * size, size, alpha=alpha) >= limit)
        return bool(upper_limit(value * size, size, alpha=alpha) < limit)

    start = max(n, _MIN_CLUSTERS)
    if start > max_n or not decides(max_n):
        return 0 if start > max_n and decides(start) else None
    return _smallest(decides, low=start, high=max_n) - n


def _smallest(holds: Callable[[int], bool], *, low: int, high: int) -> int:
    """Return the smallest integer in low..high for which `holds`, given that it holds at high and from then on."""
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return low


def equal_pass_probability(
    margin: float, n: int, mean: float, *, alpha: float = 0.05, rho: float = NO_HISTORY_RHO
) -> float:
    """Return the probability that a candidate *identical* to the incumbent passes non-inferiority.

    One binary trial a side on n independent cases, decided by Tango's bound; exact, no simulation.

    Args:
        margin: in (0, 1).
        n: cases, each its own cluster.
        mean: success share of both, in [0, 1].
        alpha: one-sided error, in (0, 0.5).
        rho: share of the score variance that lies between prompts, in [0, 1]; 1 makes the two answer alike.
    """
    _check_share(mean, name="mean")
    _check_share(rho, name="rho")
    check_alpha(alpha)
    if not 0 < margin < 1:
        raise ValueError(f"margin={margin!r} is outside (0, 1)")
    if n < 1:
        return 0.0
    discordant_share = min(2 * mean * (1 - mean) * (1 - rho), 1.0)
    counts = np.arange(n + 1)
    weights = binomial_pmf(counts, n, discordant_share)
    z = float(special.ndtri(1 - alpha))
    total = 0.0
    for discordant in counts[weights > _NEGLIGIBLE].tolist():
        gains = np.arange(discordant + 1)
        has_passed = tango_statistic(gains, discordant - gains, n, difference=-margin) >= z
        total += float(weights[discordant]) * float(binomial_pmf(gains, discordant, 0.5)[has_passed].sum())
    return min(total, 1.0)


def _check_share(value: float, *, name: str) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"{name}={value!r} is outside [0, 1]")
