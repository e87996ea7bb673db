"""`evalkit prune`: a smaller store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from evalkit.cli._durations import seconds_from
from evalkit.cli._json import json_option
from evalkit.cli._options import opened_project, project_options

if TYPE_CHECKING:
    from evalkit.api.pruning import Pruned

__all__ = ["command"]


@click.command("prune")
@click.option("--texts-older", metavar="DURATION", help="Forget prompts and answers of older runs, such as 30d.")
@click.option("--runs-older", metavar="DURATION", help="Forget older runs as a whole, such as 400d.")
@click.option("--dry-run", "is_dry", is_flag=True, help="Change nothing: say what would go.")
@project_options()
@json_option
def command(*, texts_older: str | None, runs_older: str | None, is_dry: bool, as_json: bool, **settings: Any) -> None:
    """Take old texts and runs out of the store. What decisions, pools and the baseline rest on stays."""
    from evalkit.api.pruning import prune
    from evalkit.cli._output import print_json

    if texts_older is None and runs_older is None:
        raise click.UsageError("give --texts-older, --runs-older or both")
    texts_older_s = None if texts_older is None else seconds_from(texts_older, option="--texts-older")
    runs_older_s = None if runs_older is None else seconds_from(runs_older, option="--runs-older")
    pruned = prune(opened_project(settings), texts_older_s=texts_older_s, runs_older_s=runs_older_s, is_dry=is_dry)
    if as_json:
        print_json(pruned)
        return
    _print(pruned)


def _print(pruned: Pruned) -> None:
    would = "would forget" if pruned.is_dry else "forgot"
    for run_id in pruned.without_texts:
        click.echo(f"{would} the texts of {run_id}")
    for run_id in pruned.removed:
        click.echo(f"{would} {run_id}")
    for run_id in pruned.kept:
        click.echo(f"kept {run_id}: decisions, pools, a baseline or a resumed run may need it", err=True)
    click.echo(f"{len(pruned.without_texts)} runs without texts, {len(pruned.removed)} runs gone")
