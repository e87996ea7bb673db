"""The command line in processes of its own, a small project, and a simulator whose requests are counted."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from evalkit.api.measuring import arun
from evalkit.api.project import load_project, opened_store
from evalkit.simulator.book import book_from_project
from evalkit.simulator.options import ServerOptions
from evalkit.simulator.process import SimulatorProcess
from evalkit.store.open import open_store

if TYPE_CHECKING:
    from types import ModuleType

    from evalkit.api.measuring import RunResult
    from evalkit.domain.outcome import Outcome
    from evalkit.domain.project import Project
    from evalkit.domain.verdict import Verdict

LIMIT_S = 60.0
"""Nothing here takes nearly so long: what hangs fails."""

PRICE = {"input_usd_per_mtok": 2.5, "output_usd_per_mtok": 10.0}
STEADY = [
    # Two simulated models that never meet a fault: as many requests as calls.
    {"id": "azure", "route": "sim/azure", "price": PRICE},
    {"id": "drift", "route": "sim/deepseek-chat", "served_as": ["deepseek-v4-flash"], "price": PRICE},
]


class Cli:
    """`evalkit` on one project, as a person runs it."""

    def __init__(self, root: Path, **environ: str) -> None:
        self.root = root
        self.environ = environ

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start it in a process group of its own."""
        command = [sys.executable, "-c", "from evalkit.cli.main import main; main()", *arguments]
        return subprocess.Popen(
            command,
            env={**os.environ, "EVALKIT_ROOT": str(self.root), **self.environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def end(self, process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
        """Wait for its end; one that hangs is killed, and fails the test."""
        try:
            out, err = process.communicate(timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.communicate()
            raise
        assert "Traceback" not in err, err
        assert "never retrieved" not in err, err
        assert "was destroyed" not in err, err
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        return self.end(self.start(*arguments))

    def json(self, *arguments: str):
        """Run it with `--json`, and return exit code and document."""
        done = self(*arguments, "--json")
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout)

    def runs(self):
        """Return the runs of the store, newest first."""
        store = open_store("sqlite:///.evalkit/evalkit.db", root=self.root)
        try:
            return store.runs(project=self.root.name, environment="test")
        finally:
            store.close()


@dataclass(frozen=True)
class Measured:
    """A run that has ended."""

    project: Project
    result: RunResult
    outcomes: list[Outcome]

    def of(self, model_id: str) -> list[Outcome]:
        """Return the outcomes of a model."""
        return [outcome for outcome in self.outcomes if outcome.model_id == model_id]

    def verdict(self, model_id: str) -> Verdict:
        """Return the verdict on a model; there is one task."""
        return next(one for one in self.result.decision.verdicts if one.model_id == model_id)


class Counted:
    """A simulator on a port of its own, whose requests can be counted from outside."""

    def __init__(self, process: SimulatorProcess) -> None:
        self.process = process
        self.base_url = process.base_url

    @property
    def n_requests(self) -> int:
        """Return how many chat completions it was asked for."""
        with urllib.request.urlopen(self.base_url.removesuffix("/v1") + "/count", timeout=10) as answer:
            return json.load(answer)["requests"]

    def wait_for(self, n_requests: int, process: subprocess.Popen[str]) -> None:
        """Wait until it was asked so often by a process that is still running."""
        until = time.monotonic() + LIMIT_S
        while self.n_requests < n_requests:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < until
            time.sleep(0.01)


@pytest.fixture
def a_project(tmp_path):
    """Give a function: write a project of `n` sums and return its folder."""

    def build(n=40, *, models=STEADY, gateway=None, **config):
        root = tmp_path / "project"
        files = {
            "evalkit.yaml": {
                "version": 1,
                "environment": "test",
                "gateway": {"kind": "simulator", **(gateway or {})},
                "limits": {"concurrency": 4, "call_timeout_s": 30},
                **config,
            },
            "roster.yaml": {"version": 1, "defaults": {"context_tokens": 128000}, "models": list(models)},
            "policy.yaml": {"version": 1, "tasks": {"sums": {}}},
            "suites/sums/suite.yaml": {
                "version": 1,
                "name": "sums",
                "task": "sums",
                "request": {"prompt": "What is {{ a }} plus {{ b }}? Answer with the number.", "max_output_tokens": 50},
                "cases": [
                    {"id": f"sum-{i}", "vars": {"a": i, "b": 2 * i + 1}, "expected": str(3 * i + 1)} for i in range(n)
                ],
                "primary": "exact",
                "scorers": ["exact"],
                "gates": [{"metric": "exact", "at_least": 0.5}],
            },
        }
        for name, content in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        return root

    return build


@pytest.fixture
def a_simulator():
    """Give a function: serve a project's answers on a port of their own until the test ends."""
    started = []

    def start(root, **options):
        process = SimulatorProcess(book_from_project(load_project(root)), ServerOptions(**options))
        started.append(process)
        return Counted(process.__enter__())

    yield start
    for process in started:
        process.__exit__(None, None, None)


@pytest.fixture
def a_cli():
    """Give the command line of a project folder; keywords are environment variables."""
    return Cli


@pytest.fixture
def a_free_port():
    """Return a port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def dialects() -> ModuleType:
    """Module of servers that speak as hosted gateways do: `serving()`, `OpenRouter`, `TokenMix`."""
    spec = importlib.util.spec_from_file_location("gateway_dialects", Path(__file__).with_name("dialects.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def measured(dialects, monkeypatch):
    """Give a function: run a project folder against a dialect; the result, its outcomes, and the project."""

    def run(root, dialect):
        async def measure():
            async with dialects.serving(dialect) as base_url:
                path = root / "evalkit.yaml"
                config = yaml.safe_load(path.read_text(encoding="utf-8"))
                config["gateway"]["base_url"] = base_url
                path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
                project = load_project(root)
                return project, await arun(project)

        monkeypatch.setenv("GATEWAY_KEY", dialect.key)
        project, result = asyncio.run(measure())
        with opened_store(project) as store:
            outcomes = list(store.outcomes(result.run.run_id))
        return Measured(project=project, result=result, outcomes=outcomes)

    return run
