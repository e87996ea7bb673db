"""`evalkit verify-gateway` on real gateways: what holds is found to hold, at no cost; what does not is found."""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from evalkit.canonical import canonical_json
from evalkit.cli.main import _run
from evalkit.plugins import load_plugin
from evalkit.testing.eligibility import an_eligibility

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PROVIDER_KEY = "provider-key-for-the-simulator"
NAMES = ("one", "two", "three")
LOOKED_AGAIN_S = 1.5
"""After so long the callback, which looks once a second, has seen that its file was changed."""
POSITIVE = "eligible model is served"
REJECTED = {"model": "four", "verdict": "ineligible", "reasons": [{"code": "gate_failed"}]}
LOGGER = """
from litellm.integrations.custom_logger import CustomLogger

class HouseLogger(CustomLogger):
    pass

logger = HouseLogger()
"""
START = """
import sys, time
from tensorzero import _start_http_gateway
gateway = _start_http_gateway(
    config_file=sys.argv[1], clickhouse_url=None, postgres_url=None, valkey_url=None, async_setup=False
)
print(gateway.base_url, flush=True)
sys.stdin.read()
"""


def an_eligibility_file(upstream, *, now: float | None = None) -> dict[str, Any]:
    """Return a file: `sums` for one and two, `chat` for three, `closed` for nobody."""
    return an_eligibility(
        {"sums": ["one", "two"], "chat": ["three"], "closed": []},
        now=time.time() if now is None else now,
        models={name: {"route": f"steady/{name}", "provider": "simulator"} for name in NAMES},
        entries={"sums": {"rejected": [REJECTED]}},
        providers={"simulator": {"kind": "openai", "api_base": upstream.base_url, "api_key_env": "SIMULATOR_KEY"}},
    ).document()


@dataclass(frozen=True)
class Verified:
    """What the command said and did."""

    code: int
    findings: list[dict[str, Any]]
    n_upstream: int
    shown: str

    def verdicts(self) -> dict[str, set[str]]:
        """Return the verdicts by name of probe."""
        found: dict[str, set[str]] = {}
        for finding in self.findings:
            found.setdefault(finding["probe"], set()).add(finding["verdict"])
        return found

    def one(self, probe: str) -> dict[str, Any]:
        """Return the only finding of a name."""
        (found,) = [finding for finding in self.findings if finding["probe"] == probe]
        return found


@pytest.fixture
def verify(upstream, tmp_path, capsys, monkeypatch) -> Callable[..., Verified]:
    """Run the command against a gateway, counting what reaches the upstream."""

    def run(document: dict[str, Any], base_url: str, *arguments: str, key: str = "") -> Verified:
        path = tmp_path / "eligibility.json"
        path.write_bytes(canonical_json(document) + b"\n")
        more = ["--api-key-env", "GATEWAY_KEY"] if key else []
        monkeypatch.setenv("GATEWAY_KEY", key)
        before = upstream.total()
        code = _run(
            ["verify-gateway", str(path), "--base-url", base_url, "--task", "sums", "--json", *more, *arguments]
        )
        shown = capsys.readouterr()
        findings = json.loads(shown.out).get("findings", [])
        return Verified(code, findings, upstream.total() - before, shown.out + shown.err)

    return run


def exported(target: str, document: dict[str, Any], folder: Path) -> Path:
    """Export for a target as `evalkit export` does."""
    for name, content in load_plugin("exporters", target)().export(document):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder / target


@pytest.fixture(scope="module")
def document(upstream) -> dict[str, Any]:
    """The file both proxies were made from."""
    return an_eligibility_file(upstream)


@pytest.fixture(scope="module")
def config(document, tmp_path_factory) -> Path:
    """The exported configuration."""
    return exported("litellm", document, tmp_path_factory.mktemp("export")) / "config.yaml"


@pytest.fixture(scope="module")
def live_file(document, tmp_path_factory) -> Path:
    """The file the callback follows."""
    path = tmp_path_factory.mktemp("live") / "eligibility.json"
    path.write_bytes(canonical_json(document))
    return path


