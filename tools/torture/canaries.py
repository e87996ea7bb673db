"""Canary keys wherever a key can be, a gateway that quotes every request it gets, and a search of all that is written.

What is searched: every file below the project but its own input files, whatever the store holds once unpacked, and
what each command said on its two outputs. A canary that is found anywhere is a finding.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from evalkit.store.open import open_store
from torture.chaos import fault_server, write_project

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT_S = 300.0
ECHOES = ("echo_401", "echo_500_page", "echo_200_error", "echo_200_answer", "echo_stream_error", "echo_redirect")
PLACES = (
    "gateway_key",
    "other_variable",
    "header",
    "query",
    "model_key",
    "key_file",
    "key_command",
    "signing",
    "store",
)
_INPUTS = {"evalkit.yaml", "roster.yaml", "policy.yaml", "key.txt"}
_REPORTS = [word for name in ("html", "markdown", "junit", "csv", "json") for word in ("--format", name)]
_TARGETS = ("allowlist", "litellm", "portkey", "tensorzero", "openrouter", "envoy", "bifrost")


@dataclass(kw_only=True)
class Hunted:
    """What was searched, and what was found."""

    n_canaries: int = 0
    n_commands: int = 0
    n_files: int = 0
    n_bytes: int = 0
    n_outcomes: int = 0
    n_echoed: int = 0
    """Answers of the gateway that quoted the request they answered; each had to be cleaned."""
    problems: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON can say it."""
        return asdict(self)


class Canaries:
    """One unmistakable secret for each place."""

    def __init__(self, seed: int) -> None:
        rng = Random(seed)
        self.by_place = {place: f"ck-{rng.getrandbits(160):040x}" for place in PLACES}
        self.by_place["signing"] = base64.b64encode(rng.randbytes(32)).decode()

    def found_in(self, data: bytes) -> Iterator[str]:
        """Yield the places whose canary is in some bytes, plain, in base64 or as a URL spells it."""
        for place, canary in self.by_place.items():
            forms = (canary.encode(), base64.b64encode(canary.encode())[:-3], quote(canary, safe="").encode())
            if any(form in data for form in forms):
                yield place


def hunt(*, seed: int, is_short: bool = False) -> Hunted:
    """Run every command against gateways that quote their requests, and search for the canaries."""
    hunted = Hunted(n_canaries=len(PLACES))
    canaries = Canaries(seed)
    with fault_server() as port, tempfile.TemporaryDirectory() as name:
        # A gateway that mostly works, under every command; then one that does nothing but quote, in each way.
        for percent, echoes in ((40, ECHOES), *(((100, (echo,)) for echo in ECHOES) if not is_short else ())):
            root = _project(Path(name) / f"{percent}-{echoes[0]}", canaries, port=port, weather=(echoes, percent))
            for arguments in _commands(root) if percent < 100 else (("preflight",), ("run", "--json")):
                _run(root, arguments, canaries, hunted=hunted)
            _search_files(root, canaries, hunted=hunted)
            _search_store(root, canaries, hunted=hunted)
    return hunted


def _project(root: Path, canaries: Canaries, *, port: int, weather: tuple[tuple[str, ...], int]) -> Path:
    places = canaries.by_place
    echoes, percent = weather
    gateway = {
        "kind": "simulator",
        "base_url": f"http://127.0.0.1:{port}/{','.join(echoes)}/{percent}/1/v1?key={places['query']}",
        "api_key_env": "TORTURE_KEY",
        "headers": {"x-portal": "Token ${TORTURE_HEADER}"},
    }
    write_project(root, n_cases=20, gateway=gateway)
    config = json.loads((root / "evalkit.yaml").read_text(encoding="utf-8"))
    config["signing"] = {"private_key_env": "TORTURE_SIGNING", "key_id": "torture"}
    (root / "evalkit.yaml").write_text(json.dumps(config), encoding="utf-8")
    roster = json.loads((root / "roster.yaml").read_text(encoding="utf-8"))
    (root / "key.txt").write_text(places["key_file"], encoding="utf-8")
    sources = (
        {"api_key_env": "TORTURE_MODEL"},
        {"api_key_file": "key.txt"},
        {"api_key_command": [sys.executable, "-c", "import os; print(os.environ['TORTURE_COMMAND'])"]},
    )
    roster["models"] = [model | source for model, source in zip(roster["models"], sources, strict=True)]
    (root / "roster.yaml").write_text(json.dumps(roster), encoding="utf-8")
    return root


