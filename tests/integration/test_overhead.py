"""Paired overhead over real sockets: a known delay in front of a server is found again, and pairs are counted once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from evalkit.store.open import open_store

PROXY = Path(__file__).with_name("delaying_proxy.py")
DELAY_S = 0.1
SLACK_S = 0.02
"""What two models on a busy machine may differ by besides the delay."""
IN_FLIGHT = 4
LINGERING = 16
"""As in `test_resume.py`: concurrency, and what comes back between two commits."""


@pytest.fixture
def a_proxy():
    """Give a function: a proxy in front of a base URL that waits before some models; ends with the test."""
    started = []

    def start(upstream, delay_s, slow):
        process = subprocess.Popen(
            [sys.executable, str(PROXY), upstream, str(delay_s), slow],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process.stdout.readline().strip()

    yield start
    for process in started:
        process.communicate(timeout=10)
        assert process.returncode == 0


@pytest.fixture
def at(a_project, a_simulator, a_cli):
    """Give a function: a project whose calls go to one simulator, and the paired ones to another too."""

    def build(n, *, n_pairs, through=lambda base_url: base_url, time_scale=0.0):
        root = a_project(n)
        gateway, baseline = (a_simulator(root, time_scale=time_scale) for _ in range(2))
        config = {
            "gateway": {"kind": "openai", "base_url": through(gateway.base_url)},
            "baseline_gateway": {"kind": "openai", "base_url": baseline.base_url},
            "limits": {"concurrency": IN_FLIGHT, "call_timeout_s": 30, "baseline_calls": n_pairs},
        }
        return a_cli(a_project(n, **config)), gateway, baseline

    return build


def paired_of(cli):
    """Return model id to the sequence numbers of its pairs and of all its calls, of the newest run."""
    store = open_store("sqlite:///.evalkit/evalkit.db", root=cli.root)
    try:
        (run,) = cli.runs()
        outcomes = list(store.outcomes(run.run_id, with_payloads=False))
    finally:
        store.close()
    models = dict.fromkeys(outcome.model_id for outcome in outcomes)
    return {
        model_id: (
            [o.sequence for o in outcomes if o.model_id == model_id and o.timings.direct_s is not None],
            [o.sequence for o in outcomes if o.model_id == model_id],
        )
        for model_id in models
    }


def test_a_known_delay_is_found_again(at, a_proxy):
    """One model waits 0.1 s in the gateway, the other does not: the medians differ by that, within their intervals."""
    cli, gateway, baseline = at(80, n_pairs=60, through=lambda base_url: a_proxy(base_url, DELAY_S, "deepseek"))
    code, document = cli.json("run")
    # Some simulated answers are not ok, as some real ones are not.
    assert (code, 110 <= document["recording"]["n_pairs"] <= 120) == (0, True), document["recording"]
    assert (gateway.n_requests, 110 <= baseline.n_requests <= 120) == (160, True)
    assert cli("report", "--format", "json", "-o", str(cli.root / "out")).returncode == 0
    report = json.loads((cli.root / "out" / "report.json").read_text(encoding="utf-8"))
    plain, slow = (model["overhead"]["p50"] for model in report["models"])
    assert plain["n"] + slow["n"] == document["recording"]["n_pairs"]
    assert slow["lower"] - plain["upper"] - SLACK_S <= DELAY_S <= slow["upper"] - plain["lower"] + SLACK_S
    assert slow["lower"] >= DELAY_S / 2 > plain["upper"]


def test_pairs_cost_what_was_planned(at):
    """The plan names them apart, the run says so before it spends, and its spending has them."""
    cli, _, baseline = at(20, n_pairs=5)
    _, planned = cli.json("plan")
    assert (planned["calls"], planned["baseline_calls"]) == (40, 10)
    assert [cell["n_direct"] for cell in planned["cells"]] == [5, 5]
    assert "40 calls and 10 to the baseline gateway, about USD" in cli("plan").stdout
    done = cli("run", "--progress", "plain")
    assert "40 calls to 2 models, and 10 to the baseline gateway (at most USD 0.0053)" in done.stderr
    assert baseline.n_requests == 10
    store = open_store("sqlite:///.evalkit/evalkit.db", root=cli.root)
    (run,) = cli.runs()
    outcomes = list(store.outcomes(run.run_id, with_payloads=False))
    answers = sum(outcome.cost.usd or 0.0 for outcome in outcomes)
    direct = sum(outcome.cost.direct_usd or 0.0 for outcome in outcomes)
    assert direct > 0
    assert store.spent_usd(run.run_id) == pytest.approx(answers + direct)
    store.close()


def test_after_a_kill_no_pair_is_made_twice(at):
    """`kill -9` among the pairs: going on pairs the rest of the first so many of each model, and no others."""
    cli, gateway, baseline = at(60, n_pairs=30, time_scale=0.05)
    killed = cli.start("run")
    baseline.wait_for(30, killed)
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    _, document = cli.json("run")
    assert document["recording"]["n_held"] > 0
    for pairs, calls in paired_of(cli).values():
        # Some simulated answers are not ok, and make no pair.
        assert set(pairs) <= set(calls[:30])
        assert len(pairs) >= 25
    assert 60 <= baseline.n_requests <= 60 + IN_FLIGHT + LINGERING
    assert 120 <= gateway.n_requests <= 120 + IN_FLIGHT + LINGERING


def test_nobody_at_the_baseline_address(at, a_free_port):
    """The run is as good as without; what was not measured is said."""
    cli, gateway, _ = at(20, n_pairs=20)
    path = cli.root / "evalkit.yaml"
    text = path.read_text(encoding="utf-8")
    base_url = text.partition("baseline_gateway:")[2].partition("base_url: ")[2].split()[0]
    path.write_text(text.replace(base_url, f"http://127.0.0.1:{a_free_port}/v1"), encoding="utf-8")
    done = cli("run", "--progress", "plain")
    assert done.returncode == 0, done.stderr
    assert "no more pairs: azure: the baseline gateway kept answering connection" in done.stderr
    assert gateway.n_requests == 40
    assert "gateway overhead not measured" in markdown_of(cli)


def markdown_of(cli):
    """Return the Markdown report."""
    assert cli("report", "--format", "markdown", "-o", str(cli.root / "out")).returncode == 0
    return (cli.root / "out" / "report.md").read_text(encoding="utf-8")
