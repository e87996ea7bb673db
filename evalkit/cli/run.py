"""`evalkit run`: measure and decide."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from evalkit.cli._json import json_option
from evalkit.cli._options import opened_project, project_options
from evalkit.cli._selection import ablate_option, selection_from, selection_options

if TYPE_CHECKING:
    from collections.abc import Callable

    from evalkit.api.exits import Exit, FailOn
    from evalkit.api.measuring import RunOptions, RunResult
    from evalkit.cli._progress import RunProgress, Style
    from evalkit.domain.project import Project
    from evalkit.pipeline.sharding import Shard

__all__ = ["command"]


@click.command("run")
@selection_options
@ablate_option
@click.option("--failed-from", metavar="RUN", help="Only cases some scorer failed in that run.")
@click.option("--new", "is_new", is_flag=True, help="Start a new run even when one could be resumed.")
@click.option("--shard", metavar="K/N", help="Ask for part K of N only, to be joined by `evalkit merge`.")
@click.option(
    "--sequential",
    "is_sequential",
    is_flag=True,
    help="Look at what was not measured before as it comes in, and stop where that decides.",
)
@click.option(
    "--allow-partial",
    is_flag=True,
    help="Spend a budget below the plan on whole models and tasks, the most needed first.",
)
@click.option("--resume", metavar="RUN", help="Go on with this run, however old.")
@click.option(
    "--fail-on",
    type=click.Choice(["admitted", "gate", "never"]),
    default="admitted",
    show_default=True,
    help="What makes the exit code 1: a failed gate of a model the current file admits, of any, or nothing.",
)
@click.option("--progress", type=click.Choice(["live", "plain", "quiet"]), default="live", show_default=True)
@project_options("budget_usd", "concurrency", "call_timeout_s", "deadline")
@json_option
def command(*, as_json: bool, fail_on: FailOn, progress: Style, **rest: Any) -> int:
    """Measure SUITEs (default: all) and decide. Resumes the newest unfinished run of the same plan."""
    from evalkit.api.exits import run_exit
    from evalkit.api.measuring import run
    from evalkit.cli._progress import RunProgress

    making = _options_from(rest)
    project = opened_project(rest)
    with RunProgress("quiet" if as_json else progress, budget_usd=project.config.limits.budget_usd) as shown:
        result = run(project, making(project, shown))
    ending = run_exit(project, result, fail_on=fail_on)
    _print(result, ending, as_json=as_json)
    return ending.code


def _options_from(rest: dict[str, Any]) -> Callable[[Project, RunProgress], RunOptions]:
    """Take the run's own options out of the parameters; the project is loaded between this and calling it."""
    from evalkit.api.measuring import RunOptions, with_failed_from
    from evalkit.cli._output import warn

    selection = replace(selection_from(rest), is_sequential=rest.pop("is_sequential"))
    failed_from = rest.pop("failed_from")
    own = {name: rest.pop(name) for name in ("seed", "is_new", "resume", "allow_partial")}
    own["ablate_modes"] = rest.pop("ablate") == "modes"
    own["shard"] = _shard(rest.pop("shard"))

    def make(project: Project, shown: RunProgress) -> RunOptions:
        chosen = selection if failed_from is None else with_failed_from(project, selection, run_id=failed_from)
        return RunOptions(selection=chosen, observe=shown.observe, started=shown.started, warned=warn, **own)

    return make


def _shard(text: str | None) -> Shard | None:
    from evalkit.pipeline.sharding import parse_shard

    try:
        return None if text is None else parse_shard(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--shard") from error


def _print(result: RunResult, ending: Exit, *, as_json: bool) -> None:
    from evalkit.cli._ablation import ablation_table
    from evalkit.cli._matrix import matrix_table, rank_lines, reason_lines
    from evalkit.cli._output import console, print_json
    from evalkit.cli._savings import savings_document, savings_lines

    verdicts = result.decision.verdicts
    if as_json:
        more = {name: value for name in ("asked", "ablation") if (value := getattr(result, name))}
        document = {"run": result.run, "recording": result.recording, "verdicts": verdicts, "exit": ending, **more}
        print_json({**document, "ranking": result.ranking} | savings_document(result.savings))
        return
    console().print(matrix_table(verdicts, is_simulated=result.run.is_simulated))
    if result.ablation:
        console().print(ablation_table(result.ablation, is_simulated=result.run.is_simulated))
    for line in (*rank_lines(result.ranking), *reason_lines(verdicts)):
        click.echo(line)
    for model_id, kind in result.recording.given_up.items():
        click.echo(f"given up: {model_id}: it kept answering {kind}; its other calls are missing", err=True)
    if result.asked is not None and result.asked.n_missing:
        click.echo(f"unjudged: {result.asked.n_missing} questions got no reply; next: evalkit score --ask", err=True)
    for model_id, kind in result.recording.unpaired.items():
        click.echo(f"no more pairs: {model_id}: the baseline gateway kept answering {kind}", err=True)
    if result.is_cut_short:
        why = ", ".join(sorted(result.stopped_by))
        click.echo(f"stopped early ({why}); `evalkit run` goes on with run {result.run.run_id}", err=True)
    for line in savings_lines(result.savings):
        click.echo(line)
    label = "SIMULATED " if result.run.is_simulated else ""
    click.echo(f"{label}run {result.run.run_id} {result.run.status}; next: evalkit report, evalkit decide -o FILE")
    if ending.reason:
        click.echo(f"exit code {ending.code}: {ending.reason}", err=True)
