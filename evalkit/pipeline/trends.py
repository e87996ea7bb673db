"""The last nights of a project, for the eye: one point a suite × model a night. `drift` says what is acted on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.domain.report import NightPoint
from evalkit.pipeline.baselines import whole_runs
from evalkit.pipeline.estimates import displayed
from evalkit.pipeline.evidence import read_measurements
from evalkit.pipeline.history import MAX_NIGHTS
from evalkit.pipeline.ranking import cost_per_success, percentile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evalkit.domain.project import Project
    from evalkit.domain.run import Run
    from evalkit.domain.suite import Suite
    from evalkit.pipeline.evidence import Measurement
    from evalkit.ports import RunReader

__all__ = ["MAX_ANSWERS", "night_points"]

MAX_ANSWERS = 400_000
"""Answers read for a report's trends at the most: older nights are left out rather than an hour spent on a picture."""


def night_points(project: Project, reader: RunReader, run: Run) -> tuple[NightPoint, ...]:
    """Return the whole runs up to and with this one, oldest first; empty when it is the first.

    At most `MAX_NIGHTS` nights and `MAX_ANSWERS` answers, the newest: one night before this one is always there.
    """
    nights = [*_nights(reader, run)]
    if len(nights) == 1:
        return ()
    return tuple(point for night in reversed(nights) for point in _points(project, reader, night=night, run=run))


def _nights(reader: RunReader, run: Run) -> Iterator[Run]:
    """Yield the run and the whole ones before it, newest first."""
    yield run
    every = reader.runs(project=run.project, environment=run.environment)
    n_nights, n_answers = 1, 0
    for earlier in whole_runs([one for one in every if one.gateway_kind == run.gateway_kind]):
        if earlier.started_at >= run.started_at or earlier.run_id == run.run_id:
            continue
        n_answers += sum(cell.n_planned for cell in earlier.cells)
        if n_nights == MAX_NIGHTS or (n_nights > 1 and n_answers > MAX_ANSWERS):
            return
        n_nights += 1
        yield earlier


def _points(project: Project, reader: RunReader, *, night: Run, run: Run) -> Iterator[NightPoint]:
    shown = {(cell.suite, cell.model_id) for cell in run.cells}
    for cell in night.cells:
        suite, pair = project.suite_by_name.get(cell.suite), (cell.suite, cell.model_id)
        if suite is None or pair not in shown:
            continue
        for measurement in read_measurements(reader, night, wanted=[pair]).values():
            point = _point(suite, measurement, run=run)
            if point is not None:
                yield point


def _point(suite: Suite, measurement: Measurement, *, run: Run) -> NightPoint | None:
    samples = measurement.samples(suite.primary, wants=lambda _unit: True)
    primary = displayed(samples.values, samples.clusters)
    if primary is None:
        return None
    now, then = run.cell(measurement.cell.suite, measurement.cell.model_id), measurement.cell
    graded = [dict(one.suite_digests).get(suite.name) for one in (run, measurement.run)]
    latencies = [u.latency_s for u in measurement.units if not u.is_missing and u.latency_s is not None]
    return NightPoint(
        run_id=measurement.run.run_id,
        started_at=measurement.run.started_at,
        suite=suite.name,
        model_id=then.model_id,
        primary=primary,
        coverage=measurement.coverage,
        latency_p50_s=percentile(latencies, share=0.5),
        cost_per_success_usd=cost_per_success([suite], [measurement]),
        is_comparable=now is not None and now.prompts_digest == then.prompts_digest and graded[0] == graded[1],
    )
