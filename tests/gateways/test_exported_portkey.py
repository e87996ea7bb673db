"""The files of `evalkit export portkey`, filled in as they say, in a started gateway behind a real nginx."""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from evalkit.api.exporting import Source, export
from evalkit.clock import SystemClock
from evalkit.testing.eligibility import an_eligibility

QUESTION = "What is 2 plus 5? Answer with the number."
MANY = [f"m{number}" for number in range(20)]
TASKS = {
    "sums": ["one", "two", "three"],
    "other.task": ["four"],
    "rejected": ["picky", "two"],
    "slow": ["stuck", "two"],
    "unreachable": ["away", "two"],
    "long": MANY,
    "closed": [],
}
ROUTES = {"picky": "scenario/system_role_rejected/picky", "stuck": "scenario/stall/stuck"}
SOON_S = 30


@pytest.fixture(scope="module")
def closed_port():
    """A port on which nobody listens, held so that nobody will."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.fixture(scope="module")
def deployed(upstream, closed_port, tmp_path_factory):
    """What was exported."""
    folder = tmp_path_factory.mktemp("exported")
    names = {model for models in TASKS.values() for model in models}
    models = {name: {"provider": "local", "route": ROUTES.get(name, f"steady/{name}")} for name in names}
    models["away"]["provider"] = "away"
    slow = {"retries": 1, "upstream_timeout_s": 0.5}
    quick = {"retries": 0, "upstream_timeout_s": 5, "client_timeout_s": 120}
    made = an_eligibility(
        TASKS,
        now=SystemClock().now(),
        models=models,
        providers={
            "local": {"kind": "openai", "api_base": upstream.base_url},
            "away": {"kind": "openai", "api_base": f"http://127.0.0.1:{closed_port}/v1"},
        },
        entries={"long": {"failover": quick}, "unreachable": {"failover": quick}, "slow": {"failover": slow}},
    )
    (folder / "eligibility.json").write_text(json.dumps(made.document()), encoding="utf-8")
    export("portkey", Source(file=folder / "eligibility.json"), folder)
    return folder / "portkey"


def _filled_in(path, values):
    """Do what the head of the file says: envsubst with exactly its variables."""
    envsubst = shutil.which("envsubst")
    assert envsubst is not None, "no envsubst here: install gettext-base"
    names = " ".join(f"${{{name}}}" for name in values)
    with path.open("rb") as file:
        done = subprocess.run([envsubst, names], stdin=file, env=values, capture_output=True, check=True)
    return done.stdout.decode()


@pytest.fixture(scope="module")
def values(deployed, gateway):
    """The variables of the example, with their values."""
    lines = (deployed / "portkey.env.example").read_text(encoding="utf-8").splitlines()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        listen = f"127.0.0.1:{probe.getsockname()[1]}"
    own = {"EVALKIT_PORTKEY_LISTEN": listen, "EVALKIT_PORTKEY_URL": gateway.base_url.removesuffix("/v1")}
    return {line[:-1]: own.get(line[:-1], "none") for line in lines if line.endswith("=")}


@pytest.fixture(scope="module")
def gateway(start_portkey):
    """The gateway; it has no configuration of its own."""
    return start_portkey()


@pytest.fixture(scope="module")
def config_header(deployed, values):
    """The filled-in config on one line, as a client that attaches it itself would send it."""
    return json.dumps(json.loads(_filled_in(deployed / "config.json", values)))


@pytest.fixture(scope="module")
def nginx(deployed, values, tmp_path_factory):
    """Nginx with the exported server in its `http` block; gives its base URL."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    assert program is not None, "no nginx here: install nginx-light"
    folder = tmp_path_factory.mktemp("nginx")
    (folder / "evalkit.conf").write_text(_filled_in(deployed / "nginx.conf.example", values), encoding="utf-8")
    paths = "".join(
        f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/pid; error_log {folder}/errors; events {{}}\n"
        f"http {{ access_log off; {paths} include {folder}/evalkit.conf; }}\n",
        encoding="utf-8",
    )
    process = subprocess.Popen([program, "-p", folder, "-c", folder / "nginx.conf", "-e", folder / "errors"])
    host, port = values["EVALKIT_PORTKEY_LISTEN"].split(":")
    until = time.monotonic() + SOON_S
    while not _listens(host, int(port)):
        assert process.poll() is None, (folder / "errors").read_text(encoding="utf-8")
        assert time.monotonic() < until, "nginx does not listen"
        time.sleep(0.05)
    yield f"http://{host}:{port}"
    process.terminate()
    process.wait(SOON_S)


def _listens(host, port):
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False


