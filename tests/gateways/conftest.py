"""Real gateways on loopback in front of the simulator: installed by `make test-gateways`, started and stopped here."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from evalkit.api.project import load_project
from evalkit.simulator.book import book_from_project
from evalkit.simulator.options import ServerOptions
from evalkit.simulator.process import SimulatorProcess

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).parents[2]
HERE = Path(__file__).parent
INSTALLED = REPOSITORY / ".gateways"
LITELLM = INSTALLED / "litellm" / "bin"
PORTKEY = INSTALLED / "portkey" / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
TENSORZERO = INSTALLED / "tensorzero" / "bin" / "python"

START_LIMIT_S = 180.0
"""LiteLLM takes 8 to 40 s, depending on what else runs."""
STOP_LIMIT_S = 15.0
TAIL_CHARACTERS = 4000


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything in this folder, so that `make test` leaves it out."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.gateways)


class Upstream:
    """The simulator as the gateways' provider: it counts what reaches it.

    Models to configure: `steady/NAME` (always right), `weak/NAME` (wrong in 4 of 5 calls), as many as are wanted.
    """

    def __init__(self, process: SimulatorProcess, root: Path) -> None:
        self.base_url = process.base_url
        """Up to and including `/v1`."""
        self.root = root
        """The project whose prompts it knows: 40 sums, task `sums`."""

    def count(self) -> dict[str, int]:
        """Return requests by the model they named, since it started."""
        return self._control("GET", "/count")["models"]

    def total(self) -> int:
        """Return all requests since it started, whatever their path and whatever they named."""
        return self._control("GET", "/count")["total"]

    def set_down(self, routes: list[str]) -> None:
        """Let these models, and no others, answer 503."""
        self._control("PUT", "/down", {"routes": routes})

    def set_serve_as(self, names: dict[str, str]) -> None:
        """Let these models, and no others, answer under another name."""
        self._control("PUT", "/serve-as", {"routes": names})

    def _control(self, method: str, path: str, body: Any = None) -> Any:
        url = self.base_url.removesuffix("/v1") + path
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(url, data, method=method), timeout=10) as answer:
            return json.load(answer)


class Gateway:
    """A gateway's process, and what it wrote."""

    def __init__(self, process: subprocess.Popen[bytes], log_path: Path, base_url: str, key: str) -> None:
        self._process = process
        self._log_path = log_path
        self.base_url = base_url
        """Up to and including `/v1`."""
        self.key = key
        """What it wants as bearer token; empty when it wants none."""

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def log(self) -> str:
        """Return all it wrote so far."""
        return self._log_path.read_text(encoding="utf-8", errors="replace")

    def wait_until_ready(self, url: str) -> None:
        """Wait until `url` answers 200; what does not start fails with the end of its log."""
        started = time.monotonic()
        while not _answers(url):
            waited_s = time.monotonic() - started
            if self._process.poll() is not None or waited_s > START_LIMIT_S:
                state = f"exit code {self._process.poll()} after {waited_s:.0f} s"
                self.stop()
                pytest.fail(f"{self._process.args} did not start ({state}):\n{self.log()[-TAIL_CHARACTERS:]}")
            time.sleep(0.1)

    def stop(self) -> None:
        """End it, and its children, who share its process group; once is enough."""
        if self._process.poll() is not None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_LIMIT_S)
                return


@pytest.fixture(scope="session")
def upstream_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the project whose prompts the simulator knows."""
    root = tmp_path_factory.mktemp("upstream")
    prompt = "What is {{ a }} plus {{ b }}? Answer with the number."
    cases = [{"id": f"sum-{i}", "vars": {"a": i, "b": 2 * i + 1}, "expected": str(3 * i + 1)} for i in range(40)]
    files = {
        "evalkit.yaml": {"version": 1, "environment": "test", "gateway": {"kind": "simulator"}},
        "roster.yaml": {
            "version": 1,
            "defaults": {"context_tokens": 128000},
            "models": [{"id": name, "route": f"steady/{name}"} for name in ("one", "two")],
        },
        "policy.yaml": {"version": 1, "tasks": {"sums": {}}},
        "suites/sums/suite.yaml": {
            "version": 1,
            "name": "sums",
            "task": "sums",
            "request": {"prompt": prompt, "max_output_tokens": 50},
            "cases": cases,
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


@pytest.fixture(scope="module")
def upstream(upstream_root: Path) -> Iterator[Upstream]:
    """Start a simulator for this module: nothing counted, nothing down."""
    with SimulatorProcess(book_from_project(load_project(upstream_root)), ServerOptions()) as process:
        yield Upstream(process, upstream_root)


@pytest.fixture(scope="session")
def evalkit_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel of this tree, once."""
    folder = tmp_path_factory.mktemp("wheel")
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder)]
    _run([sys.executable, "-m", "pip", "wheel", str(REPOSITORY), *options])
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="session")
def litellm_with_evalkit(evalkit_wheel: Path) -> None:
    """Install the wheel into LiteLLM's own environment, as its operator does, once."""
    with _lock(fcntl.LOCK_EX):
        _require(LITELLM / "python")
        options = ["--quiet", "--no-deps", "--no-index", "--force-reinstall", "--disable-pip-version-check"]
        _run([str(LITELLM / "python"), "-m", "pip", "install", *options, str(evalkit_wheel)])


