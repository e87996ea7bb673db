"""How alike the answers to one cluster are, as earlier runs show it: what a cluster of answers is worth tonight.

A property of the suite, pooled over models, and never of the run that is judged: what a model may do must not depend
on who else was measured beside it (docs/explanation/statistics.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.domain.estimate import Correlation
from evalkit.pipeline.thinness import is_thin
from evalkit.stats.bounds import pooled_icc

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from evalkit.domain.policy import Policy
    from evalkit.domain.run import Run
    from evalkit.domain.suite import Suite
    from evalkit.pipeline.evidence import Measurement

__all__ = ["Correlations"]


class Correlations:
    """What finished runs say of each suite's clusters; worked out when it is asked for, and once."""

    def __init__(self, by_pair: Mapping[tuple[str, str], Sequence[Measurement]], policy: Policy) -> None:
        self._by_suite: dict[str, dict[str, list[Measurement]]] = {}
        for (suite, _), nights in by_pair.items():
            for night in nights:
                task = night.cell.task
                min_coverage = (policy.defaults_for(task) if task in policy.tasks else policy.defaults).min_coverage
                if night.is_complete and not is_thin(night, min_coverage=min_coverage):
                    self._by_suite.setdefault(suite, {}).setdefault(night.run.run_id, []).append(night)
        self._known: dict[tuple[str, str, str], Correlation | None] = {}

    def before(self, run: Run, suite: str, metric: str) -> Correlation | None:
        """Return what the newest run that was over before `run` began says of a metric's clusters.

        Args:
            run: the run that is judged.
            suite: name of a suite whose prompts and scorers are today's.
            metric: a share, in [0, 1].

        Returns:
            None when no such run measured at least five models whose answers differ, in clusters of two and more.
        """
        runs = self._by_suite.get(suite, {})
        over = [found[0].run for found in runs.values() if _is_over(found[0].run, before=run)]
        newest_first = sorted(over, key=lambda one: (one.started_at, one.run_id), reverse=True)
        found = (self._of_run(one.run_id, suite, metric) for one in newest_first)
        return next((one for one in found if one is not None), None)

    def over_suites(self, run: Run, suites: Iterable[Suite], metric: str) -> Correlation | None:
        """Return the strongest correlation of several suites; None unless it is known of each."""
        found = [self.before(run, suite.name, metric) for suite in suites]
        known = [one for one in found if one is not None]
        return max(known, key=lambda one: one.rho) if known and len(known) == len(found) else None

    def _of_run(self, run_id: str, suite: str, metric: str) -> Correlation | None:
        key = run_id, suite, metric
        if key not in self._known:
            self._known[key] = _estimated(self._by_suite[suite][run_id], metric)
        return self._known[key]


def _is_over(run: Run, *, before: Run) -> bool:
    return run.finished_at is not None and run.finished_at <= before.started_at


def _estimated(models: Sequence[Measurement], metric: str) -> Correlation | None:
    if all(len({unit.cluster_id for unit in one.units}) == len(one.units) for one in models):
        return None
    samples = [one.samples(metric, wants=lambda _unit: True) for one in models]
    rho = pooled_icc([(found.values, found.clusters) for found in samples])
    if rho is None:
        return None
    return Correlation(rho=rho, run_id=models[0].run.run_id, n_models=sum(bool(found.values) for found in samples))
