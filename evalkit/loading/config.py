"""The project file alone: for what needs no suite, and so neither statistics nor templates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from evalkit.domain.project import ProjectConfig
from evalkit.loading.files import ProjectFiles
from evalkit.loading.validation import mapping_in, validated

if TYPE_CHECKING:
    from pathlib import Path

    from evalkit.loading.source import Node

__all__ = ["load_config", "read_config"]

_CONFIG = TypeAdapter(ProjectConfig)


def load_config(root: Path, *, config_name: str = "evalkit.yaml") -> ProjectConfig:
    """Return the project file alone, without reading what it names.

    Raises:
        ProjectErrors: for everything that is wrong in it.
    """
    return read_config(ProjectFiles(root), config_name)[0]


def read_config(files: ProjectFiles, config_name: str) -> tuple[ProjectConfig, Node]:
    """Return the project file with its tree, for the place of what it names.

    Raises:
        ProjectErrors: for everything that is wrong in it.
    """
    document = mapping_in(files.read_yaml(files.find(config_name)), what="a project file")
    return validated(_CONFIG, document), document
