"""Killed, interrupted, broke or cut off: nothing that came back is lost, and only what is missing is sent again.

Real processes, the real store, real HTTP. The proof is the simulator's own count of what it was asked for.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import time
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest

from evalkit.api.measuring import RunOptions, run
from evalkit.api.project import load_project
from evalkit.errors import InputError
from evalkit.pipeline.plan import Selection

IN_FLIGHT = 4
"""The project's concurrency."""
LINGERING = 16
"""At most what comes back between two commits, at the pace of these tests."""
SLOW = 0.05
"""Time scale at which a call takes about 50 ms."""


@pytest.fixture
def at(a_project, a_simulator, a_cli):
    """Give a function: a project, a counted simulator, and the command line that asks it."""

    def build(n=40, *, time_scale=0.0, port=0, gateway=None, environ=None, **more):
        timing = {"simulator": {"time_scale": time_scale}}
        root = a_project(n, gateway={**timing, **(gateway or {})}, **more)
        simulator = a_simulator(root, time_scale=time_scale, port=port)
        return a_cli(root, EVALKIT_GATEWAY_BASE_URL=simulator.base_url, **(environ or {})), simulator

    return build


def children_of(pid: int) -> list[int]:
    """Return the processes a process has started."""
    threads = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for thread in threads for child in thread.read_text().split()]


def is_running(pid: int) -> bool:
    """Whether a process is there and not only waiting to be buried."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until_gone(pids: list[int]) -> None:
    """Wait for processes to end; they have ten seconds."""
    until = time.monotonic() + 10
    while any(is_running(pid) for pid in pids):
        assert time.monotonic() < until, pids
        time.sleep(0.02)


def test_two_nights_send_twice_the_plan(at):
    """A finished run is never taken for tonight's: unchanged files are measured again, each call once."""
    cli, simulator = at(40)
    for night in (1, 2):
        _, document = cli.json("run")
        assert (document["recording"]["n_sent"], document["recording"]["n_missing"]) == (80, 0)
        assert simulator.n_requests == night * 80
    assert [str(found.status) for found in cli.runs()] == ["finished", "finished"]


def test_after_a_kill_only_what_is_missing_is_sent(at):
    """`kill -9` in the middle: the same command goes on with the same run."""
    cli, simulator = at(60, time_scale=SLOW)
    killed = cli.start("run")
    simulator.wait_for(50, killed)
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert [str(found.status) for found in cli.runs()] == ["running"]
    _, document = cli.json("run")
    recording = document["recording"]
    assert recording["n_held"] >= 50 - IN_FLIGHT - LINGERING
    assert recording["n_held"] + recording["n_sent"] == 120
    assert 120 <= simulator.n_requests <= 120 + IN_FLIGHT + LINGERING
    assert [str(found.status) for found in cli.runs()] == ["finished"]


@pytest.mark.parametrize("numbers", [(signal.SIGINT,), (signal.SIGINT, signal.SIGINT), (signal.SIGTERM,)])
def test_a_run_that_is_stopped_keeps_what_came_back(at, numbers):
    """Exit 130 after Ctrl-C once or twice or SIGTERM; going on sends what is missing only."""
    cli, simulator = at(60, time_scale=SLOW)
    process = cli.start("run")
    simulator.wait_for(50, process)
    for number in numbers:
        os.kill(process.pid, number)
        time.sleep(0.005)
    done = cli.end(process)
    assert done.returncode == 130, done.stderr
    assert "run it again" in done.stderr
    (found,) = cli.runs()
    assert (str(found.status), found.note) == ("interrupted", "interrupted")
    _, document = cli.json("run")
    assert document["run"]["run_id"] == found.run_id
    assert document["recording"]["n_held"] >= 50 - IN_FLIGHT
    assert 120 <= simulator.n_requests <= 120 + IN_FLIGHT


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_no_simulator_is_left_behind(a_project, a_cli, number):
    """The embedded gateway ends with the run, also when Ctrl-C reaches both or the run is killed."""
    cli = a_cli(a_project(200, gateway={"simulator": {"time_scale": SLOW}}))
    process = cli.start("run")
    # A run is opened once the gateway answers: before that a child may not have got as far as minding signals.
    while not ((children := children_of(process.pid)) and cli.runs()):
        assert process.poll() is None
        time.sleep(0.02)
    if number is signal.SIGINT:
        os.killpg(process.pid, number)
        assert cli.end(process).returncode == 130
    else:
        os.kill(process.pid, number)
        process.communicate()
    wait_until_gone(children)


