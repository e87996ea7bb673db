"""`evalkit score`: grade stored answers again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from evalkit.cli._json import json_option
from evalkit.cli._options import opened_project, project_options

if TYPE_CHECKING:
    from evalkit.domain.project import Project
    from evalkit.pipeline.record import Recording

__all__ = ["command"]


@click.command("score")
@click.argument("run_id", metavar="[RUN]", required=False)
@click.option("--ask", "is_asking", is_flag=True, help="Ask judges first what is still missing; this spends money.")
@project_options("budget_usd", "concurrency", "call_timeout_s", "deadline")
@json_option
def command(*, run_id: str | None, is_asking: bool, as_json: bool, **settings: Any) -> None:
    """Grade the stored answers of RUN (default: the latest) with today's scorers, at no cost but what --ask asks."""
    from evalkit.api.deciding import score
    from evalkit.cli._output import print_json

    project = opened_project(settings)
    asked, graded = _asked(project, run_id, as_json=as_json) if is_asking else (None, score(project, run_id))
    if as_json:
        print_json({"graded": graded} if asked is None else {"graded": graded, "asked": asked})
        return
    if asked is not None:
        click.echo(
            f"asked: {asked.n_answered} of {asked.n_sent} questions got a reply, USD {asked.spent_usd:.4f} in all"
        )
    for suite, count in graded.items():
        click.echo(f"{suite}: {count} answers graded")
    if not graded:
        click.echo("nothing to grade: the prompts have changed since, or no text was kept")


def _asked(project: Project, run_id: str | None, *, as_json: bool) -> tuple[Recording, dict[str, int]]:
    from evalkit.api.asking import ask_and_score
    from evalkit.api.measuring import RunOptions
    from evalkit.cli._progress import RunProgress

    with RunProgress("quiet" if as_json else "live", budget_usd=project.config.limits.budget_usd) as shown:
        return ask_and_score(project, run_id, RunOptions(observe=shown.observe, started=shown.started))
