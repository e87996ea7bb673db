"""Making a store smaller: texts of old runs first, then the runs themselves. What decides is never touched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from evalkit.api.project import CLOCK, leased, opened_store
from evalkit.domain.run import RunStatus
from evalkit.pipeline.decide import decide
from evalkit.pipeline.history import MAX_NIGHTS

if TYPE_CHECKING:
    from evalkit.domain.project import Project
    from evalkit.domain.run import Run
    from evalkit.ports import RunReader

__all__ = ["Pruned", "prune"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What was, or would be, taken out."""

    without_texts: tuple[str, ...]
    """Runs whose prompts and answers go; their numbers stay."""
    removed: tuple[str, ...]
    """Runs that go as a whole."""
    kept: tuple[str, ...]
    """Runs old enough to go that stay: decisions, pools or a baseline rest on them."""
    is_dry: bool


def prune(project: Project, *, texts_older_s: float | None, runs_older_s: float | None, is_dry: bool = False) -> Pruned:
    """Take texts and runs out of the store that began longer ago than this; None takes none.

    The fourteen newest measurements of every suite × model stay, as does every run a verdict rests on, the baseline and
    whatever is unfinished and may be resumed.

    Raises:
        LeaseHeldError: when another process is measuring for this environment.
    """
    now = CLOCK.now()
    with opened_store(project) as store, leased(project, store, "run", holder="prune"):
        every = store.runs(project=project.name, environment=project.config.environment)
        needed = _needed(project, store, every)
        old = [run for run in every if runs_older_s is not None and now - run.started_at > runs_older_s]
        removed = tuple(run.run_id for run in old if run.run_id not in needed)
        without_texts = tuple(
            run.run_id
            for run in every
            if texts_older_s is not None
            and now - run.started_at > texts_older_s
            and run.has_texts
            and run.status is RunStatus.FINISHED
            and run.run_id not in removed
        )
        if not is_dry:
            for run_id in without_texts:
                store.forget(run_id, texts_only=True)
            for run_id in removed:
                store.forget(run_id)
        kept = tuple(run.run_id for run in old if run.run_id in needed)
        return Pruned(without_texts=without_texts, removed=removed, kept=kept, is_dry=is_dry)


def _needed(project: Project, reader: RunReader, every: tuple[Run, ...]) -> set[str]:
    seen: dict[tuple[str, str], int] = {}
    needed = {run.run_id for run in decide(project, reader).runs}
    for run in every:
        if run.is_baseline or (run.status.is_resumable and run.has_texts):
            needed.add(run.run_id)
        for cell in run.cells:
            if cell.is_partial or run.shard:
                continue
            pair = cell.suite, cell.model_id
            seen[pair] = seen.get(pair, 0) + 1
            if seen[pair] <= MAX_NIGHTS:
                needed.add(run.run_id)
    return needed
