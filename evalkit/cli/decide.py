"""`evalkit decide`: the store becomes an eligibility file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evalkit.cli._json import json_option
from evalkit.cli._options import opened_project, project_options
from evalkit.cli._public_keys import keys_from_pairs, public_key_option

if TYPE_CHECKING:
    from datetime import datetime

    from evalkit.api.deciding import Published

__all__ = ["command"]


@click.command("decide")
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The eligibility file."
)
@click.option(
    "--as-of",
    type=click.DateTime(["%Y-%m-%dT%H:%M:%SZ"]),
    help="Decide as at this moment, UTC; default: the end of the newest run.",
)
@click.option(
    "--previous",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The last file, for a store that forgets: it keeps models until the end it gave them.",
)
@public_key_option
@project_options()
@json_option
def command(*, output: Path, as_of: datetime | None, as_json: bool, **settings: Any) -> int:
    """Decide from the store and write the eligibility file; signed when the project says so."""
    from datetime import UTC

    from evalkit.api.deciding import Previous, publish
    from evalkit.api.exits import publish_exit_code
    from evalkit.cli._output import print_json

    moment = None if as_of is None else as_of.replace(tzinfo=UTC).timestamp()
    file, keys = settings.pop("previous"), keys_from_pairs(settings.pop("keys"))
    previous = None if file is None else Previous(file=file, public_keys=keys)
    published = publish(opened_project(settings), output, as_of=moment, previous=previous)
    if as_json:
        print_json(
            {"file": output, "document": published.document, "ranking": published.ranking, "ahead": published.ahead}
        )
        return publish_exit_code(published)
    _print(published)
    return publish_exit_code(published)


def _print(published: Published) -> None:
    """Say what was written and, for each task nobody may serve, why and what would cure it."""
    from evalkit.cli._matrix import rank_lines, reason_lines

    document = published.document
    label = "SIMULATED " if document["simulated"] else ""
    signed = "signed" if "signature" in document else "unsigned"
    click.echo(f"wrote {label}{published.path} ({signed}, {document['digest'][7:19]})")
    for run_id in published.ahead:
        click.echo(f"left out: run {run_id} is dated ahead of this clock; mend the clock of the machine that made it")
    for name, task in document["tasks"].items():
        models = ", ".join(candidate["model"] for candidate in task["candidates"]) or "nobody: the task is denied"
        click.echo(f"{name}: {models}")
        if name in published.expired_tasks:
            click.echo("  all of it has expired, so a router takes none: evalkit run, then decide again")
        for line in rank_lines(published.ranking, task=name):
            click.echo(line)
    for line in reason_lines([v for v in published.decision.verdicts if v.task in published.empty_tasks]):
        click.echo(line)
