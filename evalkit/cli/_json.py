"""`--json`, for commands that need no project: apart from the settings, whose table costs a validation library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["json_option"]


def json_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--json`: one JSON document on stdout instead of text."""
    return click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")(function)
