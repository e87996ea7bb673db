"""Before spending: how likely is each gate to pass a model of a given true rate, and how many failures may there be?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from evalkit.domain.score import MEASURES
from evalkit.pipeline.gates import cases_of_gate
from evalkit.stats.power import failures_allowed, pass_probability

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evalkit.domain.project import Project
    from evalkit.domain.suite import Gate, Suite

__all__ = ["TRUE_RATES", "GatePower", "project_power"]

TRUE_RATES = (0.97, 0.98, 0.99)
"""True rates of the good models a gate is tried on; for `at_most` their complements."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatePower:
    """What one gate can show with the clusters its suite has."""

    task: str
    suite: str
    metric: str
    rule: str
    n_clusters: int
    failures_allowed: int | None
    """None: not even a perfect model passes."""
    at_limit: float
    """P(pass) of a model whose true rate is the limit itself."""
    rates: tuple[tuple[float, float], ...]
    """(true rate, P(pass))."""


def project_power(project: Project) -> tuple[GatePower, ...]:
    """Return the power of every gate on a share, suite by suite.

    Clusters are the unit: more trials never make a gate surer than the number of clusters allows.
    """
    return tuple(_powers(project))


def _powers(project: Project) -> Iterator[GatePower]:
    for suite in project.suites:
        alpha = 1 - project.policy.defaults_for(suite.task).confidence
        for gate in suite.gates:
            measure = MEASURES.get(gate.metric)
            if measure is None or measure.unit == "share":
                yield _power(suite, gate, alpha=alpha)


def _power(suite: Suite, gate: Gate, *, alpha: float) -> GatePower:
    n = len({case.cluster_id for case in cases_of_gate(gate, suite)})
    limit = gate.limit if gate.at_least is not None else 1 - gate.limit
    return GatePower(
        task=suite.task,
        suite=suite.name,
        metric=gate.metric,
        rule=gate.rule,
        n_clusters=n,
        failures_allowed=failures_allowed(limit, n, alpha=alpha),
        at_limit=pass_probability(limit, n, alpha=alpha, true_share=limit),
        rates=tuple((rate, pass_probability(limit, n, alpha=alpha, true_share=rate)) for rate in TRUE_RATES),
    )
