"""`evalkit canary`: a few calls an hour."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from evalkit.cli._json import json_option
from evalkit.cli._options import opened_project, project_options

if TYPE_CHECKING:
    from evalkit.api.canary import Canary

__all__ = ["command"]


@click.command("canary")
@click.argument("suites", nargs=-1, metavar="[SUITE]...")
@click.option("--model", "model_ids", multiple=True, help="Only this model; may be repeated.")
@click.option("-n", "max_cases", type=click.IntRange(min=5), default=20, show_default=True, help="Cases of each suite.")
@project_options("budget_usd", "concurrency", "call_timeout_s", "deadline")
@json_option
def command(
    *, suites: tuple[str, ...], model_ids: tuple[str, ...], max_cases: int, as_json: bool, **settings: Any
) -> int:
    """Ask the same few cases of SUITEs (default: all) as the time before: who answers now, and as well as then?

    Decides nothing. Exit code 1 when another model answers or answers got worse, 3 when too few came to say.
    """
    from evalkit.api.canary import canary
    from evalkit.cli._output import print_json
    from evalkit.pipeline.plan import Selection

    selection = Selection(suites=suites, model_ids=model_ids, max_cases=max_cases)
    found = canary(opened_project(settings), selection)
    if as_json:
        print_json(found)
    else:
        _print(found)
    return found.exit.code


def _print(found: Canary) -> None:
    from evalkit.cli._output import clean

    label = "SIMULATED " if found.run.is_simulated else ""
    against = "the first of its kind" if found.before is None else f"against {found.before.run_id}"
    click.echo(f"{label}canary {found.run.run_id}: {found.n_sent} calls, USD {found.spent_usd:.4f}, {against}")
    for finding in found.findings:
        click.echo(clean(str(finding), most=1000))
    if not found.findings:
        click.echo("no change")
    if found.told.startswith("failed"):
        click.echo(f"warning: {found.told}", err=True)
