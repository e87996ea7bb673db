"""`evalkit merge`: parts of a run become one."""

from __future__ import annotations

from typing import Any

import click

from evalkit.cli._json import json_option
from evalkit.cli._options import opened_project, project_options

__all__ = ["command"]


@click.command("merge")
@click.argument("stores", metavar="STORE...", nargs=-1, required=True)
@click.option("--tonight", "is_tonight", is_flag=True, help="Let it fill the night's slot: `evalkit nightly` goes on.")
@project_options()
@json_option
def command(*, stores: tuple[str, ...], is_tonight: bool, as_json: bool, **settings: Any) -> None:
    """Join the parts of a run (`run --shard`) out of STOREs, files or URLs, into the project's store."""
    from evalkit.api.merging import merge
    from evalkit.cli._output import print_json

    merged = merge(opened_project(settings), stores, is_tonight=is_tonight)
    if as_json:
        print_json(merged)
        return
    how = "merged" if merged.is_new else "merged before"
    click.echo(f"{how}: run {merged.run.run_id} of {len(merged.parts)} parts; next: evalkit decide -o FILE")
