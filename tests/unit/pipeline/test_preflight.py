"""Probing over a real socket: servers that honour, ignore, reject, echo, keep silent or are not there."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket

import pytest
from aiohttp import web

from evalkit.clock import SystemClock
from evalkit.domain.outcome import IdentityClass, Kind
from evalkit.domain.project import GatewayConfig, Limits
from evalkit.gateways.openai import build
from evalkit.pipeline.preflight import Prober, probe_models
from evalkit.pipeline.preflight_probes import FEATURE_PROBES, MAX_CALLS
from evalkit.plugins import GatewayContext
from evalkit.testing.builders import a_model

USAGE = {"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25}
EVERYTHING = {"structured": "json_schema", "tools": True, "temperature": True, "seed": True}
NOTHING = {"structured": "none", "tools": False, "temperature": False, "seed": False}
TOOL_CALL = {
    "id": "c1",
    "type": "function",
    "function": {"name": "read_water_gauge", "arguments": '{"gauge": "K-117"}'},
}


class Provider:
    """A model that honours everything, unless a test says otherwise."""

    def __init__(self, *, rejects=(), ignores=(), usage=USAGE, model="openai/gpt-4o", faults=(), status=200):
        self.bodies = []
        self._rejects = rejects
        self._ignores = ignores
        self._usage = usage
        self._model = model
        self._faults = list(faults)
        self._status = status

    async def answer(self, request):
        """Answer one request."""
        body = await request.json()
        self.bodies.append(body)
        if self._status != 200:
            return error(self._status, "Incorrect API key provided")
        if self._faults:
            return error(self._faults.pop(0), "not now")
        for name in self._rejects:
            if name in body or name == kind_of(body):
                return error(400, f"Unsupported parameter: '{name}'")
        message, finish = self._message(body)
        answer = {"model": self._model or body["model"], "system_fingerprint": "fp_1"}
        answer["choices"] = [{"index": 0, "message": message, "finish_reason": finish}]
        return web.json_response(answer | ({} if self._usage is None else {"usage": self._usage}))

    def _message(self, body):
        kind = kind_of(body)
        if kind in self._ignores:
            return {"role": "assistant", "content": "Paris, of course."}, "stop"
        if kind == "tools":
            return {"role": "assistant", "content": None, "tool_calls": [TOOL_CALL]}, "tool_calls"
        if kind == "json_schema":
            (value,) = body["response_format"]["json_schema"]["schema"]["properties"]["stamp"]["enum"]
            return {"role": "assistant", "content": json.dumps({"stamp": value})}, "stop"
        text = '{"capital": "Paris"}' if kind == "json_object" else "Paris"
        return {"role": "assistant", "content": text}, "stop"


def kind_of(body):
    """Return which feature a request asks for."""
    return "tools" if "tools" in body else body.get("response_format", {}).get("type", "text")


def error(status, message):
    """Return an error as OpenAI sends it."""
    return web.json_response({"error": {"message": message, "type": "error"}}, status=status)


@contextlib.asynccontextmanager
async def serving(provider):
    """Serve on loopback; give the base URL."""
    app = web.Application()
    app.router.add_post("/v1/chat/completions", provider.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()


async def probed(base_url, *models, limits=None, model_field=None):
    """Probe models through a gateway of kind `openai`."""
    own = Limits.model_validate({"call_timeout_s": 5, "connect_timeout_s": 2, **(limits or {})})
    config = GatewayConfig(kind="openai", base_url=base_url, model_field=model_field)
    gateway = build(GatewayContext(config=config, limits=own, read_key=lambda: None))
    try:
        prober = Prober(gateway=gateway, limits=own, clock=SystemClock(), pause_scale=0.001)
        return await probe_models(models, prober=prober)
    finally:
        await gateway.aclose()


def probe(provider, *, capabilities=EVERYTHING, limits=None, model_field=None, **model):
    """Probe one model of this provider; return what was found."""

    async def run():
        async with serving(provider) as base_url:
            one = a_model(capabilities=capabilities, **model)
            return await probed(base_url, one, limits=limits, model_field=model_field)

    (found,) = asyncio.run(run())
    return found


def statuses(found):
    """Return check name to status."""
    return {check.name: str(check.status) for check in found.checks}


def seen(found):
    """Return check name to what was observed."""
    return {check.name: str(check.observed) for check in found.checks}


class TestAnswers:
    """What is seen, and what it means beside the declaration."""

    def test_all_is_honoured(self):
        """Everything declared and everything works: all confirmed, five calls, and the facts of the answer."""
        provider = Provider()

        found = probe(provider)

        assert set(statuses(found).values()) == {"confirmed"}
        assert seen(found) == {
            "answer": "answered", "temperature": "accepted", "seed": "accepted",
            "json_schema": "honoured", "json_object": "honoured", "tools": "honoured",
        }  # fmt: skip
        assert found.n_calls == len(provider.bodies) == 5
        assert found.cost_usd == pytest.approx(5 * (20 * 2.5 + 5 * 10.0) / 1e6)
        assert found.facts.identity_class is IdentityClass.SELF_REPORTED
        assert (found.facts.system_fingerprint, found.facts.finish_reason) == ("fp_1", "stop")
        assert (found.facts.has_usage, found.facts.cost_source) == (True, "roster")
        assert found.facts.latency_s > 0
        assert found.last_fault is None

    def test_nothing_is_declared(self):
        """What works without being declared is a hint, never a fault."""
        assert statuses(probe(Provider(), capabilities=NOTHING)) == {
            "answer": "confirmed", "temperature": "undeclared", "seed": "undeclared",
            "json_schema": "undeclared", "json_object": "undeclared", "tools": "undeclared",
        }  # fmt: skip

    def test_response_format_and_tools_are_ignored(self):
        """A server that takes parameters and lets them pass is found out by the answer."""
        found = probe(Provider(ignores=("json_schema", "json_object", "tools")))

        names = ("json_schema", "json_object", "tools")
        assert [seen(found)[name] for name in names] == ["ignored"] * 3
        assert [statuses(found)[name] for name in names] == ["not_honoured"] * 3
        assert "Paris, of course." in found.checks[3].detail

    def test_ignored_and_declared_so(self):
        """A roster that knows better is confirmed."""
        found = probe(Provider(ignores=("json_schema", "json_object", "tools")), capabilities=NOTHING)

        assert [statuses(found)[name] for name in ("json_schema", "json_object", "tools")] == ["confirmed"] * 3

    def test_seed_is_rejected(self):
        """The refusal is of the seed: everything else was answered."""
        found = probe(Provider(rejects=("seed",)))

        assert (seen(found)["seed"], statuses(found)["seed"]) == ("rejected", "not_honoured")
        assert "Unsupported parameter: 'seed'" in found.checks[2].detail
        assert {status for name, status in statuses(found).items() if name != "seed"} == {"confirmed"}

    def test_temperature_is_rejected(self):
        """Asked again without, the model answers; no later probe sends a temperature, and six calls are the most."""
        provider = Provider(rejects=("temperature",))

        found = probe(provider)

        assert (seen(found)["temperature"], statuses(found)["temperature"]) == ("rejected", "not_honoured")
        assert {status for name, status in statuses(found).items() if name != "temperature"} == {"confirmed"}
        assert ["temperature" in body for body in provider.bodies] == [True] + 5 * [False]
        assert found.n_calls == MAX_CALLS

    def test_every_request_is_rejected(self):
        """A refusal with and without temperature is the configuration's fault, and nothing more is asked."""
        found = probe(Provider(rejects=("messages",)))

        assert (seen(found)["answer"], statuses(found)["answer"]) == ("rejected", "not_honoured")
        assert {status for name, status in statuses(found).items() if name != "answer"} == {"unknown"}
        assert found.n_calls == 2
        assert found.last_fault is None

    def test_schema_is_rejected(self):
        """A server that refuses strict schemas and takes JSON mode is told apart from one that takes neither."""
        found = probe(Provider(rejects=("json_schema",)))

        assert (seen(found)["json_schema"], seen(found)["json_object"]) == ("rejected", "honoured")

    def test_usage_is_missing(self):
        """No usage and no cost: unknown, never zero."""
        found = probe(Provider(usage=None))

        assert (found.facts.has_usage, found.facts.cost_source, found.cost_usd) == (False, "unknown", None)

    @pytest.mark.parametrize(
        ("model_field", "served", "name", "identity"),
        [
            ("echo", None, "as_asked", "unverifiable"),
            ("upstream", None, "as_asked", "self_reported"),
            ("upstream", "gpt-4o-2024-08-06", "own_name", "self_reported"),
            ("upstream", " ", "own_name", "unverifiable"),
        ],
    )
    def test_model_field(self, model_field, served, name, identity):
        """What the answer's `model` is worth depends on what the gateway is known to do with it."""
        found = probe(Provider(model=served), model_field=model_field)

        assert (found.facts.model_field, found.facts.identity_class) == (name, identity)

    def test_another_model_answers(self):
        """A swap is no answer of the model that was asked: the rest would be about somebody else."""
        found = probe(Provider(model="mistral-large"))

        assert (seen(found)["answer"], statuses(found)["answer"]) == ("substituted", "not_honoured")
        assert found.facts is None
        assert found.n_calls == 1


