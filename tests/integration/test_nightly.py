"""The nightly job, killed between any two of its stages, cut off, and told about."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from evalkit.errors import InputError

STAGES = ("plan", "run", "compare", "decide", "export", "report", "notify")
KILLED = 9
CODE = """
import os, sys
from evalkit.api.nightly import NightOptions, nightly
from evalkit.api.project import load_project

def began(stage):
    if stage == sys.argv[1]:
        os._exit(9)

nightly(load_project(), NightOptions(began=began))
"""
ROSTER = [{"id": name, "route": f"steady/{name}"} for name in ("azure", "drift")]


class Hook:
    """A webhook on loopback that keeps what it was told, and answers as it is bid."""

    def __init__(self):
        self.told, self.status = [], 200
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                hook.told.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                self.send_response(hook.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_arguments):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = False
        self.url = f"http://127.0.0.1:{self.server.server_port}/services/T0/B0/secret-part"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()


@pytest.fixture
def hook():
    """A webhook."""
    made = Hook()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def job(a_project, a_simulator, a_cli, hook):
    """Give a function: the command line of a project with a nightly section, and its simulator."""

    def build(**nightly):
        section = {"reports": ["markdown"], "notify": {"url_env": "HOOK"},
                   "exports": [{"target": "allowlist", "to": "gateway"}], **nightly}  # fmt: skip
        root = a_project(40, models=ROSTER, nightly=section)
        simulator = a_simulator(root)
        return a_cli(root, EVALKIT_GATEWAY_BASE_URL=simulator.base_url, HOOK=hook.url), simulator

    return build


def line_of(done):
    """Return the summary: the one line on stdout."""
    (line,) = done.stdout.splitlines()
    return json.loads(line)


def at(cli, night, hour=2):
    """Set the rehearsal's clock."""
    cli.environ["EVALKIT_REHEARSAL_NOW"] = f"2026-03-{night:02d}T{hour:02d}:00:00Z"


def change(cli, *, to):
    """Let a person take a task from a model, or give it back: the next night has a change to tell."""
    if to == "eligible":
        (cli.root / "waivers.yaml").unlink()
    else:
        forbid_a_model(cli)
    return to


def forbid_a_model(cli):
    """Let a person take a task from a model."""
    waiver = "{task: sums, model: drift, action: deny, reason: on request, by: me, until: 2026-03-09}"
    text = f"version: 1\nwaivers: [{waiver}]\n"
    (cli.root / "waivers.yaml").write_text(text)


def test_killed_before_any_stage_it_goes_on(job, hook):
    """Night by night killed before another stage: the next start finishes it with one measurement and one message."""
    cli, simulator = job()
    at(cli, 1)
    assert cli("nightly").returncode == 0
    status = "eligible"
    for number, stage in enumerate(STAGES):
        status = change(cli, to="ineligible" if status == "eligible" else "eligible")
        before = simulator.n_requests
        at(cli, 2 + number)
        env = {**os.environ, "EVALKIT_ROOT": str(cli.root), **cli.environ}
        killed = subprocess.run(
            [sys.executable, "-c", CODE, stage], env=env, capture_output=True, text=True, check=False
        )
        assert killed.returncode == KILLED, killed.stderr
        at(cli, 2 + number, hour=4)
        summary = line_of(cli("nightly"))
        assert simulator.n_requests - before == 80, stage
        assert [(one["model"], one["after"]) for one in summary["changes"]] == [("drift", status)], stage
        assert (summary["notification"], len(hook.told)) == ("told", 1 + number), stage
        exported = json.loads((cli.root / "gateway" / "allowlist.json").read_bytes())
        assert exported["source"] == summary["file"]["digest"], stage
    again = line_of(cli("nightly"))
    assert (again["notification"], len(hook.told), simulator.n_requests - before) == ("told before", 7, 80)
    nights = [one.night for one in cli.runs()]
    assert len(nights) == len(set(nights)) == 8


def test_a_change_nobody_was_told_of_is_told_by_the_next_night(job, hook):
    """A webhook that was down costs the exit code, and the message comes a night later; its address is never shown."""
    cli, _ = job()
    at(cli, 1)
    cli("nightly")
    forbid_a_model(cli)
    at(cli, 2)
    hook.status = 503
    done = cli("nightly")
    assert (done.returncode, line_of(done)["notification"]) == (1, "failed")
    assert "the webhook answered 503" in done.stderr
    assert "secret-part" not in done.stdout + done.stderr
    hook.status = 200
    at(cli, 3)
    summary = line_of(cli("nightly"))
    assert (summary["exit"]["code"], summary["notification"]) == (0, "told")
    assert "drift on sums: eligible → ineligible (waiver_deny)" in hook.told[-1]["text"]
    assert set(hook.told[-1]) == {"text"}


