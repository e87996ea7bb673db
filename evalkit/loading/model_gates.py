"""Model gates that say nothing, or that no model could ever pass with all the cases of all suites."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from evalkit.domain.score import MEASURES
from evalkit.errors import InputError
from evalkit.loading.gates import gate_errors
from evalkit.loading.opinions import Built
from evalkit.loading.problems import closest
from evalkit.plugins import WEIGHTED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from evalkit.domain.project import Project
    from evalkit.domain.suite import Case, Gate, Suite
    from evalkit.errors import Place

__all__ = ["model_gate_errors"]


def model_gate_errors(project: Project, places: Sequence[Place]) -> Iterator[InputError]:
    """Yield what is wrong with the policy's model gates, each with its place in the file."""
    policy = project.policy
    if not policy.model_gates:
        return
    own, judges = project.config.scorers, project.judges
    built = {suite.name: Built(suite, project_scorers=own, judges=judges) for suite in project.suites}
    metrics = {suite.name: _metrics(built[suite.name]) for suite in project.suites}
    opinions = frozenset(metric for one in built.values() for metric in one.opinions)
    # One gate is judged for every task: the strictest of them has to be within reach.
    confidence = max(policy.defaults_for(task).confidence for task in policy.tasks)
    for gate, place in zip(policy.model_gates, places, strict=True):
        if gate.metric in opinions:
            problem = f"{gate.metric!r} is a judge's opinion, and people confirm a judge for one suite at a time"
            yield InputError(problem, place=place, next_step="gate it in the suites whose answers people labelled")
            continue
        yield from _errors(gate, project.suites, metrics=metrics, confidence=confidence, place=place)


def _metrics(built: Built) -> frozenset[str]:
    specs = [*built.specs()]
    found = {name for spec in specs for name in built.metrics_of(spec)}
    return frozenset(found | ({WEIGHTED} if any(spec.weight is not None for spec in specs) else set()))


def _errors(
    gate: Gate, suites: Sequence[Suite], *, metrics: Mapping[str, frozenset[str]], confidence: float, place: Place
) -> Iterator[InputError]:
    known = frozenset().union(*metrics.values())
    if gate.metric not in known and gate.metric not in MEASURES:
        yield InputError(
            f"no suite has a scorer that gives the metric {gate.metric!r}",
            place=place,
            next_step=closest(gate.metric, {*known, *MEASURES}, what="metrics"),
        )
        return
    if not gate.is_share:
        problem = f"a model gate is on a rate, and {gate.metric!r} is not one"
        yield InputError(problem, place=place, next_step="gate it in the suites, where prompts are alike")
        return
    if gate.where is not None:
        yield InputError("a model gate is on all cases", place=place, next_step="leave `where` out, or gate the suite")
        return
    giving = [suite for suite in suites if gate.metric in MEASURES or gate.metric in metrics[suite.name]]
    yield from gate_errors(gate, [*_cases(gate, giving)], metrics=known, confidence=confidence, place=place)


def _cases(gate: Gate, suites: Sequence[Suite]) -> Iterator[Case]:
    """Yield the cases the gate is on, with clusters that no two suites share."""
    for suite in suites:
        for case in gate.cases_of(suite.active_cases):
            yield replace(case, cluster=f"{suite.name}:{case.cluster_id}"[-128:])
