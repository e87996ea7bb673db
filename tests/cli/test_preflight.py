"""`evalkit preflight`, and what `evalkit run` says before spending when a gateway proves too little."""

from __future__ import annotations

import json
import re
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

HOSTILE = "m\x1b[2J\x9b31m\u202e\r\nerror: [red]x[/red]"
PROBE_ROUTE = "evalkit/identity-probe"
HONEST = """\
version: 1
models:
  - id: alpha
    route: sim/gpt
    price: {input_usd_per_mtok: 1.0, output_usd_per_mtok: 2.0}
    capabilities: {structured: json_schema, tools: true, seed: true}
"""


class _Provider(BaseHTTPRequestHandler):
    """Honours every probe, and refuses the identity probe as LiteLLM with or without our callback does."""

    status = 200
    served_as = "sim/gpt"
    says = None
    """Instead of a right answer."""
    usage: ClassVar = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
    has_callback = False
    asked: list

    def do_POST(self):
        """Answer one call."""
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.asked.append(body["model"])
        if self.status != 200:
            self._send(self.status, {"error": {"message": self.served_as, "type": "error"}})
        elif body["model"] == PROBE_ROUTE:
            callback = 403, {"error": {"message": "identity", "code": "evalkit_probe"}}
            plain = 400, {"error": {"message": f"Invalid model name passed in model={PROBE_ROUTE}", "code": "400"}}
            self._send(*(callback if self.has_callback else plain))
        else:
            self._send(200, self._completion(body))

    def _completion(self, body):
        message, finish = {"role": "assistant", "content": self.says or self._text(body)}, "stop"
        if "tools" in body and self.says is None:
            call = {"name": "read_water_gauge", "arguments": '{"gauge": "K-117"}'}
            calls = [{"id": "c1", "type": "function", "function": call}]
            message, finish = {"role": "assistant", "content": None, "tool_calls": calls}, "tool_calls"
        choice = {"index": 0, "message": message, "finish_reason": finish}
        return {"model": self.served_as, "choices": [choice], "usage": self.usage}

    def _text(self, body):
        asked = body.get("response_format", {})
        if asked.get("type") == "json_schema":
            properties = asked["json_schema"]["schema"]["properties"]
            return json.dumps({name: part.get("enum", ["x"])[0] for name, part in properties.items()})
        return "{}" if asked else "Paris"

    def _send(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_arguments):
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # closing waits for the answers under way, so no socket outlives its test


@pytest.fixture
def provider(shop):
    """Start a provider and point the project at it; returns the list of models it was asked for."""
    servers = []

    def start(kind="openai", *, gateway="", **behaviour):
        asked = []
        servers.append(_Server(("127.0.0.1", 0), type("Handler", (_Provider,), {"asked": asked, **behaviour})))
        threading.Thread(target=servers[-1].serve_forever, args=(0.05,), daemon=True).start()
        shop.use_gateway(f"http://127.0.0.1:{servers[-1].server_port}/v1")
        shop.replace("evalkit.yaml", old="kind: openai", new=f"kind: {kind}{gateway}")
        return asked

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


