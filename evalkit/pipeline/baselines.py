"""Which earlier nights of a suite × model are its baseline, and which later run measured it again.

Nights are pooled because one run a side sees large drops only; they are taken by age and never by score, since the best
of several nights makes every other night look like a loss.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING

from evalkit.domain.run import RunStatus
from evalkit.pipeline.evidence import read_measurements
from evalkit.pipeline.history import MAX_NIGHTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from evalkit.domain.run import Cell, Run
    from evalkit.pipeline.evidence import Measurement, Unit
    from evalkit.ports import RunReader

__all__ = [
    "EXTENSION_TRIALS",
    "MIN_COVERAGE",
    "NightScores",
    "Runs",
    "earlier_nights",
    "extension_of",
    "newest_whole",
    "night_scores",
    "runs_around",
    "whole_runs",
]

EXTENSION_TRIALS = 5
"""An extension asks every case this many times as often as the run it extends."""
MIN_COVERAGE = 0.95
"""With less answered a night is no baseline, and tonight is not tested (docs/explanation/statistics.md)."""

_EXTEND_WITHIN_S = 20 * 3600.0


@dataclass(frozen=True, slots=True)
class NightScores:
    """One suite × model of one run, with only what a comparison needs: fourteen nights have to fit into memory."""

    run_id: str
    cell: Cell
    trials: Mapping[str, Mapping[str, Sequence[float]]]
    """Metric to case id to the scores of its trials; what is missing is absent."""
    clusters: dict[str, str]
    """Case id to cluster, of every case that was asked."""
    served: frozenset[str]
    fingerprints: frozenset[str]
    coverage: float

    def scores(self, metric: str) -> Mapping[str, Sequence[float]]:
        """Return case id to the scores of its trials."""
        return self.trials.get(metric, {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """The runs around the one that is compared, through the same kind of gateway."""

    run: Run
    earlier: tuple[Run, ...]
    """Newest first: any of them may be part of a baseline."""
    later: tuple[Run, ...]
    """Oldest first: runs that may extend it."""
    is_newest: bool
    """Whether no whole run came after it, so that it can still be extended."""


def runs_around(every: Sequence[Run], run: Run, *, baseline: Run | None) -> Runs:
    """Return what may be the baseline and what may be the extension of a run.

    Args:
        every: the project's runs, newest first.
        run: the run to compare.
        baseline: when given, the baseline is this run and no other.
    """
    alike = [one for one in every if one.gateway_kind == run.gateway_kind and one.run_id != run.run_id]
    whole = _whole([*alike, run])
    after = sorted((one for one in alike if one.started_at > run.started_at), key=lambda one: one.started_at)
    until = _last_call(run)
    since = max((one.started_at for one in alike if one.is_baseline and one.started_at < run.started_at), default=0.0)
    same_night = takewhile(lambda one: one.run_id not in whole and one.started_at <= until, after)
    return Runs(
        run=run,
        earlier=tuple(one for one in alike if one.run_id in whole and since <= one.started_at < run.started_at)
        if baseline is None
        else (baseline,),
        later=tuple(one for one in same_night if one.status is RunStatus.FINISHED),
        is_newest=not any(one.run_id in whole for one in after),
    )


def newest_whole(every: Sequence[Run]) -> Run | None:
    """Return the newest finished, unfiltered run that is no extension of another; None without one."""
    return next(iter(whole_runs(every)), None)


def whole_runs(every: Sequence[Run]) -> list[Run]:
    """Return the finished, unfiltered runs that are no extension of another, in the order given."""
    whole = _whole(every)
    return [one for one in every if one.run_id in whole]


def earlier_nights(reader: RunReader, runs: Runs, cell: Cell, *, is_given: bool) -> tuple[NightScores, ...]:
    """Return the nights a suite × model is compared with: newest first, of one series, graded alike, at most fourteen.

    The newest night that holds the pair with today's prompts and scorers opens the series; it goes on while roster
    entry, request mode and served names stay. Nights with too much missing are passed over.

    Args:
        reader: the store.
        runs: around the run that is compared.
        cell: of the run that is compared.
        is_given: whether a person named the baseline, which is then taken as it is.
    """
    found: list[NightScores] = []
    for measurement in _measurements(reader, runs, cell):
        night = night_scores(measurement)
        is_good = measurement.is_complete and night.coverage >= MIN_COVERAGE
        if not (is_good or is_given):
            continue
        if found and not _is_same_series(found[0], night):
            break
        found.append(night)
        if len(found) == MAX_NIGHTS:
            break
    return tuple(found)


def extension_of(reader: RunReader, runs: Runs, cell: Cell) -> NightScores | None:
    """Return the first run that asked a suite × model again the same night, often enough; None without one.

    Only the first counts: who looks again and again finds something in the end.
    """
    graded = dict(runs.run.suite_digests).get(cell.suite)
    for run in runs.later:
        again = run.cell(cell.suite, cell.model_id)
        if again is None or dict(run.suite_digests).get(cell.suite) != graded or not _extends(again, cell):
            continue
        (measurement,) = read_measurements(reader, run, wanted=[(cell.suite, cell.model_id)]).values()
        if measurement.is_complete:
            return night_scores(measurement)
    return None


def night_scores(measurement: Measurement) -> NightScores:
    """Return a measurement reduced to what a comparison needs."""
    trials: dict[str, dict[str, list[float]]] = {}
    for unit in measurement.units:
        for metric, value in _known(unit):
            trials.setdefault(metric, {}).setdefault(unit.case_id, []).append(value)
    answered = [unit for unit in measurement.units if not unit.is_missing]
    return NightScores(
        run_id=measurement.run.run_id,
        cell=measurement.cell,
        trials=trials,
        clusters={unit.case_id: unit.cluster_id for unit in measurement.units},
        served=measurement.served_models,
        fingerprints=frozenset(unit.fingerprint for unit in answered if unit.fingerprint),
        coverage=measurement.coverage,
    )


def _known(unit: Unit) -> Iterator[tuple[str, float]]:
    if not unit.is_missing:
        yield from ((metric, value) for metric, value in unit.scores.items() if value is not None)


def _measurements(reader: RunReader, runs: Runs, cell: Cell) -> Iterator[Measurement]:
    graded = dict(runs.run.suite_digests).get(cell.suite)
    for run in runs.earlier:
        theirs = run.cell(cell.suite, cell.model_id)
        is_alike = theirs is not None and theirs.prompts_digest == cell.prompts_digest
        if is_alike and graded is not None and dict(run.suite_digests).get(cell.suite) == graded:
            yield from read_measurements(reader, run, wanted=[(cell.suite, cell.model_id)]).values()


def _is_same_series(newest: NightScores, night: NightScores) -> bool:
    mine, theirs = newest.cell, night.cell
    return (mine.model_digest, mine.mode, newest.served) == (theirs.model_digest, theirs.mode, night.served)


def _whole(runs: Sequence[Run]) -> frozenset[str]:
    """Return the ids of the finished, unfiltered runs that do more than ask pairs of an earlier run again."""
    return frozenset(
        run.run_id
        for run in runs
        if run.is_whole
        and not any(
            earlier.started_at < run.started_at <= _last_call(earlier) and _is_extension(run, earlier)
            for earlier in runs
        )
    )


def _last_call(run: Run) -> float:
    """Return until when a run may be extended, in Unix seconds."""
    return (run.finished_at or run.started_at) + _EXTEND_WITHIN_S


def _is_extension(run: Run, earlier: Run) -> bool:
    of = ((cell, earlier.cell(cell.suite, cell.model_id)) for cell in run.plain_cells)
    return bool(run.plain_cells) and all(before is not None and _extends(cell, before) for cell, before in of)


def _extends(again: Cell, cell: Cell) -> bool:
    is_same = (again.prompts_digest, again.model_digest, again.mode) == (
        cell.prompts_digest, cell.model_digest, cell.mode,
    )  # fmt: skip
    return is_same and not again.is_partial and again.n_planned >= EXTENSION_TRIALS * cell.n_planned
