"""`evalkit judge check`: may a judge's metric gate?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evalkit.cli._json import json_option
from evalkit.cli._options import opened_project, project_options

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evalkit.api.judging import JudgeChecked
    from evalkit.stats.bounds import Bound
    from evalkit.stats.judged import Agreement

__all__ = ["command"]


@click.group("judge")
def command() -> None:
    """Hold a judge against answers that people have judged."""


@command.command("check")
@click.argument("suite")
@click.option("--labels", type=click.Path(path_type=Path), required=True, help="Labelled answers, JSON Lines.")
@click.option("--metric", help="Which judge metric of the suite, when it has several.")
@project_options("budget_usd", "concurrency", "call_timeout_s", "deadline")
@json_option
def check(*, suite: str, labels: Path, metric: str | None, as_json: bool, **settings: Any) -> int:
    """Ask the judge of SUITE about every labelled answer, and write how far it agrees with people."""
    from evalkit.api.judging import check_exit_code, check_judge
    from evalkit.api.measuring import RunOptions
    from evalkit.cli._output import print_json
    from evalkit.cli._progress import RunProgress

    project = opened_project(settings)
    with RunProgress("quiet" if as_json else "live", budget_usd=project.config.limits.budget_usd) as shown:
        watched = RunOptions(observe=shown.observe, started=shown.started)
        checked = check_judge(project, suite, labels, metric=metric, options=watched)
    if as_json:
        print_json(checked)
    else:
        for line in _lines(checked):
            click.echo(line)
    return check_exit_code(checked)


def _lines(checked: JudgeChecked) -> Iterator[str]:
    from evalkit.cli._output import clean

    label = "SIMULATED " if checked.is_simulated else ""
    yield f"{label}{checked.suite}/{checked.metric} by {', '.join(checked.judges)}: {checked.agreement.n} labels"
    yield from _agreement_lines(checked.agreement, indent="  ")
    if checked.kappa_of_panel is not None:
        yield f"  judges among themselves: Fleiss' kappa {checked.kappa_of_panel:.3f}"
    if checked.n_unjudged:
        yield f"  no verdict on {checked.n_unjudged} more"
    for model_id, agreement in checked.by_model:
        share = "?" if agreement.share is None else f"{agreement.share:.3f}"
        rates = f"TPR {_rate(agreement.tpr)}, TNR {_rate(agreement.tnr)}"
        yield f"  {clean(model_id) or '(nobody)'}: n={agreement.n}, agreement {share}, {rates}"
    yield f"written: {checked.path}"
    yield f"does not qualify: {checked.shortfall}" if checked.shortfall else "qualifies: its metric may gate"


def _agreement_lines(agreement: Agreement, *, indent: str) -> Iterator[str]:
    if agreement.share is None:
        return
    kappa = "not defined (one of the two says the same of everything)"
    kappa = kappa if agreement.kappa is None else f"{agreement.kappa:.3f}"
    yield f"{indent}agreement {agreement.share:.3f}, Cohen's kappa {kappa}"
    yield f"{indent}passes what people pass (TPR): {_rate(agreement.tpr)}"
    yield f"{indent}fails what people fail (TNR): {_rate(agreement.tnr)}"


def _rate(bound: Bound) -> str:
    if bound.value is None or bound.lower is None or bound.upper is None:
        return "no such labels"
    return f"{bound.value:.3f} [{bound.lower:.3f}, {bound.upper:.3f}] n={bound.n}"
