"""A small project that runs in a moment, measured twice, and the command line as a function."""

from __future__ import annotations

import json
import os
import re
import shutil
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pytest

from evalkit.cli.main import _run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

N_CASES = 30

HEAD = """\
version: 1
name: shop
environment: test-env
"""

CONFIG = f"""\
{HEAD}gateway: {{kind: simulator, simulator: {{time_scale: 0}}}}
limits: {{concurrency: 16}}
"""

ROSTER = """\
version: 1
models:
  - id: alpha
    route: sim/gpt
    provider: first
    price: {input_usd_per_mtok: 1.0, output_usd_per_mtok: 2.0}
    capabilities: {structured: json_schema}
  - id: beta
    route: sim/claude
    provider: second
    price: {input_usd_per_mtok: 3.0, output_usd_per_mtok: 4.0}
"""

POLICY = """\
version: 1
tasks:
  greeting: {pin: alpha}
  colour: {}
"""

GREETING = """\
version: 1
name: greeting
task: greeting
request:
  prompt: "Say hello to {{ name }}, as JSON."
  response: {schema: ../../schemas/hello.schema.json, modes: [json_schema, prompted]}
cases: cases.jsonl
primary: fields
scorers: [json_schema, fields]
gates:
  - {metric: json_schema, at_least: 0.5}
  - {metric: fields, at_least: 0.5}
"""

SCHEMA = {
    "type": "object",
    "properties": {"hello": {"type": "string"}},
    "required": ["hello"],
    "additionalProperties": False,
}

COLOUR = """\
version: 1
name: colour
task: colour
request: {prompt: "Which colour does the fruit {{ fruit }} have?"}
cases: cases.csv
primary: exact
scorers: [exact]
gates: [{metric: exact, at_least: 0.5}]
"""


@dataclass(frozen=True)
class Said:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Stdout as the one JSON document it must be."""
        return json.loads(self.out)

    @property
    def error(self) -> dict[str, Any]:
        """The error document on stdout."""
        return self.document["error"]


@dataclass(frozen=True)
class Shop:
    """A project on disk."""

    root: Path

    def path(self, name: str) -> Path:
        """Return the path of one of its files."""
        return self.root / name

    def text(self, name: str) -> str:
        """Return the content of one of its files."""
        return self.path(name).read_text(encoding="utf-8")

    def write(self, name: str, text: str) -> None:
        """Write a file, and the folders above it."""
        self.path(name).parent.mkdir(parents=True, exist_ok=True)
        self.path(name).write_text(dedent(text), encoding="utf-8")

    def replace(self, name: str, *, old: str, new: str) -> None:
        """Change the first place where `old` stands in a file."""
        text = self.text(name)
        assert old in text, f"{old!r} is not in {name}"
        self.path(name).write_text(text.replace(old, new, 1), encoding="utf-8")

    def use_gateway(self, base_url: str) -> None:
        """Send the calls to a gateway, once each."""
        gateway = f'{{kind: openai, base_url: "{base_url}"}}'
        limits = "{concurrency: 16, max_attempts: 1, connect_timeout_s: 2}"
        self.write("evalkit.yaml", f"{HEAD}gateway: {gateway}\nlimits: {limits}\n")


class Evalkit:
    """The command line, in this process: `evalkit("plan", "--json")`."""

    def __init__(self, capsys: pytest.CaptureFixture[str], shop: Shop | None = None) -> None:
        self._capsys = capsys
        self._shop = shop

    def __call__(self, *arguments: object) -> Said:
        """Run one command, on the project unless it takes none."""
        given = [str(argument) for argument in arguments]
        if self._shop is not None:
            given += ["--root", str(self._shop.root)]
        self._capsys.readouterr()
        code = _run(given)
        shown = self._capsys.readouterr()
        assert "Traceback" not in shown.err, shown.err
        return Said(code, shown.out, shown.err)

    def on(self, shop: Shop) -> Evalkit:
        """Return the same, on a project."""
        return Evalkit(self._capsys, shop)


def write_shop(root: Path) -> Shop:
    """Write the small project, not measured yet."""
    shop = Shop(root)
    rows = (
        {
            "id": f"g{i}",
            "vars": {"name": f"person {i}"},
            "expected": {"hello": f"person {i}"},
            "tags": ["even"][i % 2 :],
        }
        for i in range(N_CASES)
    )
    shop.write("evalkit.yaml", CONFIG)
    shop.write("roster.yaml", ROSTER)
    shop.write("policy.yaml", POLICY)
    shop.write("schemas/hello.schema.json", json.dumps(SCHEMA, indent=2))
    shop.write("suites/greeting/suite.yaml", GREETING)
    shop.write("suites/greeting/cases.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    shop.write("suites/colour/suite.yaml", COLOUR)
    lines = "".join(f"f{i},number {i},red {i}\n" for i in range(N_CASES))
    shop.write("suites/colour/cases.csv", f"id,fruit,expected\n{lines}")
    return shop


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the machine the tests run on reaches them."""
    for name in list(os.environ):
        if name.startswith("EVALKIT_") or name in {"NO_COLOR", "FORCE_COLOR", "COLUMNS"}:
            monkeypatch.delenv(name)


