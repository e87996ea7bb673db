"""One bound over several nights: what may admit a model whose suite was measured more than once.

Nights repeat the *same* prompts. Testing each night anew lets a model that is exactly at its gate in within weeks, so
what admits is the mean of each cluster over all nights, and never more independent samples than clusters, of one night
either: more trials never make it surer than the prompts allow (docs/explanation/statistics.md).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from evalkit.stats.bounds import Bound, gate_bound, worst_case_bound

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evalkit.pipeline.evidence import Samples

__all__ = ["pooled_bound"]


_ALL_ALIKE = 1.0
"""Correlation at which a cluster is worth one answer, whatever it holds."""


@dataclass(slots=True)
class _Cluster:
    """One cluster over all nights."""

    known: list[float] = field(default_factory=list)
    n_missing: int = 0

    @property
    def n(self) -> int:
        return len(self.known) + self.n_missing

    def mean(self, missing_as: float) -> float:
        return min(math.fsum((*self.known, missing_as * self.n_missing)) / self.n, 1.0)


def pooled_bound(nights: Sequence[Samples], *, alpha: float) -> Bound:
    """Return bounds that hold whatever the missing answers would have been; of one night simply that night's.

    Args:
        nights: tonight first, then the earlier ones of the same series.
        alpha: one-sided error of each bound, in (0, 0.5).
    """
    tonight = nights[0]
    alone = worst_case_bound(tonight.values, tonight.clusters, tonight.missing_clusters, alpha=alpha, rho=_ALL_ALIKE)
    if len(nights) == 1 or alone.lower is None or alone.upper is None:
        return alone
    clusters = _clusters(nights)
    low = gate_bound([cluster.mean(0.0) for cluster in clusters], None, alpha=alpha)
    high = gate_bound([cluster.mean(1.0) for cluster in clusters], None, alpha=alpha)
    if low.lower is None or high.upper is None:  # not with the two clusters that tonight's own bound needs
        raise AssertionError(f"{len(clusters)} clusters give no bound")
    means = [math.fsum(cluster.known) / len(cluster.known) for cluster in clusters if cluster.known]
    pooled = replace(
        low,
        value=min(math.fsum(means) / len(means), 1.0),
        upper=high.upper,
        method="gate_bound",
        n=sum(len(cluster.known) for cluster in clusters),
    )
    if len({cluster.n for cluster in clusters}) == 1:
        return pooled
    # A mean of cluster means is not the mean of unequal clusters: then both have to hold.
    return replace(pooled, lower=min(low.lower, alone.lower), upper=max(high.upper, alone.upper))


def _clusters(nights: Sequence[Samples]) -> list[_Cluster]:
    found: dict[str, _Cluster] = {}
    for night in nights:
        for cluster_id, value in zip(night.clusters, night.values, strict=True):
            found.setdefault(cluster_id, _Cluster()).known.append(value)
        for cluster_id in night.missing_clusters:
            found.setdefault(cluster_id, _Cluster()).n_missing += 1
    return list(found.values())
