"""What `evalkit validate --perturb` does and shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from rich.table import Table
from rich.text import Text

from evalkit.api.measuring import RunOptions
from evalkit.api.perturbing import perturb, perturb_exit_code
from evalkit.cli._output import console
from evalkit.cli._progress import RunProgress

if TYPE_CHECKING:
    from evalkit.api.perturbing import Perturbed
    from evalkit.cli._progress import Style
    from evalkit.domain.project import Project
    from evalkit.pipeline.perturb import FlipRate
    from evalkit.pipeline.plan import Selection

__all__ = ["perturbation_document", "perturbed", "print_perturbed"]


def perturbed(project: Project, selection: Selection, *, seed: int, as_json: bool) -> Perturbed:
    """Ask the twins, with the progress of a run."""
    style: Style = "quiet" if as_json else "live"
    with RunProgress(style, budget_usd=project.config.limits.budget_usd) as shown:
        options = RunOptions(selection=selection, seed=seed, observe=shown.observe, started=shown.started)
        return perturb(project, options)


def perturbation_document(found: Perturbed) -> dict[str, Any]:
    """Return what `--json` adds."""
    code = perturb_exit_code(found)
    return {"run": found.run, "recording": found.recording, "flip_rates": found.rates, "exit_code": code}


def print_perturbed(found: Perturbed) -> None:
    """Print one row a model and perturbation, and how the run ended."""
    label = "SIMULATED: " if found.run.is_simulated else ""
    table = Table(title=f"{label}answers that turned, by form of the prompt")
    for column in ("model", "perturbation", "flip rate", "lost", "won", "pairs", "unknown"):
        table.add_column(column, overflow="fold", justify="left" if column in ("model", "perturbation") else "right")
    for rate in found.rates:
        table.add_row(*map(Text, _row(rate)))
    console().print(table)
    if found.recording.stopped_by:
        why = ", ".join(sorted(found.recording.stopped_by))
        click.echo(f"stopped early ({why}): the same command goes on with run {found.run.run_id}", err=True)


def _row(rate: FlipRate) -> tuple[str, ...]:
    found = rate.estimate
    share = "?" if found is None else f"{found.value:.3f} [{found.lower:.3f}, {found.upper:.3f}]"
    pairs = "0" if found is None else str(found.n)
    return rate.model_id, rate.perturbation, share, str(rate.n_lost), str(rate.n_won), pairs, str(rate.n_unknown)
