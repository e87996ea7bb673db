"""`evalkit validate`: every file against its schema, every suite against itself, and answers against other forms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from evalkit.cli._json import json_option
from evalkit.cli._options import opened_project, project_options
from evalkit.cli._selection import selection_from, selection_options
from evalkit.errors import ExitCode

if TYPE_CHECKING:
    from evalkit.domain.project import Project
    from evalkit.errors import InputError
    from evalkit.pipeline.selftest import SchemaUse, SelfTestFinding

__all__ = ["command"]

_SELECTING = ("suites", "model_ids", "tags", "case_ids", "max_cases", "trials")


@click.command("validate")
@selection_options
@click.option(
    "--perturb",
    is_flag=True,
    help="Also ask models every case in forms that should not matter, and show how often answers turn. Spends money.",
)
@project_options("budget_usd", "concurrency", "call_timeout_s", "deadline")
@json_option
def command(*, perturb: bool, seed: int, as_json: bool, **settings: Any) -> int:
    """Check every file, then test the suites: known good answers must pass, known bad ones must fail.

    SUITEs and the options that choose calls go with --perturb.
    """
    from evalkit.api.showing import schemas_taken, validate, waivers_ended
    from evalkit.cli._output import print_json

    if not perturb and any(settings[name] for name in _SELECTING):
        raise click.UsageError("SUITEs and the options that choose calls go with --perturb")
    selection = selection_from(settings)
    project = opened_project(settings)
    findings = validate(project)
    uses, ended = schemas_taken(project), waivers_ended(project)
    code: int = ExitCode.USAGE if any(finding.severity == "error" for finding in findings) else ExitCode.OK
    document: dict[str, Any] = {
        "findings": findings,
        "suites": [suite.name for suite in project.suites],
        "schemas": uses,
        "ended_waivers": [{"place": one.place, "problem": one.problem} for one in ended],
    }
    if not as_json:
        _print_uses(uses)
        _print_ended(ended)
        _print_findings(project, findings, is_broken=bool(code))
    if perturb and not code:
        from evalkit.api.perturbing import perturb_exit_code
        from evalkit.cli._perturbation import perturbation_document, perturbed, print_perturbed

        found = perturbed(project, selection, seed=seed, as_json=as_json)
        code = perturb_exit_code(found)
        document |= {"perturbation": perturbation_document(found)}
        if not as_json:
            print_perturbed(found)
    if as_json:
        print_json(document)
    return code


def _print_uses(uses: tuple[SchemaUse, ...]) -> None:
    """Print a line a suite that has schemas: which models take them in which mode."""
    from evalkit.cli._output import clean

    by_suite: dict[str, dict[str, list[str]]] = {}
    for use in uses:
        shown = f"{clean(use.model_id)} (all but {len(use.narrower)} rules)" if use.narrower else clean(use.model_id)
        by_suite.setdefault(use.suite, {}).setdefault(use.mode or "no mode", []).append(shown)
    for suite, by_mode in by_suite.items():
        click.echo(f"schemas: {suite}: " + "; ".join(f"{mode}: {', '.join(ids)}" for mode, ids in by_mode.items()))


def _print_ended(ended: tuple[InputError, ...]) -> None:
    from evalkit.cli._output import clean

    for one in ended:
        click.echo(f"warning: {clean(f'{one.place}: {one.problem}', most=400)}\n  next: {one.next_step}")


def _print_findings(project: Project, findings: tuple[SelfTestFinding, ...], *, is_broken: bool) -> None:
    from evalkit.cli._output import clean

    for finding in findings:
        where = f"{finding.suite}/{finding.case_id}" if finding.case_id else finding.suite
        click.echo(f"{finding.severity}: {where}: {clean(finding.message, most=400)}\n  next: {finding.next_step}")
    n_cases = sum(len(suite.cases) for suite in project.suites)
    state = "not usable" if is_broken else "usable"
    click.echo(
        f"{state}: {len(project.suites)} suites, {n_cases} cases, {len(project.roster.models)} models,"
        f" {len(project.policy.tasks)} tasks, {len(findings)} findings"
    )
