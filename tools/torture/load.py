"""Load: many calls, and many at once, through `evalkit run` against the fixed-answer server of `bench/`.

Memory is the operating system's word on the running process, sampled while it records; *flat* compares the first half
of the calls with the second: what grows with each call grows there.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.store.open import open_store

if TYPE_CHECKING:
    from collections.abc import Callable

    Keep = Callable[["Load"], None]

BENCH = Path(__file__).parents[2] / "bench"
sys.path.insert(0, str(BENCH))

from harness import Server, start_server  # noqa: E402  the benches are no package, and are found by their folder
from server import MODEL  # noqa: E402  as above

_PAGE_MB = resource.getpagesize() / 2**20
_PAUSE_S = 0.2
FLAT_MB = 64
"""Most that memory may grow over the second half of the calls."""
AFTER_MB = 128
"""Most that scoring and deciding may hold beyond recording, however many calls there were of ten models."""


@dataclass(kw_only=True)
class Load:
    """One run under load."""

    what: str
    n_calls: int
    n_answered: int = 0
    n_kept: int = 0
    wall_s: float = 0.0
    exit_code: int | None = None
    first_half_mb: float = 0.0
    """Most resident memory while the first half of the calls was recorded."""
    second_half_mb: float = 0.0
    peak_mb: float = 0.0
    """Of the whole command, scoring and deciding included."""
    most_connections: int = 0
    problems: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON can say it."""
        return asdict(self)


def write_project(root: Path, *, base_url: str, n_calls: int, concurrency: int, n_models: int) -> None:
    """Write a project of so many calls; cases are few and asked often, because the calls are what is measured."""
    n_cases = min(n_calls // n_models, 1_000)
    trials = max(1, n_calls // n_cases // n_models)
    models = [{"id": f"m{n}", "route": MODEL, "provider": "one", "host": f"h{n}",
               "price": {"input_usd_per_mtok": 1, "output_usd_per_mtok": 2}} for n in range(n_models)]  # fmt: skip
    files = {
        "evalkit.yaml": {"version": 1, "name": "load", "gateway": {"kind": "openai", "base_url": base_url},
                         "limits": {"concurrency": concurrency, "call_timeout_s": 600, "connect_timeout_s": 120}},
        "roster.yaml": {"version": 1, "models": models},
        "policy.yaml": {"version": 1, "tasks": {"load": {"max_candidates": 1}}},
        "suites/load/suite.yaml": {
            "version": 1, "name": "load", "task": "load", "primary": "contains", "trials": trials,
            "request": {"prompt": "Case {{ n }}."}, "scorers": [{"contains": {"any": ["INV-2026"]}}],
            "cases": "cases.jsonl", "gates": [{"metric": "contains", "at_least": 0.5}],
        },
    }  # fmt: skip
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content), encoding="utf-8")
    cases = "".join(json.dumps({"id": f"c{n}", "vars": {"n": n}}) + "\n" for n in range(n_cases))
    (root / "suites" / "load" / "cases.jsonl").write_text(cases, encoding="utf-8")


def loaded(
    what: str, *, n_calls: int, concurrency: int, n_models: int = 1, delay_ms: float = 0.0, keep: Keep | None = None
) -> Load:
    """Run so many calls, in whole thousands a model where they are more, and watch the process while it works.

    The models share one provider, and so its concurrency. `keep` is told now and then how far it is.
    """
    load = Load(what=what, n_calls=n_calls)
    with start_server(delay_ms=delay_ms) as server, tempfile.TemporaryDirectory() as name:
        root = Path(name)
        write_project(root, base_url=server.base_url, n_calls=n_calls, concurrency=concurrency, n_models=n_models)
        command = [sys.executable, "-c", "from evalkit.cli.main import main; main()", "run", "--root", name,
                   "--progress", "quiet", "--fail-on", "never"]  # fmt: skip
        began = time.monotonic()
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
            _watch(process, server, load=load, keep=keep)
            error = process.stderr.read() if process.stderr else ""
        load.wall_s = time.monotonic() - began
        load.exit_code = process.returncode
        load.n_answered = server.count()
        load.n_kept = _n_kept(root)
    _judge(load, error)
    return load


def _watch(process: subprocess.Popen[str], server: Server, *, load: Load, keep: Keep | None) -> None:
    n_looks = 0
    while process.poll() is None:
        resident_mb, n_files = _look(process.pid)
        load.peak_mb = max(load.peak_mb, resident_mb)
        load.most_connections = max(load.most_connections, n_files)
        load.n_answered = server.count()
        # Settled: past the first calls, which fill pools and caches, and before scoring, which is another stage.
        share = load.n_answered / load.n_calls
        if 0.1 < share <= 0.5:
            load.first_half_mb = max(load.first_half_mb, resident_mb)
        elif 0.5 < share < 1:
            load.second_half_mb = max(load.second_half_mb, resident_mb)
        n_looks += 1
        if keep is not None and n_looks % 100 == 0:
            keep(load)
        time.sleep(_PAUSE_S)


def _look(pid: int) -> tuple[float, int]:
    """Return resident megabytes and open sockets of a process; nothing once it is gone."""
    try:
        resident_mb = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * _PAGE_MB
        links = os.scandir(f"/proc/{pid}/fd")
        n_sockets = sum(_is_socket(link.path) for link in links)
    except (OSError, IndexError):
        return 0.0, 0
    return resident_mb, n_sockets


def _is_socket(link: str) -> bool:
    try:
        return str(Path(link).readlink()).startswith("socket:")
    except OSError:
        return False


def _n_kept(root: Path) -> int:
    store = open_store("sqlite:///.evalkit/evalkit.db", root=root)
    try:
        runs = store.runs(project="load", environment="default")  # none, where it could not begin
        return sum(
            not outcome.is_missing for run in runs for outcome in store.outcomes(run.run_id, with_payloads=False)
        )
    finally:
        store.close()


def _judge(load: Load, error: str) -> None:
    if load.exit_code not in {0, 3}:
        load.problems.append(f"ended with {load.exit_code}: {error[-300:]}")
    if not load.n_kept == load.n_answered == load.n_calls:
        load.problems.append(f"{load.n_calls} planned, {load.n_answered} answered, {load.n_kept} kept")
    if load.second_half_mb > load.first_half_mb + FLAT_MB > FLAT_MB:
        load.problems.append(f"memory grew from {load.first_half_mb:.0f} to {load.second_half_mb:.0f} MB")
    if load.second_half_mb and load.peak_mb > load.second_half_mb + AFTER_MB:
        load.problems.append(f"scoring and deciding took {load.peak_mb:.0f} MB after {load.second_half_mb:.0f} MB")
