"""Merging: the parts of a run that several machines made become one run, as if one machine had made it."""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.api.project import CLOCK, leased, opened_store
from evalkit.domain.nightly import night_of
from evalkit.domain.run import RunStatus
from evalkit.errors import NotFoundError, Place
from evalkit.pipeline.sharding import joined
from evalkit.store.open import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from evalkit.domain.outcome import Outcome
    from evalkit.domain.project import Project
    from evalkit.domain.run import Run
    from evalkit.domain.score import Scored
    from evalkit.ports import Store

__all__ = ["Merged", "merge"]

_BATCH = 1000
_UNFINISHED = "merge not finished"


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """The run that came of it."""

    run: Run
    parts: tuple[str, ...]
    """Run ids of the parts, in order."""
    is_new: bool
    """False when the same parts had been merged before."""


def merge(project: Project, stores: Sequence[str], *, is_tonight: bool = False) -> Merged:
    """Take the newest whole set of parts out of these stores into the project's own. Killed, do it again.

    Args:
        project: whose store takes them.
        stores: URLs, or paths of SQLite files; the project's own may be among them.
        is_tonight: let the run fill the slot of its night, so that `evalkit nightly` goes on from there.

    Raises:
        InputError: for a store that cannot be used, or parts that do not make a whole.
        LeaseHeldError: when another process is measuring for this environment.
    """
    with ExitStack() as stack:
        target = stack.enter_context(opened_store(project))
        stack.enter_context(leased(project, target, "run", holder="merge"))
        sources = [stack.enter_context(closing(_opened(project, url))) for url in stores]
        found = _newest_parts(project, sources)
        whole = joined([run for run, _ in found])
        if is_tonight:
            whole = replace(whole, night=night_of(whole.started_at, starts_at=project.config.nightly.starts_at))
        parts = tuple(run.run_id for run, _ in sorted(found, key=lambda pair: int(pair[0].shard.partition("/")[0])))
        every = target.runs(project=project.name, environment=project.config.environment)
        is_new = not any(run.run_id == whole.run_id and run.note != _UNFINISHED for run in every)
        if is_new:
            target.open_run(replace(whole, status=RunStatus.RUNNING, note=_UNFINISHED))
            for run, source in found:
                for outcomes, scored in _batches(source, run.run_id):
                    target.append(whole.run_id, outcomes, scored)
            target.open_run(whole)
        return Merged(run=whole, parts=parts, is_new=is_new)


def _opened(project: Project, url: str) -> Store:
    if "://" in url:
        return open_store(url, root=project.root, clock=CLOCK)
    path = Path(url).absolute()
    if not path.is_file():
        raise NotFoundError("there is no such store", place=Place(file=url), next_step="name a file, or a store's URL")
    return open_store(f"sqlite:///{path}", root=project.root, clock=CLOCK)


def _newest_parts(project: Project, sources: Sequence[Store]) -> list[tuple[Run, Store]]:
    """Return the newest run of each part, of the whole whose part was begun last."""
    found = [
        (run, source)
        for source in sources
        for run in source.runs(project=project.name, environment=project.config.environment)
        if run.shard
    ]
    if not found:
        raise NotFoundError("no part of a run is in these stores", next_step="evalkit run --shard 1/8")
    newest = max(found, key=lambda pair: pair[0].started_at)[0]
    same = [pair for pair in found if (pair[0].shard_of, _count(pair[0])) == (newest.shard_of, _count(newest))]
    by_shard: dict[str, tuple[Run, Store]] = {}
    for run, source in sorted(same, key=lambda pair: pair[0].started_at):
        by_shard[run.shard] = run, source
    return list(by_shard.values())


def _count(run: Run) -> str:
    return run.shard.partition("/")[2]


def _batches(source: Store, run_id: str) -> Iterator[tuple[list[Outcome], list[Scored]]]:
    outcomes = source.outcomes(run_id)
    scored = {one.call_key: one for one in source.scores(run_id)}
    while batch := list(islice(outcomes, _BATCH)):
        yield batch, [scored[one.call_key] for one in batch if one.call_key in scored]
