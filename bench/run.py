"""The whole thing as a user meets it: `evalkit run` from start to exit, beside the plain loops, in one run.

N cases of one model with one JSON Schema check each, every outcome and score durable in the store. Every row is a
process of its own, start-up included; the reference is a plain aiohttp loop with the same schema check.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from harness import Row, median_of, print_table, start_server
from loops import DOCUMENT
from server import MODEL, SCHEMA

if TYPE_CHECKING:
    from collections.abc import Sequence

EVALKIT = Path(sys.executable).with_name("evalkit")
REFERENCE = "plain aiohttp loop"


def write_project(folder: Path, *, base_url: str, n_cases: int, n_models: int, concurrency: int) -> None:
    """Write a project of `n_cases` cases and `n_models` models; gates are low, because speed is the point."""
    suite = folder / "suites" / "bench"
    suite.mkdir(parents=True)
    names = [f"model-{index}" for index in range(n_models)]
    models = [
        {"id": name, "route": MODEL, "provider": name, "price": {"input_usd_per_mtok": 1, "output_usd_per_mtok": 2},
         "capabilities": {"structured": "json_schema"}}
        for name in names
    ]  # fmt: skip
    files = {
        "evalkit.yaml": {
            "version": 1, "name": "bench", "gateway": {"kind": "openai", "base_url": base_url},
            "limits": {"concurrency": concurrency},
        },
        "roster.yaml": {"version": 1, "models": models},
        "policy.yaml": {"version": 1, "tasks": {"bench": {"max_candidates": 2}}},
        "suites/bench/suite.yaml": {
            "version": 1, "name": "bench", "task": "bench", "primary": "json_schema",
            "request": {"prompt": "Case {{ n }}. {{ document }}", "response": {"schema": SCHEMA}},
            "cases": "cases.jsonl", "scorers": ["json_schema"], "gates": [{"metric": "json_schema", "at_least": 0.5}],
        },
    }  # fmt: skip
    for name, content in files.items():
        # JSON is YAML.
        (folder / name).write_text(json.dumps(content))
    with (suite / "cases.jsonl").open("w") as file:
        for n in range(n_cases):
            case = {"id": f"c{n}", "vars": {"n": n, "document": DOCUMENT}}
            file.write(json.dumps(case) + "\n")


def measured(name: str, command: Sequence[str], *, n_cases: int) -> Row:
    """Run a command to its end and return what the operating system says of that process alone."""
    # As installed: with byte code on disk, whatever this shell says about writing it.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    wall_s = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.stderr is not None
    if process.returncode not in (0, 3):
        sys.exit(f"{command} ended with {process.returncode}: {process.stderr.read().decode()[-2000:]}")
    return Row(
        name=name,
        n_cases=n_cases,
        wall_s=wall_s,
        cpu_s=usage.ru_utime + usage.ru_stime,
        peak_rss_mb=usage.ru_maxrss / 1024,
    )


def evalkit_row(options: argparse.Namespace, *, base_url: str) -> Row:
    """Measure `evalkit run` on a fresh project and check that every case was sent once and kept."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_project(folder, base_url=base_url, n_cases=options.n // options.models, n_models=options.models,
                      concurrency=options.concurrency)  # fmt: skip
        command = [str(EVALKIT), "run", "--root", str(folder), "--progress", "quiet", "--fail-on", "never"]
        row = measured("evalkit run", command, n_cases=options.n)
        store = folder / ".evalkit" / "evalkit.db"
        print(f"store: {store.stat().st_size / options.n:.0f} bytes a result, payload included", file=sys.stderr)
        return row


def loop_row(name: str, loop: str, options: argparse.Namespace, *, base_url: str) -> Row:
    """Measure a plain loop, start-up and connections included."""
    command = [sys.executable, str(Path(__file__).with_name("loops.py")), "--loop", loop, "--base-url", base_url,
               "--n", str(options.n), "--concurrency", str(options.concurrency)]  # fmt: skip
    return measured(name, command, n_cases=options.n)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=10_000, help="calls")
    parser.add_argument("--models", type=int, default=1, help="the calls are spread over this many models")
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--delay-ms", type=float, default=0.0)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with start_server(delay_ms=options.delay_ms) as server:
        kinds = {
            REFERENCE: lambda: loop_row(REFERENCE, "aiohttp", options, base_url=server.base_url),
            "plain httpx loop": lambda: loop_row(
                "plain httpx loop", "httpx over aiohttp", options, base_url=server.base_url
            ),
            "evalkit run": lambda: evalkit_row(options, base_url=server.base_url),
        }
        found: dict[str, list[Row]] = {name: [] for name in kinds}
        for _ in range(options.repeats):
            for name, measure in kinds.items():
                found[name].append(measure())
    print_table([median_of(rows) for rows in found.values()], reference=REFERENCE)
    help_row = measured("evalkit --help", [str(EVALKIT), "--help"], n_cases=1)
    import_row = measured("import evalkit", [sys.executable, "-c", "import evalkit"], n_cases=1)
    bare_row = measured("python", [sys.executable, "-c", ""], n_cases=1)
    for row in (bare_row, import_row, help_row):
        print(f"start-up of {row.name}: {row.wall_s * 1000:.0f} ms")


if __name__ == "__main__":
    main()
