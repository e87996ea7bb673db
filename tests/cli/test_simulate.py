"""`evalkit simulate`: the embedded gateway as a process, until it is interrupted."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

COMMAND = [sys.executable, "-c", "from evalkit.cli.main import main; main()", "simulate"]


@pytest.fixture
def served(shop):
    """Start it on a free port; returns the process and the base URL it printed."""
    started = []

    def start(*arguments: str):
        process = subprocess.Popen(
            [*COMMAND, "--root", str(shop.root), "--port", "0", *arguments], stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        line = process.stdout.readline()
        assert line.startswith("SIMULATED gateway: http://127.0.0.1:")
        return process, line.split()[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def ask(base_url: str, *, key: str | None = None, model: str = "sim/gpt") -> tuple[int, dict]:
    """Ask a model one question of the project; return status and body."""
    body = {"model": model, "messages": [{"role": "user", "content": "Which colour does the fruit number 4 have?"}]}
    headers = {"content-type": "application/json"} | ({} if key is None else {"authorization": f"Bearer {key}"})
    request = urllib.request.Request(f"{base_url}/chat/completions", json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_serves_until_interrupted(served):
    """It knows the answers to the project's suites, and Ctrl-C is its ordinary end."""
    process, base_url = served()

    status, answer = ask(base_url)
    process.send_signal(signal.SIGINT)

    assert status == 200
    assert answer["choices"][0]["message"]["content"] == "red 4"
    assert process.wait(timeout=20) == 0


def test_key_is_demanded(served):
    """With --key a call without it is refused."""
    _, base_url = served("--key", "let-me-in")

    assert ask(base_url)[0] == 401
    assert ask(base_url, key="let-me-in")[0] == 200


def test_route_that_is_down(served):
    """What is named is overloaded, as often as it is asked; nothing else is."""
    _, base_url = served("--down", "sim/gpt", "--down", "steady/one")

    assert ask(base_url)[0] == 503
    assert ask(base_url, model="steady/one")[0] == 503
    assert ask(base_url, model="steady/two")[0] == 200


def test_route_that_is_none(evalkit, shop):
    """An outage of something nobody serves would rehearse nothing."""
    said = evalkit.on(shop)("simulate", "--port", "0", "--down", "sim/gtp")

    assert said.code == 2
    assert "nothing answers to the route 'sim/gtp'" in said.err


def test_port_taken(evalkit, shop):
    """A port somebody else has is the caller's to change."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        said = evalkit.on(shop)("simulate", "--port", taken.getsockname()[1])

    assert said.code == 2
    assert "cannot listen on 127.0.0.1" in said.err
    assert "next: choose another port" in said.err


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_port_that_is_none(evalkit, shop, port):
    """A number no port has is a usage error."""
    assert evalkit.on(shop)("simulate", "--port", port).code == 2


def test_broken_project(evalkit, shop):
    """Without suites there are no answers to know."""
    shop.replace("policy.yaml", old="pin:", new="pinn:")

    assert evalkit.on(shop)("simulate").code == 2