@pytest.fixture(scope="module")
def held(start_litellm, config, live_file):
    """A proxy with the callback."""
    environ = {
        "SIMULATOR_KEY": PROVIDER_KEY,
        "EVALKIT_ELIGIBILITY_FILE": str(live_file),
        "EVALKIT_AUDIENCE": "prod",
    }
    return start_litellm(config, environ=environ, with_evalkit=True)


@pytest.fixture(scope="module")
def open_proxy(start_litellm, config, tmp_path_factory):
    """The same configuration without the callback, and with one that could log."""
    content = yaml.safe_load(config.read_text(encoding="utf-8"))
    content["litellm_settings"]["callbacks"] = ["house_logger.logger"]
    folder = tmp_path_factory.mktemp("open")
    (folder / "house_logger.py").write_text(LOGGER, encoding="utf-8")
    (folder / "config.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return start_litellm(folder / "config.yaml", environ={"SIMULATOR_KEY": PROVIDER_KEY})


class TestLiteLLM:
    """The exported config, with the callback and without it."""

    def test_callback_holds(self, verify, held, document):
        """All hold; the one upstream call is the honest one."""
        verified = verify(document, held.base_url, "--kind", "litellm", key=held.key)

        assert verified.verdicts() == {
            POSITIVE: {"held"},
            "this file is live": {"held"},
            "ineligible model": {"held"},
            "unknown task": {"held"},
            "task nobody may serve": {"held"},
            "no task": {"held"},
            "deployment id": {"held"},
            "provider shorthand": {"held"},
            "several models at once": {"held"},
            "client's own fallbacks": {"held"},
            "payload logging": {"told"},
        }
        assert verified.code == 0
        assert verified.n_upstream == 1
        assert verified.one(POSITIVE)["why"] == "served by one"
        assert verified.one("payload logging")["came_back"] == "not logged"
        refusals = verified.findings[2:-1]
        assert all(finding["came_back"].startswith("403: evalkit_ineligible") for finding in refusals)
        assert held.key not in verified.shown
        assert PROVIDER_KEY not in verified.shown

    def test_another_file_is_live(self, verify, held, upstream):
        """A gateway that follows an older file is found out."""
        newer = an_eligibility_file(upstream, now=time.time() + 60)
        verified = verify(newer, held.base_url, "--kind", "litellm", key=held.key)

        assert verified.code == 1
        assert verified.one("this file is live")["why"].startswith("stale file: ")
        assert {probe for probe, found in verified.verdicts().items() if "broken" in found} == {"this file is live"}

    def test_withdrawn_file(self, verify, held, live_file, document):
        """While its file is gone the gateway refuses everything, which is no pass."""
        content = live_file.read_bytes()
        live_file.unlink()
        time.sleep(LOOKED_AGAIN_S)
        try:
            verified = verify(document, held.base_url, "--kind", "litellm", key=held.key)
        finally:
            live_file.write_bytes(content)
            time.sleep(LOOKED_AGAIN_S)  # the proxy is shared: whatever test comes next finds it as it was

        assert verified.code == 1
        assert verified.verdicts()[POSITIVE] == {"broken"}
        assert verified.n_upstream == 0

    def test_key_of_one_task(self, verify, held, document, monkeypatch):
        """Without a database the only key there is is the master's: it is not one task's, and that is said."""
        monkeypatch.setenv("SCOPED_KEY", held.key)
        verified = verify(document, held.base_url, "--kind", "litellm", "--scoped-key-env", "SCOPED_KEY", key=held.key)

        assert verified.code == 1
        assert verified.verdicts()["scoped key: own task is served"] == {"held"}
        assert verified.verdicts()["scoped key: another task"] == {"broken"}
        assert "'chat'" in verified.one("scoped key: models it is shown")["why"]

    def test_without_the_callback(self, verify, open_proxy, document):
        """The configuration alone knows no task, and leaves every side door open."""
        verified = verify(document, open_proxy.base_url, "--kind", "litellm", key=open_proxy.key)

        assert verified.code == 1
        assert verified.verdicts() == {
            POSITIVE: {"held"},
            "this file is live": {"broken"},
            # By its own names it is refused, by another task's group it is not.
            "ineligible model": {"held", "broken"},
            "unknown task": {"broken"},
            "task nobody may serve": {"broken"},
            "no task": {"broken"},
            "deployment id": {"broken"},
            "provider shorthand": {"broken"},
            "several models at once": {"broken"},
            "client's own fallbacks": {"broken"},
            "payload logging": {"told"},
        }

    def test_callback_that_could_log(self, verify, open_proxy, document):
        """Whoever is handed prompts and answers is named."""
        logging = verify(document, open_proxy.base_url, "--kind", "litellm", key=open_proxy.key).one("payload logging")

        assert logging["came_back"] == "logged"
        assert "house_logger.HouseLogger" in logging["why"]

    def test_wrong_key(self, verify, open_proxy, document):
        """A proxy without a database says so with a 400; it is not taken for an answer to anything."""
        verified = verify(document, open_proxy.base_url, "--kind", "litellm", key="sk-nobody-gave-this-one-out")

        assert verified.code == 4
        assert "refused the key" in verified.shown
        assert "sk-nobody" not in verified.shown
        assert verified.n_upstream == 0

    def test_primary_down(self, verify, held, upstream, document):
        """The next candidate serves; refusals still show what they show."""
        upstream.set_down(["steady/one"])
        try:
            verified = verify(document, held.base_url, "--kind", "litellm", key=held.key)
        finally:
            upstream.set_down([])

        assert verified.one(POSITIVE)["why"] == "served by two"
        assert verified.code == 0


class TestTensorZero:
    """Its own HTTP server, started from the exported file."""

    @pytest.fixture
    def base_url(self, tensorzero_python, upstream, tmp_path) -> Iterator[str]:
        """The gateway's address."""
        config = exported("tensorzero", an_eligibility_file(upstream), tmp_path) / "tensorzero.toml"
        process = subprocess.Popen(
            [str(tensorzero_python), "-c", START, str(config)],
            cwd=tmp_path,
            env={"SIMULATOR_KEY": PROVIDER_KEY, "HOME": str(tmp_path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        lines = iter(process.stdout.readline, "")
        try:
            yield next(line for line in lines if line.startswith("http://")).strip()
        finally:
            process.kill()
            process.communicate()

    def test_exported_file_holds(self, verify, base_url, upstream):
        """A task is a function, and nothing else can be asked for; shorthands are closed."""
        verified = verify(an_eligibility_file(upstream), base_url, "--kind", "tensorzero")

        assert verified.code == 0
        assert verified.n_upstream == 1
        assert verified.one(POSITIVE)["why"] == "served by one"
        names = set(verified.verdicts()) - {POSITIVE, "payload logging"}
        assert names == {
            "ineligible model", "unknown task", "task nobody may serve", "no task", "provider shorthand",
            "plain shorthand", "variant by name",
        }  # fmt: skip
        assert {verdict for name in names for verdict in verified.verdicts()[name]} == {"held"}


class TestPortkey:
    """The exported config in a header, as a client sends it to the bare gateway."""

    @pytest.fixture
    def header(self, upstream, tmp_path) -> Path:
        """The config, on one line, with its variables still in it."""
        folder = exported("portkey", an_eligibility_file(upstream), tmp_path)
        path = tmp_path / "config.header"
        path.write_text(json.dumps(json.loads((folder / "config.json").read_text(encoding="utf-8"))), encoding="utf-8")
        return path

    def test_only_the_client_holds_it(self, verify, start_portkey, header, upstream, monkeypatch):
        """Tasks hold; a client that leaves the config out goes where it likes, and that is found."""
        monkeypatch.setenv("SIMULATOR_KEY", PROVIDER_KEY)
        verified = verify(
            an_eligibility_file(upstream),
            start_portkey().base_url,
            *("--kind", "portkey", "--header", f"x-portkey-config: @{header}"),
        )

        assert verified.code == 1
        assert verified.one("no configuration")["verdict"] == "broken"
        assert verified.one("no configuration")["why"].startswith("served by three")
        for probe in (POSITIVE, "ineligible model", "unknown task", "task nobody may serve", "no task"):
            assert verified.verdicts()[probe] == {"held"}
        # The honest one, two names that the config overrules, and the open door.
        assert verified.n_upstream == 4
        assert PROVIDER_KEY not in verified.shown
