"""A p95 or p99 over several nights: what may admit a model whose calls were timed more than once.

Asked anew every night, a model exactly on its limit passes sooner or later. What passes tonight must therefore also
hold over all nights together, as a share: so many of the calls within the limit, in blocks of time. As in every pool
the prompts are the same, so all nights count for no more calls than tonight has (docs/explanation/statistics.md).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import TYPE_CHECKING, NamedTuple

from evalkit.stats.bounds import clopper_pearson, gate_bound
from evalkit.stats.quantiles import quantile_bound, time_blocks

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from evalkit.stats.bounds import Bound

__all__ = ["Call", "QuantileLimit", "quantile_of"]


class Call(NamedTuple):
    """What one call took."""

    started_at: float
    """Unix seconds."""
    reading: float | None
    """None when nobody knows."""


def quantile_of(
    calls: Sequence[Call], *, q: float, alpha: float, unknown: float | None, worth_at_most: float = math.inf
) -> Bound:
    """Return the bounds of a quantile with what is not known taken as `unknown`, or left out."""
    filled = [(call.started_at, unknown if call.reading is None else call.reading) for call in calls]
    known = [(start, value) for start, value in filled if value is not None]
    blocks = time_blocks([start for start, _ in known])
    return quantile_bound([value for _, value in known], blocks, q=q, alpha=alpha, worth_at_most=worth_at_most)


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantileLimit:
    """At least a share `q` of the calls within `at_most`."""

    q: float
    at_most: float
    alpha: float
    """One-sided: what a pass may err by."""
    fail_alpha: float
    """What a fail may err by."""

    def beyond(self, tonight: Sequence[Call], earlier: Iterable[Sequence[Call]]) -> Bound | None:
        """Return the bounds of all nights together when they do not show that the limit is held, else None.

        Nights on which nothing was measured are passed over. One that failed ends the pool: once tonight holds, what
        was mended since does not inherit it.

        Args:
            tonight: what holds the limit by itself.
            earlier: nights of the same series, newest first.
        """
        measured = (night for night in earlier if any(call.reading is not None for call in night))
        before = [*takewhile(self._has_held, measured)]
        if not before:
            return None
        pooled = [*tonight, *(call for night in before for call in night)]
        share = self._share(pooled, alpha=self.alpha, unknown=math.inf)
        if share.value is not None and share.n_effective > len(tonight):
            share = clopper_pearson(share.value * len(tonight), len(tonight), alpha=self.alpha)
        if share.lower is not None and share.lower >= self.q:
            return None
        bound = quantile_of(pooled, q=self.q, alpha=self.alpha, unknown=math.inf, worth_at_most=len(tonight))
        return bound if bound.upper is not None else replace(bound, upper=math.inf)

    def _has_held(self, night: Sequence[Call]) -> bool:
        upper = self._share(night, alpha=self.fail_alpha, unknown=0.0).upper
        return upper is None or upper >= self.q

    def _share(self, calls: Sequence[Call], *, alpha: float, unknown: float) -> Bound:
        """Return the bounds of the share of calls within the limit: of all quantiles only this one is asked for."""
        readings = (unknown if call.reading is None else call.reading for call in calls)
        blocks = time_blocks([call.started_at for call in calls])
        return gate_bound([float(reading <= self.at_most) for reading in readings], blocks, alpha=alpha, rho=0.0)
