"""From a run to a router, with real gateways on both sides: who was measured is who is served, and nobody else."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from evalkit.api.project import load_project
from evalkit.store.open import open_store

REPOSITORY = Path(__file__).parents[2]
LITELLM = REPOSITORY / ".gateways" / "litellm" / "bin"
START_LIMIT_S = 180.0
N_CASES = 40
PRICE = {"input_usd_per_mtok": 1.0, "output_usd_per_mtok": 1.0}
MODELS = [
    {"id": "good", "route": "steady/gpt-4o", "provider": "openai", "price": PRICE},
    {"id": "spare", "route": "steady/gpt-4.1", "provider": "openai", "price": {**PRICE, "output_usd_per_mtok": 2.0}},
    {"id": "bad", "route": "weak/llama-3.1-8b", "provider": "openai", "price": PRICE},
]
UPSTREAM_KEY = "sk-upstream-test-key"
KEY = "GATEWAY_TEST_KEY"


class Measured:
    """One project, measured through one gateway by the command line, as its owner does."""

    def __init__(self, root: Path, gateway: dict[str, Any], key: str) -> None:
        self.root = root
        self.environ = {KEY: key}
        # A gateway that wants no key of its own passes on what it is sent: the provider's.
        write(root / "evalkit.yaml", {"gateway": {**gateway, "api_key_env": KEY}, "environment": "test"})
        write(root / "roster.yaml", {"defaults": {"context_tokens": 128000}, "models": MODELS})

    def evalkit(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one command."""
        return subprocess.run(
            [sys.executable, "-c", "from evalkit.cli.main import main; main()", *arguments],
            env={**os.environ, "EVALKIT_ROOT": str(self.root), **self.environ},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    def run(self, *arguments: str) -> dict[str, Any]:
        """Measure anew and return what `run --json` says."""
        done = self.evalkit("run", "--new", "--json", "--fail-on", "never", *arguments)
        assert done.stdout, done.stderr
        return json.loads(done.stdout)

    def eligibility(self) -> dict[str, Any]:
        """Decide and return the file."""
        path = self.root / "eligibility.json"
        done = self.evalkit("decide", "-o", str(path))
        assert path.exists(), done.stderr
        return json.loads(path.read_bytes())

    def outcomes(self) -> list[Any]:
        """Return the outcomes of the newest run."""
        project = load_project(self.root)
        store = open_store(project.config.store, root=self.root)
        try:
            newest = store.runs(project=project.name, environment="test")[0]
            return list(store.outcomes(newest.run_id))
        finally:
            store.close()


def write(path: Path, content: dict[str, Any]) -> None:
    """Write a file of a project."""
    path.write_text(yaml.safe_dump({"version": 1, **content}, sort_keys=False), encoding="utf-8")


@pytest.fixture
def measured(tmp_path, upstream_root):
    """Give a function that sets up the project of the simulator's prompts for a gateway."""

    def at(gateway: dict[str, Any], key: str) -> Measured:
        root = tmp_path / "project"
        shutil.copytree(upstream_root, root)
        return Measured(root, gateway, key)

    return at


def evaluation_config(base_url: str, *, with_callback: bool = True) -> dict[str, Any]:
    """Return the configuration that docs/reference/gateways.md asks an evaluation instance to have."""
    config: dict[str, Any] = {
        "model_list": [
            {
                "model_name": model["route"],
                "litellm_params": {
                    "model": f"openai/{model['route']}",
                    "api_base": base_url,
                    "api_key": "os.environ/UPSTREAM_KEY",
                    "input_cost_per_token": 1e-6,
                    "output_cost_per_token": 1e-6,
                },
            }
            for model in MODELS
        ],
        "router_settings": {"disable_cooldowns": True, "num_retries": 0},
        "general_settings": {"master_key": "os.environ/LITELLM_MASTER_KEY"},
    }
    if with_callback:
        config["litellm_settings"] = {"callbacks": ["evalkit.router.litellm_hook.evaluation"]}
    return config


@pytest.fixture(scope="module")
def litellm(upstream, start_litellm):
    """Start the evaluation instance."""
    return start_litellm(
        evaluation_config(upstream.base_url), environ={"UPSTREAM_KEY": UPSTREAM_KEY}, with_evalkit=True
    )


@pytest.fixture(scope="module")
def plain_litellm(upstream, start_litellm):
    """Start an instance without the callback."""
    config = evaluation_config(upstream.base_url, with_callback=False)
    return start_litellm(config, environ={"UPSTREAM_KEY": UPSTREAM_KEY})


@pytest.fixture(scope="module")
def portkey(start_portkey):
    """Start Portkey."""
    return start_portkey()


@pytest.fixture(params=["litellm", "portkey"])
def at_gateway(request, measured, upstream):
    """Give the project behind each of the two gateways."""
    gateway = request.getfixturevalue(request.param)
    config: dict[str, Any] = {"kind": request.param, "base_url": gateway.base_url}
    if request.param == "portkey":
        config["headers"] = {"x-portkey-custom-host": upstream.base_url}
    yield measured(config, gateway.key or UPSTREAM_KEY), request.param
    upstream.set_down([])
    upstream.set_serve_as({})


def asked(upstream, before: dict[str, int]) -> Counter[str]:
    """Return the requests that reached the upstream since."""
    return Counter(upstream.count()) - Counter(before)


def test_verdicts_calls_and_identity(at_gateway, upstream):
    """A good and a bad model are told apart, every call is made exactly once, and it is known who answered."""
    project, kind = at_gateway
    before = upstream.count()

    project.run()
    document = project.eligibility()

    task = document["tasks"]["sums"]
    assert asked(upstream, before) == {model["route"]: N_CASES for model in MODELS}
    assert sorted(candidate["model"] for candidate in task["candidates"]) == ["good", "spare"]
    assert [(one["model"], one["reasons"][0]["code"]) for one in task["rejected"]] == [("bad", "gate_failed")]
    assert document["models"]["good"]["identity"] == {"litellm": "attested", "portkey": "self_reported"}[kind]
    assert document["simulated"] is False
    assert all(outcome.kind == "ok" for outcome in project.outcomes())


def test_silent_substitution(at_gateway, upstream):
    """Another model answers under the asked one's alias: void, and never eligible."""
    project, _kind = at_gateway
    upstream.set_serve_as({"steady/gpt-4o": "gpt-4o-mini"})

    project.run("--model", "good")
    document = project.eligibility()

    assert {outcome.kind for outcome in project.outcomes()} == {"substituted_model"}
    task = document["tasks"]["sums"]
    assert task["candidates"] == []
    assert "substituted_model" in {
        reason["code"] for one in task["rejected"] if one["model"] == "good" for reason in one["reasons"]
    }


def test_client_is_the_only_retrier(at_gateway, upstream):
    """A model that is down is asked as often as evalkit says it asked, and its faults are no scores."""
    project, _kind = at_gateway
    upstream.set_down(["steady/gpt-4o"])
    before = upstream.count()

    done = project.evalkit("run", "--new", "--model", "good", "-n", "2")

    assert done.returncode == 4, done.stderr
    outcomes = project.outcomes()
    assert asked(upstream, before) == {"steady/gpt-4o": sum(len(outcome.attempts) for outcome in outcomes)}
    assert {outcome.kind for outcome in outcomes} <= {"provider_overloaded", "provider_error"}


def test_costs(at_gateway):
    """LiteLLM says what a call cost; Portkey does not, and the list price is taken: never free."""
    project, kind = at_gateway

    project.run("-n", "3", "--model", "good")

    costs = {outcome.cost.source for outcome in project.outcomes()}
    assert costs == {"gateway" if kind == "litellm" else "roster"}
    assert all(outcome.cost.usd > 0 for outcome in project.outcomes())


def test_wrong_key_at_litellm(litellm, measured, upstream):
    """The gateway refuses it: exit 4, the variable named, nothing sent upstream."""
    project = measured({"kind": "litellm", "base_url": litellm.base_url}, "sk-wrong-0123456789abcdef")
    before = upstream.total()

    done = project.evalkit("run", "--new", "-n", "2")

    assert done.returncode == 4, done.stderr
    assert KEY in done.stderr
    assert "sk-wrong" not in done.stderr + done.stdout
    assert upstream.total() == before


def test_litellm_without_the_callback_is_refused_before_spending(plain_litellm, measured, upstream):
    """It would repeat the alias whoever answers: the run says so, names the ways out, and sends nothing."""
    project = measured({"kind": "litellm", "base_url": plain_litellm.base_url}, plain_litellm.key)
    before = upstream.total()

    done = project.evalkit("run", "--new")

    assert done.returncode == 2, done.stderr
    assert "evalkit.router.litellm_hook.evaluation" in done.stderr
    assert "min_identity" in done.stderr
    assert upstream.total() == before


def test_litellm_without_the_callback_admits_nobody_unless_told(plain_litellm, measured):
    """Whoever accepts unverifiable answers does it in writing, and the file says so."""
    project = measured({"kind": "litellm", "base_url": plain_litellm.base_url}, plain_litellm.key)
    write(project.root / "policy.yaml", {"defaults": {"min_identity": "unverifiable"}, "tasks": {"sums": {}}})

    project.run()

    document = project.eligibility()
    assert "bad" not in [candidate["model"] for candidate in document["tasks"]["sums"]["candidates"]]
    assert document["models"]["good"]["identity"] == "unverifiable"


def test_preflight(at_gateway):
    """What each model does is found out with a handful of calls."""
    project, _kind = at_gateway

    done = project.evalkit("preflight", "--model", "good", "--json")

    assert done.returncode in {0, 1}, done.stderr
    assert json.loads(done.stdout)


# --- from the run's file to a started gateway


@pytest.fixture(scope="module")
def decided(tmp_path_factory, upstream_root, upstream, litellm):
    """A project that was measured through LiteLLM and decided; gives its folder."""
    root = tmp_path_factory.mktemp("whole") / "project"
    shutil.copytree(upstream_root, root)
    project = Measured(root, {"kind": "litellm", "base_url": litellm.base_url}, litellm.key)
    terms = {"openai": {"kind": "openai", "api_base": upstream.base_url}}
    failover = {"retries": 1, "upstream_timeout_s": 5}
    write(root / "policy.yaml", {"providers": terms, "tasks": {"sums": {"pin": "good", "failover": failover}}})
    project.run()
    document = project.eligibility()
    assert [candidate["model"] for candidate in document["tasks"]["sums"]["candidates"]] == ["good", "spare"]
    return root


def readme_lines() -> list[str]:
    """Return the lines of the README that lead from the file to a started LiteLLM."""
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```console\n(evalkit export litellm .*?)^```$", text, re.MULTILINE | re.DOTALL)
    return block.splitlines()


@pytest.fixture(scope="module")
def routed(decided, litellm_with_evalkit):
    """LiteLLM, started by the README's lines as they stand, but for the port; gives its base URL, key and output."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    lines = [line.replace("4000", port) for line in readme_lines()]
    (start,) = [line for line in lines if line.startswith("litellm ")]
    key = f"sk-{secrets.token_hex(24)}"
    values = {
        "LITELLM_MASTER_KEY": key,
        "EVALKIT_ELIGIBILITY_FILE": str(decided / "eligibility.json"),
        "EVALKIT_OPENAI_API_KEY": UPSTREAM_KEY,
    }
    path = f"{REPOSITORY / '.venv/bin'}:{LITELLM}:{os.environ['PATH']}"
    environ = {"PATH": path, "HOME": str(decided), "LANG": "C.UTF-8", "DO_NOT_TRACK": "1"}
    first, then = lines[: lines.index(start)], lines[lines.index(start) + 1 :]
    copied = next(i for i, line in enumerate(first) if line.startswith("cp ")) + 1
    shell(first[:copied], decided, environ)
    # What the reader does by hand: fill in the values.
    example = (decided / "litellm.env").read_text(encoding="utf-8").splitlines()
    filled = [f"{line}{values[line[:-1]]}" if line[:-1] in values and line.endswith("=") else line for line in example]
    (decided / "litellm.env").write_text("\n".join(filled) + "\n", encoding="utf-8")
    with (decided / "log").open("wb") as log:
        process = subprocess.Popen(
            ["bash", "-euc", "\n".join([*first[copied:], f"exec {start}"])],
            cwd=decided, env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    base_url = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + START_LIMIT_S
        while post(f"{base_url}/health/liveliness", None, {})[0] != 200:
            assert process.poll() is None, (decided / "log").read_text(encoding="utf-8")[-4000:]
            assert time.monotonic() < until, "LiteLLM does not start"
            time.sleep(0.2)
        yield base_url, key, [*first[copied:], *then], environ
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def shell(lines: list[str], folder: Path, environ: dict[str, str]) -> str:
    """Run lines as a person would, and return what they print."""
    done = subprocess.run(
        ["bash", "-euc", "\n".join(lines)], cwd=folder, env=environ, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{lines}:\n{done.stdout}{done.stderr}"
    return done.stdout


def post(url: str, body: Any, headers: dict[str, str]) -> tuple[int, str]:
    """Send one request; return status and body. Status 0: nobody answered."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json", **headers})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


