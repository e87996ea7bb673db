"""The page that the figures are written to."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from calibration.measured import Figure

__all__ = ["TITLES", "page"]

TITLES = {
    "13.1": "False eligible, one night",
    "13.2": "False ineligible, one night",
    "13.3": "Looking early",
    "14.2": "Promotion on pooled nights",
    "13.4": "Quiet nights",
    "13.5": "A real drop",
    "13.6": "Slow drift",
    "13.7": "Latency",
    "13.8": "Outages",
    "13.9": "Stability",
}
"""Number of a goal to its heading."""

_NOT_SIMULATED = (
    "the wobble beyond half a point, graded scores in regressions. That completion order changes no verdict, and that "
    "formulas agree with published values, are tests and no simulations: `tests/property`, `tests/unit/stats`."
)

_INTRO = """# Calibration

Written by `make calibrate`; do not edit. Models with a known truth are simulated, and evalkit decides about them with
the code that decides about real ones: `verdict_from_history`, `next_batch`, `judge_regressions`, the CUSUM charts.
Every draw is seeded, so the same scale gives the same page. What the numbers rest on is explained in
[statistics](../explanation/statistics.md).

*measured* is a share of simulations or a mean over them, with a 95% Monte Carlo interval (Clopper-Pearson; normal for a
mean). *met* is `yes` when the figure itself keeps the goal, `within error` when it misses by no more than two Monte
Carlo standard errors, `no` otherwise. With many rows some lie a little beyond a goal by chance alone, and with few
simulations a `yes` says little: the interval tells. *exact* is a sum over every possible outcome, each of them decided.
"""


def page(figures: Sequence[Figure], *, scale: float) -> str:
    """Return the page: a table per goal, in the order of `TITLES`, and what is missing."""
    return "\n".join(_lines(figures, scale=scale)) + "\n"


def _lines(figures: Sequence[Figure], *, scale: float) -> Iterator[str]:
    yield _INTRO
    yield f"This page: scale {scale:g} (`--scale {scale:g}`; 1 is the long form). {_summary(figures)}"
    for goal, title in TITLES.items():
        rows = [one for one in figures if one.goal == goal]
        if not rows:
            continue
        yield f"\n## {title}\n"
        yield "| settings | what | simulations | measured | 95% interval | goal | met |"
        yield "|---|---|---:|---:|---|---|---|"
        for one in rows:
            yield _row(one)
    absent = [title for goal, title in TITLES.items() if all(one.goal != goal for one in figures)]
    yield "\n## Not simulated\n"
    yield "Not yet: " + "".join(f"{title.lower()}; " for title in absent) + _NOT_SIMULATED


def _summary(figures: Sequence[Figure]) -> str:
    met = [one.met for one in figures]
    return (
        f"Of {len(figures)} figures {met.count('yes')} keep their goal, {met.count('within error')} miss it within "
        f"Monte Carlo error, {met.count('no')} miss it."
    )


def _row(one: Figure) -> str:
    goal = f"{'≤' if one.is_ceiling else '≥'} {one.aim:g}"
    interval = "none: all were alike" if math.isnan(one.low) else f"{one.low:.4f} … {one.high:.4f}"
    if not one.n:
        interval = "none: all outcomes summed"
    return f"| {one.settings} | {one.what} | {one.n or 'exact'} | {one.value:.4f} | {interval} | {goal} | {one.met} |"
