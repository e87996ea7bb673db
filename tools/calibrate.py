"""Simulate what evalkit claims about its verdicts, and write docs/reference/calibration.md."""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from calibration import many_nights, one_night
from calibration.page import TITLES, page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from calibration.measured import Figure

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "calibration.md"

PARTS: dict[str, tuple[Callable[[int], Iterator[Figure]], int]] = {
    "false-eligible": (one_night.false_eligible, 2000),
    "false-eligible-known": (one_night.false_eligible_known, 500),
    "false-ineligible": (one_night.false_ineligible, 4000),
    "looks": (one_night.calls_saved, 100),
    "promotion": (many_nights.pooled_promotion, 500),
    "regressions": (many_nights.regressions, 200),
    "drift": (many_nights.drift, 4000),
    "latency": (one_night.slow_tails, 2000),
    "outages": (one_night.outages, 1000),
    "stability": (many_nights.stability, 200),
}
"""Name to what is simulated, and how often at scale 1."""


def simulated(name: str, scale: float) -> list[Figure]:
    """Return the figures of one part, telling each as it comes."""
    simulate, n = PARTS[name]
    found = []
    for one in simulate(max(round(n * scale), 2)):
        found.append(one)
        print(f"{name}: {one.settings}: {one.what} {one.value:.4f} ({one.met})", flush=True)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts side by side, write the page, and return 1 when a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="simulations, as a multiple of the long form's")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--output", type=Path, default=PAGE)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; all when none is named")
    given = parser.parse_args(arguments)
    if unknown := [name for name in given.parts if name not in PARTS]:
        parser.error(f"no such part: {', '.join(unknown)}")
    names = given.parts or list(PARTS)
    started = time.monotonic()
    with ProcessPoolExecutor(given.jobs) as pool:
        figures = [one for found in pool.map(simulated, names, [given.scale] * len(names)) for one in found]
    order = list(TITLES)
    figures.sort(key=lambda one: order.index(one.goal))
    given.output.write_text(page(figures, scale=given.scale), encoding="utf-8")
    print(f"{given.output}: {len(figures)} figures in {time.monotonic() - started:.0f} s")
    return int(any(one.met == "no" for one in figures))


if __name__ == "__main__":
    sys.exit(main())