@pytest.fixture
def ask(routed, upstream):
    """Ask the started gateway for a task; return the status, the body, and the calls that reached the models."""
    base_url, key, _lines, _environ = routed
    messages = [{"role": "user", "content": "What is 2 plus 5? Answer with the number."}]

    def ask(model: str, **headers: str) -> tuple[int, str, Counter[str]]:
        before = upstream.count()
        sent = {"authorization": f"Bearer {key}", **{name.replace("_", "-"): text for name, text in headers.items()}}
        status, body = post(f"{base_url}/v1/chat/completions", {"model": model, "messages": messages}, sent)
        return status, body, asked(upstream, before)

    yield ask
    upstream.set_down([])


def test_the_pin_is_served(ask):
    """What was measured as eligible is what answers, once."""
    status, body, calls = ask("sums", x_evalkit_task="sums")

    assert status == 200, body
    assert calls == {"steady/gpt-4o": 1}


@pytest.mark.parametrize(
    ("model", "task"),
    [
        ("weak/llama-3.1-8b", "sums"),
        ("bad", "sums"),
        ("openai/weak/llama-3.1-8b", "sums"),
        ("openai/steady/gpt-4o", "sums"),
        ("evalkit:sums:good", "sums"),
        ("sums", "unknown"),
        ("sums", None),
    ],
)
def test_whoever_was_not_admitted_is_refused(ask, model, task):
    """By name, by shorthand, by a deployment's id, for an unknown task or for none: refused, and nothing sent."""
    status, body, calls = ask(model, **({} if task is None else {"x_evalkit_task": task}))

    assert (status, calls) == (403, {}), body
    assert "evalkit_ineligible" in body


