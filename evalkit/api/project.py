"""Opening a project: files, settings, store, clock."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Literal

from evalkit.clock import RehearsalClock, SystemClock
from evalkit.errors import InputError, Place
from evalkit.loading.project import load_project as load_files
from evalkit.settings import REHEARSAL_NOW, locate_project, read_environment, rehearsal_now, resolve_settings
from evalkit.store.open import open_store

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from evalkit.domain.project import Project
    from evalkit.domain.run import Run
    from evalkit.ports import Clock, RunReader, Store

__all__ = [
    "CLOCK",
    "LEASE_S",
    "chosen_run",
    "evalkit_version",
    "leased",
    "load_project",
    "opened_store",
    "reports_folder",
]

LEASE_S = 60.0
"""How long a process that was killed still keeps others out; one that lives renews its lease."""


def _clock() -> Clock:
    """Return the clock of this process; what cannot be read as a moment is refused when a project is loaded."""
    try:
        starts_at = rehearsal_now(read_environment())
    except InputError:
        starts_at = None
    return SystemClock() if starts_at is None else RehearsalClock(starts_at)


CLOCK: Clock = _clock()
"""The machine's own, save for a rehearsal on the simulator (`evalkit.settings.REHEARSAL_NOW`)."""


def evalkit_version() -> str:
    """Return the installed version."""
    return version("gateway-evalkit")


def load_project(root: str | os.PathLike[str] | None = None, *, flags: Mapping[str, Any] | None = None) -> Project:
    """Return everything the project file names, resolved and checked; nothing is run.

    Args:
        root: the project folder; None asks `EVALKIT_ROOT`, then takes the current folder.
        flags: settings given by the caller, by the names of `evalkit.settings.SETTINGS`; they win over the
            environment, which wins over the file.

    Raises:
        InputError: with every problem found, each with file, line, value and next step.
    """
    environ = read_environment()
    given = {**(flags or {}), **({} if root is None else {"root": str(root)})}
    location = locate_project(given, environ)
    project = load_files(location.root, now=CLOCK.now(), config_name=location.config_name)
    project = replace(project, config=resolve_settings(given, environ, project.config))
    _refuse_made_up_time(project, environ)
    return project


def _refuse_made_up_time(project: Project, environ: Mapping[str, str]) -> None:
    """A clock that is not the machine's would make what a real model answered look fresher than it is."""
    if rehearsal_now(environ) is not None and project.config.gateway.kind != "simulator":
        raise InputError(
            f"a rehearsal's clock is for the simulator, and the gateway is of kind {project.config.gateway.kind!r}",
            place=Place(file="environment", pointer=REHEARSAL_NOW),
            next_step=f"unset {REHEARSAL_NOW}",
        )


@contextmanager
def opened_store(project: Project) -> Iterator[Store]:
    """Open the project's store for as long as the context lasts."""
    store = open_store(project.config.store, root=project.root, clock=CLOCK)
    try:
        yield store
    finally:
        store.close()


def leased(
    project: Project, store: Store, what: Literal["run", "nightly", "publish"], *, holder: str
) -> AbstractContextManager[None]:
    """Be the only process that does this for the project and its environment, for as long as the context lasts.

    Raises:
        LeaseHeldError: on entering, when another process is at it.
    """
    return store.lease(f"{what}:{project.name}:{project.config.environment}", holder=holder, ttl_s=LEASE_S)


def chosen_run(project: Project, reader: RunReader, run_id: str | None) -> Run:
    """Return a run by its id, or the newest one.

    Raises:
        InputError: when there is none.
    """
    if run_id is not None and run_id != "latest":
        return reader.run(run_id)
    every = reader.runs(project=project.name, environment=project.config.environment)
    runs = [run for run in every if not run.is_aside]
    if not runs:
        problem = f"no run of project {project.name!r}, environment {project.config.environment!r} is in the store"
        raise InputError(problem, next_step="evalkit run")
    return runs[0]


def reports_folder(project: Project) -> Path:
    """Return the folder of the newest reports."""
    return project.root / project.config.reports / "latest"
