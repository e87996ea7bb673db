"""`evalkit verify-gateway` against loopback gateways of every character; the real ones are in tests/gateways."""

from __future__ import annotations

import json
import socket
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

KEY = "key-of-the-operator-0001"
SCOPED = "key-of-one-team-0002"
COMPLETION = {
    "object": "chat.completion",
    "model": "sim/gpt",
    "choices": [{"index": 0, "finish_reason": "length", "message": {"role": "assistant", "content": "p"}}],
}
REFUSAL = {"error": {"code": "evalkit_ineligible", "message": "no"}}


class Character:
    """A gateway: what it answers to a request; `asked` keeps what it was asked."""

    live: str | None = None
    """Digits for `x-evalkit-eligibility`."""
    shown = ("greeting",)

    def __init__(self):
        self.asked: list[dict] = []

    def take(self, path, headers, body):
        """Return status and document."""
        if path.endswith("/models"):
            return 200, {"object": "list", "data": [{"id": name} for name in self.shown]}
        self.asked.append({**body, "task": headers.get("x-evalkit-task"), "key": headers.get("authorization")})
        return self.chat(body, headers)

    def chat(self, body, headers):
        """Hold to the router contract: colour and greeting are served, to their own task."""
        key, task = headers.get("authorization"), headers.get("x-evalkit-task")
        if key == f"Bearer {SCOPED}" and task != "greeting":
            return 403, REFUSAL
        if task in {"greeting", "colour"} and body["model"] == task:
            return 200, COMPLETION
        return 403, REFUSAL


class Open(Character):
    """Serves whatever it is asked."""

    shown = ("greeting", "colour", "anything")

    def chat(self, body, headers):
        """Look at nothing."""
        return 200, COMPLETION


def refusing(status, document=REFUSAL):
    """Return a gateway that serves honest requests and answers all others with one status."""

    class Refusing(Character):
        def chat(self, body, headers):
            honest = headers.get("x-evalkit-task") == body["model"] in {"greeting", "colour"}
            return (200, COMPLETION) if honest else (status, document)

    return Refusing()


def always(status, document=REFUSAL):
    """Return a gateway that answers everything alike."""

    class Always(Character):
        def chat(self, body, headers):
            return status, document

    return Always()


class _Handler(BaseHTTPRequestHandler):
    character: Character

    def do_GET(self):
        """Answer without a body."""
        self._answer({})

    def do_POST(self):
        """Answer to a body."""
        self._answer(json.loads(self.rfile.read(int(self.headers["content-length"]))))

    def _answer(self, body):
        status, document = self.character.take(self.path, self.headers, body)
        data = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.send_response(status)
        if self.character.live is not None:
            self.send_header("x-evalkit-eligibility", self.character.live)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_arguments):
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = False


@pytest.fixture
def start():
    """Start a gateway; returns its base URL."""
    servers = []

    def starting(character):
        servers.append(_Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"character": character})))
        threading.Thread(target=servers[-1].serve_forever, args=(0.05,), daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}/v1"

    yield starting
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def verify(evalkit, eligibility, start, monkeypatch):
    """Verify a gateway of one character, which has a key, and return what was said."""
    monkeypatch.setenv("GATEWAY_KEY", KEY)
    monkeypatch.setenv("SCOPED_KEY", SCOPED)

    def verifying(character, *more, json_wanted=True):
        arguments = ["--base-url", start(character), "--api-key-env", "GATEWAY_KEY", "--task", "greeting", *more]
        said = evalkit("verify-gateway", eligibility, *arguments, *(["--json"] if json_wanted else []))
        assert KEY not in said.out + said.err
        assert SCOPED not in said.out + said.err
        return said

    return verifying


def verdicts(said) -> dict[str, set[str]]:
    """Return the verdicts by name of probe."""
    found: dict[str, set[str]] = {}
    for finding in said.document["findings"]:
        found.setdefault(finding["probe"], set()).add(finding["verdict"])
    return found


NEGATIVES = ("unknown task", "no task")
"""What a file with two tasks that share their models can ask for."""


