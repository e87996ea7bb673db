"""The chaos matrix: whole runs through a gateway that breaks, compared with the same run through one that does not."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.api.measuring import RunOptions, run
from evalkit.api.project import load_project, opened_store
from evalkit.clock import SystemClock
from evalkit.errors import GatewayUnusableError
from torture.fault_server import QUIRKS, RAW, ROUTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HERE = Path(__file__).parent
PERCENTS = (1, 10, 50)
N_CASES = 60
MODELS = tuple(ROUTES)
_PRICE = {"input_usd_per_mtok": 1, "output_usd_per_mtok": 1}
_CALL_TIMEOUT_S = 0.4
_ATTEMPTS = 2
_DAY_S = 86_400
N_ELSEWHERE = 4
"""Runs of `elsewhere`."""


@dataclass(frozen=True, kw_only=True)
class Weather:
    """What a gateway does to its callers."""

    faults: str
    """A name, several with commas, or `RAW`, `QUIRKS`, `ALL`."""
    percent: int
    seed: int = 1

    def base_url(self, port: int) -> str:
        """Return the address of such a gateway."""
        return f"http://127.0.0.1:{port}/{self.faults}/{self.percent}/{self.seed}/v1"


@dataclass(kw_only=True)
class Survived:
    """One run through bad weather."""

    weather: str
    n_planned: int = 0
    n_kept: int = 0
    n_scored: int = 0
    n_void: int = 0
    wall_s: float = 0.0
    bound_s: float = 0.0
    """Longest it may take, from the number of calls, attempts and the time limit of each."""
    verdicts: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON can say it."""
        return asdict(self)


@contextlib.contextmanager
def fault_server() -> Iterator[int]:
    """Run the server in its own process; its port."""
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent)}
    command = [sys.executable, str(HERE / "fault_server.py")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            yield int(process.stdout.readline())
        finally:
            process.stdin.close()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()


def write_project(root: Path, *, n_cases: int = N_CASES, gateway: dict[str, Any] | None = None, **more: Any) -> Path:
    """Write a project of sums for three models: one always right, one often wrong, one in between."""
    models = [{"id": name, "route": route, "provider": name, "price": _PRICE} for name, route in ROUTES.items()]
    files = {
        "evalkit.yaml": {
            "version": 1, "environment": "test", "gateway": {"kind": "simulator", **(gateway or {})},
            "limits": {"concurrency": 16, "call_timeout_s": _CALL_TIMEOUT_S, "max_attempts": _ATTEMPTS},
        },
        "roster.yaml": {"version": 1, "defaults": {"context_tokens": 128000}, "models": models},
        "policy.yaml": {"version": 1, "tasks": {"sums": {}}},
        "suites/sums/suite.yaml": {
            "version": 1, "name": "sums", "task": "sums", "primary": "exact", "scorers": ["exact"],
            "request": {"prompt": "What is {{ a }} plus {{ b }}? Answer with the number.", "max_output_tokens": 50},
            "cases": [{"id": f"sum-{i}", "vars": {"a": i, "b": 2 * i + 1}, "expected": str(3 * i + 1)}
                      for i in range(n_cases)],
            "gates": [{"metric": "exact", "at_least": 0.8}], **more,
        },
    }  # fmt: skip
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content), encoding="utf-8")
    return root


def weathered(weather: Weather, *, port: int, name: str = "") -> Survived:
    """Run the project through such a gateway, in a store of its own, and hold what is promised of every run."""
    return run_against(weather.base_url(port), name=name or f"{weather.faults} {weather.percent} %")


def run_against(base_url: str, *, name: str) -> Survived:
    """Run the project against any address."""
    with tempfile.TemporaryDirectory() as folder:
        root = write_project(Path(folder) / "project", gateway={"base_url": base_url})
        project = load_project(root)
        survived = Survived(weather=name)
        began = time.monotonic()
        try:
            result = run(project, RunOptions())
        except GatewayUnusableError:
            survived.verdicts = dict.fromkeys(MODELS, "undecided")
        else:
            survived.verdicts = {one.model_id: str(one.status) for one in result.decision.verdicts}
        survived.wall_s = time.monotonic() - began
        _count(project, survived)
    return survived


