"""The pytest plugin as a user meets it: a live session of many models, and what it adds to one that does not use it.

The session is a whole process, `python -m pytest --evalkit-live` against the fixed-answer server; the reference is the
time the answers alone take at the session's concurrency. What an unused plugin adds is the median difference of pairs
of whole sessions of one empty test, with and without `-p no:evalkit`, taken in turn. Both are told as wall time and as
CPU time of the measured process: on a machine that others use too, only the second one means anything.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from harness import start_server
from run import write_project


class Taken(NamedTuple):
    """What a whole session took."""

    wall_s: float
    cpu_s: float


def session(folder: Path, *arguments: str) -> Taken:
    """Run a whole session, which must pass."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    started = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, cwd=folder, stdout=said, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        taken = Taken(time.perf_counter() - started, usage.ru_utime + usage.ru_stime)
        if process.returncode != 0:
            said.seek(0)
            sys.exit(f"{command} ended with {process.returncode}: {said.read().decode()[-3000:]}")
    return taken


def live(options: argparse.Namespace) -> None:
    """Print how long a live session takes beside the ideal."""
    n_calls = options.models * options.cases
    ideal_s = n_calls * options.delay_ms / 1000 / options.concurrency
    found = []
    for _ in range(options.repeats):
        with start_server(delay_ms=options.delay_ms) as server, tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_project(folder, base_url=server.base_url, n_cases=options.cases, n_models=options.models,
                          concurrency=options.concurrency)  # fmt: skip
            policy = folder / "policy.yaml"
            policy.write_text(
                policy.read_text().replace('"tasks"', '"defaults": {"min_identity": "unverifiable"}, "tasks"')
            )
            (folder / "pytest.ini").write_text("[pytest]\n")
            found.append(session(folder, "--evalkit-live", "--evalkit-models=all", "suites"))
            assert server.count() == n_calls, server.count()
    shown = ", ".join(f"{taken.wall_s:.1f} s (CPU {taken.cpu_s:.1f} s)" for taken in found)
    print(
        f"live session, {options.models} models × {options.cases} cases at {options.delay_ms:g} ms, concurrency "
        f"{options.concurrency}: {shown}; the answers alone take {ideal_s:.1f} s"
    )


def unused(options: argparse.Namespace) -> None:
    """Print what the plugin adds to a session that does not ask for it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "pytest.ini").write_text("[pytest]\n")
        (folder / "test_empty.py").write_text("def test_empty():\n    pass\n")
        differences = []
        quickest = {(): float("inf"), ("-p", "no:evalkit"): float("inf")}
        for number in range(options.pairs):
            sides = (("-p", "no:evalkit"), ())
            taken = {side: session(folder, *side) for side in (sides if number % 2 else sides[::-1])}
            quickest = {side: min(quickest[side], taken[side].cpu_s) for side in sides}
            without = taken["-p", "no:evalkit"]
            differences.append(Taken(taken[()].wall_s - without.wall_s, taken[()].cpu_s - without.cpu_s))
    print(f"added to a session that does not use it, {options.pairs} pairs:")
    added = quickest[()] - quickest["-p", "no:evalkit"]
    print(f"  CPU time of the quickest session of each kind: {added * 1000:.1f} ms")
    for name in Taken._fields:
        low, middle, high = statistics.quantiles((getattr(one, name) * 1000 for one in differences), n=4)
        print(f"  {name}: median {middle:.1f} ms (quartiles {low:.1f} to {high:.1f})")
    code = "import time, pytest; t = time.process_time(); import evalkit.pytest_plugin; print(time.process_time() - t)"
    imports = [float(subprocess.check_output([sys.executable, "-c", code])) for _ in range(options.pairs)]
    print(f"CPU time of importing the plugin beside pytest: median {statistics.median(imports) * 1000:.1f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=20)
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--delay-ms", type=float, default=200.0)
    parser.add_argument("--concurrency", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--pairs", type=int, default=20)
    options = parser.parse_args()
    live(options)
    unused(options)


if __name__ == "__main__":
    main()
