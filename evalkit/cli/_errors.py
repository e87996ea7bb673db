"""What a command that failed says: to a person on stderr, and with `--json` to a machine on stdout as well.

Messages can hold text from files, gateways and models: no control character of theirs reaches a terminal.
"""

from __future__ import annotations

import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from evalkit.cli._output import clean, print_json
from evalkit.errors import EvalkitError, ExitCode, InputError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["show_error"]

_MAX_LINE = 2000
_INTERRUPTED = "interrupted; every answer that came back is kept\n  next: run it again to go on"
_BUG = "this is a bug in evalkit; nothing committed was lost\n  next: report it with the lines above"


def show_error(error: BaseException, *, as_json: bool) -> int:
    """Say what went wrong and return the exit code it means."""
    kind, code, message = _told(error)
    if kind == "Bug":
        _echo("".join(traceback.format_exception(error)).rstrip())
    if isinstance(error, click.UsageError) and error.ctx is not None:
        click.echo(f"{error.ctx.get_usage()}\nhelp: {error.ctx.command_path} --help", err=True)
    _echo(f"error: {message}")
    if as_json:
        # A stdout that is full or closed may be the very error this tells of.
        with suppress(OSError):
            print_json({"error": {"kind": kind, "exit_code": code, "message": message, **_details(error)}})
    return code


def _told(error: BaseException) -> tuple[str, int, str]:
    """Return kind, exit code and message."""
    if isinstance(error, EvalkitError):
        return type(error).__name__, error.exit_code, str(error)
    if isinstance(error, click.ClickException):
        return type(error).__name__, ExitCode.USAGE, error.format_message()
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        return "Interrupted", ExitCode.INTERRUPTED, _INTERRUPTED
    if isinstance(error, OSError):
        # Disk full, rights, a folder that went away: where no use case could say it better, the system's own words.
        where = f"{error.filename}: " if error.filename else ""
        return (
            "SystemRefused",
            ExitCode.USAGE,
            f"{where}{error.strerror or error}\n  next: mend that, then run it again",
        )
    return "Bug", ExitCode.BUG, _BUG


def _details(error: BaseException) -> dict[str, Any]:
    """Return what a machine would otherwise have to read out of the message."""
    if isinstance(error, RefusedError):
        return {"code": error.code}
    return {"problems": [*_problems(error)]} if isinstance(error, InputError) else {}


def _problems(error: InputError) -> Iterator[dict[str, Any]]:
    # The errors of a whole project come as one that holds many.
    for one in getattr(error, "errors", (error,)):
        place = one.place
        where = {"file": place and place.file, "line": place and place.line, "pointer": place and place.pointer}
        yield {**where, "problem": one.problem, "next_step": one.next_step}


def _echo(text: str) -> None:
    for line in text.split("\n"):
        click.echo(clean(line, most=_MAX_LINE), err=True)