def test_a_gateway_that_stops_in_the_middle(at, a_free_port, a_simulator):
    """The run ends soon and undecided, keeps its answers, and `--resume` sends the missing ones and no other."""
    cli, simulator = at(60, time_scale=SLOW, port=a_free_port)
    process = cli.start("run", "--json")
    simulator.wait_for(50, process)
    simulator.process.__exit__(None, None, None)
    done = cli.end(process)
    assert done.returncode == 3, done.stderr
    document = json.loads(done.stdout)
    answered = document["recording"]["n_answered"]
    assert 50 - IN_FLIGHT <= answered < 120
    assert document["recording"]["n_missing"] == 120 - answered
    assert set(document["recording"]["given_up"]) == {"azure", "drift"}
    again = a_simulator(cli.root, port=a_free_port)
    _, resumed = cli.json("run", "--resume", document["run"]["run_id"])
    assert (resumed["recording"]["n_held"], resumed["recording"]["n_sent"]) == (answered, 120 - answered)
    assert again.n_requests == 120 - answered
    assert resumed["run"]["run_id"] == document["run"]["run_id"]


def test_a_wrong_key_is_named(a_project, a_simulator, a_cli):
    """Exit 4, few calls, and the message says which variable to look at but never its value."""
    root = a_project(40, gateway={"api_key_env": "SIM_KEY"})
    simulator = a_simulator(root, key="the-right-key-of-the-simulator")
    cli = a_cli(root, EVALKIT_GATEWAY_BASE_URL=simulator.base_url, SIM_KEY="another-key-that-is-wrong")
    done = cli("run")
    assert done.returncode == 4, done.stderr
    assert "API key" in done.stderr
    assert "SIM_KEY" in done.stderr
    assert "another-key" not in done.stderr + done.stdout
    right = a_cli(root, EVALKIT_GATEWAY_BASE_URL=simulator.base_url, SIM_KEY="the-right-key-of-the-simulator")
    _, document = right.json("run")
    assert document["recording"]["n_answered"] == 80
    assert [str(found.status) for found in right.runs()] == ["finished"]


@pytest.mark.parametrize("n", [2, 40])
def test_a_dead_gateway_is_exit_4(a_project, a_cli, a_free_port, n):
    """Nobody listens: said within seconds, for a handful of calls as for many."""
    cli = a_cli(a_project(40), EVALKIT_GATEWAY_BASE_URL=f"http://127.0.0.1:{a_free_port}/v1")
    began = time.monotonic()
    done = cli("run", "-n", str(n))
    assert time.monotonic() - began < 20
    assert done.returncode == 4, done.stderr
    assert "base_url" in done.stderr
    assert [str(found.status) for found in cli.runs()] == ["interrupted"]


@pytest.mark.parametrize(("fault", "kind"), [("openai_rate_limit", "rate_limited"), ("html_502", "provider_error")])
def test_a_useless_gateway_is_exit_4(at, fault, kind):
    """It answers, but refuses everybody: given up in bounded time with the reason."""
    model = {"id": "useless", "route": f"scenario/{fault}", "price": None}
    cli, _ = at(40, models=[model])
    began = time.monotonic()
    done = cli("run")
    assert time.monotonic() - began < 20
    assert done.returncode == 4, done.stderr
    assert kind in done.stderr


def test_a_silent_gateway_is_exit_4(a_project, a_cli):
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        cli = a_cli(a_project(40), EVALKIT_GATEWAY_BASE_URL=f"http://127.0.0.1:{silent.getsockname()[1]}/v1")
        done = cli("run", "--call-timeout-s", "0.2", "-n", "10")
    assert done.returncode == 4, done.stderr
    assert "timeout" in done.stderr


def test_a_budget_of_a_cent(at):
    """Exit 3, nothing overspent, nothing lost: with more money the same run goes on."""
    dear = {"id": "azure", "route": "sim/azure", "price": {"input_usd_per_mtok": 15, "output_usd_per_mtok": 75}}
    cli, simulator = at(60, models=[dear])
    code, document = cli.json("run", "--budget-usd", "0.01", "--allow-partial")
    recording = document["recording"]
    assert code == 3
    assert recording["stopped_by"] == ["budget"]
    assert 0 < recording["spent_usd"] <= 0.01
    assert 0 < recording["n_sent"] == simulator.n_requests < 60
    assert document["run"]["status"] == "stopped"
    _, resumed = cli.json("run", "--budget-usd", "1")
    assert resumed["run"]["run_id"] == document["run"]["run_id"]
    assert resumed["recording"]["n_held"] == recording["n_sent"]
    assert simulator.n_requests == 60


def test_a_budget_below_the_plan_is_refused(at):
    """Exit 2 with what the plan costs, before anything is sent or opened; a part has to be asked for."""
    cli, simulator = at(60)
    done = cli("run", "--budget-usd", "0.001")
    assert done.returncode == 2
    assert "is below the USD" in done.stderr
    assert "--allow-partial" in done.stderr
    assert simulator.n_requests == 0
    assert cli.runs() == ()