@pytest.fixture(scope="module")
def start_litellm(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest):
    """Give a function that starts a LiteLLM proxy; all are stopped at the end of the module."""
    started: list[Gateway] = []

    def start(
        config: dict[str, Any] | Path, *, environ: dict[str, str] | None = None, with_evalkit: bool = False
    ) -> Gateway:
        if with_evalkit:
            request.getfixturevalue("litellm_with_evalkit")
        folder = tmp_path_factory.mktemp("litellm")
        path = config if isinstance(config, Path) else folder / "config.yaml"
        if not isinstance(config, Path):
            path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
        port, key = _free_port(), f"sk-{secrets.token_hex(24)}"
        own = {"LITELLM_MASTER_KEY": key, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "DO_NOT_TRACK": "1"}
        where = ["--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
        command = [str(LITELLM / "litellm"), "--config", str(path), *where]
        root = f"http://127.0.0.1:{port}"
        # Who installs waits until nobody is in the middle of importing what it replaces.
        with _lock(fcntl.LOCK_SH):
            _require(LITELLM / "litellm")
            gateway = _start(command, {**own, **(environ or {})}, folder, base_url=f"{root}/v1", key=key)
            started.append(gateway)
            gateway.wait_until_ready(f"{root}/health/liveliness")
        return gateway

    yield start
    for gateway in started:
        gateway.stop()


@pytest.fixture(scope="module")
def start_portkey(tmp_path_factory: pytest.TempPathFactory):
    """Give a function that starts a Portkey gateway; all are stopped at the end of the module."""
    started: list[Gateway] = []

    def start(**environ: str) -> Gateway:
        _require(PORTKEY)
        node = os.environ.get("EVALKIT_NODE") or shutil.which("node")
        assert node is not None, "no node here: run the tests by `make test-gateways`"
        port = _free_port()
        preload = ["--require", str(HERE / "portkey_loopback.cjs")]
        command = [node, *preload, str(PORTKEY), "--headless", f"--port={port}"]
        root = f"http://127.0.0.1:{port}"
        gateway = _start(
            command, {"NODE_ENV": "production", **environ}, tmp_path_factory.mktemp("portkey"), base_url=f"{root}/v1"
        )
        started.append(gateway)
        gateway.wait_until_ready(root)
        return gateway

    yield start
    for gateway in started:
        gateway.stop()


@pytest.fixture(scope="session")
def litellm_python() -> Path:
    """Return the interpreter of LiteLLM's environment."""
    _require(LITELLM / "python")
    return LITELLM / "python"


@pytest.fixture(scope="session")
def tensorzero_python() -> Path:
    """Return the interpreter that can `import tensorzero`."""
    _require(TENSORZERO)
    return TENSORZERO


def _require(path: Path) -> None:
    """Fail, never skip: a gateway nobody ran shows nothing."""
    if not path.exists():
        pytest.fail(f"{path.relative_to(REPOSITORY)} is not installed: run the tests by `make test-gateways`")


def _start(command: list[str], environ: dict[str, str], folder: Path, *, base_url: str, key: str = "") -> Gateway:
    """Start a gateway with an environment of its own: no proxy, no provider's key, no home of somebody else's."""
    log_path = folder / "log.txt"
    plain = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8"}
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**plain, **environ},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Gateway(process, log_path, base_url, key)


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, f"{command}:\n{done.stdout}{done.stderr}"


@contextlib.contextmanager
def _lock(kind: int) -> Iterator[None]:
    """Hold LiteLLM's environment: several test processes may share it."""
    INSTALLED.mkdir(exist_ok=True)
    with (INSTALLED / "litellm.lock").open("w") as file:
        fcntl.flock(file, kind)
        yield


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
