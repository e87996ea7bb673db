"""Before spending: how likely is each gate to pass a model of a given true rate, and how many failures may there be?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from evalkit.pipeline.model_gates import ALL_SUITES, suites_giving
from evalkit.stats.power import equal_pass_probability, failures_allowed, pass_probability

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evalkit.domain.project import Project
    from evalkit.domain.suite import Gate, Suite

__all__ = ["EQUAL_MEANS", "TRUE_RATES", "EqualPower", "GatePower", "equal_power", "project_power"]

TRUE_RATES = (0.97, 0.98, 0.99)
"""True rates of the good models a gate is tried on; for `at_most` their complements."""


EQUAL_MEANS = (0.85, 0.90, 0.95)
"""How good incumbent and candidate are where they are alike."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatePower:
    """What one gate can show with the clusters its suite has, or all suites it is over."""

    task: str
    """`*` for a model gate, as its suite."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class EqualPower:
    """How likely a candidate exactly as good as the incumbent is found to be no worse."""

    task: str
    suite: str
    incumbent: str
    margin: float
    n_clusters: int
    rates: tuple[tuple[float, float], ...]
    """(mean of both, P(pass)); for scores of 0 and 1, half of whose variance lies between prompts."""


def project_power(project: Project) -> tuple[GatePower, ...]:
    """Return the power of every gate on a share, suite by suite, and of the model gates over their suites.

    Clusters are the unit: more trials never make a gate surer than the number of clusters allows.
    """
    return tuple(_powers(project))


def _powers(project: Project) -> Iterator[GatePower]:
    for suite in project.suites:
        alpha = 1 - project.policy.defaults_for(suite.task).confidence
        for gate in suite.gates:
            if gate.is_share:
                yield _power((suite.task, suite.name), gate, n=_n_clusters(suite, gate), alpha=alpha)
    # Every task is judged at its own confidence; the strictest is what a gate has to meet everywhere.
    strictest = min((1 - project.policy.defaults_for(task).confidence for task in project.policy.tasks), default=0.05)
    for gate in project.policy.model_gates:
        n = sum(_n_clusters(suite, gate) for suite in suites_giving(gate, project))
        yield _power((ALL_SUITES, ALL_SUITES), gate, n=n, alpha=strictest)


def equal_power(project: Project) -> tuple[EqualPower, ...]:
    """Return P(pass) of a candidate like the incumbent, for every suite of the tasks that name one."""
    return tuple(_equal_powers(project))


def _equal_powers(project: Project) -> Iterator[EqualPower]:
    for task, policy in project.policy.tasks.items():
        if policy.incumbent is None:
            continue
        margin, alpha = policy.non_inferiority_margin, 1 - project.policy.defaults_for(task).confidence
        for suite in project.suites_of(task):
            n = len({case.cluster_id for case in suite.active_cases})
            yield EqualPower(
                task=task,
                suite=suite.name,
                incumbent=policy.incumbent,
                margin=margin,
                n_clusters=n,
                rates=tuple((mean, equal_pass_probability(margin, n, mean, alpha=alpha)) for mean in EQUAL_MEANS),
            )


def _n_clusters(suite: Suite, gate: Gate) -> int:
    return len({case.cluster_id for case in gate.cases_of(suite.active_cases)})


def _power(of: tuple[str, str], gate: Gate, *, n: int, alpha: float) -> GatePower:
    task, suite = of
    limit = gate.limit if gate.at_least is not None else 1 - gate.limit
    return GatePower(
        task=task,
        suite=suite,
        metric=gate.metric,
        rule=gate.rule,
        n_clusters=n,
        failures_allowed=failures_allowed(limit, n, alpha=alpha),
        at_limit=pass_probability(limit, n, alpha=alpha, true_share=limit),
        rates=tuple((rate, pass_probability(limit, n, alpha=alpha, true_share=rate)) for rate in TRUE_RATES),
    )
