"""`evalkit report`: a run as HTML, Markdown, JUnit XML, CSV, Parquet or JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from evalkit.cli._json import json_option
from evalkit.cli._options import opened_project, project_options

__all__ = ["command"]


@click.command("report")
@click.argument("run_id", metavar="[RUN]", required=False)
@click.option(
    "--format",
    "formats",
    multiple=True,
    default=("html",),
    show_default=True,
    help="html, markdown, junit, csv, parquet or json; may be repeated.",
)
@click.option(
    "-o",
    "--output",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder; default: latest/ in the project's reports.",
)
@project_options()
@json_option
def command(
    *, run_id: str | None, formats: tuple[str, ...], folder: Path | None, as_json: bool, **settings: Any
) -> None:
    """Write reports of RUN (default: the latest)."""
    from evalkit.api.showing import write_report
    from evalkit.cli._output import print_json

    first = write_report(opened_project(settings), formats, run_id=run_id, folder=folder)
    if as_json:
        print_json({"written": first})
        return
    for path in first:
        click.echo(f"wrote {path}")