class TestFaults:
    """The world's fault is never the model's: unknown, not a verdict."""

    def test_dead_port(self):
        """Nobody listens: two tries, everything unknown, and the kind is told."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            base_url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"

            (found,) = asyncio.run(probed(base_url, a_model()))

        assert set(statuses(found).values()) == {"unknown"}
        assert found.n_calls == 2
        assert found.last_fault is Kind.CONNECTION

    def test_wrong_key(self):
        """A refused key is asked once."""
        found = probe(Provider(status=401))

        assert set(statuses(found).values()) == {"unknown"}
        assert found.n_calls == 1
        assert found.last_fault is Kind.AUTH_ERROR

    def test_one_fault_is_tried_again(self):
        """The sixth request makes up for one fault of the way."""
        found = probe(Provider(faults=[503]))

        assert set(statuses(found).values()) == {"confirmed"}
        assert found.n_calls == MAX_CALLS

    def test_faults_in_a_row_stay_unknown(self):
        """A second fault has no request left: that check alone is unknown."""
        provider = Provider(faults=[503])
        answer = provider.answer

        async def failing_schema(request):
            is_schema = kind_of(await request.json()) == "json_schema"
            return error(503, "overloaded") if is_schema else await answer(request)

        provider.answer = failing_schema
        found = probe(provider)

        assert statuses(found)["json_schema"] == "unknown"
        assert [name for name, status in statuses(found).items() if status == "unknown"] == ["json_schema"]
        assert found.n_calls == MAX_CALLS

    def test_refused_after_a_fault(self):
        """With the spare request gone nobody knows what was refused: unknown, not a verdict on the model."""
        found = probe(Provider(faults=[503], rejects=("temperature",)))

        assert set(statuses(found).values()) == {"unknown"}


class TestSpending:
    """What it may cost, and how much at once."""

    def test_budget(self):
        """What does not fit is not sent, and says so."""
        provider = Provider()

        found = probe(provider, limits={"budget_usd": 0.001})

        assert len(provider.bodies) == 0
        assert {check.detail for check in found.checks} == {"not sent: it did not fit the budget"}
        assert found.last_fault is None

    def test_budget_in_the_middle(self):
        """The plain question fits and the tool does not."""
        found = probe(Provider(), limits={"budget_usd": 0.0025})

        assert statuses(found)["answer"] == "confirmed"
        assert statuses(found)["tools"] == "unknown"

    def test_output_is_small(self):
        """No probe asks for more than 64 tokens, nor for more than the model gives."""
        provider, small = Provider(), Provider()
        probe(provider)
        probe(small, max_output_tokens=32)

        assert {body["max_tokens"] for body in provider.bodies} == {64}
        assert {body["max_tokens"] for body in small.bodies} == {32}

    def test_concurrency(self):
        """`limits.concurrency` holds over all models."""
        now, most = [0], [0]
        provider = Provider()
        answer = provider.answer

        async def counted(request):
            now[0] += 1
            most[0] = max(most[0], now[0])
            await asyncio.sleep(0.005)
            try:
                return await answer(request)
            finally:
                now[0] -= 1

        async def run(n_models, concurrency):
            most[0] = 0
            provider.answer = counted
            models = [a_model(f"m-{number}", route="openai/gpt-4o") for number in range(n_models)]
            async with serving(provider) as base_url:
                found = await probed(base_url, *models, limits={"concurrency": concurrency})
            return [one.model_id for one in found], most[0]

        assert asyncio.run(run(3, 1)) == (["m-0", "m-1", "m-2"], 1)
        assert asyncio.run(run(3, 8))[1] == 3

    def test_prompt_does_not_give_the_schema_away(self):
        """What only the schema says is nowhere in the messages."""
        provider = Provider()
        probe(provider)

        schema_body = next(body for body in provider.bodies if kind_of(body) == "json_schema")
        assert "quartz" not in json.dumps(schema_body["messages"])
        assert schema_body["response_format"]["json_schema"]["strict"] is True
        assert len(provider.bodies) == 1 + len(FEATURE_PROBES)


def test_rate_limit_of_the_roster(scripted, a_reply):
    """What the provider allows a minute is kept: the waits are ours, and none of them is in the latency."""
    waits = []

    async def sleep(seconds):
        waits.append(seconds)

    model = a_model(limits={"requests_per_minute": 60})
    prober = Prober(
        gateway=scripted(lambda _request: a_reply("Paris")), limits=Limits(), clock=SystemClock(), sleep=sleep
    )

    (found,) = asyncio.run(probe_models([model], prober=prober))

    assert [round(wait_s) for wait_s in waits] == [1, 2, 3, 4]
    assert found.facts.latency_s == 0.25


def test_an_error_of_one_model_ends_all(scripted):
    """A model that cannot be asked stops the preflight, and nothing goes on behind it."""

    async def slow(_request):
        await asyncio.sleep(30)

    def refuse(model):
        raise ValueError(model.id)

    async def run():
        gateway = scripted(slow, headers_for=lambda model: refuse(model) if model.id == "b" else {})
        prober = Prober(gateway=gateway, limits=Limits(), clock=SystemClock())
        with pytest.raises(ValueError, match="b"):
            await probe_models([a_model("a"), a_model("b")], prober=prober)
        return len(asyncio.all_tasks())

    assert asyncio.run(run()) == 1