def _count(project: Any, survived: Survived) -> None:
    n_planned = len(MODELS) * N_CASES
    survived.n_planned = n_planned
    # All calls one after the other, every attempt to its limit, were nothing sent at the same time: a loose bound,
    # but one that no machine's load can break and no hang can keep.
    survived.bound_s = n_planned * _ATTEMPTS * (_CALL_TIMEOUT_S + 0.5)
    with opened_store(project) as store:
        (found,) = store.runs(project=project.name, environment="test")
        outcomes = list(store.outcomes(found.run_id))
    keys = {outcome.call_key for outcome in outcomes}
    survived.n_kept = len(outcomes)
    survived.n_void = sum(outcome.is_missing for outcome in outcomes)
    survived.n_scored = survived.n_kept - survived.n_void
    if len(keys) != len(outcomes):
        survived.problems.append(f"{len(outcomes) - len(keys)} calls are kept twice")
    if survived.n_kept != n_planned:
        survived.problems.append(f"{n_planned - survived.n_kept} planned calls are neither scored nor void")
    if survived.wall_s > survived.bound_s:
        survived.problems.append(f"took {survived.wall_s:.0f} s, bound {survived.bound_s:.0f} s")
    _check_truth(outcomes, survived)


def _check_truth(outcomes: Sequence[Any], survived: Survived) -> None:
    """An answer that counts is the one the gateway gave to this very question: none from another call, none half."""
    for outcome in outcomes:
        number = int(outcome.case_id.removeprefix("sum-"))
        if outcome.kind == "ok" and outcome.turns[-1].reading.text not in {str(3 * number + 1), str(3 * number + 2)}:
            survived.problems.append(f"{outcome.model_id} {outcome.case_id} holds {outcome.turns[-1].reading.text!r}")


def compared(survived: Survived, calm: Survived) -> Survived:
    """Add what is wrong about the verdicts: faults must never admit a model that calm weather does not."""
    for model, verdict in survived.verdicts.items():
        if verdict == "eligible" and calm.verdicts[model] != "eligible":
            survived.problems.append(f"{model} became eligible; without faults it is {calm.verdicts[model]}")
    if set(survived.verdicts) != set(calm.verdicts):
        survived.problems.append("a verdict is missing")
    return survived


def matrix(*, seed: int, is_short: bool) -> tuple[Weather, ...]:
    """Return the weathers to run through: all faults together at each rate and, in the long form, each one alone."""
    groups = ("ALL",) if is_short else ("RAW", "QUIRKS", "ALL", *RAW, *QUIRKS)
    return tuple(Weather(faults=faults, percent=percent, seed=seed) for faults in groups for percent in PERCENTS)


def elsewhere(*, port: int) -> Iterator[Survived]:
    """Run against addresses where no gateway can be spoken to at all, and under a clock that jumps."""
    yield run_against("http://no-such-host.invalid/v1", name="DNS failure")
    yield run_against(f"https://127.0.0.1:{port}/v1", name="TLS spoken to a plain server")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        yield run_against(f"http://127.0.0.1:{probe.getsockname()[1]}/v1", name="nobody listens")
    with jumping_clock():
        yield weathered(Weather(faults="ALL", percent=10), port=port, name="ALL 10 %, and the clock jumps by a day")


@contextlib.contextmanager
def jumping_clock() -> Iterator[None]:
    """Let the wall clock jump a day on and a day back, again and again, at the one door it has."""
    honest = SystemClock.now
    n_asked = itertools.count()

    def jumping(clock: SystemClock) -> float:
        return honest(clock) + _DAY_S * (next(n_asked) % 3 - 1)

    SystemClock.now = jumping  # type: ignore[method-assign]
    try:
        yield
    finally:
        SystemClock.now = honest  # type: ignore[method-assign]


def count_at(base_url: str) -> dict[str, dict[str, int]]:
    """Return how often each request body came to a gateway, and how often it was answered whole."""
    with urllib.request.urlopen(f"{base_url.removesuffix('/v1')}/v1/count", timeout=10) as answer:
        return json.load(answer)
