"""`evalkit nightly`: one line that says what the night came to."""

from __future__ import annotations

import json

import pytest

NIGHTLY = "nightly: {exports: [{target: allowlist, to: gateway}], reports: [markdown]}\n"


@pytest.fixture
def job(shop, evalkit):
    """The command on a project with an export; quiet."""
    shop.write("evalkit.yaml", shop.text("evalkit.yaml") + NIGHTLY)
    return lambda *arguments: evalkit.on(shop)("nightly", "--progress", "quiet", *arguments)


def test_one_line_of_json(job, shop):
    """Stdout is one line; file, export and report are there, and what they are is in it."""
    said = job()

    (line,) = said.out.splitlines()
    summary = json.loads(line)
    assert said.code == summary["exit"]["code"] == 0
    assert (summary["format"], summary["simulated"], summary["file"]["state"]) == ("evalkit.nightly/1", True, "written")
    assert summary["plan"]["calls"] == summary["run"]["calls"]["sent"] == 120
    assert summary["plan"]["usd_at_most"] > summary["plan"]["usd_expected"] > 0
    assert shop.path("gateway/allowlist.json").exists()
    assert shop.path("reports/latest/report.md").exists()
    assert json.loads(shop.text("reports/latest/eligibility.json"))["digest"] == summary["file"]["digest"]


def test_started_twice_it_measures_once(job, evalkit, shop):
    """The second start finds the night done, and says the same of it."""
    first, second = json.loads(job().out), json.loads(job().out)

    assert (second["run"]["id"], second["run"]["calls"], second["run"]["resumed"]) == (first["run"]["id"], None, True)
    assert second["file"]["digest"] == first["file"]["digest"]
    assert len(evalkit.on(shop)("runs", "--json").document["runs"]) == 1


def test_json(job):
    """With --json the same document, and nothing else."""
    document = job("--json").document

    assert document["exit"] == {"code": 0, "reason": ""}


def test_a_task_nobody_may_serve(job, shop):
    """Exit code 1, and which: the night is over, so what has changed since is decided by and not measured."""
    job()
    shop.replace("suites/colour/suite.yaml", old="fruit {{", new="fine fruit {{")
    said = job()

    assert said.code == 1
    assert json.loads(said.out)["exit"]["reason"] == "colour has no candidate"
    assert "exit code 1: colour has no candidate" in said.err


def test_cost_is_said_before(job):
    """Calls, USD and the budget are on stderr before the run."""
    said = job("--progress", "plain", "--budget-usd", "5")

    assert "120 calls, about USD" in said.err
    assert "budget USD 5" in said.err
    assert said.err.index("about USD") < said.err.index("· run")


def test_a_dead_gateway(job, shop):
    """Exit code 4, and the line is there all the same."""
    shop.use_gateway("http://127.0.0.1:1/v1")
    said = job()

    summary = json.loads(said.out)
    assert (said.code, summary["exit"]["code"], summary["file"]["state"]) == (4, 4, "none")
    assert "no model answered" in summary["gateway"]


def test_bad_input(job, shop):
    """Exit code 2: the line says it, stderr says where."""
    shop.replace("evalkit.yaml", old="nightly: {", new="nightly: {starts_at: noon, ")
    said = job()

    assert (said.code, json.loads(said.out)["exit"]["code"]) == (2, 2)
    assert "/nightly/starts_at" in said.err
    assert job("--json").error["exit_code"] == 2


def test_a_missing_webhook_variable(job, shop):
    """A night that could tell nobody is not begun."""
    shop.replace("evalkit.yaml", old="nightly: {", new="nightly: {notify: {url_env: NOBODY_SET_THIS}, ")
    said = job("--json")

    assert said.code == 2
    assert said.error["problems"][0]["pointer"] == "/nightly/notify/url_env"
    assert not shop.path("reports").exists()
