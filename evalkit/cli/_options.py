"""Options every command shares, made from the one table of settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from evalkit.settings import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Callable

    from evalkit.domain.project import Project

__all__ = ["given_flags", "opened_project", "project_options"]

_EVERYWHERE = ("root", "config_name", "environment", "store", "reports")


def project_options(*more: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the settings that say which project, and those named in `more`."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        for setting in reversed([s for s in SETTINGS if s.name in (*_EVERYWHERE, *more)]):
            function = click.option(setting.flag, setting.name, help=f"{setting.help} [{setting.env}]")(function)
        return function

    return add


def opened_project(settings: dict[str, Any]) -> Project:
    """Load the project the settings point at."""
    from evalkit.api.project import load_project

    return load_project(flags=given_flags(settings))


def given_flags(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that were given on the command line."""
    return {name: value for name, value in settings.items() if value is not None}