class TestVerdicts:
    """One gateway of each character."""

    def test_holds(self, verify):
        """Honest requests are served, others refused: all held."""
        character = Character()
        said = verify(character)

        assert said.code == 0
        found = verdicts(said)
        assert found["eligible model is served"] == {"held"}
        assert {verdict for name in NEGATIVES for verdict in found[name]} == {"held"}
        assert found["payload logging"] == {"told"}
        assert said.document["n_reached"] == 1
        assert said.document["n_calls"] == len(character.asked)
        assert all(asked["max_tokens"] == 1 for asked in character.asked)
        assert {asked["key"] for asked in character.asked} == {f"Bearer {KEY}"}

    def test_serves_everything(self, verify):
        """Nothing it was asked for was refused."""
        said = verify(Open())

        assert said.code == 1
        assert {verdict for name in NEGATIVES for verdict in verdicts(said)[name]} == {"broken"}
        assert said.document["n_reached"] == said.document["n_calls"]

    def test_refuses_as_a_rate_limit(self, verify):
        """Clients would come back for ever."""
        said = verify(refusing(429))

        assert said.code == 1
        assert verdicts(said)["no task"] == {"broken"}
        assert "retry for ever" in said.out

    @pytest.mark.parametrize("status", [500, 503, 408, 302])
    def test_fails(self, verify, status):
        """A fault is no refusal, and no leak: nobody knows."""
        said = verify(refusing(status))

        assert said.code == 3
        assert {verdict for name in NEGATIVES for verdict in verdicts(said)[name]} == {"unknown"}

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 446])
    def test_refuses_in_its_own_way(self, verify, status):
        """Any refusal of a request holds, as long as honest ones are served."""
        assert verify(refusing(status, {"error": {"message": "no such thing"}})).code == 0

    def test_error_under_a_success(self, verify):
        """A caller would take it for an answer."""
        assert verify(refusing(200, {"error": {"message": "no"}})).code == 3

    @pytest.mark.parametrize("document", [{}, b"<html>hello</html>", b"", {"choices": []}])
    def test_not_a_gateway(self, verify, document):
        """A success that is no completion is not a service."""
        said = verify(always(200, document))

        assert said.code == 1
        assert verdicts(said)["eligible model is served"] == {"broken"}

    def test_refuses_everybody(self, verify):
        """With the right code the refusals hold, and the missing service is broken."""
        said = verify(always(403))

        assert said.code == 1
        assert verdicts(said)["eligible model is served"] == {"broken"}
        assert verdicts(said)["no task"] == {"held"}

    def test_refuses_everybody_with_any_words(self, verify):
        """A refusal means nothing where honest requests are refused alike."""
        said = verify(always(404, {"error": {"message": "not found"}}))

        assert verdicts(said)["eligible model is served"] == {"broken"}
        assert verdicts(said)["no task"] == {"unknown"}

    def test_is_down_behind(self, verify):
        """While the provider fails nothing is proved, and nothing held that was not refused."""
        said = verify(always(503))

        assert said.code == 3

    def test_stale_file(self, verify, eligibility):
        """Where the gateway says which file it follows, it must be this one."""
        digest = json.loads(eligibility.read_bytes())["digest"][7:19]
        character = Character()
        character.live = digest
        assert verdicts(verify(character))["this file is live"] == {"held"}

        character.live = "0" * 12
        said = verify(character)
        assert said.code == 1
        assert f"stale file: this one is {digest}" in said.out


class TestScopedKey:
    """A key that belongs to one task."""

    def test_holds(self, verify):
        """It serves its task, shows its own names, and is refused for another."""
        said = verify(Character(), "--scoped-key-env", "SCOPED_KEY", "--scoped-task", "greeting")

        assert said.code == 0
        names = [name for name in verdicts(said) if name.startswith("scoped key")]
        assert names == ["scoped key: own task is served", "scoped key: models it is shown", "scoped key: another task"]

    def test_reaches_too_far(self, verify):
        """What it is shown and what it may do are told apart."""
        said = verify(Open(), "--scoped-key-env", "SCOPED_KEY")

        assert verdicts(said)["scoped key: models it is shown"] == {"broken"}
        assert verdicts(said)["scoped key: another task"] == {"broken"}
        assert "'anything'" in said.out

    def test_dead_key(self, verify):
        """A key that is refused everywhere proves nothing about its scope."""

        class DeadKey(Character):
            def chat(self, body, headers):
                if headers.get("authorization") == f"Bearer {SCOPED}":
                    return 401, {"error": {"message": f"wrong key {SCOPED}"}}
                return super().chat(body, headers)

        said = verify(DeadKey(), "--scoped-key-env", "SCOPED_KEY")

        assert said.code == 1
        assert verdicts(said)["scoped key: own task is served"] == {"broken"}
        assert verdicts(said)["scoped key: another task"] == {"unknown"}

    def test_task_without_a_key(self, verify):
        """A task alone is half an option."""
        assert verify(Character(), "--scoped-task", "greeting").code == 2


