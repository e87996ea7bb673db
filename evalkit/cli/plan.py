"""`evalkit plan`: what a run would send and cost, and what its gates can show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from evalkit.cli._json import json_option
from evalkit.cli._options import opened_project, project_options
from evalkit.cli._selection import ablate_option, selection_from, selection_options

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.table import Table

    from evalkit.domain.call import Plan
    from evalkit.domain.project import Project
    from evalkit.pipeline.ask import Questions
    from evalkit.pipeline.power import EqualPower, GatePower

__all__ = ["command"]


@click.command("plan")
@selection_options
@ablate_option
@click.option("--perturb", is_flag=True, help="The calls of `validate --perturb` instead of those of a run.")
@click.option("--power", is_flag=True, help="P(pass) of every gate for good models and for one at the threshold.")
@project_options()
@json_option
def command(*, power: bool, perturb: bool, as_json: bool, **rest: Any) -> None:
    """Show calls, tokens and USD per suite and model. Spends nothing."""
    from evalkit.cli._output import clean, console, print_json
    from evalkit.pipeline.ask import questions_at_most
    from evalkit.pipeline.power import equal_power, project_power

    making = _plan_from(rest, perturb=perturb)
    project = opened_project(rest)
    planned = making(project)
    questions = questions_at_most(project, planned)
    powers, equals = (project_power(project), equal_power(project)) if power else ((), ())
    if as_json:
        counts = {"calls": planned.n_calls, "aside_calls": planned.n_aside, "baseline_calls": planned.n_direct}
        asked = {"asked": questions} if questions else {}
        document = {**counts, "digest": planned.digest, "cells": planned.cells, **asked}
        print_json({**document, "unsupported": planned.unsupported, "power": powers, "equal_power": equals})
        return
    out = console()
    out.print(_cost_table(planned))
    if questions:
        out.print(_questions_table(questions))
    for refused in planned.unsupported:
        click.echo(f"not asked: {refused.model_id} on {refused.suite}: {refused.code}: {clean(refused.detail)}")
    if power:
        out.print(_power_table(powers))
    if equals:
        out.print(_equal_table(equals))


def _plan_from(rest: dict[str, Any], *, perturb: bool) -> Callable[[Project], Plan]:
    """Take what is to be planned out of the parameters; the project is loaded between this and calling it."""
    from evalkit.api.measuring import plan
    from evalkit.api.perturbing import plan_twins

    selection, seed, ablate = selection_from(rest), rest.pop("seed"), rest.pop("ablate")
    if perturb and ablate:
        raise click.UsageError("--perturb and --ablate are two plans: ask for one at a time")
    if perturb:
        return lambda project: plan_twins(project, selection, seed=seed)
    return lambda project: plan(project, selection, seed=seed, ablate_modes=ablate == "modes")


def _cost_table(planned: Plan) -> Table:
    from rich.table import Table

    table = Table(title=_title(planned))
    direct = ("baseline calls", "their USD at most") if planned.n_direct else ()
    columns = ("suite", "model", "mode", "calls", "clusters", "prompt tokens", "USD", "USD at most", *direct)
    for column in columns:
        table.add_column(column, overflow="fold", justify="left" if column in ("suite", "model", "mode") else "right")
    for planned_cell in planned.cells:
        cell = planned_cell.cell
        counts = (str(cell.n_planned), str(planned_cell.n_clusters), str(planned_cell.prompt_tokens))
        spend = (_usd(planned_cell.usd_expected), _usd(planned_cell.usd_at_most))
        more = (str(planned_cell.n_direct), _usd(planned_cell.direct_usd_at_most)) if direct else ()
        table.add_row(cell.suite, cell.model_id, cell.mode, *counts, *spend, *more)
    return table


def _questions_table(questions: tuple[Questions, ...]) -> Table:
    """Return what scorers will ask of judges, at the most: when every call is answered at full length."""
    from rich.table import Table

    n_calls = sum(found.n_calls for found in questions)
    most = sum(found.usd_at_most or 0.0 for found in questions)
    unknown = ", some of unknown price" if any(found.usd_at_most is None for found in questions) else ""
    table = Table(title=f"and at most {n_calls} questions to judges, at most USD {most:.2f}{unknown}")
    for column in ("suite", "judge", "questions", "prompt tokens", "USD", "USD at most"):
        table.add_column(column, overflow="fold", justify="left" if column in ("suite", "judge") else "right")
    for found in questions:
        spend = (_usd(found.usd_expected), _usd(found.usd_at_most))
        table.add_row(found.suite, found.judge_id, str(found.n_calls), str(found.prompt_tokens), *spend)
    return table


def _title(planned: Plan) -> str:
    """Return calls and USD of the whole plan; those to the baseline gateway are spent too."""
    known = [cell for cell in planned.cells if cell.usd_at_most is not None]
    expected = sum((cell.usd_expected or 0.0) + (cell.direct_usd_expected or 0.0) for cell in known)
    most = sum((cell.usd_at_most or 0.0) + (cell.direct_usd_at_most or 0.0) for cell in known)
    unknown = len(planned.cells) - len(known)
    note = f", {unknown} cells of unknown price" if unknown else ""
    aside = f" ({planned.n_aside} of them beside what decides)" if planned.n_aside else ""
    direct = f" and {planned.n_direct} to the baseline gateway" if planned.n_direct else ""
    return f"{planned.n_calls} calls{aside}{direct}, about USD {expected:.2f}, at most USD {most:.2f}{note}"


def _usd(usd: float | None) -> str:
    return "?" if usd is None else f"{usd:.4f}"


def _power_table(powers: tuple[GatePower, ...]) -> Table:
    from rich.table import Table

    table = Table(title="P(pass) per gate, independent clusters")
    for column in ("suite", "gate", "clusters", "failures allowed", "at the limit"):
        table.add_column(column, overflow="fold", justify="left" if column in ("suite", "gate") else "right")
    rates = powers[0].rates if powers else ()
    for rate, _ in rates:
        table.add_column(f"true {rate:g}", justify="right")
    for found in powers:
        allowed = "never" if found.failures_allowed is None else str(found.failures_allowed)
        cells = [f"{probability:.3f}" for _, probability in found.rates]
        gate = f"{found.metric} {found.rule}"
        table.add_row(found.suite, gate, str(found.n_clusters), allowed, f"{found.at_limit:.3f}", *cells)
    return table


def _equal_table(equals: tuple[EqualPower, ...]) -> Table:
    from rich.table import Table

    table = Table(title="P(shown no worse) of a candidate exactly like the incumbent, right-or-wrong scores")
    for column in ("suite", "incumbent", "margin", "clusters"):
        table.add_column(column, overflow="fold", justify="left" if column in ("suite", "incumbent") else "right")
    for mean, _ in equals[0].rates:
        table.add_column(f"mean {mean:g}", justify="right")
    for found in equals:
        cells = [f"{probability:.3f}" for _, probability in found.rates]
        table.add_row(found.suite, found.incumbent, f"{found.margin:g}", str(found.n_clusters), *cells)
    return table
