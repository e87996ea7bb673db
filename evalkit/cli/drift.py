"""`evalkit drift`: did a level move slowly over the nights?"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from evalkit.cli._json import json_option
from evalkit.cli._options import opened_project, project_options

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evalkit.pipeline.drift import Drift, Drifts, LengthRatio, NightChart

__all__ = ["command"]

_MOST_LINES = 20
_MOST_NAMES = 3
_CURES = {
    "not_measured": "runs without the pair: nightly runs should measure every suite and model",
    "partial": "runs with a filter never count",
    "incomplete": "runs that were cut short: evalkit run --resume RUN",
    "thin": "too many calls unanswered: evalkit report RUN shows which",
    "extension": "runs that asked again because a night looked bad never count",
    "no_value": "answers without the number: for cost a price, for length the usage is missing, or nothing succeeded",
}
"""What the reasons of `NightChart.excluded` mean, and what to do."""


@click.command("drift")
@click.option("--suite", "suites", multiple=True, help="Only this suite; may be repeated.")
@click.option("--model", "model_ids", multiple=True, help="Only this model; may be repeated.")
@click.option("--nights", type=click.IntRange(min=1), default=90, show_default=True, help="Runs to read, newest first.")
@project_options()
@json_option
def command(*, suites: tuple[str, ...], model_ids: tuple[str, ...], nights: int, as_json: bool, **settings: Any) -> int:
    """Did a level move slowly? One chart per suite, model and metric over the stored nights."""
    from evalkit.api.drift import drift, drift_exit_code
    from evalkit.cli._output import print_json

    found = drift(opened_project(settings), suites=suites, model_ids=model_ids, max_nights=nights)
    if as_json:
        print_json(found)
        return drift_exit_code(found)
    for line in _lines(found):
        click.echo(line)
    return drift_exit_code(found)


def _lines(found: Drifts) -> Iterator[str]:
    if found.is_simulated:
        yield "SIMULATED: nothing here says anything about a real model"
    yield from _series_lines(found)
    for chart in found.charts:
        yield from (_drift_line(chart, drift) for drift in chart.drifts)
    for length in found.lengths:
        yield _length_line(length)
    judged = found.in_state("worse", "better", "steady")
    yield (
        f"{len(judged)} charts watched over at most {found.n_runs} runs: {len(found.in_state('worse'))} worse,"
        f" {len(found.in_state('better'))} better, {len(found.in_state('steady'))} steady"
        f" (self-starting CUSUM, h={found.threshold:.2f}, k={found.allowance:g}: over all {found.n_family} charts of"
        f" the project one false alarm to the worse in {found.nights_per_false_alarm} nights or more)"
    )
    yield from _unjudged_lines(found)


def _series_lines(found: Drifts) -> Iterator[str]:
    """Yield what began anew, and which nights do not count: once for all metrics of a suite × model."""
    from evalkit.cli._output import clean

    began = dict.fromkeys((chart.began, chart.suite, chart.model_id) for chart in found.charts if chart.began)
    whats = list(dict.fromkeys(what for what, _, _ in began))
    for what in whats[:_MOST_LINES]:
        of = [f"{suite} {model_id}" for one, suite, model_id in began if one == what]
        more = f" and {len(of) - _MOST_NAMES} more" if len(of) > _MOST_NAMES else ""
        shown = ", ".join(of[:_MOST_NAMES]) + more
        yield f"NEW SERIES: {clean(shown)}: {clean(what)}"
    if len(whats) > _MOST_LINES:
        yield f"… and {len(whats) - _MOST_LINES} more new series (--json shows all)"
    excluded: Counter[str] = Counter()
    for counts in {(chart.suite, chart.model_id): chart.excluded for chart in found.charts}.values():
        excluded.update({why: n for why, n in counts.items() if why != "no_value"})
    if excluded:
        told = ", ".join(f"{n} {why}" for why, n in sorted(excluded.items()))
        yield f"nights left out, over all suites and models: {told}"


def _drift_line(chart: NightChart, drift: Drift) -> str:
    from evalkit.canonical import timestamp
    from evalkit.cli._output import clean

    size = drift.size
    if chart.unit == "ratio":
        shown = f"×{size.value:.3f} [{_number(size.lower, '.3f')}, {_number(size.upper, '.3f')}]"
    else:
        shown = f"{size.value:+.3f} [{_number(size.lower, '+.3f')}, {_number(size.upper, '+.3f')}]"
    word = f"{drift.direction}, too small to act on" if drift.is_small else drift.direction.upper()
    later = "" if chart.state == drift.direction or drift.is_small else f"; now {chart.state}"
    of = "" if chart.of == "mean" else f" {chart.of}"
    return clean(
        f"DRIFT {word}: {chart.suite} {chart.model_id} {chart.metric}{of}: {shown}"
        f" since {timestamp(drift.change_at)} ({drift.change_run}), told by {timestamp(drift.alarm_at)},"
        f" n={size.n}, {chart.n_nights} nights{later}",
        most=300,
    )


def _length_line(length: LengthRatio) -> str:
    from evalkit.cli._output import clean

    ratio = length.ratio
    return clean(
        f"LENGTH: {length.task} {length.model_id}: ×{ratio.value:.3f} the output tokens of {length.incumbent}"
        f" [{_number(ratio.lower, '.3f')}, {_number(ratio.upper, '.3f')}], n={ratio.n}"
    )


def _number(value: float | None, form: str) -> str:
    return "?" if value is None else format(value, form)


def _unjudged_lines(found: Drifts) -> Iterator[str]:
    unjudged = found.in_state("unjudged")
    if not unjudged:
        return
    needs = Counter(chart.n_needed for chart in unjudged)
    told = ", ".join(f"{n} need {more} more night{'s' if more > 1 else ''}" for more, n in sorted(needs.items()))
    yield f"{len(unjudged)} charts could not be judged, which is not the same as no drift: {told}"
    for why, cure in _CURES.items():
        n_charts = sum(why in chart.excluded for chart in unjudged)
        if n_charts:
            yield f"  {n_charts} of them have nights left out as {why}: {cure}"
    yield f"next: evalkit run --new on later nights; a chart needs {found.nights_needed} nights of one series"
