"""Fourteen nights of one project through the installed command, a process each: every morning's file is known before.

The clock is a rehearsal's; the simulator stands across all nights, and its models are changed from outside as real
ones change: one drifts, one collapses and comes back, one is swapped for another for a while.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from evalkit.router.reader import EligibilityReader

EVALKIT = Path(sys.executable).with_name("evalkit")
N_CASES = 60
MODELS = ("firm", "fading", "fallen", "swapped")
ROSTER = [{"id": name, "route": f"steady/{name}", "price": {"input_usd_per_mtok": 1, "output_usd_per_mtok": 1}}
          for name in MODELS]  # fmt: skip
ALL = {*MODELS}

# Night to (what becomes of the models at dusk, what becomes of the job, who may serve in the morning, exit code).
TRUTH = {
    1: ({}, "whole", ALL, 0),
    2: ({}, "whole", ALL, 0),
    3: ({"wrong": {"fading": 5}}, "whole", ALL, 0),
    4: ({}, "killed", ALL, None),  # and nobody starts it again: the file of night 3 is still there
    5: ({"weak": ["fallen"]}, "whole", ALL - {"fallen"}, 1),
    6: ({"swap": ["swapped"]}, "whole", {"firm", "fading"}, 1),
    7: ({}, "dead", {"firm", "fading"}, 4),
    8: ({"swap": []}, "whole", {"firm", "fading", "swapped"}, 0),
    9: ({}, "partial", {"firm", "fading", "swapped"}, 3),
    10: ({"weak": []}, "whole", ALL, 0),
    11: ({"wrong": {"fading": 20}}, "whole", ALL, 0),
    12: ({"wrong": {"fading": 55}}, "whole", ALL - {"fading"}, 1),
    13: ({}, "twice at once", ALL - {"fading"}, 0),
    14: ({}, "killed and started again", ALL - {"fading"}, 0),
}


class Hook:
    """A webhook on loopback that keeps what it was told."""

    def __init__(self):
        self.told = []

    @contextmanager
    def listening(self):
        """Give its address."""
        told = self.told

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                told.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_arguments):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = False
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/T000/B000"
        finally:
            server.shutdown()
            server.server_close()


class Rehearsal:
    """The project, its simulator, and the job as a scheduler starts it."""

    def __init__(self, root, simulator, hook_url):
        self.root = root
        self.simulator = simulator
        self.hook_url = hook_url
        self.file = root / "reports" / "latest" / "eligibility.json"
        self.acting = {}

    def dusk(self, change):
        """Change the models."""
        for name, percent in change.get("wrong", {}).items():
            self.acting[f"steady/{name}"] = f"wrong/{percent}/{name}"
        if "weak" in change:
            self.acting.pop("steady/fallen", None)
            self.acting |= {f"steady/{name}": f"weak/{name}" for name in change["weak"]}
        self._put("act-as", self.acting)
        if "swap" in change:
            self._put("serve-as", {f"steady/{name}": "another-model-9b" for name in change["swap"]})

    def _put(self, path, routes):
        url = self.simulator.base_url.removesuffix("v1") + path
        request = urllib.request.Request(url, json.dumps({"routes": routes}).encode(), method="PUT")
        assert json.load(urllib.request.urlopen(request, timeout=10))["routes"] == routes

    def start(self, night, *arguments, hour=2, **environ):
        """Start the job."""
        given = {
            "EVALKIT_ROOT": str(self.root),
            "EVALKIT_GATEWAY_BASE_URL": self.simulator.base_url,
            "EVALKIT_REHEARSAL_NOW": f"2026-03-{night:02d}T{hour:02d}:00:00Z",
            "HOOK": self.hook_url,
            **environ,
        }
        return subprocess.Popen(
            [EVALKIT, "nightly", "--progress", "plain", *arguments],
            env={**os.environ, **given},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def end(self, process):
        """Wait for its end; return exit code and the one line on stdout."""
        out, err = process.communicate(timeout=120)
        assert "Traceback" not in err, err
        (line,) = out.splitlines()
        summary = json.loads(line)
        assert summary["exit"]["code"] == process.returncode, (summary, err)
        return process.returncode, summary

    def kill_while_measuring(self, process):
        """Kill it once its calls are under way."""
        self.simulator.wait_for(self.simulator.n_requests + 40, process)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()

    def job(self, night, fate):
        """Do a night; return the exit code of the last start."""
        before = self.simulator.n_requests
        planned = N_CASES * len(MODELS)
        if fate == "dead":
            return self.end(self.start(night, EVALKIT_GATEWAY_BASE_URL="http://127.0.0.1:1/v1"))[0]
        if fate == "partial":
            return self.end(self.start(night, EVALKIT_BUDGET_USD="0.001"))[0]
        if fate == "twice at once":
            pair = [self.start(night) for _ in range(2)]
            codes = sorted(self.end(one)[0] for one in pair)
            # Whoever came second was told that the night is taken, or found it done.
            assert codes in ([0, 0], [0, 2]), codes
            assert self.simulator.n_requests - before == planned
            return 0
        process = self.start(night)
        if fate.startswith("killed"):
            self.kill_while_measuring(process)
            if fate == "killed":
                return None
            code, summary = self.end(self.start(night, hour=5))
            assert summary["run"]["resumed"]
            assert summary["run"]["calls"]["held"] > 0
            return code
        code, summary = self.end(process)
        assert (summary["run"]["calls"]["sent"], summary["run"]["resumed"]) == (planned, False)
        assert self.simulator.n_requests - before == planned
        return code

    def admitted(self, night):
        """Return who a router admits at eight in the morning."""
        morning = 1772352000 + (night - 1) * 86400 + 8 * 3600
        reader = EligibilityReader(self.file, audience="test", allow_simulated=True, now=lambda: morning)
        return {one.model_id for one in reader.candidates("sums")}


@pytest.mark.slow
def test_every_morning_has_its_file(a_project, a_simulator):
    """The truth table holds on every morning, and the hook hears of every change, once, and of nothing else."""
    hook = Hook()
    root = a_project(
        N_CASES,
        models=ROSTER,
        nightly={"reports": ["markdown"], "notify": {"url_env": "HOOK", "format": "json"},
                 "exports": [{"target": "allowlist", "to": "gateway"}]},
    )  # fmt: skip
    suite = root / "suites" / "sums" / "suite.yaml"
    suite.write_text(suite.read_text().replace("at_least: 0.5", "at_least: 0.7"))
    policy = root / "policy.yaml"
    policy.write_text("version: 1\ntasks: {sums: {pin: firm, failover: {retries: 1}}}\n")
    with hook.listening() as url:
        rehearsal = Rehearsal(root, a_simulator(root, time_scale=0.02), url)
        admitted, seen = None, []
        for night, (change, fate, expected, code) in TRUTH.items():
            rehearsal.dusk(change)
            bytes_before = rehearsal.file.read_bytes() if rehearsal.file.exists() else b""
            n_told = len(hook.told)
            assert rehearsal.job(night, fate) == code, (night, fate)
            assert rehearsal.admitted(night) == expected, (night, fate)
            if fate in {"killed", "dead"}:
                assert rehearsal.file.read_bytes() == bytes_before
            exported = json.loads((root / "gateway" / "allowlist.json").read_bytes())
            assert {one["model"] for one in exported["tasks"]["sums"]} == expected, (night, fate)
            is_news = admitted is not None and expected != admitted
            assert len(hook.told) - n_told == is_news, (night, hook.told[n_told:])
            seen.append(night)
            admitted = expected
    assert seen == list(TRUTH)
    first = hook.told[0]
    assert "fallen on sums: eligible → ineligible (gate_failed)" in first["text"]
    assert first["summary"]["changes"][0]["is_loss"] is True


@pytest.mark.parametrize("kind", ["openai", "litellm"])
def test_a_made_up_clock_is_for_the_simulator(a_project, a_cli, kind):
    """Time that is not the machine's is refused with any real gateway, before anything is done."""
    root = a_project(40, gateway={"kind": kind, "base_url": "http://127.0.0.1:1/v1"})
    done = a_cli(root, EVALKIT_REHEARSAL_NOW="2026-03-01T02:00:00Z")("nightly")
    assert done.returncode == 2
    assert "a rehearsal's clock is for the simulator" in done.stderr
    assert not (root / ".evalkit").exists()
