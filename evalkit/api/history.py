"""What the store holds of a project, without loading what the project measures.

So the list of runs is quick, and still there when a suite has just been broken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from evalkit.clock import SystemClock
from evalkit.domain.project import ProjectConfig
from evalkit.loading.files import ProjectFiles
from evalkit.loading.validation import mapping_in, validated
from evalkit.settings import locate_project, read_environment, resolve_settings
from evalkit.store.open import open_store

if TYPE_CHECKING:
    from collections.abc import Mapping

    from evalkit.domain.run import Run

__all__ = ["recorded_runs"]

_CONFIG = TypeAdapter(ProjectConfig)


def recorded_runs(*, flags: Mapping[str, Any] | None = None) -> tuple[Run, ...]:
    """Return the project's runs, newest first.

    Args:
        flags: as for `evalkit.api.project.load_project`; of the project's files only `evalkit.yaml` is read.

    Raises:
        InputError: when the project file or the store cannot be used.
    """
    environ = read_environment()
    location = locate_project(flags or {}, environ)
    files = ProjectFiles(location.root)
    document = mapping_in(files.read_yaml(files.find(location.config_name)), what="a project file")
    config = resolve_settings(flags or {}, environ, validated(_CONFIG, document))
    store = open_store(config.store, root=files.root, clock=SystemClock())
    try:
        return store.runs(project=config.name or files.root.name, environment=config.environment)
    finally:
        store.close()
