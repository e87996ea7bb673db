"""What a run looks like to a reader: estimates for display, costs, latencies, kinds. Nothing here decides."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from evalkit.domain.outcome import IdentityClass
from evalkit.domain.report import MetricCell, ModelSummary, Report, TaskRules
from evalkit.pipeline.ablation import ablation_of
from evalkit.pipeline.estimates import displayed
from evalkit.pipeline.evidence import read_measurements
from evalkit.pipeline.overhead import overhead_of
from evalkit.pipeline.ranking import cost_per_success, offer_of, percentile, ranking_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from evalkit.domain.estimate import Change, Comparison
    from evalkit.domain.policy import Policy
    from evalkit.domain.project import Project
    from evalkit.domain.run import Run
    from evalkit.domain.suite import Suite
    from evalkit.domain.verdict import Verdict
    from evalkit.pipeline.evidence import Measurement
    from evalkit.ports import RunReader

__all__ = ["report_of"]

_ALWAYS_SHOWN = ("refusal", "truncated", "availability")


def report_of(
    project: Project,
    reader: RunReader,
    run: Run,
    *,
    verdicts: Sequence[Verdict],
    comparisons: Sequence[Comparison] = (),
    changes: Sequence[Change] = (),
) -> Report:
    """Return the view of one run that every reporter renders."""
    pairs = [(cell.suite, cell.model_id) for cell in run.plain_cells]
    measurements = read_measurements(reader, run, wanted=pairs)
    suites = tuple(suite for suite in project.suites if any(name == suite.name for name, _ in pairs))
    planned = {model_id for _, model_id in pairs}
    model_ids = tuple(model.id for model in project.roster.models if model.id in planned)
    shown = {*model_ids}
    return Report(
        title=project.name,
        environment=run.environment,
        run=run,
        suites=suites,
        model_ids=model_ids,
        verdicts=tuple(verdict for verdict in verdicts if verdict.model_id in shown),
        cells=tuple(_cells(suites, measurements)),
        models=tuple(_model(model_id, suites, measurements) for model_id in model_ids),
        offers=tuple(
            (task, tuple(found.model_id for found in offer_of(policy, _of_task(verdicts, task)).offered))
            for task, policy in project.policy.tasks.items()
        ),
        ranking=ranking_of(project.policy, verdicts),
        comparisons=tuple(comparisons),
        changes=tuple(changes),
        tasks=tuple(_rules(project.policy)),
        waivers=project.waivers,
        ablation=ablation_of(reader, run, suites),
        generated_at=run.finished_at if run.finished_at is not None else run.started_at,
    )


def _rules(policy: Policy) -> Iterator[TaskRules]:
    for task, own in policy.tasks.items():
        rank_by = policy.defaults_for(task).rank_by
        yield TaskRules(task=task, critical=own.critical, incumbent=own.incumbent, pin=own.pin, rank_by=rank_by)


def _of_task(verdicts: Sequence[Verdict], task: str) -> list[Verdict]:
    return [verdict for verdict in verdicts if verdict.task == task]


def _cells(suites: Sequence[Suite], measurements: Mapping[tuple[str, str], Measurement]) -> Iterator[MetricCell]:
    by_name = {suite.name: suite for suite in suites}
    for (suite_name, model_id), found in measurements.items():
        if suite_name not in by_name:
            continue
        scored = dict.fromkeys(metric for unit in found.units for metric in unit.scores)
        for metric in (*scored, *_ALWAYS_SHOWN):
            samples = found.samples(metric, wants=lambda _unit: True)
            estimate = displayed(samples.values, samples.clusters)
            if estimate is not None:
                yield MetricCell(suite=suite_name, model_id=model_id, metric=metric, estimate=estimate)


def _model(model_id: str, suites: Sequence[Suite], measurements: Mapping[tuple[str, str], Measurement]) -> ModelSummary:
    mine = [(suite, measurements[suite.name, model_id]) for suite in suites if (suite.name, model_id) in measurements]
    units = [unit for _, found in mine for unit in found.units]
    answered = [unit for unit in units if not unit.is_missing]
    costs = [unit.cost_usd for unit in answered]
    latencies = [unit.latency_s for unit in answered if unit.latency_s is not None]
    kinds = Counter(str(unit.kind) for unit in units)
    identities = [found.identity_class for _, found in mine]
    direct = [unit.direct_usd for unit in units]
    return ModelSummary(
        model_id=model_id,
        n_calls=len(units),
        n_missing=len(units) - len(answered),
        cost_usd=None if not costs or None in costs else sum(cost for cost in costs if cost is not None),
        cost_per_success_usd=cost_per_success([suite for suite, _ in mine], [found for _, found in mine]),
        latency_p50_s=percentile(latencies, share=0.5),
        latency_p95_s=percentile(latencies, share=0.95),
        mean_quality=_quality(mine),
        kinds=tuple(kinds.most_common()),
        overhead=overhead_of(units),
        direct_usd=None if None in direct else sum(usd for usd in direct if usd is not None),
        identity_class=str(max(identities, key=lambda found: found.rank, default=IdentityClass.UNVERIFIABLE)),
    )


def _quality(mine: Sequence[tuple[Suite, Measurement]]) -> float | None:
    means = []
    for suite, found in mine:
        values = found.samples(suite.primary, wants=lambda _unit: True).values
        if values:
            means.append(sum(values) / len(values))
    return sum(means) / len(means) if means else None
