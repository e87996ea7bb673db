"""Measuring batch by batch: answers are graded and looked at between batches, until nothing is left to ask."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from evalkit.pipeline.history import History, read_history, runs_that_count
from evalkit.pipeline.record import StopReason, open_session
from evalkit.pipeline.rescore import score_run
from evalkit.pipeline.schedule import Batch, Scored, Stop, next_batch, with_looks_where_new
from evalkit.pipeline.threads import run_to_end

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evalkit.domain.call import Plan
    from evalkit.domain.project import Project
    from evalkit.domain.run import Cell, Run
    from evalkit.pipeline.evidence import Measurement
    from evalkit.pipeline.record import Recorder, Recording
    from evalkit.pipeline.schedule import Ending
    from evalkit.ports import RunReader, Store

__all__ = ["Looked", "Savings", "cells_of_new_run", "measure_in_looks"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """How far one suite × model was asked."""

    suite: str
    model_id: str
    n_looks: int
    of_looks: int
    n_clusters: int
    of_clusters: int
    ending: Ending | None
    """None: the run was stopped before it was settled."""
    n_saved: int
    """Calls of the plan that were not needed."""
    saved_usd: float | None
    """What they would have cost at the mean of its other calls; None when no cost is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Savings:
    """What looking early saved."""

    pairs: tuple[Looked, ...]
    n_planned: int
    """Calls of the suites × models that were looked at."""

    @property
    def n_saved(self) -> int:
        """Calls that were not needed."""
        return sum(pair.n_saved for pair in self.pairs)

    @property
    def saved_usd(self) -> float | None:
        """What they would have cost; None when that is unknown of any."""
        known = [pair.saved_usd for pair in self.pairs]
        return None if None in known else sum(usd for usd in known if usd is not None)


def cells_of_new_run(project: Project, store: RunReader, planned: Plan) -> tuple[Cell, ...]:
    """Return the cells a new run of the plan has: with looks only where the store holds no measurement yet."""
    cells = tuple(one.cell for one in planned.cells)
    if not any(cell.looks for cell in cells):
        return cells
    return with_looks_where_new(cells, _history(project, store, without=""), project)


async def measure_in_looks(
    project: Project, planned: Plan, run: Run, *, store: Store, recorder: Recorder
) -> tuple[Recording, Savings]:
    """Send batch after batch until every suite × model is settled, or budget or deadline end it.

    Raises:
        StoreError: when the store cannot take an outcome.
    """
    earlier = await run_to_end(partial(_history, project, store, without=run.run_id))

    def look(*, is_start: bool, given_up: frozenset[str]) -> tuple[Batch | Stop, History]:
        score_run(store, store.run(run.run_id), project)
        history = _with_run(project, store, store.run(run.run_id), earlier=earlier)
        scored = Scored(history=history, is_start=is_start, given_up=given_up)
        return next_batch(run.cells, scored, project), history

    async with open_session(planned, run.run_id, recorder=recorder) as session:
        batch, history = await run_to_end(partial(look, is_start=True, given_up=frozenset()))
        while isinstance(batch, Batch) and not _is_over(session.recording):
            await session.send(batch.wants)
            batch, history = await run_to_end(
                partial(look, is_start=False, given_up=frozenset(session.recording.given_up))
            )
    endings = batch.endings if isinstance(batch, Stop) else {}
    pairs = tuple(_looked(cell, history, endings.get((cell.suite, cell.model_id))) for cell in _looked_at(run))
    return session.recording, Savings(pairs=pairs, n_planned=sum(cell.n_planned for cell in _looked_at(run)))


def _is_over(recording: Recording) -> bool:
    return bool(recording.stopped_by & {StopReason.BUDGET, StopReason.DEADLINE}) or recording.found_nobody


def _looked_at(run: Run) -> Iterator[Cell]:
    return (cell for cell in run.cells if cell.looks)


def _history(project: Project, store: RunReader, *, without: str) -> History:
    return read_history(project, store, [run for run in runs_that_count(project, store) if run.run_id != without])


def _with_run(project: Project, store: RunReader, run: Run, *, earlier: History) -> History:
    """Return the earlier history with a run's own measurements as the newest, which say nothing of its clusters."""
    own = read_history(project, store, [run])
    found = dict(earlier.by_pair)
    for pair, nights in own.by_pair.items():
        found[pair] = [*nights, *found.get(pair, [])]
    return replace(earlier, by_pair=found, judges={**earlier.judges, **own.judges})


def _looked(cell: Cell, history: History, ending: Ending | None) -> Looked:
    found: Measurement | None = next(iter(history.by_pair.get((cell.suite, cell.model_id), ())), None)
    units = [] if found is None else found.units
    n_looks = 0 if found is None else found.n_looks
    n_saved = 0 if ending is None else cell.n_planned - len(units)
    costs = [unit.cost_usd for unit in units if unit.cost_usd is not None]
    usd = sum(costs) / len(costs) * n_saved if costs else None
    return Looked(
        suite=cell.suite,
        model_id=cell.model_id,
        n_looks=n_looks,
        of_looks=len(cell.looks),
        n_clusters=cell.looks[n_looks - 1].n_clusters if n_looks else 0,
        of_clusters=cell.looks[-1].n_clusters,
        ending=ending,
        n_saved=n_saved,
        saved_usd=usd if n_saved else 0.0,
    )