class TestPreflight:
    """What it prints, what it means, and that nothing stays behind."""

    def test_all_as_declared(self, evalkit, shop, provider):
        """A table on stdout, the plan on stderr, exit code 0; no store, no report, no file."""
        asked = provider()
        shop.write("roster.yaml", HONEST)
        shop.write("policy.yaml", "version: 1\ntasks: {greeting: {}, colour: {}}\n")
        before = sorted(shop.root.rglob("*"))

        said = evalkit.on(shop)("preflight")

        assert said.code == 0
        announced = r"preflight: 5 calls, at most 6, to 1 models; about USD 0\.000\d, at most USD 0\.00\d\d\n"
        assert re.fullmatch(announced, said.err)
        assert "what models do through openai; identity at most self_reported" in said.out
        assert said.out.count("✓") == 6
        assert "self_reported (as asked)" in said.out
        assert said.out.splitlines()[-1] == "preflight: 5 calls to 1 models, USD 0.0001"
        assert asked == 5 * ["sim/gpt"]
        assert sorted(shop.root.rglob("*")) == before

    def test_declared_and_ignored(self, evalkit, shop, provider):
        """Exit code 1, with what was seen and what to write into the roster."""
        provider(says="Paris")

        said = evalkit.on(shop)("preflight", "--model", "alpha")

        assert said.code == 1
        assert "alpha: json_schema: not honoured, ignored: answered 'Paris'  → declare" in said.out
        assert "beta" not in said.out
        assert said.err.splitlines()[-1] == "exit code 1: alpha: json_schema: not_honoured (ignored)"

    def test_works_and_is_not_declared(self, evalkit, shop, provider):
        """A hint and nothing more: exit code 0."""
        provider(served_as="sim/claude")

        said = evalkit.on(shop)("preflight", "--model", "beta")

        assert said.code == 0
        assert "beta: not declared: seed, json_schema, json_object, tools; works" in said.out

    def test_prices_are_unknown(self, evalkit, shop, provider):
        """Without a price nothing is said in USD: unknown is not zero."""
        provider(says="Paris")
        shop.write("roster.yaml", "version: 1\nmodels: [{id: alpha, route: sim/gpt}]\n")
        shop.write("policy.yaml", "version: 1\ntasks: {greeting: {}, colour: {}}\n")

        said = evalkit.on(shop)("preflight")

        assert said.err == "preflight: 5 calls, at most 6, to 1 models, 1 of unknown price; USD not known\n"
        assert said.out.splitlines()[-1] == "preflight: 5 calls to 1 models, cost unknown"

    def test_usage_and_cost_are_missing(self, evalkit, shop, provider):
        """A gateway that tells neither leaves every cost gate open: it is said."""
        provider(usage=None)

        said = evalkit.on(shop)("preflight", "--model", "alpha")

        assert "alpha: usage: not reported, and no cost either: what calls cost stays unknown" in said.out

    def test_json(self, evalkit, shop, provider):
        """One document: plan, reach, checks, facts and how it ends; nothing on stderr."""
        provider()
        shop.write("roster.yaml", HONEST)
        shop.write("policy.yaml", "version: 1\ntasks: {greeting: {}, colour: {}}\n")

        said = evalkit.on(shop)("preflight", "--json")

        found = said.document["preflight"]
        (model,) = found["models"]
        assert (said.err, said.document["exit"]) == ("", {"code": 0, "reason": ""})
        assert (found["reach"], found["unmet"]) == ("self_reported", [])
        assert found["planned"]["models"][0]["max_calls"] == 6
        assert {check["status"] for check in model["checks"]} == {"confirmed"}
        assert model["facts"]["has_usage"] is True

    def test_hostile_answers(self, evalkit, shop, provider):
        """Names and answers of models stay text on one line."""
        provider(says=HOSTILE, served_as=HOSTILE)

        for arguments in (["preflight"], ["preflight", "--json"]):
            said = evalkit.on(shop)(*arguments)
            assert not {"\x1b", "\x9b", "\u202e", "\r"} & set(said.out + said.err)
            assert not [line for line in said.out.splitlines() if line.startswith("error:")]

    def test_dead_gateway(self, evalkit, shop):
        """Nobody listens: exit code 4, the kind, and where to look."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            shop.use_gateway(f"http://127.0.0.1:{taken.getsockname()[1]}/v1")
            said = evalkit.on(shop)("preflight")
            as_json = evalkit.on(shop)("preflight", "--json")

        assert said.code == as_json.code == 4
        assert "alpha: answer: unknown: connection: connection refused" in said.out
        assert "no model answered (connection); next: check gateway.base_url" in said.err
        assert as_json.document["exit"]["code"] == 4

    def test_wrong_key(self, evalkit, shop, provider):
        """A refused key: exit code 4, and one call a model."""
        asked = provider(status=401, served_as="Incorrect API key provided")

        said = evalkit.on(shop)("preflight")

        assert said.code == 4
        assert "the gateway wants an API key" in said.err
        assert sorted(asked) == ["sim/claude", "sim/gpt"]

    def test_one_model_is_not_reached(self, evalkit, shop, provider):
        """Unknown is not a verdict: exit code 3 when nothing is wrong beside it."""
        provider()
        shop.write("roster.yaml", f"{HONEST}  - {{id: gone, route: {PROBE_ROUTE}, capabilities: {{tools: true}}}}\n")
        shop.write("policy.yaml", "version: 1\ntasks: {greeting: {}, colour: {}}\n")

        said = evalkit.on(shop)("preflight")

        assert said.code == 3
        assert "gone: answer: unknown: model_unavailable: Invalid model name" in said.out

    def test_budget(self, evalkit, shop, provider):
        """What does not fit is not sent: unknown, not a dead gateway."""
        asked = provider()

        said = evalkit.on(shop)("preflight", "--budget-usd", "0.0000001")

        assert (said.code, asked) == (3, [])
        assert "alpha: answer: unknown: not sent: it did not fit the budget" in said.out

    def test_simulated(self, evalkit, shop):
        """Against the embedded gateway it is labelled, as everything is."""
        said = evalkit.on(shop)("preflight")

        assert "SIMULATED preflight: 10 calls" in said.err
        assert "SIMULATED: what models do" in said.out
        assert said.out.splitlines()[-1].startswith("SIMULATED preflight: ")

    def test_unknown_model(self, evalkit, shop):
        """A name that is not in the roster."""
        said = evalkit.on(shop)("preflight", "--model", "nosuch", "--json")

        assert (said.code, said.error["kind"]) == (2, "NotFoundError")
        assert said.error["problems"][0]["next_step"] == "one of: alpha, beta"

    def test_recordings(self, evalkit, shop):
        """A recording cannot be asked anything new."""
        shop.replace("evalkit.yaml", old="{kind: simulator,", new="{kind: replay, recordings: tapes,")

        said = evalkit.on(shop)("preflight", "--json")

        assert (said.code, said.error["problems"][0]["pointer"]) == (2, "/gateway/recordings")

    def test_identity_that_is_too_weak(self, evalkit, shop, provider):
        """What no task can be decided on is told with its ways out, and a name that says too little for its model."""
        provider("openai", gateway=", model_field: echo")
        echo = evalkit.on(shop)("preflight", "--model", "alpha")
        provider("openai", served_as="")
        nameless = evalkit.on(shop)("preflight", "--model", "alpha")

        assert "identity: answers through gateway kind 'openai' are at most unverifiable" in echo.out
        assert "`min_identity: unverifiable` in the policy" in echo.out
        assert "alpha: identity: its answer was unverifiable, and tasks need more: greeting" in nameless.out
        assert "at most unverifiable" not in nameless.out
        assert (echo.code, nameless.code) == (3, 3)
        assert "exit code 3: who answers is known less well than tasks need: " in echo.err


class TestRun:
    """`evalkit run` refuses before it spends, and only when it is sure."""

    def test_refused_before_anything_but_the_probe_is_sent(self, evalkit, shop, provider):
        """No task can be met: exit code 2, who needs what, the ways out, one free request, no run."""
        asked = provider("litellm")

        said = evalkit.on(shop)("run", "--json")

        assert asked == [PROBE_ROUTE]
        assert said.code == 2
        (problem,) = said.error["problems"]
        assert problem["pointer"] == "/gateway/kind"
        assert "kind 'litellm' are at most unverifiable" in problem["problem"]
        assert "colour (self_reported), greeting (self_reported)" in problem["problem"]
        assert "evalkit.router.litellm_hook.evaluation" in problem["next_step"]
        assert "`gateway.model_field: upstream`" in problem["next_step"]
        assert "`min_identity: unverifiable`" in problem["next_step"]
        assert evalkit.on(shop)("runs", "--json").document == {"runs": []}

    def test_callback_is_there(self, evalkit, shop, provider):
        """One probe, then the calls of the plan."""
        asked = provider("litellm", has_callback=True)

        said = evalkit.on(shop)("run", "-n", "2", "--progress", "quiet")

        assert said.code != 2
        assert "warning" not in said.err
        assert asked[0] == PROBE_ROUTE
        assert asked.count(PROBE_ROUTE) == 1
        assert len(asked) > 1

    @pytest.mark.parametrize("policy", ["{min_identity: unverifiable}", None])
    def test_nothing_is_asked_when_it_is_known(self, evalkit, shop, provider, policy):
        """A policy that accepts an echo, or a gateway that passes names on, needs no probe."""
        asked = provider("litellm", gateway="" if policy else ", model_field: upstream")
        if policy:
            shop.write("policy.yaml", f"version: 1\ndefaults: {policy}\ntasks: {{greeting: {{}}, colour: {{}}}}\n")

        said = evalkit.on(shop)("run", "-n", "2", "--progress", "quiet")

        assert said.code != 2
        assert PROBE_ROUTE not in asked
        assert asked

    def test_some_tasks_can_be_met(self, evalkit, shop, provider):
        """The others go on: a warning, once, before anything is sent."""
        tasks = "{greeting: {min_identity: unverifiable}, colour: {}}"
        shop.write("policy.yaml", f"version: 1\ntasks: {tasks}\n")
        asked = provider("litellm")

        said = evalkit.on(shop)("run", "-n", "2", "--progress", "quiet")
        alone = evalkit.on(shop)("run", "greeting", "-n", "2", "--progress", "quiet")
        refused = evalkit.on(shop)("run", "colour", "-n", "2", "--progress", "quiet")

        (warning,) = [line for line in said.err.splitlines() if line.startswith("warning: ")]
        assert "tasks need more: colour (self_reported); the other tasks can be decided" in warning
        assert asked.count("sim/gpt") > 1
        assert "warning" not in alone.err
        assert refused.code == 2

    def test_task_that_wants_more_than_a_name(self, evalkit, shop, provider):
        """`attested` through a gateway that only passes names on."""
        asked = provider()
        shop.write("policy.yaml", "version: 1\ndefaults: {min_identity: attested}\ntasks: {greeting: {}, colour: {}}\n")

        said = evalkit.on(shop)("run")

        assert (said.code, asked) == (2, [])
        assert "are at most self_reported, and tasks need more: colour (attested), greeting (attested)" in said.err
        assert "next: `min_identity: self_reported` in the policy" in said.err

    @pytest.mark.parametrize(
        ("status", "message", "cure"),
        [
            (401, "Incorrect API key provided", "the gateway wants an API key"),
            (400, "No connected db.", "the gateway wants an API key"),
            (404, "Not Found", "check gateway.base_url, and the routes of the roster"),
        ],
    )
    def test_wrong_key_or_address_is_not_called_a_weak_gateway(self, evalkit, shop, provider, status, message, cure):
        """The run itself says what is wrong, with exit code 4."""
        provider("litellm", status=status, served_as=message)

        said = evalkit.on(shop)("run", "-n", "2")

        assert said.code == 4
        assert cure in said.err
        assert "at most" not in said.err

    def test_dead_gateway_is_not_called_a_weak_one(self, evalkit, shop):
        """The same when nobody listens."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            shop.use_gateway(f"http://127.0.0.1:{taken.getsockname()[1]}/v1")
            shop.replace("evalkit.yaml", old="kind: openai", new="kind: litellm")
            said = evalkit.on(shop)("run", "-n", "2")

        assert said.code == 4
        assert "check gateway.base_url" in said.err

    def test_simulator_is_not_held_to_it(self, evalkit, shop):
        """Nothing it says is evidence anyway: a run goes as before, and its verdicts say what is too weak."""
        shop.write("policy.yaml", "version: 1\ndefaults: {min_identity: attested}\ntasks: {greeting: {}, colour: {}}\n")

        said = evalkit.on(shop)("run", "-n", "2", "--json")

        assert said.code in {0, 3}
        assert said.document["recording"]["n_sent"] > 0
