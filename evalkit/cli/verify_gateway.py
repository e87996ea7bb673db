"""`evalkit verify-gateway`: probes on a live gateway, after each deployment."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evalkit.cli._json import json_option
from evalkit.cli._options import given_flags, project_options

if TYPE_CHECKING:
    from evalkit.api.verifying_gateway import Verification

__all__ = ["command"]


@click.command("verify-gateway")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--base-url", help="Where the gateway is, up to and including /v1; default: the project's.")
@click.option("--kind", help="litellm, portkey, tensorzero, openrouter, envoy or openai; default: the project's.")
@click.option("--api-key-env", metavar="NAME", help="Variable with a key that may ask for every task.")
@click.option(
    "--header",
    "headers",
    multiple=True,
    metavar="NAME: VALUE",
    help="Sent with every probe; ${NAME} takes a variable, @PATH a file's first line.",
)
@click.option(
    "--model-name", metavar="TEXT", help="What callers ask for, of {task}, {model}, {route}; default by kind."
)
@click.option("--task", help="The task to probe; default: the first with a candidate.")
@click.option("--scoped-key-env", metavar="NAME", help="Variable with a key that belongs to one task.")
@click.option("--scoped-task", metavar="TASK", help="The task that key belongs to; default: the probed one.")
@click.option("--timeout-s", type=click.FloatRange(0.1, 600), default=30.0, show_default=True, help="For one probe.")
@project_options()
@json_option
def command(*, file: Path, task: str | None, as_json: bool, **given: Any) -> int:
    """Find out whether a live gateway holds to eligibility FILE: what it must serve, and what it must refuse.

    Exit codes: 0 all held, 1 something is broken, 3 a fault left something open, 4 gateway unreachable.
    """
    from evalkit.api.probe_targets import TargetOptions, target_from_options
    from evalkit.api.verifying_gateway import verify_gateway
    from evalkit.pipeline.gateway_findings import probing_exit_code

    names = ("base_url", "kind", "api_key_env", "headers", "model_name", "scoped_key_env", "scoped_task", "timeout_s")
    options = TargetOptions(**{name: given.pop(name) for name in names})
    verification = verify_gateway(file, target_from_options(options, flags=given_flags(given)), task=task)
    _show(verification, as_json=as_json)
    return probing_exit_code(verification.findings)


def _show(verification: Verification, *, as_json: bool) -> None:
    from evalkit.cli._output import clean, console, print_json

    if as_json:
        print_json(verification)
        return
    from rich.table import Table

    table = Table("probe", "sent", "came back", "verdict", box=None, pad_edge=False)
    for finding in verification.findings:
        verdict = f"{finding.verdict}: {finding.why}" if finding.why else str(finding.verdict)
        table.add_row(*(clean(text, most=240) for text in (finding.probe, finding.sent, finding.came_back, verdict)))
    console().print(table)
    calls = f"{verification.n_calls} calls sent, {verification.n_reached} reached a model"
    click.echo(f"file {verification.live}, task {verification.task or 'none'}: {calls}")