class TestUnusable:
    """Exit code 4: nothing was found out."""

    def test_dead(self, evalkit, eligibility):
        """Nobody listens."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        said = evalkit("verify-gateway", eligibility, "--base-url", f"http://127.0.0.1:{port}/v1", "--json")

        assert said.code == 4
        assert said.error["kind"] == "GatewayUnusableError"
        assert "cannot be reached" in said.err

    @pytest.mark.parametrize(
        ("status", "error"),
        [
            (401, {"error": {"message": f"Incorrect API key provided: {KEY}"}}),
            (400, {"error": {"message": "No connected db.", "type": "no_db_connection"}}),
            (403, {"error": {"code": "invalid_api_key", "message": "no"}}),
        ],
    )
    def test_key_refused(self, verify, status, error):
        """Said once, instead of as a pass of every other probe; the quoted key is not shown."""
        character = always(status, error)
        said = verify(character)

        assert said.code == 4
        assert "refused the key" in said.err
        assert len(character.asked) == 1


class TestInput:
    """Exit code 2: what was given cannot be used."""

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["--task", "nosuch"], "no task 'nosuch'"),
            (["--kind", "carrier-pigeon"], "one of: litellm, portkey, tensorzero, openrouter, envoy, openai"),
            (["--base-url", "ftp://somewhere"], "the value cannot be used"),
            (["--base-url", "http://me:secret-word@somewhere/v1"], "carries a user name or password"),
            (["--api-key-env", "NO_SUCH_VARIABLE"], "NO_SUCH_VARIABLE"),
            (["--header", "no colon"], "--header"),
            (["--header", "x-a: @/nosuch/file"], "cannot be read"),
            (["--header", "x-a: ${NO_SUCH_VARIABLE}"], "NO_SUCH_VARIABLE"),
            (["--model-name", "{nobody}"], "--model-name"),
            (["--model-name", "{task.__class__}"], "--model-name"),
            (["--model-name", "{"], "--model-name"),
            (["--timeout-s", "0"], "--timeout-s"),
        ],
        ids=lambda value: value[0] if isinstance(value, list) else None,
    )
    def test_option(self, evalkit, eligibility, arguments, words):
        """Each names what to change, and none shows a secret."""
        base = [] if "--base-url" in arguments else ["--base-url", "http://127.0.0.1:9/v1"]
        said = evalkit("verify-gateway", eligibility, *base, *arguments)

        assert said.code == 2
        assert words in said.err
        assert "secret-word" not in said.err

    def test_file(self, evalkit, eligibility, tmp_path):
        """A file that is not there is a mistake, one that is not whole is refused."""
        base = ["--base-url", "http://127.0.0.1:9/v1"]
        assert evalkit("verify-gateway", tmp_path / "nosuch.json", *base).code == 2

        eligibility.write_text(eligibility.read_text(encoding="utf-8").replace("alpha", "gamma"), encoding="utf-8")
        assert evalkit("verify-gateway", eligibility, *base).code == 1

    def test_no_gateway_anywhere(self, evalkit, eligibility, tmp_path):
        """Without a URL and without a project there is nobody to ask."""
        assert evalkit("verify-gateway", eligibility, "--root", tmp_path).code == 2

    def test_project_on_the_simulator(self, evalkit, measured, eligibility):
        """The embedded gateway routes nothing: there is nothing to probe."""
        said = evalkit.on(measured)("verify-gateway", eligibility)

        assert said.code == 2
        assert "no probes for a gateway of kind 'simulator'" in said.err


class TestSpeaking:
    """What goes out."""

    def test_gateway_of_the_project(self, evalkit, measured, eligibility, start, monkeypatch):
        """Without a URL the project's gateway is asked, with its key and headers."""
        monkeypatch.setenv("GATEWAY_KEY", KEY)
        character = Character()
        gateway = f'{{kind: openai, base_url: "{start(character)}", api_key_env: GATEWAY_KEY}}'
        measured.replace(
            "evalkit.yaml", old="gateway: {kind: simulator, simulator: {time_scale: 0}}", new=f"gateway: {gateway}"
        )

        said = evalkit.on(measured)("verify-gateway", eligibility, "--json")

        assert said.code == 0
        assert {asked["key"] for asked in character.asked} == {f"Bearer {KEY}"}

    def test_key_of_the_project_stays_with_its_address(self, evalkit, measured, eligibility, start, monkeypatch):
        """Another URL is another gateway: it gets nothing of the project's."""
        monkeypatch.setenv("GATEWAY_KEY", KEY)
        gateway = '{kind: openai, base_url: "http://127.0.0.1:9/v1", api_key_env: GATEWAY_KEY}'
        measured.replace(
            "evalkit.yaml", old="gateway: {kind: simulator, simulator: {time_scale: 0}}", new=f"gateway: {gateway}"
        )
        character = Character()

        assert evalkit.on(measured)("verify-gateway", eligibility, "--base-url", start(character)).code == 0
        assert {asked["key"] for asked in character.asked} == {None}

    @pytest.mark.parametrize(
        ("header", "secret"),
        [
            ("x-other-authorization: Bearer SECRET", "headers-secret-0003"),
            ("x-api-key: ${HEADER_KEY}", "headers-secret-0003"),
            ("x-team: ${HEADER_KEY}", "headers-secret-0003"),
            ("x-team: @FILE", "files-secret-0004"),
            ("x-config: @CONFIG", "configs-secret-0005"),
            ('x-config: {"targets": [{"api_key": "SECRET"}]}', "headers-secret-0003"),
        ],
    )
    def test_a_header_that_is_repeated_is_not_shown(self, verify, tmp_path, monkeypatch, header, secret):
        """Not in what came back, from a refusal or from an answer, nor in why."""
        monkeypatch.setenv("HEADER_KEY", "headers-secret-0003")
        (tmp_path / "file").write_text("files-secret-0004\n", encoding="utf-8")
        config = {"targets": [{"provider": "openai", "api_key": "configs-secret-0005"}]}
        (tmp_path / "config").write_text(json.dumps(config), encoding="utf-8")
        header = header.replace("SECRET", "headers-secret-0003")
        header = header.replace("FILE", str(tmp_path / "file")).replace("CONFIG", str(tmp_path / "config"))

        class Repeating(Character):
            def chat(self, body, headers):
                status, document = super().chat(body, headers)
                said = " ".join(headers.values())
                assert secret in said
                if status == 200:
                    return status, {**document, "model": said}
                return status, {"error": {"message": said}}

            def take(self, path, headers, body):
                return (
                    super().take(path, headers, body) if body else (200, {"data": [{"id": " ".join(headers.values())}]})
                )

        for more in ([], ["--scoped-key-env", "SCOPED_KEY"]):
            said = verify(Repeating(), "--header", header, *more)
            assert said.code in {0, 1}
            assert secret not in said.out + said.err
            assert "[api key]" in said.out

    def test_own_headers(self, verify, tmp_path, monkeypatch):
        """A header goes out with every probe; its value may be a file's first line or a variable, and is not shown."""
        monkeypatch.setenv("TENANT", "tenant-7-secret")
        (tmp_path / "config").write_text('{"a": "${TENANT}"}\nsecond line\n', encoding="utf-8")
        seen = Counter()

        class Listening(Character):
            def chat(self, body, headers):
                seen[headers.get("x-config"), headers.get("x-team")] += 1
                return super().chat(body, headers)

        said = verify(Listening(), "--header", f"x-config: @{tmp_path / 'config'}", "--header", "x-team: a")

        assert said.code == 0
        assert set(seen) == {('{"a": "tenant-7-secret"}', "a")}
        assert "tenant-7-secret" not in said.out + said.err

    def test_other_names(self, verify):
        """A router whose names are not the tasks' is asked in its own words."""

        class Prefixed(Character):
            def chat(self, body, headers):
                task = headers.get("x-evalkit-task")
                return (
                    (200, COMPLETION) if body["model"] == f"tasks.{task}/v1" == "tasks.greeting/v1" else (403, REFUSAL)
                )

        assert verify(Prefixed(), "--model-name", "tasks.{task}/v1").code == 0

    def test_table(self, verify):
        """For people: one line a probe, and what it cost; nothing a gateway says reaches the terminal raw."""
        said = verify(refusing(403, {"error": {"message": "\x1b[2J\u202eno"}}), json_wanted=False)

        assert said.code == 0
        assert "eligible model is served" in said.out
        assert "reached a model" in said.out
        assert not {"\x1b", "\u202e"} & set(said.out)