def _commands(root: Path) -> Iterator[tuple[str, ...]]:
    file = str(root / "eligibility.json")
    yield from (("validate",), ("plan",), ("preflight",), ("run", "--fail-on", "never"), ("score",), ("compare",))
    yield from (("runs", "--json"), ("decide", "-o", file), ("report", *_REPORTS))
    yield from (("export", target, file, "-o", str(root / "exported" / target)) for target in _TARGETS)
    yield ("verify", file)
    yield ("verify-gateway", file, "--api-key-env", "TORTURE_KEY", "--header", "x-portal: ${TORTURE_HEADER}", "--json")
    yield ("run", "--new", "--store", "damaged")
    yield ("run", "--store", "STORE")
    yield ("run", "--config", "nosuch.yaml")


def _run(root: Path, arguments: tuple[str, ...], canaries: Canaries, *, hunted: Hunted) -> None:
    places = canaries.by_place
    environment = {
        **os.environ,
        "EVALKIT_ROOT": str(root),
        "TORTURE_KEY": places["gateway_key"],
        "TORTURE_HEADER": places["header"],
        "TORTURE_MODEL": places["model_key"],
        "TORTURE_COMMAND": places["key_command"],
        "TORTURE_SIGNING": places["signing"],
        "TORTURE_OTHER": places["other_variable"],
        # A crash of the interpreter would dump its threads to the same stderr that is searched.
        "PYTHONFAULTHANDLER": "1",
        "PYTHONASYNCIODEBUG": "1",
    }
    given = [f"postgresql+psycopg://me:{places['store']}@127.0.0.1:9/x" if one == "STORE" else one for one in arguments]
    if "damaged" in given:
        (root / "damaged.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)
        given = [f"sqlite:///{root / 'damaged.db'}" if one == "damaged" else one for one in given]
    command = [sys.executable, "-c", "from evalkit.cli.main import main; main()", *given]
    done = subprocess.run(command, env=environment, capture_output=True, timeout=LIMIT_S, check=False)
    hunted.n_commands += 1
    hunted.n_bytes += len(done.stdout) + len(done.stderr)
    for place in canaries.found_in(done.stdout + done.stderr):
        hunted.problems.append(f"`evalkit {' '.join(arguments)}` prints the canary of {place}")
    if b"bug in evalkit" in done.stderr:
        hunted.problems.append(
            f"`evalkit {' '.join(arguments)}` crashed: {done.stderr[-300:].decode(errors='replace')}"
        )


def _search_files(root: Path, canaries: Canaries, *, hunted: Hunted) -> None:
    for path in sorted(root.rglob("*")):
        if not path.is_file() or str(path.relative_to(root)) in _INPUTS:
            continue
        data = path.read_bytes()
        hunted.n_files += 1
        hunted.n_bytes += len(data)
        hunted.problems += [
            f"{path.relative_to(root)} holds the canary of {place}" for place in canaries.found_in(data)
        ]


def _search_store(root: Path, canaries: Canaries, *, hunted: Hunted) -> None:
    """Payloads are compressed in the file, so the store itself unpacks what it holds."""
    store = open_store("sqlite:///.evalkit/evalkit.db", root=root)
    try:
        for run in store.runs(project=root.name, environment="test"):
            for outcome in store.outcomes(run.run_id):
                data = repr(outcome).encode()
                hunted.n_outcomes += 1
                hunted.n_echoed += b"[api key]" in data
                hunted.n_bytes += len(data)
                hunted.problems += [f"the store holds the canary of {place}" for place in canaries.found_in(data)]
            for scored in store.scores(run.run_id):
                hunted.problems += [
                    f"a score holds the canary of {place}" for place in canaries.found_in(repr(scored).encode())
                ]
    finally:
        store.close()