@pytest.fixture
def evalkit(capsys: pytest.CaptureFixture[str]) -> Evalkit:
    """The command line; `evalkit.on(shop)` adds `--root`."""
    return Evalkit(capsys)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A project of this test's own that was never measured."""
    return write_shop(tmp_path / "shop")


@pytest.fixture(scope="session")
def _measured_once(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    shop = write_shop(tmp_path_factory.mktemp("cli") / "shop")
    for _ in range(2):
        assert _run(["run", "--new", "--progress", "quiet", "--root", str(shop.root)]) == 0
    return shop


@pytest.fixture
def measured(_measured_once: Shop, tmp_path: Path) -> Shop:
    """A copy of the project with two finished runs, to change as a test likes."""
    return Shop(shutil.copytree(_measured_once.root, tmp_path / "shop"))


@pytest.fixture
def eligibility(evalkit: Evalkit, measured: Shop, tmp_path: Path) -> Path:
    """An eligibility file, unsigned and simulated, decided from the measured project."""
    path = tmp_path / "eligibility.json"
    assert evalkit.on(measured)("decide", "-o", path).code == 0
    return path


@pytest.fixture
def a_file(tmp_path: Path) -> Path:
    """A file where a folder is wanted: nothing can be written below it, whoever runs the tests."""
    path = tmp_path / "file"
    path.write_text("not a folder", encoding="utf-8")
    return path


class _Gateway(BaseHTTPRequestHandler):
    """Answers right (or wrong), under a name of the test's choice; or fails with a status of its choice."""

    served_as = ""
    status = 200
    wrong = False

    def do_POST(self) -> None:
        """Answer one call."""
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))["messages"][-1]["content"]
        number = re.search(r"(?:person|number) (\d+)", asked)[1]
        answer = f"red {number}" if "colour" in asked else json.dumps({"hello": f"person {number}"})
        answer = "{}" if self.wrong else answer
        body: dict[str, Any] = {"error": {"message": self.served_as, "type": self.served_as, "code": self.served_as}}
        if self.status == 200:
            choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": answer}}
            usage = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
            body = {"object": "chat.completion", "model": self.served_as, "choices": [choice], "usage": usage}
        data = json.dumps(body).encode()
        self.send_response(self.status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # closing waits for the answers under way, so no socket outlives its test


@pytest.fixture
def gateway() -> Iterator[Callable[..., str]]:
    """Start gateways: `gateway(served_as="x", status=200)` returns a base URL."""
    servers: list[_Server] = []

    def start(**behaviour: Any) -> str:
        servers.append(_Server(("127.0.0.1", 0), type("Handler", (_Gateway,), behaviour)))
        threading.Thread(target=servers[-1].serve_forever, args=(0.05,), daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}/v1"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()
