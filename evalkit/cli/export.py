"""`evalkit export`: an eligibility file as a routing target's own configuration."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evalkit.cli._json import json_option
from evalkit.cli._public_keys import keys_from_pairs, public_key_option

if TYPE_CHECKING:
    from collections.abc import Iterable

    from evalkit.api.exporting import Difference, Expired, Exported, TaskDifference

__all__ = ["command"]


@click.command("export")
@click.argument("target")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "-o",
    "--output",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder to write to.",
)
@click.option("--diff", "is_diff", is_flag=True, help="Write nothing: show what would change in the folder.")
@click.option("--audience", help="The environment it must be for; default: what the file says.")
@public_key_option
@json_option
def command(*, target: str, folder: Path, is_diff: bool, as_json: bool, **source: Any) -> None:
    """Write eligibility FILE for TARGET, such as `litellm`. Candidates that have expired are left out."""
    from evalkit.api.exporting import Source, diff_export, export
    from evalkit.cli._output import print_json

    given = Source(file=source["file"], audience=source["audience"], public_keys=keys_from_pairs(source["keys"]))
    result = diff_export(target, given, folder) if is_diff else export(target, given, folder)
    _warn(result.expired)
    if as_json:
        print_json(result)
    else:
        _print(result)


def _warn(expired: Iterable[Expired]) -> None:
    for one in expired:
        click.echo(f"left out: {one.model} of task {one.task} expired at {one.valid_until}", err=True)


def _print(result: Exported | Difference) -> None:
    from evalkit.api.exporting import Difference

    if isinstance(result, Difference):
        _print_difference(result)
        return
    for path in result.written:
        click.echo(f"wrote {path}")
    for path in result.removed:
        click.echo(f"removed {path}")
    for path in result.kept:
        click.echo(f"not removed: {path} belongs to an earlier export and was changed since", err=True)


def _print_difference(found: Difference) -> None:
    from evalkit.cli._output import clean

    for task in found.tasks:
        click.echo(clean(_moves(task), most=1000))
    for file in found.files:
        click.echo(clean(f"{file.change.replace('_', ' ')}: {file.path}"))
        for line in (file.diff or "").splitlines():
            click.echo(clean(line, most=1000))
    if not found.changed:
        click.echo("no change")


def _moves(task: TaskDifference) -> str:
    gained = [f"+{model}" for model in task.after if model not in task.before]
    lost = [f"-{model}" for model in task.before if model not in task.after]
    return f"{task.task}: {' '.join((*gained, *lost)) or 'in another order'}, now {', '.join(task.after) or 'nobody'}"