@pytest.fixture
def ask(nginx, upstream):
    """Ask one question through nginx, or straight; return status, headers, body and the calls upstream."""

    def ask(task=None, *, model="whatever", base=nginx, path="/v1/chat/completions", **headers):
        if task is not None:
            headers["x-portkey-metadata"] = json.dumps({"task": task})
        headers = {
            "content-type": "application/json",
            **{name.replace("_", "-"): text for name, text in headers.items()},
        }
        body = {"model": model, "messages": [{"role": "user", "content": QUESTION}]}
        request = urllib.request.Request(f"{base}{path}", json.dumps(body).encode(), headers)
        with _counted(upstream) as calls:
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    status, said, text = answer.status, answer.headers, answer.read()
            except urllib.error.HTTPError as error:
                status, said, text = error.code, error.headers, error.read()
        return status, said, text.decode(), calls

    return ask


@pytest.fixture
def send(nginx, upstream):
    """Send a request to nginx as it is written; return its status and the calls upstream."""

    def send(path="/v1/chat/completions", *, headers=(), method="POST", more=None):
        messages = [{"role": "user", "content": QUESTION}]
        body = json.dumps({"model": "steady/five", "messages": messages, **(more or {})})
        connection = http.client.HTTPConnection(nginx.removeprefix("http://"), timeout=60)
        with contextlib.closing(connection), _counted(upstream) as calls:
            connection.putrequest(method, path)
            for name, value in (("content-type", "application/json"), ("content-length", str(len(body))), *headers):
                connection.putheader(name, value)
            connection.endheaders(body.encode())
            status = connection.getresponse().status
        return status, calls

    return send


@contextlib.contextmanager
def _counted(upstream):
    """Fill in, at the end, the calls that reached the provider meanwhile, by model; each has to name one."""
    before, total_before = upstream.count(), upstream.total()
    calls = {}
    yield calls
    calls |= {name: n - before.get(name, 0) for name, n in upstream.count().items() if n != before.get(name, 0)}
    assert upstream.total() - total_before == sum(calls.values())


@pytest.mark.parametrize("task", ["sums", "other.task", "long"])
def test_an_eligible_model_is_served(ask, task):
    """One call upstream, to the first candidate, whatever model the caller names and however long its list is."""
    status, headers, body, calls = ask(task, model="steady/five")

    assert (status, calls) == (200, {f"steady/{TASKS[task][0]}": 1})
    assert json.loads(body)["choices"][0]["message"]["content"] == "7"
    assert headers["x-portkey-last-used-option-index"].endswith("targets[0].targets[0]")


def test_the_task_may_stand_in_a_header(ask):
    """As the router contract has it; it wins over the metadata."""
    assert ask(x_evalkit_task="sums")[3] == {"steady/one": 1}
    assert ask("sums", x_evalkit_task="other.task")[3] == {"steady/four": 1}
    assert ask("sums", x_evalkit_task="nosuch")[0] == 403


@pytest.mark.parametrize("task", [None, "nosuch", "closed", "Sums", "sums ", "other_task", "su", 'sums","x":"', ""])
def test_an_unknown_task_reaches_nobody(ask, task):
    """None, another, one for nobody, or nearly the right one: refused by nginx, without a call."""
    status, _headers, body, calls = ask(task)

    assert (status, calls) == (403, {})
    assert json.loads(body)["error"]["code"] == "evalkit_ineligible"


@pytest.mark.parametrize("path", ["/v1/completions", "/v1/models", "/", "/v1/chat/completions/", "/v1/proxy/x"])
def test_no_other_route_is_open(ask, path):
    """What was measured is chat, and nothing else leads anywhere."""
    status, *_rest, calls = ask("sums", path=path)

    assert (status, calls) == (403, {})


def test_a_callers_own_routing_is_thrown_away(ask, upstream, config_header):
    """Its config, provider, address and key do not arrive; the task's first candidate answers."""
    own = json.dumps({"provider": "openai", "api_key": "k", "custom_host": upstream.base_url})
    for headers in (
        {"x_portkey_config": own},
        {"X_Portkey_Config": own},
        {"x_portkey_provider": "openai", "authorization": "Bearer k"},
        {"x_portkey_custom_host": "http://127.0.0.1:9/v1"},
        {"x_portkey_forward_headers": "x-evil", "x_evil": "1"},
    ):
        status, _headers, _body, calls = ask("sums", model="steady/five", **headers)
        assert (status, calls) == (200, {"steady/one": 1}), headers
        assert ask("nosuch", model="steady/five", **headers)[3] == {}, headers


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("x-portkey-metadata", ('{"task":"sums"}', '{"task":"other.task"}')),
        ("x-evalkit-task", ("sums", "other.task")),
    ],
)
def test_a_header_given_twice_changes_nothing(send, name, given):
    """Nginx and the gateway see the same one: later versions of nginx join the two, which is no task."""
    seen = send(headers=[(name, value) for value in given])

    assert seen in ((200, {"steady/one": 1}), (403, {}))


