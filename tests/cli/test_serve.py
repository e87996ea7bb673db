"""`evalkit serve`: the file over HTTP as a process, until it is interrupted."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
import time

import pytest

from evalkit.router.signature import generate_keys

COMMAND = [sys.executable, "-c", "from evalkit.cli.main import main; main()", "serve"]
LIMIT_S = 20


class Served:
    """The process and how to ask it."""

    def __init__(self, process, base_url):
        self.process = process
        host, _, port = base_url.removeprefix("http://").rpartition(":")
        self._connection = http.client.HTTPConnection(host.strip("[]"), int(port), timeout=LIMIT_S)

    def ask(self, path, *, method="GET", **headers):
        """Return status, headers and body."""
        self._connection.request(
            method, path, headers={name.replace("_", "-"): value for name, value in headers.items()}
        )
        response = self._connection.getresponse()
        return response.status, response.headers, response.read()

    def line(self):
        """Return the next line it says on stderr."""
        return self.process.stderr.readline().rstrip()

    def close(self):
        """Give back the connection, and end the process if it has not ended."""
        self._connection.close()
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def serve(eligibility):
    """Start it on a free port; it accepts simulated files for the small project's environment."""
    started = []

    def start(*arguments, file=eligibility, audience="test-env"):
        command = [*COMMAND, str(file), "--audience", audience, "--port", "0", *map(str, arguments)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        words = process.stdout.readline().split()
        started.append(Served(process, words[-1]))
        assert words[:2] == ["eligibility", "for"]
        return started[-1]

    yield start
    for one in started:
        one.close()


def test_serves_until_interrupted(serve, eligibility):
    """Candidates, decisions, the file, health: and Ctrl-C is its ordinary end."""
    served = serve("--allow-simulated")
    digest = json.loads(eligibility.read_bytes())["digest"][7:19]

    status, headers, body = served.ask("/v1/tasks/greeting/candidates")
    assert status == 200
    assert headers["x-evalkit-eligibility"] == digest
    assert json.loads(body)["candidates"][0]["model"] == "alpha"
    assert served.ask("/v1/decide?task=greeting&model=alpha")[0] == 200
    assert served.ask("/v1/decide?task=greeting&model=nobody")[0] == 403
    assert served.ask("/v1/eligibility")[2] == eligibility.read_bytes()
    assert [served.ask(path)[0] for path in ("/healthz", "/readyz", "/nosuch")] == [200, 200, 404]
    assert served.line().startswith(f"accepted: {digest} (SIMULATED, generated 20")

    served.process.send_signal(signal.SIGINT)
    assert served.process.wait(timeout=LIMIT_S) == 0


def test_terminated(serve):
    """A service manager's signal ends it as well."""
    served = serve("--allow-simulated")
    served.process.send_signal(signal.SIGTERM)

    assert served.process.wait(timeout=LIMIT_S) == 0


def test_head_and_not_modified(serve):
    """HEAD tells the same without the body; a tag that still holds costs no body either."""
    served = serve("--allow-simulated")
    _, headers, body = served.ask("/v1/tasks/greeting/candidates")
    status, same, nothing = served.ask("/v1/tasks/greeting/candidates", method="HEAD")

    assert (status, nothing) == (200, b"")
    assert int(same["content-length"]) == len(body)
    status, again, nothing = served.ask("/v1/tasks/greeting/candidates", if_none_match=headers["etag"])
    assert (status, nothing, again["etag"]) == (304, b"", headers["etag"])
    assert served.ask("/v1/tasks/greeting/candidates", method="POST")[0] == 405
    # The same connection served them all.
    assert served.ask("/healthz")[0] == 200


def test_follows_the_file(serve, eligibility):
    """A file that goes denies everything within a second, one that comes back is accepted; both are told."""
    served = serve("--allow-simulated")
    assert served.line().startswith("accepted: ")
    content = eligibility.read_bytes()
    eligibility.unlink()

    assert served.line().startswith("refused, everything is denied: missing: ")
    status, _, body = served.ask("/v1/decide?task=greeting&model=alpha")
    assert (status, json.loads(body)["error"]["reason"]) == (403, "missing")
    assert served.ask("/readyz")[0] == 503

    eligibility.write_bytes(content)
    assert served.line().startswith("accepted: ")
    assert served.ask("/v1/decide?task=greeting&model=alpha")[0] == 200


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"audience": "other-env"}, "wrong_audience"),
        ({}, "simulated"),
        ({"file": "nosuch.json"}, "missing"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_refused_at_the_start(serve, arguments, code):
    """It starts, says why, and answers 403: a file may come later."""
    served = serve(*(["--allow-simulated"] if arguments else []), **arguments)

    assert served.line().startswith(f"refused, everything is denied: {code}: ")
    status, _, body = served.ask("/v1/tasks/greeting/candidates")
    assert (status, json.loads(body)["error"]["reason"]) == (403, code)


def test_key_that_did_not_sign(serve):
    """With a key configured an unsigned file admits nobody."""
    served = serve("--allow-simulated", "--public-key", f"team={generate_keys().public}")

    assert "unsigned" in served.line()


def test_elsewhere_is_warned_of(serve):
    """An address others can reach is allowed, and said to have no authentication."""
    served = serve("--allow-simulated", "--host", "0.0.0.0")

    assert served.line() == "warning: 0.0.0.0 is not a loopback address, and there is no authentication"
    assert served.line().startswith("accepted: ")


def test_required(evalkit, eligibility):
    """With --require a refused file is the end, with the code of `verify`."""
    said = evalkit("serve", eligibility, "--audience", "other-env", "--require")

    assert said.code == 1
    assert "wrong_audience" in said.err
    assert said.out == ""


def test_port_taken(evalkit, eligibility):
    """A port somebody else has is the caller's to change."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        said = evalkit("serve", eligibility, "--audience", "e", "--port", taken.getsockname()[1])

    assert said.code == 2
    assert "cannot listen on 127.0.0.1" in said.err


@pytest.mark.parametrize(
    "more",
    [
        ["--port", "65536"],
        ["--check-every", "soon"],
        ["--check-every", "0s"],
        ["--public-key", "team"],
        ["--host", "no.such.host.invalid"],
        ["--host", "x" * 70],
    ],
)
def test_bad_option(evalkit, eligibility, more):
    """What cannot be meant is a usage error, before anything listens."""
    said = evalkit("serve", eligibility, "--audience", "e", *more)

    assert said.code == 2
    assert said.out == ""


def test_audience_is_asked_for(evalkit, eligibility):
    """A server that takes whatever the file says would serve the wrong environment."""
    assert evalkit("serve", eligibility).code == 2


def test_many_at_once(serve):
    """Clients that come together are all answered, and one that hangs does not stand in the way."""
    served = serve("--allow-simulated")
    port = served._connection.port
    with socket.create_connection(("127.0.0.1", port)) as hanging:
        hanging.sendall(b"GET /v1/decide HTTP/1.1\r\nhost: x\r\n")
        started = time.monotonic()
        connections = [http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT_S) for _ in range(50)]
        for one in connections:
            one.request("GET", "/v1/decide?task=greeting&model=alpha")
        assert [one.getresponse().status for one in connections] == [200] * 50
        for one in connections:
            one.close()
        assert time.monotonic() - started < LIMIT_S
