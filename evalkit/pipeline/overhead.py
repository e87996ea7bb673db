"""What the gateway added to a call: the same request was sent straight to the baseline gateway, and the two compared.

Shown, never decided on. The differences are taken call by call, so whatever both sides share (the prompt, the model's
own time, the moment) cancels; what is left is the gateway, and the noise of two answers of one model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.domain.report import Overhead
from evalkit.stats.quantiles import quantile_bound, time_blocks

if TYPE_CHECKING:
    from collections.abc import Iterable

    from evalkit.domain.estimate import Estimate
    from evalkit.pipeline.evidence import Unit
    from evalkit.stats.bounds import Bound

__all__ = ["overhead_of"]

_TWO_SIDED = 0.025
_ONE_SIDED = 0.05


def overhead_of(units: Iterable[Unit]) -> Overhead | None:
    """Return the median and the 95th percentile of gateway − direct over the pairs; None when there is no pair.

    Pairs that started together share the moment's load: ten blocks of equal counts by start are the clusters, as for
    every latency.
    """
    pairs = [
        (unit.started_at, unit.latency_s - unit.direct_s)
        for unit in units
        if unit.direct_s is not None and unit.latency_s is not None
    ]
    if not pairs:
        return None
    blocks = time_blocks([started_at for started_at, _ in pairs])
    differences = [difference for _, difference in pairs]
    return Overhead(
        p50=_estimate(quantile_bound(differences, blocks, q=0.5, alpha=_TWO_SIDED)),
        p95=_estimate(quantile_bound(differences, blocks, q=0.95, alpha=_ONE_SIDED)),
    )


def _estimate(bound: Bound) -> Estimate:
    estimate = bound.estimate()
    if estimate is None:  # there is at least one pair, and so a quantile
        raise AssertionError(bound)
    return estimate
