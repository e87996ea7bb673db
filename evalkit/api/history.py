"""What the store holds of a project, without loading what the project measures.

So the list of runs is quick, and still there when a suite has just been broken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evalkit.clock import SystemClock
from evalkit.loading.config import load_config
from evalkit.settings import locate_project, read_environment, resolve_settings
from evalkit.store.open import open_store

if TYPE_CHECKING:
    from collections.abc import Mapping

    from evalkit.domain.run import Run

__all__ = ["recorded_runs"]


def recorded_runs(*, flags: Mapping[str, Any] | None = None) -> tuple[Run, ...]:
    """Return the project's runs, newest first.

    Args:
        flags: as for `evalkit.api.project.load_project`; of the project's files only `evalkit.yaml` is read.

    Raises:
        InputError: when the project file or the store cannot be used.
    """
    environ = read_environment()
    location = locate_project(flags or {}, environ)
    root = location.root.resolve()
    config = resolve_settings(flags or {}, environ, load_config(root, config_name=location.config_name))
    store = open_store(config.store, root=root, clock=SystemClock())
    try:
        return store.runs(project=config.name_at(root), environment=config.environment)
    finally:
        store.close()
