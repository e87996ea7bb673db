"""The files of `evalkit export litellm`, unchanged, in a started proxy: who is served, who is refused, who is next."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from evalkit.api.exporting import Source, export
from evalkit.clock import SystemClock
from evalkit.testing.eligibility import an_eligibility

KEY_VARIABLE = "EVALKIT_LOCAL_API_KEY"
QUESTION = "What is 2 plus 5? Answer with the number."
TASKS = {
    "sums": ["one", "two", "three"],
    "tight": ["full", "narrow", "wide"],
    "slow": ["stuck", "two"],
    "other.task": ["four"],
    "closed": [],
}
SOON_S = 30
WINDOWS = {"full": 1000, "narrow": 500, "wide": 9000}


@pytest.fixture(scope="module")
def deployed(upstream, tmp_path_factory):
    """An eligibility file and what was exported from it."""
    folder = tmp_path_factory.mktemp("exported")
    routes = {"full": "scenario/openai_overflow/full", "stuck": "scenario/stall/stuck"}
    slow = {"failover": {"retries": 1, "upstream_timeout_s": 0.5}}
    made = an_eligibility(
        TASKS,
        now=SystemClock().now(),
        models={
            name: {
                "provider": "local",
                "route": routes.get(name, f"steady/{name}"),
                "context_tokens": WINDOWS.get(name),
            }
            for name in {model for models in TASKS.values() for model in models}
        },
        providers={"local": {"kind": "openai", "api_base": upstream.base_url}},
        entries={**{task: {"failover": {"upstream_timeout_s": 5}} for task in TASKS}, "slow": slow},
    )
    (folder / "eligibility.json").write_text(json.dumps(made.document()), encoding="utf-8")
    export("litellm", Source(file=folder / "eligibility.json"), folder)
    return folder


@pytest.fixture(scope="module")
def environ(deployed):
    """What the example file of variables asks for."""
    named = (deployed / "litellm" / "litellm.env.example").read_text(encoding="utf-8").splitlines()
    given = dict(line.split("=", 1) for line in named if not line.startswith("#"))
    return {**given, KEY_VARIABLE: "none", "EVALKIT_ELIGIBILITY_FILE": str(deployed / "eligibility.json")}


@pytest.fixture(scope="module")
def proxy(start_litellm, deployed, environ, upstream):
    """The proxy on the exported file, once it has asked each provider for its list of models, as it does at start."""
    own = {name: value for name, value in environ.items() if value}
    proxy = start_litellm(deployed / "litellm" / "config.yaml", environ=own, with_evalkit=True)
    n_deployments, until = sum(len(models) for models in TASKS.values()), time.monotonic() + SOON_S
    while upstream.total() < n_deployments and time.monotonic() < until:
        time.sleep(0.1)
    return proxy


@pytest.fixture
def ask(proxy, upstream):
    """Ask one question; return status, headers, body and the calls that reached the provider."""

    def ask(model, task=None, **fields):
        upstream_before, total_before = upstream.count(), upstream.total()
        body = {"messages": [{"role": "user", "content": QUESTION}], **fields}
        if model is not None:
            body["model"] = model
        headers = {"content-type": "application/json", "authorization": f"Bearer {proxy.key}"}
        if task is not None:
            headers["x-evalkit-task"] = task
        request = urllib.request.Request(f"{proxy.base_url}/chat/completions", json.dumps(body).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                status, said, text = answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            status, said, text = error.code, error.headers, error.read()
        calls = {name: n - upstream_before.get(name, 0) for name, n in upstream.count().items()}
        calls = {name: n for name, n in calls.items() if n}
        assert upstream.total() - total_before == sum(calls.values())
        return status, said, text.decode(), calls

    return ask


def test_an_eligible_model_is_served(ask):
    """One call upstream, to the first candidate; the answer says who."""
    status, headers, body, calls = ask("sums", "sums")

    assert (status, calls) == (200, {"steady/one": 1})
    assert json.loads(body)["choices"][0]["message"]["content"] == "7"
    assert headers["x-litellm-model-id"] == "evalkit:sums:one"
    assert len(headers["x-evalkit-eligibility"]) == 12


def test_the_task_may_stand_in_the_metadata(ask):
    """As the router contract has it."""
    assert ask("sums", metadata={"task": "sums"})[0] == 200


@pytest.mark.parametrize(
    ("model", "task"),
    [
        ("sums", None),
        ("sums", "nosuch"),
        ("nosuch", "nosuch"),
        ("closed", "closed"),
        (None, "sums"),
        ("five", "sums"),
        ("openai/steady/five", "sums"),
        ("openai/steady/one", "sums"),
        ("steady/one", "sums"),
        ("evalkit:sums:one", "sums"),
        ("evalkit:other.task:four", "sums"),
        ("other.task", "sums"),
        ("sums#7", "sums"),
        ("*", "sums"),
        ("sums,other.task", "sums"),
    ],
)
def test_nobody_else_is_reached(ask, model, task):
    """No task, an unknown one, one for nobody, models by name, shorthands, ids, other tasks' groups: no call at all."""
    status, _headers, body, calls = ask(model, task)

    assert status in {400, 403}, body
    assert calls == {}


def test_a_callers_fields_reach_nobody_else(ask):
    """Another address, another fallback, another model in the body."""
    for fields in (
        {"fallbacks": ["five"]},
        {"api_base": "http://127.0.0.1:9/v1"},
        {"extra_body": {"model": "steady/five"}},
    ):
        *_rest, calls = ask("sums", "sums", **fields)
        assert set(calls) <= {"steady/one"}


def test_retries_run_out_before_the_next_is_asked(ask, upstream):
    """Three tries at the first, one at the second, none at the third."""
    upstream.set_down(["steady/one"])
    try:
        status, headers, _body, calls = ask("sums", "sums")
    finally:
        upstream.set_down([])

    assert (status, calls) == (200, {"steady/one": 3, "steady/two": 1})
    assert headers["x-litellm-model-id"] == "evalkit:sums:two"


def test_each_try_has_its_own_timeout(ask):
    """Half a second for each of two tries; then the next is asked."""
    status, _headers, _body, calls = ask("slow", "slow")

    assert (status, calls) == (200, {"scenario/stall/stuck": 2, "steady/two": 1})


def test_a_caller_cannot_ask_for_more_tries(ask, upstream):
    """The count is the policy's, whatever a request says."""
    upstream.set_down(["steady/four"])
    try:
        *_rest, calls = ask("other.task", "other.task", num_retries=5)
    finally:
        upstream.set_down([])

    assert calls.get("steady/four", 0) <= 3
    assert set(calls) <= {"steady/four"}


def test_an_overflow_goes_to_a_wider_window_only(ask):
    """Past the narrower candidate, at once."""
    status, _headers, _body, calls = ask("tight", "tight")

    assert (status, calls) == (200, {"scenario/openai_overflow/full": 1, "steady/wide": 1})


def test_litellm_calls_the_file_valid(deployed, environ, tmp_path, litellm_with_evalkit):
    """Its own check, without serving."""
    litellm = Path(__file__).parents[2] / ".gateways" / "litellm" / "bin" / "litellm"
    done = subprocess.run(
        [litellm, "--config", deployed / "litellm" / "config.yaml", "--validate_config"],
        env={
            **{name: value for name, value in environ.items() if value},
            "LITELLM_MASTER_KEY": "sk-4f1c0e6b8a2d49e7b35c9d10",
            "HOME": str(tmp_path),
            "PATH": str(Path(sys.executable).parent),
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )

    assert done.returncode == 0, done.stdout + done.stderr
