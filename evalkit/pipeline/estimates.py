"""Estimates for display: a mean with its two-sided interval. No decision reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.domain.estimate import Estimate
from evalkit.stats.bounds import gate_bound, wilson_interval

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["displayed"]

_LEVEL = 0.95


def displayed(values: Sequence[float], clusters: Sequence[str]) -> Estimate | None:
    """Return the mean with its 95% Wilson interval, at an effective size when values share clusters; None of nothing.

    Args:
        values: each in [0, 1].
        clusters: one label a value.
    """
    bound = gate_bound(values, clusters, alpha=(1 - _LEVEL) / 2)
    if bound.value is None:
        return None
    interval = wilson_interval(bound.value, bound.n_effective, level=_LEVEL)
    return Estimate(
        value=bound.value,
        lower=interval.low,
        upper=interval.high,
        level=_LEVEL,
        method="wilson",
        n=bound.n,
        n_clusters=bound.n_clusters,
    )
