"""`evalkit noise`: how often do the gates contradict themselves?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from evalkit.cli._json import json_option
from evalkit.cli._options import opened_project, project_options

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.table import Table

    from evalkit.pipeline.noise import Noise, NoiseRow
    from evalkit.stats.flips import FlipRate

__all__ = ["command"]

_SAY_EVERY_S = 5.0


@click.command("noise")
@click.option("--task", "tasks", multiple=True, help="Only this task; may be repeated.")
@click.option("--model", "model_ids", multiple=True, help="Only this model; may be repeated.")
@click.option("--at-most", type=float, default=0.05, show_default=True, help="Flip rate to put up with.")
@click.option(
    "--simulations", type=int, default=200, show_default=True, help="Simulated nights of each task and model."
)
@click.option("--seed", type=click.IntRange(0, 2**53 - 1), default=0, show_default=True, help="Of the simulation.")
@project_options()
@json_option
def command(*, as_json: bool, **rest: Any) -> int:
    """Estimate how often two nights of the same model would disagree, and how many clusters would be enough."""
    from evalkit.api.noise import noise, noise_exit_code
    from evalkit.cli._output import console, print_json
    from evalkit.pipeline.noise import NoiseOptions

    chosen = {name: rest.pop(name) for name in ("tasks", "model_ids", "at_most", "simulations", "seed")}
    found = noise(opened_project(rest), NoiseOptions(**chosen), observe=_progress())
    if as_json:
        document = {"simulated": found.is_simulated, "options": found.options, "unmeasured": found.unmeasured}
        print_json({**document, "rows": [*map(_document, found.rows)]})
        return noise_exit_code(found)
    console().print(_table(found))
    for task, model_id in found.unmeasured:
        click.echo(f"not measured: {task} · {model_id}")
    click.echo(_last_line(found))
    return noise_exit_code(found)


def _progress() -> Callable[[int, int, str], None]:
    """Return what says on stderr, every few seconds, how far it is."""
    from evalkit.cli._output import clean
    from evalkit.clock import SystemClock

    clock = SystemClock()
    said_s = clock.monotonic()

    def say(done: int, total: int, what: str) -> None:
        nonlocal said_s
        if clock.monotonic() - said_s >= _SAY_EVERY_S:
            said_s = clock.monotonic()
            click.echo(f"{done}/{total}: {clean(what)}", err=True)

    return say


def _document(row: NoiseRow) -> dict[str, Any]:
    import dataclasses

    plain = dataclasses.asdict(row)
    for name, rate in (("flips", row.flips), ("observed", row.observed)):
        if rate is not None:
            plain[name] |= {"n_pairs": rate.n_pairs, "n_flips": rate.n_flips}
    return plain


def _table(found: Noise) -> Table:
    from rich.table import Table

    label = "SIMULATED: " if found.is_simulated else ""
    table = Table(title=f"{label}flips between two nights of the same model")
    for column in ("task", "model", "gate", "tonight"):
        table.add_column(column, overflow="fold")
    for column in ("clusters", "flip rate, 95%", "observed, 95%", "enough clusters"):
        table.add_column(column, overflow="fold", justify="right")
    before = None
    for row in found.rows:
        pair = (row.task, row.model_id)
        is_new, before = pair != before, pair
        if is_new:
            table.add_section()
        table.add_row(*(pair if is_new else ("", "")), *_cells(row))
    return table


def _cells(row: NoiseRow) -> tuple[str, ...]:
    gate = "verdict" if row.metric is None else f"{row.suite}/{row.metric} {row.rule}"
    observed = "-" if row.observed is None else f"{_rate(row.observed)} {row.observed.n_flips}/{row.observed.n_pairs}"
    enough = "?" if row.flips is None else str(row.enough_clusters or f"more than {row.tried_clusters}")
    rate = "too few clusters" if row.flips is None else _rate(row.flips)
    return gate, row.tonight, str(row.n_clusters), rate, observed, enough


def _rate(rate: FlipRate) -> str:
    return f"{rate.value:.3f} [{rate.lower:.3f}, {rate.upper:.3f}]"


def _last_line(found: Noise) -> str:
    at_most = found.options.at_most
    return (
        f"{len(found.noisy)} of {len(found.rows)} flip more often than {at_most:g}, or nobody knows"
        f" (at most {found.options.simulations} simulated nights each, seed {found.options.seed})"
    )
