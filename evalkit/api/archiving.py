"""History in a file: for jobs whose machine forgets everything, and for moving a store's numbers elsewhere."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from evalkit.api.project import leased, opened_store
from evalkit.api.writing import write_file
from evalkit.domain.policy import seconds_of
from evalkit.domain.run import RunStatus
from evalkit.errors import InputError, NotFoundError, Place
from evalkit.pipeline.archive import FORMAT, archive_lines, cell_from_line, run_from_line
from evalkit.store.codec import run_from_text, run_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from evalkit.domain.project import Project
    from evalkit.domain.run import Cell, Run
    from evalkit.ports import Store

__all__ = ["EXPORTED_RUNS", "Archived", "Unarchived", "export_history", "import_history"]

EXPORTED_RUNS = 90
"""Runs that are exported unless told otherwise: as many as charts look back."""

_UNFINISHED = "import not finished"
_MARGIN_S = 3600.0
_SEEN_WHOLE = 2
"""The newest cells of a pair are whole at any age: they are what a report shows."""
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True, slots=True, kw_only=True)
class Archived:
    """A file that was written."""

    path: Path
    n_runs: int
    n_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Unarchived:
    """What became of the runs of a file."""

    n_added: int
    n_known: int
    """The store had them already, and keeps its own: it may still have the texts."""


def export_history(
    project: Project, path: Path, *, n_runs: int = EXPORTED_RUNS, is_all_whole: bool = False
) -> Archived:
    """Write the newest runs without texts. Nights whose evidence has expired are thin, unless all are to be whole.

    Raises:
        InputError: when there is no run, the file there is something else, or cannot be written.
    """
    _refuse_to_replace(path)
    with opened_store(project) as store:
        runs = store.runs(project=project.name, environment=project.config.environment)[:n_runs]
        if not runs:
            raise InputError("the store holds no run of this project", next_step="evalkit run")
        is_whole = (lambda _run, _cell: True) if is_all_whole else _still_valid(project, runs)
        lines = archive_lines(store, runs, is_whole=is_whole, run_text=run_text)
        data = _compressed(_framed(project, lines, n_runs=len(runs)))
    write_file(path, data)
    return Archived(path=path, n_runs=len(runs), n_bytes=len(data))


def import_history(project: Project, path: Path) -> Unarchived:
    """Take the runs of a file into the store; runs that are there already stay as they are. Killed, do it again.

    Raises:
        NotFoundError: for a missing file.
        InputError: for a file that is damaged, cut off, of another format or of another project or environment.
        LeaseHeldError: when another process is measuring for this environment.
    """
    lines = _read(path)
    head = lines[0]
    own = {"project": project.name, "environment": project.config.environment}
    theirs = {name: head.get(name) for name in own}
    if theirs != own:
        problem = f"the history is of {theirs['project']!r}, {theirs['environment']!r}, not of this project"
        raise InputError(problem, place=Place(file=str(path)), next_step=f"name and environment here: {own}")
    with opened_store(project) as store, leased(project, store, "run", holder="history import"):
        try:
            return _taken_in(store, lines[1:], known=_known(store, project))
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise _damaged(path, f"{type(error).__name__}: {error}") from error


def _still_valid(project: Project, runs: Sequence[Run]) -> Callable[[Run, Cell], bool]:
    """Return whether a cell's evidence may not have expired by the newest run; asked for the oldest run first."""
    tasks = project.policy.tasks
    longest_s = max((seconds_of(project.policy.defaults_for(task).valid_for) for task in tasks), default=0)
    since = max(run.started_at for run in runs) - longest_s - _MARGIN_S
    newest: dict[tuple[str, str], list[str]] = {}
    for run in runs:
        for cell in run.cells:
            newest.setdefault((cell.suite, cell.model_id), []).append(run.run_id)

    def is_whole(run: Run, cell: Cell) -> bool:
        is_shown = run.run_id in newest[cell.suite, cell.model_id][:_SEEN_WHOLE]
        return is_shown or (run.finished_at or run.started_at) >= since

    return is_whole


def _framed(project: Project, lines: Iterable[dict[str, Any]], *, n_runs: int) -> Iterator[bytes]:
    """Yield every line with its head and, last, a digest of all before: a file that was cut off shows it."""
    head = {"format": FORMAT, "project": project.name, "environment": project.config.environment, "runs": n_runs}
    digest = hashlib.sha256()
    for line in (head, *lines):
        text = json.dumps(line, separators=(",", ":")).encode() + b"\n"
        digest.update(text)
        yield text
    yield json.dumps({"end": f"sha256:{digest.hexdigest()}"}).encode() + b"\n"


def _compressed(lines: Iterable[bytes]) -> bytes:
    held = io.BytesIO()
    # Without a name and a time in it the same history gives the same bytes.
    with gzip.GzipFile(filename="", mode="wb", fileobj=held, mtime=0) as file:
        for line in lines:
            file.write(line)
    return held.getvalue()


def _refuse_to_replace(path: Path) -> None:
    """Refuse to write over a file that cannot be a history."""
    try:
        with path.open("rb") as file:
            start = file.read(len(_GZIP))
    except OSError:  # whether it may be written shows when it is written
        return
    if start and start != _GZIP:
        problem = "the file there is no history"
        raise InputError(problem, place=Place(file=str(path)), next_step="write to another file, or remove that one")


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        text = gzip.decompress(path.read_bytes())
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no file {str(path)!r}", next_step="evalkit history export FILE") from error
    except (OSError, EOFError, ValueError) as error:
        raise _damaged(path, str(error)) from error
    body, _, last = text.rstrip(b"\n").rpartition(b"\n")
    expected = "sha256:" + hashlib.sha256(body + b"\n").hexdigest()
    try:
        if json.loads(last)["end"] != expected:
            raise _damaged(path, "the digest at its end does not match")
        lines = [json.loads(line) for line in body.split(b"\n")]
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(path, "it does not end as a history does") from error
    if lines[0].get("format") != FORMAT:
        problem = f"format is {lines[0].get('format')!r}, not {FORMAT!r}"
        raise InputError(problem, place=Place(file=str(path)), next_step="export it again with this evalkit")
    return lines


def _damaged(path: Path, why: str) -> InputError:
    return InputError(
        f"no whole history: {why}", place=Place(file=str(path)), next_step="take an earlier copy, or go on without"
    )


def _known(store: Store, project: Project) -> set[str]:
    every = store.runs(project=project.name, environment=project.config.environment)
    return {run.run_id for run in every if run.note != _UNFINISHED}


def _taken_in(store: Store, lines: Sequence[dict[str, Any]], *, known: set[str]) -> Unarchived:
    tables: dict[int, Any] = {}
    runs = [run_from_line(line, tables, run_from_text=run_from_text) for line in lines if "run" in line]
    fresh = {run.run_id for run in runs if run.run_id not in known}
    for run in runs:
        if run.run_id in fresh:
            store.open_run(replace(run, status=RunStatus.RUNNING, note=_UNFINISHED))
    units: dict[int, Sequence[Sequence[Any]]] = {}
    for line in lines:
        if "units" in line:
            units[line["units"]] = line["table"]
        elif "of" in line and runs[line["of"][0]].run_id in fresh:
            cell = cell_from_line(line, units)
            store.append(runs[cell.run_no].run_id, cell.outcomes, cell.scored)
    for run in runs:
        if run.run_id in fresh:
            store.open_run(run)
    return Unarchived(n_added=len(fresh), n_known=len(runs) - len(fresh))
