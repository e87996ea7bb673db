"""The simulator as a process of its own: it starts, answers, and never outlives its parent."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
import urllib.error
import urllib.request

import psutil
import pytest

from evalkit.errors import GatewayUnusableError
from evalkit.pipeline.script import script_of
from evalkit.simulator.book import AnswerBook
from evalkit.simulator.options import ServerOptions
from evalkit.simulator.process import SimulatorProcess

NO_BOOK = AnswerBook(())


def get(url):
    """Return the body of a GET."""
    with urllib.request.urlopen(url, timeout=10) as response:
        return response.read()


def is_gone(pid, *, within_s=10.0):
    """Return whether the process ends in time."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


def test_it_answers_while_open_and_ends_after(book):
    """The whole book gets across, and closing the context ends the process."""
    with SimulatorProcess(book, ServerOptions(seed=3)) as simulator:
        pid, root = simulator.pid, simulator.base_url.removesuffix("/v1")
        assert b'"questions": 690' in get(f"{root}/healthz")
    assert is_gone(pid)
    with pytest.raises(urllib.error.URLError):
        get(f"{root}/healthz")


def test_the_same_seed_gives_the_same_answers_in_two_processes(starter, book):
    """Real HTTP, real processes: the answer depends on the seed and the question alone."""
    suite = starter.suite_by_name["policy-qa"]
    prompt = script_of(suite, suite.cases[4]).turns[0].messages[-1].content
    body = json.dumps({"model": "sim/claude", "messages": [{"role": "user", "content": prompt}]}).encode()
    headers = {"content-type": "application/json", "x-evalkit-trial": "0", "x-evalkit-attempt": "2"}
    answers = []
    for seed in (5, 5, 6):
        with SimulatorProcess(book, ServerOptions(seed=seed)) as simulator:
            request = urllib.request.Request(f"{simulator.base_url}/chat/completions", data=body, headers=headers)
            answers.append(get(request))
    assert answers[0] == answers[1] != answers[2]
    assert suite.cases[4].expected in json.loads(answers[0])["choices"][0]["message"]["content"]


def test_options_reach_the_process():
    """A key given to the parent is asked for by the child."""
    with SimulatorProcess(NO_BOOK, ServerOptions(key="secret")) as simulator:
        with pytest.raises(urllib.error.HTTPError) as refused:
            get(f"{simulator.base_url}/models")
        refused.value.close()
        assert refused.value.code == 401


def test_routes_that_are_down_reach_the_process():
    """Each of them, and a route nobody answers to keeps it from starting."""
    data = json.dumps({"model": "steady/two", "messages": []}).encode()
    with SimulatorProcess(NO_BOOK, ServerOptions(down=("steady/one", "steady/two"))) as simulator:
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{simulator.base_url}/chat/completions", data, timeout=10)
        refused.value.close()
        assert refused.value.code == 503
    with (
        pytest.raises(GatewayUnusableError, match="nobody"),
        SimulatorProcess(NO_BOOK, ServerOptions(down=("nobody",))),
    ):
        pass


def test_what_keeps_it_from_starting_is_told():
    """A taken port comes back as an error of ours, with the child's own words."""
    with SimulatorProcess(NO_BOOK, ServerOptions()) as first:
        port = int(first.base_url.split(":")[2].split("/")[0])
        second = SimulatorProcess(NO_BOOK, ServerOptions(port=port))
        with pytest.raises(GatewayUnusableError, match=r"did not start: .*cannot listen"), second:
            pass


def test_a_killed_parent_leaves_no_orphan():
    """After kill -9 of the parent the child ends by itself, because its standard input has."""
    program = textwrap.dedent(
        """
        import sys, time
        from evalkit.simulator.book import AnswerBook
        from evalkit.simulator.process import SimulatorProcess
        from evalkit.simulator.options import ServerOptions
        with SimulatorProcess(AnswerBook(()), ServerOptions()) as simulator:
            print(simulator.pid, flush=True)
            time.sleep(60)
        """
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as parent:
        child = int(parent.stdout.readline())
        assert psutil.pid_exists(child)
        os.kill(parent.pid, signal.SIGKILL)
    assert is_gone(child)


def test_a_book_that_is_none_ends_with_exit_code_2():
    """Bad input is bad input here too."""
    done = subprocess.run(
        [sys.executable, "-m", "evalkit.simulator"], input=b"nonsense\n", capture_output=True, check=False
    )
    assert done.returncode == 2
    assert b"not an answer book" in done.stderr
