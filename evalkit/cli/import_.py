"""`evalkit import responses`: grade answers that were made elsewhere."""

from __future__ import annotations

from typing import Any

import click

from evalkit.cli._json import json_option
from evalkit.cli._options import opened_project, project_options

__all__ = ["command"]


@click.group("import")
def command() -> None:
    """Grade answers that were made elsewhere."""


@command.command("responses")
@click.argument("file", type=click.Path(exists=True))
@project_options("concurrency")
@json_option
def responses(*, file: str, as_json: bool, **settings: Any) -> None:
    """Grade recorded answers (JSON Lines, `.gz` or a folder) as a run of their own; they never decide routing."""
    from evalkit.api.importing import import_responses
    from evalkit.api.showing import load_report
    from evalkit.cli._output import print_json

    project = opened_project(settings)
    result = import_responses(project, file)
    report = load_report(project, result.run.run_id)
    if as_json:
        print_json({"run": result.run, "cells": report.cells})
        return
    for cell in report.cells:
        e = cell.estimate
        spread = f"[{e.lower:.3f}, {e.upper:.3f}]" if e.lower is not None and e.upper is not None else "[?]"
        click.echo(f"{cell.suite} {cell.model_id} {cell.metric}: {e.value:.4f} {spread} {e.n_words}")
    click.echo(f"run {result.run.run_id}: {result.recording.n_sent} answers imported")
