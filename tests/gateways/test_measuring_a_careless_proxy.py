"""Measuring through a LiteLLM that retries, falls back and caches: what our switches forbid, and the rest."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter

import pytest
import yaml

from evalkit.api.project import load_project
from evalkit.store.open import open_store

KEY = "GATEWAY_TEST_KEY"
SNAPSHOT = "steady/gpt-4o-2024-08-06"
MODELS = [
    {"id": "alias", "route": "fast", "provider": "openai", "routes": {"upstream": "gpt-4o-2024-08-06"}},
    {"id": "other", "route": "claude-sonnet-4-5", "provider": "anthropic"},
]
N_CASES = 6


@pytest.fixture(scope="module")
def careless(upstream, start_litellm):
    """Start a proxy as many run it: two retries, a fallback for each group, answers kept for an hour."""
    groups = {"fast": SNAPSHOT, "claude-sonnet-4-5": "steady/claude-sonnet-4-5"}
    settings = {"api_base": upstream.base_url, "api_key": "os.environ/UPSTREAM_KEY"}
    config = {
        "model_list": [
            {"model_name": group, "litellm_params": {**settings, "model": f"openai/{model}"}}
            for group, model in groups.items()
        ],
        "litellm_settings": {
            "callbacks": ["evalkit.router.litellm_hook.evaluation"],
            "cache": True,
            "cache_params": {"type": "local", "ttl": 3600},
            "default_fallbacks": ["claude-sonnet-4-5"],
        },
        "router_settings": {
            "num_retries": 2,
            "fallbacks": [{"fast": ["claude-sonnet-4-5"]}],
            "disable_cooldowns": True,
        },
        "general_settings": {"master_key": "os.environ/LITELLM_MASTER_KEY"},
    }
    return start_litellm(config, environ={"UPSTREAM_KEY": "sk-upstream-test-key"}, with_evalkit=True)


class _Project:
    """The simulator's suite behind the proxy, driven by the command line."""

    def __init__(self, root, gateway):
        self._root = root
        self._key = gateway.key

    def write(self, *, extra_body=None, **gateway):
        """Say how the proxy is asked."""
        models = [{**model, "adapt": {"extra_body": extra_body or {}}} for model in MODELS]
        policy = {"defaults": {"min_identity": "unverifiable"}, "tasks": {"sums": {}}}
        files = {
            "evalkit.yaml": {"environment": "test", "gateway": {**gateway, "api_key_env": KEY}},
            "roster.yaml": {"defaults": {"context_tokens": 128000}, "models": models},
            "policy.yaml": policy,
        }
        for name, content in files.items():
            (self._root / name).write_text(yaml.safe_dump({"version": 1, **content}), encoding="utf-8")

    def evalkit(self, *arguments):
        """Run one command."""
        command = [sys.executable, "-c", "from evalkit.cli.main import main; main()", *arguments]
        environ = {**os.environ, "EVALKIT_ROOT": str(self._root), KEY: self._key}
        return subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=300)

    def outcomes(self, *arguments):
        """Measure anew and return the outcomes by model."""
        done = self.evalkit("run", "--new", "--fail-on", "never", "-n", str(N_CASES), *arguments)
        project = load_project(self._root)
        store = open_store(project.config.store, root=self._root)
        try:
            runs = store.runs(project=project.name, environment="test")
            assert runs, done.stderr
            return list(store.outcomes(runs[0].run_id))
        finally:
            store.close()


@pytest.fixture
def project(tmp_path, upstream_root, upstream, careless):
    """Give the project, asked with the switches of kind `litellm`."""
    root = tmp_path / "project"
    shutil.copytree(upstream_root, root)
    made = _Project(root, careless)
    made.write(kind="litellm", base_url=careless.base_url)
    yield made
    upstream.set_down([])
    upstream.set_serve_as({})


def kinds(outcomes):
    """Return model id, kind and identity class, counted."""
    return Counter((one.model_id, str(one.kind), str(one.identity.identity_class)) for one in outcomes)


def test_every_call_reaches_the_model(project, upstream):
    """The cache gives no prompt back; an alias is attested by what the roster calls its upstream."""
    before = Counter(upstream.count())

    twice = [project.outcomes(), project.outcomes()]

    asked = Counter(upstream.count()) - before
    assert asked == {SNAPSHOT: 2 * N_CASES, "steady/claude-sonnet-4-5": 2 * N_CASES}
    for outcomes in twice:
        assert kinds(outcomes) == {("alias", "ok", "attested"): N_CASES, ("other", "ok", "attested"): N_CASES}
        assert not any(flag.startswith("gateway_") for one in outcomes for flag in one.flags)


def test_nothing_is_left_in_the_cache(project, upstream, careless):
    """Whoever asks the same afterwards, without our switches, is answered by the model."""
    project.outcomes("--model", "alias")
    project.write(kind="openai", model_field="echo", base_url=careless.base_url)
    before = upstream.total()

    outcomes = project.outcomes("--model", "alias")

    assert upstream.total() == before + N_CASES
    assert not any(one.is_missing for one in outcomes)


def test_nobody_stands_in_for_a_model_that_is_down(project, upstream):
    """The fallback is not asked, and the model only as often as evalkit says."""
    upstream.set_down([SNAPSHOT])
    before = Counter(upstream.count())

    outcomes = project.outcomes("--model", "alias")

    assert Counter(upstream.count()) - before == {SNAPSHOT: sum(len(one.attempts) for one in outcomes)}
    assert {one.kind for one in outcomes} <= {"provider_overloaded", "provider_error"}


def test_another_snapshot_is_a_swap(project, upstream):
    """The roster names one; the alias would let every one of them pass."""
    upstream.set_serve_as({SNAPSHOT: "gpt-4o-2024-11-20"})

    assert kinds(project.outcomes("--model", "alias")) == {("alias", "substituted_model", "substituted"): N_CASES}


def test_without_our_switches_it_shows(project, upstream, careless):
    """Asked as any endpoint the proxy caches and falls back: cached answers are missing, the other model's are void."""
    project.write(kind="openai", model_field="echo", base_url=careless.base_url)
    first = project.outcomes("--model", "other")
    before = upstream.total()

    second = project.outcomes("--model", "other")

    assert {flag for one in second for flag in one.flags if flag.startswith("gateway_")} == {"gateway_cached"}
    assert all(one.is_missing and one.timings.latency_s is None for one in second)
    assert (len(first), upstream.total()) == (N_CASES, before)
    upstream.set_down([SNAPSHOT])
    project.write(
        kind="openai", model_field="echo", base_url=careless.base_url, extra_body={"cache": {"no-cache": True}}
    )
    swapped = project.outcomes("--model", "alias")
    assert {(str(one.kind), "gateway_fell_back" in one.flags) for one in swapped} == {("substituted_model", True)}


def test_preflight_sees_the_cache(project, careless):
    """The second preflight's question is known to the proxy: no model was asked, so nothing is known of one."""
    project.write(kind="openai", model_field="echo", base_url=careless.base_url)
    project.evalkit("preflight", "--model", "other")

    again = project.evalkit("preflight", "--model", "other", "--json")

    assert again.returncode == 3, again.stderr
    (model,) = json.loads(again.stdout)["preflight"]["models"]
    assert {check["status"] for check in model["checks"]} == {"unknown"}
    assert model["checks"][0]["detail"] == "the gateway's cache answered: no model was asked"
