"""Simulate what evalkit claims about its verdicts, and write docs/reference/calibration.md.

Each part keeps its figures below `.evalkit/calibration/` as soon as it has them. The page is written from what is
kept, so one part can be done again without the others.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from calibration import many_nights, on_the_limit, one_night
from calibration.measured import Figure
from calibration.page import TITLES, page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference" / "calibration.md"
KEPT = ROOT / ".evalkit" / "calibration"

PARTS: dict[str, tuple[Callable[[int], Iterator[Figure]], int]] = {
    "false-eligible": (one_night.false_eligible, 1000),
    "false-ineligible": (one_night.false_ineligible, 4000),
    "false-ineligible-known": (one_night.false_ineligible_known, 300),
    "looks": (one_night.calls_saved, 100),
    "promotion": (many_nights.pooled_promotion, 300),
    "beside-incumbent": (on_the_limit.beside_incumbent, 300),
    "slow-nights": (on_the_limit.slow_nights, 200),
    "regressions": (many_nights.regressions, 150),
    "more-trials": (many_nights.more_trials, 60),
    "drift": (many_nights.drift, 4000),
    "latency": (one_night.slow_tails, 2000),
    "outages": (one_night.outages, 1000),
    "stability": (many_nights.stability, 100),
    "fallbacks": (many_nights.first_fallback, 20),
}
"""Name to what is simulated, and how often at scale 1."""


def simulated(name: str, scale: float) -> None:
    """Keep the figures of one part, telling each as it comes."""
    simulate, n = PARTS[name]
    found = []
    for one in simulate(max(round(n * scale), 2)):
        found.append(one)
        print(f"{name}: {one.settings}: {one.what} {one.value:.4f} ({one.met})", flush=True)
    KEPT.mkdir(parents=True, exist_ok=True)
    kept = {"scale": scale, "figures": [asdict(one) for one in found]}
    (KEPT / f"{name}.json").write_text(json.dumps(kept, indent=1), encoding="utf-8")


def kept_figures(scale: float) -> list[Figure]:
    """Return what every part kept at this scale, in the order of the page."""
    found: list[Figure] = []
    for name in PARTS:
        path = KEPT / f"{name}.json"
        kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        found += [Figure(**one) for one in kept.get("figures", ()) if kept["scale"] == scale]
    order = list(TITLES)
    return sorted(found, key=lambda one: order.index(one.goal))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts side by side, write the page, and return 1 when a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="simulations, as a multiple of the long form's")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--output", type=Path, default=PAGE)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; all when none is named, `page` for none")
    given = parser.parse_args(arguments)
    if unknown := [name for name in given.parts if name not in PARTS and name != "page"]:
        parser.error(f"no such part: {', '.join(unknown)}")
    names = [name for name in given.parts if name != "page"] if given.parts else list(PARTS)
    started = time.monotonic()
    with ProcessPoolExecutor(given.jobs) as pool:
        list(pool.map(simulated, names, [given.scale] * len(names)))
    figures = kept_figures(given.scale)
    given.output.write_text(page(figures, scale=given.scale), encoding="utf-8")
    print(f"{given.output}: {len(figures)} figures in {time.monotonic() - started:.0f} s")
    return int(any(one.met == "no" for one in figures))


if __name__ == "__main__":
    sys.exit(main())