def test_a_part_is_of_whole_pairs(at):
    """Money for one model is spent on the incumbent, whole; the other is not asked at all."""
    price = {"input_usd_per_mtok": 2500, "output_usd_per_mtok": 10_000}
    dear = {"id": "azure", "route": "sim/azure", "price": price}
    cheap = {"id": "sure", "route": "steady/sure", "price": {"input_usd_per_mtok": 1, "output_usd_per_mtok": 1}}
    cli, simulator = at(30, models=[dear, cheap])
    (cli.root / "policy.yaml").write_text("version: 1\ntasks: {sums: {incumbent: sure}}\n", encoding="utf-8")
    code, document = cli.json("run", "--budget-usd", "0.01", "--allow-partial")
    assert code == 3
    statuses = {verdict["model_id"]: verdict["status"] for verdict in document["verdicts"]}
    assert statuses == {"sure": "eligible", "azure": "undecided"}
    assert simulator.n_requests == 30


def test_two_runs_at_once(at):
    """The second is told who owns the project, and starts nothing."""
    cli, simulator = at(60, time_scale=4 * SLOW)
    first = cli.start("run")
    simulator.wait_for(1, first)
    second = cli("run")
    assert first.poll() is None
    os.kill(first.pid, signal.SIGINT)
    assert cli.end(first).returncode == 130
    assert second.returncode == 2, second.stderr
    assert "is held by" in second.stderr
    assert len(cli.runs()) == 1


@pytest.fixture
def measured():
    """Give a function: measure a project of `n` sums in this process, on the embedded simulator."""

    def measure(root, *, limits=None, **options):
        project = load_project(root)
        config = project.config.model_copy(update={"limits": project.config.limits.model_copy(update=limits or {})})
        return run(replace(project, config=config), RunOptions(**options))

    return measure


def test_new_starts_afresh(a_project, measured):
    """`--new` leaves an unfinished run alone; without it the same run goes on."""
    root = a_project(20)
    stopped = measured(root, limits={"budget_usd": 0.0015}, allow_partial=True)
    assert 0 < stopped.recording.n_sent < 40
    fresh = measured(root, is_new=True)
    assert fresh.run.run_id != stopped.run.run_id
    assert (fresh.recording.n_held, fresh.recording.n_sent) == (0, 40)
    resumed = measured(root)
    assert resumed.run.run_id == stopped.run.run_id
    assert resumed.recording.n_held == stopped.recording.n_sent
    assert (resumed.run.note, str(resumed.run.status)) == ("", "finished")


def test_another_plan_is_another_run(a_project, measured):
    """Changed files or flags never go on with a run of other calls, and `--resume` says so."""
    root = a_project(20)
    stopped = measured(root, limits={"budget_usd": 0.0015}, allow_partial=True)
    few = Selection(max_cases=5)
    with pytest.raises(InputError, match="another selection"):
        measured(root, selection=few, resume=stopped.run.run_id)
    smaller = measured(root, selection=few)
    assert smaller.run.run_id != stopped.run.run_id
    assert (smaller.plan.n_calls, smaller.run.is_partial) == (10, True)
    with pytest.raises(InputError, match="no run 'nosuch'"):
        measured(root, resume="nosuch")


def test_the_newest_run_can_be_named_latest(a_project, measured):
    """A finished run is opened again when it is asked for by name, and nothing of it is sent twice."""
    root = a_project(20)
    first = measured(root)
    again = measured(root, resume="latest")
    assert again.run.run_id == first.run.run_id
    assert (again.recording.n_held, again.recording.n_sent) == (40, 0)


def test_verdicts_do_not_depend_on_concurrency(a_project, measured):
    """One call at a time or sixty-four: the same verdicts, byte for byte, but for names and times of runs."""
    root = a_project(60)

    def verdicts(concurrency):
        # A store of its own: several runs in one would be judged together.
        shutil.rmtree(root / ".evalkit", ignore_errors=True)
        found = measured(root, limits={"concurrency": concurrency}).decision.verdicts
        return repr([replace(verdict, run_ids=(), measured_at=None, valid_until=None) for verdict in found])

    assert verdicts(1) == verdicts(64)


def test_resuming_a_finished_run_for_nothing_leaves_it_finished(at):
    """The cure of a thin run, tried while the model is still away: the run is what it was, and so is the exit code."""
    models = [{"id": name, "route": f"steady/{name}"} for name in ("here", "gone")]
    cli, simulator = at(60, models=models)
    put = urllib.request.Request(
        simulator.base_url.removesuffix("v1") + "down", json.dumps({"routes": ["steady/gone"]}).encode(), method="PUT"
    )
    urllib.request.urlopen(put, timeout=10).close()
    code, document = cli.json("run")
    assert (code, document["run"]["status"]) == (3, "finished")
    for _ in range(2):
        code, again = cli.json("run", "--resume", document["run"]["run_id"])
        assert (code, again["run"]["status"]) == (3, "finished")
        assert (again["recording"]["n_answered"], [*again["recording"]["given_up"]]) == (0, ["gone"])
    assert again["run"]["finished_at"] == document["run"]["finished_at"]
