"""The baseline a person sets: comparisons look back to that run and no further."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from evalkit.api.project import chosen_run, opened_store
from evalkit.errors import InputError, NotFoundError

if TYPE_CHECKING:
    from evalkit.domain.project import Project
    from evalkit.domain.run import Run

__all__ = ["clear_baseline", "set_baseline"]


def set_baseline(project: Project, run_id: str | None = None) -> Run:
    """Mark a run: what was measured before it is no baseline of any later run. Nothing about decisions changes.

    Args:
        project: what was loaded.
        run_id: None is the newest run.

    Raises:
        InputError: when there is no such run, or it measured only a part.
    """
    with opened_store(project) as store:
        run = chosen_run(project, store, run_id)
        if not run.is_whole:
            raise InputError(f"run {run.run_id} can be no baseline: {_why_not(run)}", next_step=_next_step(run))
        marked = replace(run, is_baseline=True)
        store.open_run(marked)
        return marked


def _why_not(run: Run) -> str:
    if run.shard:
        return f"it is part {run.shard} of a run"
    return "it is partial" if run.is_partial else f"it is {run.status}"


def _next_step(run: Run) -> str:
    return "evalkit merge joins the parts; name the whole" if run.shard else "name a finished, unfiltered run"


def clear_baseline(project: Project) -> tuple[str, ...]:
    """Take the marks off again; return the ids of the runs that had one.

    Raises:
        NotFoundError: when none is set.
    """
    with opened_store(project) as store:
        every = store.runs(project=project.name, environment=project.config.environment)
        marked = [run for run in every if run.is_baseline]
        if not marked:
            raise NotFoundError("no baseline is set", next_step="evalkit baseline set RUN")
        for run in marked:
            store.open_run(replace(run, is_baseline=False))
        return tuple(run.run_id for run in marked)