def test_a_redirect_is_not_followed(job, hook):
    """What is told is told to nobody else."""
    cli, _ = job()
    at(cli, 1)
    cli("nightly")
    forbid_a_model(cli)
    at(cli, 2)
    hook.status = 307
    assert "the webhook answered 307" in cli("nightly").stderr
    assert len(hook.told) == 1


def test_files_of_a_person_are_minded_while_the_gateway_is_dead(job):
    """The last good file stays; who is taken out of it goes at once, and nobody's evidence becomes newer."""
    cli, _ = job()
    at(cli, 1)
    first = line_of(cli("nightly"))
    file = cli.root / "reports" / "latest" / "eligibility.json"
    before = file.read_bytes()
    cli.environ["EVALKIT_GATEWAY_BASE_URL"] = "http://127.0.0.1:1/v1"
    at(cli, 2)
    dead = line_of(cli("nightly"))
    assert (dead["exit"]["code"], dead["run"]["status"], file.read_bytes()) == (4, "interrupted", before)
    forbid_a_model(cli)
    at(cli, 3)
    line_of(cli("nightly"))
    (candidate,) = json.loads(file.read_bytes())["tasks"]["sums"]["candidates"]
    old = next(one for one in json.loads(before)["tasks"]["sums"]["candidates"] if one["model"] == "azure")
    assert candidate == old
    assert json.loads(file.read_bytes())["generated_at"] == first["file"]["generated_at"]


def test_a_dead_gateway_on_the_first_night_leaves_no_file(job):
    """Nothing is known, so nothing is published, and a second start the same night goes on with the same run."""
    cli, simulator = job()
    at(cli, 1)
    cli.environ["EVALKIT_GATEWAY_BASE_URL"] = "http://127.0.0.1:1/v1"
    dead = line_of(cli("nightly"))
    assert (dead["exit"]["code"], dead["file"]["state"], dead["notification"]) == (4, "none", "nothing to tell")
    del simulator


def test_the_nights_deadline_counts_from_its_first_start(job):
    """Cut off, it says so; started again after the deadline it sends nothing more."""
    cli, simulator = job(deadline="1s")
    at(cli, 1)
    cli.environ["EVALKIT_GATEWAY_BASE_URL"] = "http://127.0.0.1:1/v1"
    line_of(cli("nightly"))
    cli.environ["EVALKIT_GATEWAY_BASE_URL"] = simulator.base_url
    at(cli, 1, hour=3)
    late = line_of(cli("nightly"))
    # Nobody answered before the deadline, so nobody may serve, and nothing was sent after it.
    assert (late["exit"]["code"], late["exit"]["reason"]) == (1, "sums has no candidate")
    assert late["run"]["calls"] is None
    assert simulator.n_requests == 0


def test_an_export_that_fails_does_not_stop_the_others(job):
    """The file is published and the other export written; the exit code is 2."""
    cli, _ = job(exports=[{"target": "no-such", "to": "x"}, {"target": "allowlist", "to": "gateway"}])
    at(cli, 1)
    done = cli("nightly")
    assert done.returncode == 2
    assert "export no-such" in line_of(done)["exit"]["reason"]
    assert (cli.root / "gateway" / "allowlist.json").exists()


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("", "the environment variable HOOK is not set"),
        ("http://hooks.example.com/x", "not reached over TLS"),
        ("https://me:secret-part@hooks.example.com/x", "carries a password"),
        ("nonsense secret-part", "names no host"),
    ],
)
def test_a_webhook_that_cannot_be_used_costs_nothing(job, address, problem):
    """It is refused before anything is sent, and its address is not shown."""
    cli, simulator = job()
    cli.environ["HOOK"] = address
    done = cli("nightly")
    assert (done.returncode, line_of(done)["exit"]["code"]) == (InputError.exit_code, 2)
    assert problem in done.stderr
    assert "secret-part" not in done.stdout + done.stderr
    assert simulator.n_requests == 0
