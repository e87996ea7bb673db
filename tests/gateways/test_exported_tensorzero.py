"""The files of `evalkit export tensorzero`, unchanged, in the embedded gateway: who is served, refused, and next."""

from __future__ import annotations

import json
import subprocess

import pytest

from evalkit.api.exporting import Source, export
from evalkit.clock import SystemClock
from evalkit.exporters.tensorzero import _SHORTHANDS, _SHORTHANDS_BY_FILE
from evalkit.testing.eligibility import an_eligibility

QUESTION = "What is 2 plus 5? Answer with the number."
TASKS = {"sums": ["one", "two", "three"], "other.task:x@1+2": ["four"], "slow": ["stuck", "two"], "closed": []}
ROUTES = {"stuck": "scenario/stall/stuck"}
SCRIPT = """
import json, sys
from tensorzero import TensorZeroGateway
print("started", flush=True)
with TensorZeroGateway.build_embedded(config_file=sys.argv[1]) as gateway:
    for line in sys.stdin:
        asked = json.loads(line)
        asked["input"] = {"messages": [{"role": "user", "content": sys.argv[2]}]}
        try:
            answer = gateway.inference(**asked)
            said = {"variant": answer.variant_name, "text": answer.content[0].text}
        except Exception as error:
            said = {"error": str(error)}
        print("said " + json.dumps(said), flush=True)
"""
UNUSED_PORT = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def deployed(upstream, tmp_path_factory):
    """What was exported."""
    folder = tmp_path_factory.mktemp("exported")
    names = {model for models in TASKS.values() for model in models}
    made = an_eligibility(
        TASKS,
        now=SystemClock().now(),
        models={name: {"provider": "local", "route": ROUTES.get(name, f"steady/{name}")} for name in names},
        providers={"local": {"kind": "openai", "api_base": upstream.base_url}},
        entries={"slow": {"failover": {"retries": 1, "upstream_timeout_s": 0.5}}},
        candidates={"four": {"request": {"mode": "text", "adapt": {"extra_body": {"seed": 7, "x/y": ['"', True]}}}}},
    )
    (folder / "eligibility.json").write_text(json.dumps(made.document()), encoding="utf-8")
    export("tensorzero", Source(file=folder / "eligibility.json"), folder)
    return folder / "tensorzero"


class Embedded:
    """One process with the gateway in it."""

    def __init__(self, process, upstream):
        self._process = process
        self._upstream = upstream

    def ask(self, **asked):
        """Ask the question; return what was said and the calls that reached the provider."""
        before, total_before = self._upstream.count(), self._upstream.total()
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        lines = iter(self._process.stdout.readline, "")
        said = next((line.removeprefix("said ") for line in lines if line.startswith("said ")), None)
        assert said is not None, "the gateway ended"
        calls = {name: n - before.get(name, 0) for name, n in self._upstream.count().items()}
        calls = {name: n for name, n in calls.items() if n}
        assert self._upstream.total() - total_before == sum(calls.values())
        return json.loads(said), calls


@pytest.fixture(scope="module")
def gateway(tensorzero_python, deployed, upstream, tmp_path_factory):
    """The gateway on the exported file, with every provider's usual key in its environment, and no way out."""
    lines = (deployed / "tensorzero.env.example").read_text(encoding="utf-8").splitlines()
    own = {line[:-1]: "none" for line in lines if line.endswith("=")}
    usual = {f"{kind.upper()}_API_KEY": "sk-usual" for kind in (*_SHORTHANDS, "google_ai_studio")}
    # Whatever would leave this machine ends at a port nobody listens on.
    no_way_out = {"HTTPS_PROXY": UNUSED_PORT, "HTTP_PROXY": UNUSED_PORT, "NO_PROXY": "127.0.0.1"}
    process = subprocess.Popen(
        [tensorzero_python, "-c", SCRIPT, deployed / "tensorzero.toml", QUESTION],
        env={**own, **usual, **no_way_out, "HOME": str(tmp_path_factory.mktemp("home"))},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout.readline() == "started\n"
    yield Embedded(process, upstream)
    process.stdin.close()
    process.wait(30)
    process.stdout.close()


@pytest.mark.parametrize("task", ["sums", "other.task:x@1+2"])
def test_an_eligible_model_is_served(gateway, task):
    """One call upstream, to the first candidate."""
    said, calls = gateway.ask(function_name=task)

    assert said == {"variant": TASKS[task][0], "text": "7"}
    assert calls == {f"steady/{TASKS[task][0]}": 1}


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"function_name": "nosuch"},
        {"function_name": "closed"},
        {"function_name": "sums", "variant_name": "five"},
        {"function_name": "sums", "variant_name": "four"},
        {"model_name": "five"},
        {"model_name": "one"},
        {"model_name": "steady/five"},
        {"function_name": "tensorzero::default"},
        {
            "function_name": "sums",
            "dryrun": True,
            "internal_dynamic_variant_config": {"type": "chat_completion", "model": "openai::gpt"},
        },
    ],
    ids=str,
)
def test_nobody_else_is_reached(gateway, asked):
    """No task, an unknown one, one for nobody, and models or variants that are not in the file."""
    said, calls = gateway.ask(**asked)

    assert "error" in said
    assert calls == {}


@pytest.mark.parametrize("kind", [*_SHORTHANDS, *_SHORTHANDS_BY_FILE])
def test_shorthands_are_closed(gateway, kind):
    """Even where the provider's usual variable is set: nothing is sent."""
    said, calls = gateway.ask(model_name=f"{kind}::anything")

    assert "EVALKIT_SHORTHANDS_ARE_CLOSED` is missing" in said["error"]
    assert calls == {}


def test_retries_run_out_before_the_next_is_asked(gateway, upstream):
    """Three tries at the first, one at the second, none at the third."""
    upstream.set_down(["steady/one"])
    try:
        said, calls = gateway.ask(function_name="sums")
    finally:
        upstream.set_down([])

    assert said["variant"] == "two"
    assert calls == {"steady/one": 3, "steady/two": 1}


def test_each_try_has_its_own_timeout(gateway):
    """Half a second for each of two tries, not for both; then the next is asked."""
    said, calls = gateway.ask(function_name="slow")

    assert said["variant"] == "two"
    assert calls == {"scenario/stall/stuck": 2, "steady/two": 1}


def test_everybody_is_down(gateway, upstream):
    """The list ends: nobody outside it is asked."""
    names = [f"steady/{name}" for name in TASKS["sums"]]
    upstream.set_down(names)
    try:
        said, calls = gateway.ask(function_name="sums")
    finally:
        upstream.set_down([])

    assert "error" in said
    assert calls == dict.fromkeys(names, 3)


def test_what_stays_open_is_as_documented(gateway):
    """Models of the file by their names, and a caller's own extra_body: whoever closes these may update the page."""
    assert gateway.ask(model_name="sums/two")[1] == {"steady/two": 1}
    body = [{"pointer": "/model", "value": "steady/five"}]
    assert gateway.ask(function_name="sums", extra_body=body)[1] == {"steady/five": 1}
