"""An application's repository with two suites, and a gateway on loopback that counts what it is asked."""

from __future__ import annotations

import gzip
import json
import os
import re
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

from evalkit.canonical import canonical_json
from evalkit.testing.eligibility import an_eligibility

for _name in ("pytest_engine.engine", "gateways.openai", "scorers.text"):
    # pytester forgets what an inner session imported: numpy would be loaded again for each.
    import_module(f"evalkit.{_name}")

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

N_CASES = 20
QUIET = ("-p", "no:randomly", "-p", "no:asyncio")
"""A fixed order, and no plugin that wants a setting of its own."""

CONFIG = """\
version: 1
name: app
environment: test-env
gateway: {{kind: openai, base_url: "{base_url}", model_field: echo}}
limits: {{concurrency: 16, max_attempts: 1, connect_timeout_s: 5}}
"""

ROSTER = """\
version: 1
models:
  - {id: alpha, route: route-a, provider: one, price: {input_usd_per_mtok: 1000, output_usd_per_mtok: 1000}}
  - {id: beta, route: route-b, provider: two, price: {input_usd_per_mtok: 1000, output_usd_per_mtok: 1000}}
"""

POLICY = """\
version: 1
defaults: {min_identity: unverifiable}
tasks: {colour: {}, sums: {}}
"""

COLOUR = """\
version: 1
name: colour
task: colour
request: {prompt: "Which colour has fruit {{ n }}?", max_output_tokens: 10}
cases: cases.jsonl
primary: exact
scorers: [exact]
gates:
  - {metric: exact, at_least: 0.7}
  - {metric: cost_usd, of: mean, at_most: 0.000001}
"""

SUMS = """\
version: 1
name: sums
task: sums
request: {system: "You add.", prompt: "What is {{ n }} plus 1?", max_output_tokens: 10}
cases: cases.jsonl
primary: exact
scorers: [exact]
gates: [{metric: exact, at_least: 0.7}]
"""


@dataclass
class Gateway:
    """What a gateway was asked, and how it behaves."""

    base_url: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    is_wrong: bool = False
    status: int = 200

    @property
    def prompts(self) -> list[str]:
        """The last message of every request, sorted."""
        return sorted(body["messages"][-1]["content"] for body in self.asked)

    def answer(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return the completion of a request."""
        number = int(re.search(r"\d+", body["messages"][-1]["content"])[0])
        text = str(number + 1) if "plus" in body["messages"][-1]["content"] else f"red {number}"
        text = "\x1b[31mwrong" if self.is_wrong else text
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
        usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
        return {"object": "chat.completion", "model": body["model"], "choices": [choice], "usage": usage}


class _Handler(BaseHTTPRequestHandler):
    state: Gateway

    def do_POST(self) -> None:
        """Answer one request."""
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.state.asked.append(body)
        said = self.state.answer(body) if self.state.status == 200 else {"error": {"message": "no"}}
        data = json.dumps(said).encode()
        self.send_response(self.state.status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = False


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    """A gateway on loopback."""
    state = Gateway()
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"state": state}))
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    state.base_url = f"http://127.0.0.1:{server.server_port}/v1"
    yield state
    server.shutdown()
    server.server_close()


class App:
    """The repository of an application, and pytest in it."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.root = pytester.path
        self._pytester = pytester

    def write(self, name: str, text: str) -> Path:
        """Write a file, and the folders above it."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def replace(self, name: str, old: str, new: str) -> None:
        """Change a file."""
        text = (self.root / name).read_text(encoding="utf-8")
        assert old in text
        self.write(name, text.replace(old, new))

    def test(self, source: str, name: str = "tests/test_app.py") -> None:
        """Write a Python test."""
        self.write(name, f"import pytest\n\n\n{source}")

    def pytest(self, *arguments: str) -> pytest.RunResult:
        """Run pytest in this process, on a fixed order."""
        return self._pytester.runpytest_inprocess(*QUIET, *arguments)

    def pytest_outside(self, *arguments: str) -> pytest.RunResult:
        """Run pytest in a process of its own."""
        return self._pytester.runpytest_subprocess("-p", "no:randomly", *arguments, timeout=120)

    def deploy(self, *, age_s: float = 10.0, **admitted: list[str]) -> Path:
        """Write the deployed file: task to the models it admits."""
        document = an_eligibility(admitted, now=time.time() - age_s, audience="test-env").document()
        return self.write("eligibility.json", canonical_json(document).decode())

    def recordings(self, suite: str, model: str) -> list[dict[str, Any]]:
        """Return the lines of a pair's recordings."""
        path = self.root / "recordings" / suite / f"{model}.jsonl.gz"
        return [json.loads(line) for line in gzip.decompress(path.read_bytes()).decode().splitlines()]


@pytest.fixture
def app(pytester: pytest.Pytester, gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> App:
    """An application's repository, without this machine's settings (where `CI` is set, pytest's summary is longer)."""
    for name in list(os.environ):
        if name.startswith("EVALKIT_") or name in {"CI", "BUILD_NUMBER"}:
            monkeypatch.delenv(name)
    app = App(pytester)
    app.write("pytest.ini", "[pytest]\ntestpaths = tests\n")
    app.write("evalkit.yaml", CONFIG.format(base_url=gateway.base_url))
    app.write("roster.yaml", ROSTER)
    app.write("policy.yaml", POLICY)
    app.write("suites/colour/suite.yaml", COLOUR)
    app.write("suites/sums/suite.yaml", SUMS)
    for suite, expected in (("colour", "red {}"), ("sums", "{}")):
        rows = [
            {"id": f"c{n}", "vars": {"n": n}, "expected": expected.format(n + (suite == "sums"))}
            for n in range(N_CASES)
        ]
        app.write(f"suites/{suite}/cases.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    app.test("def test_plain():\n    pass\n", "tests/test_plain.py")
    return app


@pytest.fixture
def recorded(app: App, gateway: Gateway) -> App:
    """The same, with every suite recorded for both models; the gateway has forgotten that it was asked."""
    assert app.pytest("--evalkit-record", "--evalkit-models=all", "suites").ret == 0
    gateway.asked.clear()
    return app
