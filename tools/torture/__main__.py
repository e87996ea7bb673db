"""The command line of the torture: one part, all of them, or the page.

Every part is bounded and seeded, and keeps what it measured below `.evalkit/torture/`; `page` writes
docs/reference/reliability.md from what is kept there.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torture.canaries import hunt
from torture.chaos import Weather, compared, elsewhere, fault_server, matrix, weathered
from torture.crash import crash_matrix
from torture.fuzz import fuzz_in_rounds
from torture.kept import keep, kept
from torture.load import Load, loaded
from torture.page import write_page
from torture.targets import loading_targets, wire_targets
from torture.weight import weighed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def fuzzing(options: argparse.Namespace) -> bool:
    """Fuzz every target, each kept by itself so that several processes may share them; whether nothing was found."""
    with tempfile.TemporaryDirectory(dir=_memory_folder()) as name:
        every = (*wire_targets(), *loading_targets(Path(name)))
        states = fuzz_in_rounds(
            [target for target in every if target.name in (options.targets or [target.name])],
            seed=options.seed,
            n_inputs=options.inputs,
            until_s=time.monotonic() + options.minutes * 60,
            keep=lambda state: keep(f"fuzz/{state.target}", state.as_dict()),
        )
    return not any(state.findings for state in states)


def weighing(_options: argparse.Namespace) -> bool:
    """Weigh large inputs; whether all stay in proportion."""
    found = weighed()
    keep("weight", {"inputs": [one.as_dict() for one in found]})
    return not any(one.problem for one in found)


def _memory_folder() -> str | None:
    """Return a folder in memory where there is one: files are written for every input."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def weathering(options: argparse.Namespace) -> bool:
    """Run the chaos matrix; whether every run kept what is promised."""
    with fault_server() as port:
        calm = weathered(Weather(faults="late", percent=0, seed=options.seed), port=port)
        found = [calm.as_dict()]
        for weather in matrix(seed=options.seed, is_short=False):
            found.append(compared(weathered(weather, port=port), calm).as_dict())
            keep("chaos", {"seed": options.seed, "runs": found})
        found += [compared(survived, calm).as_dict() for survived in elsewhere(port=port)]
    keep("chaos", {"seed": options.seed, "runs": found})
    return not any(one["problems"] for one in found)


def crashing(options: argparse.Namespace) -> bool:
    """Run the crash matrix; whether every start after a crash recovered or explained itself."""
    found = []
    with fault_server() as port:
        for crashed in crash_matrix(port=port, n_kills=options.kills, seed=options.seed):
            found.append(crashed.as_dict())
            keep("crash", {"seed": options.seed, "n_kills": options.kills, "ways": found})
    return not any(one["problems"] for one in found)


def loading(options: argparse.Namespace) -> bool:
    """Run under load; whether every call was answered and kept, in flat memory."""
    done: list[Load] = []

    def keep_loads(load: Load | None = None) -> None:
        loads = done if load is None else [*done, load]
        keep("load", {"loads": [one.as_dict() for one in loads]})

    connections = options.connections
    done.append(
        loaded("many at once", n_calls=2 * connections, concurrency=connections, delay_ms=options.delay_s * 1000)
    )
    keep_loads()
    done.append(loaded("many calls of ten models", n_calls=options.calls, concurrency=64, n_models=10, keep=keep_loads))
    keep_loads()
    return not any(load.problems for load in done)


def hunting(options: argparse.Namespace) -> bool:
    """Look for canary keys in everything that is written; whether there is none."""
    found = hunt(seed=options.seed)
    keep("secrets", found.as_dict())
    return not found.problems


PARTS: dict[str, Callable[[argparse.Namespace], bool]] = {
    "secrets": hunting,
    "chaos": weathering,
    "crash": crashing,
    "fuzz": fuzzing,
    "weight": weighing,
    "load": loading,
}


def _fuzzed() -> dict[str, Any] | None:
    with tempfile.TemporaryDirectory() as name:
        names = [target.name for target in (*wire_targets(), *loading_targets(Path(name)))]
    targets = [found for name in names if (found := kept(f"fuzz/{name}"))]
    return {"targets": targets} if targets else None


def _run_all(names: Iterable[str], options: argparse.Namespace) -> bool:
    """Run each part, also after one that found something; whether none did."""
    is_well = True
    for name in names:
        is_well &= PARTS[name](options)
    return is_well


def main() -> None:
    """Run what is asked for; exit 1 when something was found."""
    parser = argparse.ArgumentParser(prog="torture", description=__doc__)
    parser.add_argument("part", choices=(*PARTS, "all", "page"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--inputs", type=int, default=1_000_000, help="of each fuzz target")
    parser.add_argument("--targets", nargs="*", help="fuzz these only")
    parser.add_argument("--minutes", type=float, default=90, help="no turn of fuzzing begins later")
    parser.add_argument("--kills", type=int, default=50, help="of each stage")
    parser.add_argument("--calls", type=int, default=1_000_000, help="under load")
    parser.add_argument("--connections", type=int, default=5_000, help="at once")
    parser.add_argument("--delay-s", type=float, default=30.0, help="of each answer while many are asked at once")
    options = parser.parse_args()
    names = PARTS if options.part == "all" else () if options.part == "page" else (options.part,)
    is_well = _run_all(names, options)
    if options.part in {"all", "page"}:
        write_page({name: kept(name) for name in PARTS if name != "fuzz"} | {"fuzz": _fuzzed()})
    sys.exit(0 if is_well else 1)


if __name__ == "__main__":
    main()
