"""`evalkit history`: numbers of past runs, in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from evalkit.cli._json import json_option
from evalkit.cli._options import opened_project, project_options

__all__ = ["command"]

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.group("history")
def command() -> None:
    """Keep what past runs measured, without prompts and answers, in a small file; and take it back."""


@command.command("export")
@click.argument("file", type=_FILE)
@click.option("--runs", "n_runs", type=click.IntRange(min=1), default=90, show_default=True, help="The newest so many.")
@click.option("--whole", "is_all_whole", is_flag=True, help="Times, tokens and costs of expired nights too.")
@project_options()
@json_option
def export(*, file: Path, n_runs: int, is_all_whole: bool, as_json: bool, **settings: Any) -> None:
    """Write FILE (JSON Lines, gzip) from the store."""
    from evalkit.api.archiving import export_history
    from evalkit.cli._output import print_json

    archived = export_history(opened_project(settings), file, n_runs=n_runs, is_all_whole=is_all_whole)
    if as_json:
        print_json(archived)
        return
    click.echo(f"wrote {archived.path}: {archived.n_runs} runs, {archived.n_bytes:,} bytes")


@command.command("import")
@click.argument("file", type=_FILE)
@project_options()
@json_option
def import_(*, file: Path, as_json: bool, **settings: Any) -> None:
    """Take the runs of FILE into the store; those that are there already stay as they are."""
    from evalkit.api.archiving import import_history
    from evalkit.cli._output import print_json

    taken = import_history(opened_project(settings), file)
    if as_json:
        print_json(taken)
        return
    click.echo(f"{taken.n_added} runs added, {taken.n_known} known already")
