"""How alike the answers to one cluster are, as earlier runs show it: what a cluster of answers is worth tonight.

A property of the suite, pooled over models, and never of the night that is judged: what a model may do must not depend
on who else was measured beside it. It makes a fail surer, and never a pass (docs/explanation/statistics.md).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from evalkit.domain.estimate import Correlation
from evalkit.pipeline.thinness import is_thin
from evalkit.stats.bounds import anova_icc, pooled_icc

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from evalkit.domain.policy import Policy
    from evalkit.domain.run import Run
    from evalkit.pipeline.evidence import Measurement

__all__ = ["Correlations"]

_APART_S = 6 * 3600.0
"""A run that began less than this before is of the same night: an extension of it, or the other way round."""


class Correlations:
    """What earlier runs say of each suite's clusters; worked out when it is asked for, and once."""

    def __init__(self, by_pair: Mapping[tuple[str, str], Sequence[Measurement]], policy: Policy) -> None:
        self._policy = policy
        self._by_suite: dict[str, dict[str, list[Measurement]]] = {}
        for (suite, _), nights in by_pair.items():
            for night in nights:
                self._by_suite.setdefault(suite, {}).setdefault(night.run.run_id, []).append(night)
        self._is_clustered: dict[tuple[str, int], bool] = {}
        self._last_at: dict[tuple[str, str], float] = {}
        self._estimates: dict[tuple[str, str, str, int, float | None], Correlation | None] = {}

    def known(self, judged: Measurement, seen: Measurement, metric: str) -> Correlation | None:
        """Return what the newest run of an earlier night says of a metric's clusters.

        A model whose own answers repeat themselves is held to that instead: a cache nobody told of is no evidence.

        Args:
            judged: what is judged, as a whole.
            seen: the same as far as a look sees it.
            metric: a share, in [0, 1].

        Returns:
            None when no such run asked at least five models all of the same calls, with answers that differ, in
            clusters of two and more.
        """
        if not self._has_clusters(judged):
            return None
        runs = [found[0].run for found in self._by_suite.get(judged.cell.suite, {}).values()]
        earlier = [run for run in runs if judged.run.started_at - run.started_at >= _APART_S]
        newest_first = sorted(earlier, key=lambda run: (run.started_at, run.run_id), reverse=True)
        found = next(filter(None, (self._of_run(run, judged, metric) for run in newest_first)), None)
        return found if found is None else replace(found, rho=max(found.rho, seen.alike_share))

    def _has_clusters(self, judged: Measurement) -> bool:
        key = judged.cell.suite, judged.cell.n_planned
        if key not in self._is_clustered:
            self._is_clustered[key] = len({unit.cluster_id for unit in judged.units}) < len(judged.units)
        return self._is_clustered[key]

    def _of_run(self, run: Run, judged: Measurement, metric: str) -> Correlation | None:
        suite, n_planned = judged.cell.suite, judged.cell.n_planned
        every = self._by_suite[suite][run.run_id]
        # What was asked again since is no earlier answer; mostly nothing was.
        before = judged.run.started_at if self._end_of(suite, every) > judged.run.started_at else None
        key = run.run_id, suite, metric, n_planned, before
        if key not in self._estimates:
            models = [
                one
                for one in every
                # Other trials are other clusters.
                if one.cell.n_planned == n_planned and (before is None or one.last_at <= before) and self._is_whole(one)
            ]
            self._estimates[key] = _estimated(models, metric)
        return self._estimates[key]

    def _end_of(self, suite: str, every: Sequence[Measurement]) -> float:
        key = suite, every[0].run.run_id
        if key not in self._last_at:
            self._last_at[key] = max(one.last_at for one in every)
        return self._last_at[key]

    def _is_whole(self, one: Measurement) -> bool:
        policy, task = self._policy, one.cell.task
        min_coverage = (policy.defaults_for(task) if task in policy.tasks else policy.defaults).min_coverage
        return one.is_complete and not is_thin(one, min_coverage=min_coverage)


def _estimated(models: Sequence[Measurement], metric: str) -> Correlation | None:
    samples = [one.samples(metric, wants=lambda _unit: True) for one in models]
    rho = pooled_icc([(found.values, found.clusters) for found in samples])
    if rho is None:
        return None
    n_telling = sum(anova_icc(found.values, found.clusters) is not None for found in samples)
    return Correlation(rho=rho, run_id=models[0].run.run_id, n_models=n_telling)
