"""`evalkit baseline`: how far back comparisons look."""

from __future__ import annotations

from typing import Any

import click

from evalkit.cli._json import json_option
from evalkit.cli._options import opened_project, project_options

__all__ = ["command"]


@click.group("baseline")
def command() -> None:
    """Say from which run on earlier nights are the baseline, after a change that was wanted."""


@command.command("set")
@click.argument("run_id", metavar="[RUN]", required=False)
@project_options()
@json_option
def set_(*, run_id: str | None, as_json: bool, **settings: Any) -> None:
    """Let comparisons look back to RUN (default: the latest) and no further."""
    from evalkit.api.baseline import set_baseline
    from evalkit.cli._output import print_json

    run = set_baseline(opened_project(settings), run_id)
    if as_json:
        print_json({"baseline": run.run_id})
        return
    click.echo(f"baseline: {run.run_id}; later runs are compared with it and the nights after it")


@command.command("clear")
@project_options()
@json_option
def clear(*, as_json: bool, **settings: Any) -> None:
    """Let comparisons look back as far as they can again."""
    from evalkit.api.baseline import clear_baseline
    from evalkit.cli._output import print_json

    cleared = clear_baseline(opened_project(settings))
    if as_json:
        print_json({"cleared": cleared})
        return
    click.echo(f"no baseline any more; it was {', '.join(cleared)}")
