"""`evalkit runs`: what is in the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from evalkit.cli._json import json_option
from evalkit.cli._options import given_flags, project_options

if TYPE_CHECKING:
    from evalkit.domain.run import Run

__all__ = ["command"]


@click.command("runs")
@project_options()
@json_option
def command(*, as_json: bool, **settings: Any) -> None:
    """List the project's runs, newest first."""
    from evalkit.api.history import recorded_runs
    from evalkit.canonical import timestamp
    from evalkit.cli._output import clean, print_json

    found = recorded_runs(flags=given_flags(settings))
    if as_json:
        print_json({"runs": found})
        return
    for run in found:
        planned = sum(cell.n_planned for cell in run.cells)
        marks = [word for word, holds in _marks(run) if holds]
        note = clean(run.note)
        rest = " ".join(part for part in (*marks, note) if part)
        click.echo(f"{run.run_id}  {timestamp(run.started_at)}  {run.status:<11}  {planned} calls  {rest}".rstrip())
    if not found:
        click.echo("no runs yet; next: evalkit run")


def _marks(run: Run) -> tuple[tuple[str, bool], ...]:
    return (
        ("simulated", run.is_simulated),
        ("partial", run.is_partial),
        (f"part {run.shard}", bool(run.shard)),
        (f"night {run.night}", bool(run.night)),
        ("without texts", not run.has_texts),
        ("baseline", run.is_baseline),
    )