def test_primary_down(ask, upstream):
    """Its retries run out, then the next eligible model answers; the one that failed its gate is never asked."""
    upstream.set_down(["steady/gpt-4o"])

    status, body, calls = ask("sums", x_evalkit_task="sums")

    assert status == 200, body
    assert calls == {"steady/gpt-4o": 2, "steady/gpt-4.1": 1}


def test_everybody_down(ask, upstream):
    """Then nobody answers: an error, and still not the model that failed its gate."""
    upstream.set_down(["steady/gpt-4o", "steady/gpt-4.1"])

    status, _body, calls = ask("sums", x_evalkit_task="sums")

    assert status >= 400
    assert calls == {"steady/gpt-4o": 2, "steady/gpt-4.1": 2}


def test_the_readme_probes_it(routed, decided):
    """The README's last line finds that everything holds."""
    _base_url, _key, lines, environ = routed

    said = shell(lines, decided, environ)

    assert "broken" not in said


@pytest.fixture(scope="module")
def exported(decided):
    """Give a function that exports the run's file for a target; nobody but the admitted, and no key, is in there."""

    def to(target: str) -> Path:
        folder = decided / "others"
        done = subprocess.run(
            [sys.executable, "-c", "from evalkit.cli.main import main; main()", "export", target,
             str(decided / "eligibility.json"), "-o", str(folder)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        texts = [path.read_text(encoding="utf-8") for path in (folder / target).iterdir()]
        assert any("steady/gpt-4o" in text and "steady/gpt-4.1" in text for text in texts)
        assert not any("llama" in text or UPSTREAM_KEY in text for text in texts)
        return folder / target

    return to


@pytest.fixture
def portkey_ask(exported, portkey, upstream):
    """Ask Portkey as the nginx in front of it does: with the exported config, its one variable filled in."""
    config = (exported("portkey") / "config.json").read_text(encoding="utf-8")
    filled = json.dumps(json.loads(config.replace("${EVALKIT_OPENAI_API_KEY}", UPSTREAM_KEY)))
    messages = [{"role": "user", "content": "What is 2 plus 5? Answer with the number."}]

    def ask(task: str | None, model: str = "any") -> tuple[bool, Counter[str]]:
        before = upstream.count()
        metadata = {} if task is None else {"x-portkey-metadata": json.dumps({"task": task})}
        headers = {"x-portkey-config": filled, **metadata}
        status, _body = post(f"{portkey.base_url}/chat/completions", {"model": model, "messages": messages}, headers)
        return status == 200, asked(upstream, before)

    return ask


@pytest.fixture
def tensorzero_ask(exported, tensorzero_python, upstream, tmp_path):
    """Ask the embedded gateway on the exported file."""
    script = (
        "import json, sys\n"
        "from tensorzero import TensorZeroGateway\n"
        "asked = json.loads(sys.argv[2])\n"
        "with TensorZeroGateway.build_embedded(config_file=sys.argv[1]) as gateway:\n"
        "    gateway.inference(input={'messages': [{'role': 'user', 'content': 'What is 2 plus 5?'}]}, **asked)\n"
    )
    environ = {"EVALKIT_OPENAI_API_KEY": UPSTREAM_KEY, "HOME": str(tmp_path), "NO_PROXY": "127.0.0.1",
               "HTTP_PROXY": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"}  # fmt: skip
    file = exported("tensorzero") / "tensorzero.toml"

    def ask(task: str | None, model: str = "") -> tuple[bool, Counter[str]]:
        before = upstream.count()
        wanted = {"model_name": model} if model else {} if task is None else {"function_name": task}
        done = subprocess.run(
            [tensorzero_python, "-c", script, file, json.dumps(wanted)],
            env=environ, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        return done.returncode == 0, asked(upstream, before)

    return ask


@pytest.fixture(params=["portkey", "tensorzero"])
def ask_other(request, upstream):
    """Ask one of the two."""
    yield request.getfixturevalue(f"{request.param}_ask"), request.param
    upstream.set_down([])


def test_others_serve_the_pin(ask_other):
    """The run's file, started there: the pin answers, once."""
    ask, _name = ask_other

    assert ask("sums") == (True, {"steady/gpt-4o": 1})


def test_others_refuse_whoever_was_not_admitted(ask_other):
    """An unknown task, none, and the model that failed its gate: nothing is sent to it."""
    ask, name = ask_other

    assert ask("unknown") == (False, {})
    assert ask(None) == (False, {})
    served, calls = ask("sums" if name == "portkey" else None, "weak/llama-3.1-8b")
    assert "weak/llama-3.1-8b" not in calls
    assert served is (name == "portkey")  # whose config names the model, whatever the caller wrote


def test_others_go_on_to_the_next(ask_other, upstream):
    """The pin is down: its retries run out, then the next eligible model answers."""
    ask, _name = ask_other
    upstream.set_down(["steady/gpt-4o"])

    assert ask("sums") == (True, {"steady/gpt-4o": 2, "steady/gpt-4.1": 1})
