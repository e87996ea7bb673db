"""What commands print: JSON for machines on stdout, text for people, and never a control character from a model."""

from __future__ import annotations

import dataclasses
import json
import math
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["clean", "console", "print_json", "progress_console", "warn"]


_PIPE_COLUMNS = 180
"""A pipe has no width of its own, and the 80 columns rich assumes would cut names in two."""


def console() -> Console:
    """Return a console for results; no colour and no animation when stdout is not a terminal."""
    return _console(is_stderr=False)


def progress_console() -> Console:
    """Return a console for progress and logs, on stderr."""
    return _console(is_stderr=True)


def _console(*, is_stderr: bool) -> Console:
    # Here, so that commands that print nothing but lines do not load it.
    from rich.console import Console

    # Without markup nothing that came from outside can style, link or hide anything.
    found = Console(stderr=is_stderr, highlight=False, markup=False, emoji=False)
    return Console(
        stderr=is_stderr,
        highlight=False,
        markup=False,
        emoji=False,
        width=None if found.is_terminal else _PIPE_COLUMNS,
        # NO_COLOR asks for no colour; bold and dim are escape codes too, and go with it.
        color_system=None if found.no_color else "auto",
    )


def clean(text: str, *, most: int = 160) -> str:
    """Return text from outside on one line, without control or bidi characters, cut to `most` characters."""
    shown = "".join(c if c.isprintable() else " " if c in "\n\t\r" else f"\\u{ord(c):04x}" for c in text[: most * 2])
    return shown if len(shown) <= most and len(text) <= most * 2 else shown[: most - 1] + "…"


def warn(warning: str) -> None:
    """Print a warning on stderr, on one line."""
    click.echo(f"warning: {clean(warning, most=1000)}", err=True)


def print_json(value: Any) -> None:
    """Print one JSON document on stdout, in ASCII; a number JSON cannot say becomes null.

    ASCII, because a terminal shows JSON too: control and bidi characters of a model's text stay escaped.
    """
    click.echo(json.dumps(_plain(value), indent=2))


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value) if field.repr}
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        items = sorted(value, key=str) if isinstance(value, (set, frozenset)) else value
        return [_plain(item) for item in items]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, (StrEnum, Path)):
        return str(value)
    return value