@pytest.mark.parametrize(
    "path",
    [
        "//v1/chat/completions",
        "/v1//chat/completions",
        "/v1/chat%2fcompletions",
        "/v1/chat/completion%73",
        "/v1/proxy/../chat/completions",
        "/v1/models/%2e%2e/chat/completions",
        "/v1/files%2f..%2fchat/completions",
        "/v1/chat/completions?model=steady/five",
    ],
)
def test_another_spelling_of_the_path_changes_nothing(send, path):
    """Portkey passes what it does not know on to the provider, with its key: it gets the one path, spelled one way."""
    assert send(path, headers=[("x-evalkit-task", "sums")]) == (200, {"steady/one": 1})


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "PUT", "OPTIONS"])
def test_only_post_is_forwarded(send, method):
    """GET of the chat's path would list, and DELETE remove, what is stored at the provider."""
    assert send(headers=[("x-evalkit-task", "sums")], method=method) == (403, {})


@pytest.mark.parametrize(
    ("task", "status"),
    [
        (b"sums  ", 200),
        (b"sums,other.task", 403),
        (b"SUMS", 403),
        ("\u017fums".encode(), 403),
        (b"sums%20", 403),
        (b"^sums$", 403),
        (b"${evalkit_portkey_config_0}", 403),
        (b"s" * 5000, 403),
        (b"s" * 20000, 400),
        (b"sums\x00", 400),
    ],
)
def test_a_task_is_named_exactly(send, task, status):
    """Blanks around a header's value are no part of it; anything else makes it another task."""
    calls = {"steady/one": 1} if status == 200 else {}

    assert send(headers=[("x-evalkit-task", task)]) == (status, calls)


@pytest.mark.parametrize(
    "more",
    [
        {"model": ["steady/five"]},
        {"models": ["steady/five"], "route": "fallback"},
        {"extra_body": {"model": "steady/five"}},
        {"override_params": {"model": "steady/five"}, "config": {"provider": "openai"}},
        {"__proto__": {"model": "steady/five"}},
    ],
)
def test_no_field_of_the_body_chooses(send, more):
    """The config's model wins over every way to name another."""
    assert send(headers=[("x-evalkit-task", "sums")], more=more) == (200, {"steady/one": 1})


def test_retries_run_out_before_the_next_is_asked(ask, upstream):
    """Three tries at the first, one at the second, none at the third."""
    upstream.set_down(["steady/one"])
    try:
        status, headers, _body, calls = ask("sums")
    finally:
        upstream.set_down([])

    assert (status, calls) == (200, {"steady/one": 3, "steady/two": 1})
    assert headers["x-portkey-last-used-option-index"].endswith("targets[1]")


def test_each_try_has_its_own_timeout(ask):
    """Half a second for each of two tries; then the next is asked."""
    status, *_rest, calls = ask("slow")

    assert (status, calls) == (200, {"scenario/stall/stuck": 2, "steady/two": 1})


def test_everybody_is_down(ask, upstream):
    """The list ends: nobody outside it is asked."""
    upstream.set_down([f"steady/{name}" for name in MANY])
    try:
        status, _headers, _body, calls = ask("long")
    finally:
        upstream.set_down([])

    assert (status, calls) == (503, {f"steady/{name}": 1 for name in MANY})


def test_a_rejected_request_goes_nowhere_else(ask):
    """The next model would be asked just the same."""
    status, *_rest, calls = ask("rejected")

    assert (status, calls) == (400, {"scenario/system_role_rejected/picky": 1})


def test_no_connection_is_the_end(ask):
    """Portkey goes on by status only, as the notes say."""
    status, *_rest, calls = ask("unreachable")

    assert (status, calls) == (500, {})


def test_the_config_alone_denies_what_it_does_not_name(ask, gateway, config_header):
    """For clients that attach it themselves: without a default, no condition is no call."""
    straight = {"base": gateway.base_url.removesuffix("/v1"), "x_portkey_config": config_header}

    assert ask("sums", **straight)[3] == {"steady/one": 1}
    for task in ("nosuch", "closed", None):
        status, *_rest, calls = ask(task, **straight)
        assert (status, calls) == (400, {})


def test_files_hold_no_key(deployed):
    """Names only, in every file."""
    for path in Path(deployed).iterdir():
        assert "none" not in path.read_text(encoding="utf-8").replace("none is", "")
