"""`evalkit nightly`: the scheduled job."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from evalkit.cli._json import json_option
from evalkit.cli._options import opened_project, project_options
from evalkit.errors import EvalkitError

if TYPE_CHECKING:
    from evalkit.api.night_summary import Night
    from evalkit.cli._progress import Style

__all__ = ["command"]


@click.command("nightly")
@click.option("--progress", type=click.Choice(["live", "plain", "quiet"]), default="live", show_default=True)
@project_options("budget_usd", "concurrency", "call_timeout_s", "deadline")
@json_option
def command(*, as_json: bool, progress: Style, **settings: Any) -> int:
    """Do what is left of tonight: measure, compare, decide, publish, export, report, tell who has to know.

    One line of JSON on stdout says what it came to. Started twice it goes on; it never measures a night twice.
    """
    try:
        night = _done(settings, style="quiet" if as_json else progress)
    except EvalkitError as error:
        if not as_json:
            reason = {"code": error.exit_code, "reason": str(error).partition("\n")[0]}
            click.echo(json.dumps({"format": "evalkit.nightly/1", "exit": reason}))
        raise
    _print(night, as_json=as_json)
    return night.exit.code


def _done(settings: dict[str, Any], *, style: Style) -> Night:
    from evalkit.api.nightly import NightOptions, nightly
    from evalkit.cli._output import warn
    from evalkit.cli._progress import RunProgress

    project = opened_project(settings)
    with RunProgress(style, budget_usd=project.config.limits.budget_usd) as shown:
        said = (lambda _line: None) if style == "quiet" else _say
        options = NightOptions(began=said, said=said, warned=warn, observe=shown.observe, started=shown.started)
        return nightly(project, options)


def _say(line: str) -> None:
    click.echo(f"· {line}", err=True)


def _print(night: Night, *, as_json: bool) -> None:
    from evalkit.api.night_summary import night_summary
    from evalkit.cli._output import clean, print_json

    summary = night_summary(night)
    if as_json:
        print_json(summary)
        return
    click.echo(json.dumps(summary))
    for change in night.changes:
        click.echo(clean(("LOST: " if change.is_loss else "changed: ") + str(change), most=1000), err=True)
    if night.exit.reason:
        click.echo(f"exit code {night.exit.code}: {clean(night.exit.reason, most=1000)}", err=True)
