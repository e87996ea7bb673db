"""What answers to the probes show; whole gateways are in tests/cli and tests/gateways."""

from __future__ import annotations

import json

import pytest

from evalkit.domain.outcome import Kind
from evalkit.pipeline.dialects import DIALECTS
from evalkit.pipeline.gateway_findings import (
    Finding,
    Held,
    deployments_of,
    is_key_refused,
    is_reached,
    judge_listing,
    judge_live_file,
    judge_logging,
    judge_negative,
    judge_positive,
    lets_through,
    probing_exit_code,
)
from evalkit.pipeline.gateway_probes import Deployment, Probe, ground_of
from evalkit.plugins import Fault, Reply
from evalkit.testing.eligibility import an_eligibility

FAULT = Fault(kind=Kind.TIMEOUT, detail="no whole answer in time", latency_s=1.0)
OWN = "<litellm.proxy.hooks.cache_control_check._PROXY_CacheControlCheck object at 0x7f>"
BOUND = "<bound method Router.deployment_callback_on_success of <litellm.router.Router object at 0x7f>>"
HOOK = "<evalkit.router.litellm_hook.Hook object at 0x7f>"
LOGGER = "<litellm.integrations.opentelemetry.OpenTelemetry object at 0x7f>"


@pytest.fixture
def ground():
    """`qa` for a, `chat` for b."""
    models = {"a": {"route": "openai/gpt-4o"}, "b": {"route": "openai/gpt-4o-mini"}}
    offered = {"qa": ["a"], "chat": ["b"]}
    admitted = {name: tuple(one) for name, one in offered.items()}
    return ground_of(an_eligibility(offered, models=models), admitted=admitted, task="qa")


def a_reply(status=200, document=None, **headers):
    """Return an answer; header names are written with underscores."""
    body = document if isinstance(document, bytes) else json.dumps(document or {}).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status=status, headers=named, body=body, latency_s=0.1)


def a_completion(model, **headers):
    """Return a served answer."""
    return a_reply(200, {"model": model, "choices": [{"message": {"content": "x"}}]}, **headers)


def a_probe(**fields):
    """Return a probe that names the task `qa`."""
    return Probe(**({"name": "n", "sent": "s", "body": b"{}", "task": "qa"} | fields))


def negative(answer, ground, *, kind="litellm", through=True, **fields):
    """Return the verdict on a request that must be refused."""
    dialect = DIALECTS[kind]
    return judge_negative(a_probe(**fields), answer, ground=ground, dialect=dialect, lets_through=through).verdict


class TestPositive:
    """Who served it."""

    @pytest.mark.parametrize(
        ("answer", "verdict", "words"),
        [
            (a_completion("openai/gpt-4o"), Held.HELD, "served by a"),
            (a_completion("gpt-4o-2024-08-06"), Held.HELD, "served by a"),
            (a_completion("openai/gpt-4o-mini"), Held.BROKEN, "served by b"),
            (a_completion("an-alias"), Held.HELD, "does not prove"),
            (a_completion("qa", x_litellm_model_id="id-1"), Held.HELD, "served by a"),
            (a_completion("qa", x_litellm_model_id="id-2"), Held.BROKEN, "served by b"),
            (a_completion("qa", x_litellm_model_id="evalkit:chat:b"), Held.BROKEN, "served by b"),
            (a_completion("qa", x_litellm_model_id="unheard-of"), Held.HELD, "does not prove"),
            (a_completion("tensorzero::function_name::qa::variant_name::b"), Held.BROKEN, "served by b"),
            (a_reply(429), Held.UNKNOWN, "limit"),
            (a_reply(402, {"error": {"message": "insufficient credits"}}), Held.UNKNOWN, "limit"),
            (a_reply(400, {"error": {"message": "no"}}), Held.BROKEN, "refused"),
            (a_reply(502), Held.UNKNOWN, "fault"),
            (FAULT, Held.UNKNOWN, "failed"),
        ],
    )
    def test_verdict(self, ground, answer, verdict, words):
        """An eligible model, shown or not shown to be another; or none, for a reason of its own or of the world's."""
        ids = [
            Deployment(deployment_id=f"id-{number}", group="g", model_id=model)
            for number, model in ((1, "a"), (2, "b"))
        ]
        finding = judge_positive(a_probe(), answer, ground=ground, deployments=ids)

        assert finding.verdict is verdict
        assert words in finding.why


class TestNegative:
    """What is a refusal, and what only looks like one."""

    def test_provider_was_asked(self, ground):
        """A 404 of the provider's own is no refusal of the gateway's."""
        litellm = Reply(status=404, headers={"llm_provider-request-id": "1"}, body=b"{}", latency_s=0.1)
        told = "litellm.NotFoundError: OpenAIException - The model `x` does not exist"
        portkey = a_reply(401, {"error": {"message": "no key"}, "provider": "openai"}, x_portkey_provider="openai")
        own = a_reply(400, {"status": "failure", "message": "no"}, x_portkey_provider="openai")

        assert negative(litellm, ground) is Held.BROKEN
        assert negative(a_reply(503, {"error": {"message": told}}), ground) is Held.BROKEN
        assert negative(portkey, ground, kind="portkey") is Held.BROKEN
        assert negative(own, ground, kind="portkey") is Held.HELD

    def test_name_overruled(self, ground):
        """A gateway that asks its own list whatever was named serves nobody it should not."""
        assert negative(a_completion("openai/gpt-4o"), ground, kind="portkey") is Held.HELD
        assert negative(a_completion("openai/gpt-4o-mini"), ground, kind="portkey") is Held.BROKEN
        assert negative(a_completion("openai/gpt-4o"), ground, kind="portkey", task=None) is Held.BROKEN
        assert negative(a_completion("openai/gpt-4o"), ground) is Held.BROKEN

    def test_provoked(self, ground):
        """Where the detour itself makes the first model fail, that failure shows that it led nowhere."""
        assert negative(a_reply(429), ground) is Held.BROKEN
        assert negative(a_reply(429), ground, provokes=frozenset({429})) is Held.HELD
        untried = a_completion("qa", x_litellm_model_group="qa", x_litellm_model_id="evalkit:qa:a")
        assert negative(untried, ground, provokes=frozenset({429})) is Held.UNKNOWN

    def test_closed_by_the_export(self, ground):
        """A shorthand without a key fails for want of it, which is how it was closed."""
        answer = a_reply(502, {"error": {"message": "Environment variable `NEVER_SET` is missing"}})

        assert negative(answer, ground) is Held.UNKNOWN
        assert negative(answer, ground, closed_by="never_set") is Held.HELD

    def test_nothing_is_served(self, ground):
        """Then only our own code in a refusal shows that it was one; LiteLLM wraps it."""
        wrapped = {"error": {"message": "no", "provider_specific_fields": {"error": {"code": "evalkit_ineligible"}}}}

        assert negative(a_reply(403, {"error": {"message": "no"}}), ground, through=False) is Held.UNKNOWN
        assert negative(a_reply(403, wrapped), ground, through=False) is Held.HELD

    @pytest.mark.parametrize("body", [b"\xff\xfe", b"[" * 5000, b"null", b"[]", b'"text"', b'{"error": 7}'])
    def test_hostile_bodies(self, ground, body):
        """Whatever a gateway sends is judged, never a crash."""
        for status in (200, 403, 500):
            assert negative(a_reply(status, body), ground) in Held
            judge_positive(a_probe(), a_reply(status, body), ground=ground, deployments=())


class TestLiveFile:
    """`x-evalkit-eligibility`."""

    def test_said(self, ground):
        """This file, another, or none where the callback should say so."""
        litellm, openai = DIALECTS["litellm"], DIALECTS["openai"]
        same = a_completion("qa", x_evalkit_eligibility=ground.live)
        other = a_completion("qa", x_evalkit_eligibility="0" * 12)

        assert judge_live_file(same, ground=ground, dialect=openai).verdict is Held.HELD
        assert judge_live_file(other, ground=ground, dialect=openai).verdict is Held.BROKEN
        assert judge_live_file(a_completion("qa"), ground=ground, dialect=litellm).verdict is Held.BROKEN
        assert judge_live_file(a_completion("qa"), ground=ground, dialect=openai) is None
        assert judge_live_file(FAULT, ground=ground, dialect=litellm) is None


class TestListing:
    """What a scoped key is shown."""

    @pytest.mark.parametrize(
        ("answer", "verdict"),
        [
            (a_reply(200, {"data": [{"id": "qa"}]}), Held.HELD),
            (a_reply(200, {"data": []}), Held.HELD),
            (a_reply(200, {"data": [{"id": "qa"}, {"id": "*"}]}), Held.BROKEN),
            (a_reply(200, {"data": [{"id": "qa"}, {}]}), Held.BROKEN),
            (a_reply(200, {"models": []}), Held.UNKNOWN),
            (a_reply(404), Held.UNKNOWN),
            (FAULT, Held.UNKNOWN),
        ],
    )
    def test_verdict(self, answer, verdict):
        """Nothing beyond its task; a wildcard and an entry without a name are beyond it."""
        assert judge_listing(answer, allowed=frozenset({"qa"})).verdict is verdict


class TestLogging:
    """Who is handed prompts and answers."""

    @pytest.mark.parametrize(
        ("callbacks", "database", "said"),
        [
            ([OWN, BOUND, HOOK], "Not connected", "not logged"),
            ([OWN, "langfuse"], "Not connected", "logged"),
            ([LOGGER], "Not connected", "logged"),
            ([OWN], "connected", "not visible"),
            (None, "Not connected", "not visible"),
        ],
    )
    def test_said(self, callbacks, database, said):
        """The proxy's own callbacks are none; a database may hold what no callback logs."""
        names = ("litellm.callbacks", "litellm.success_callback", "litellm._async_success_callback")
        listed = a_reply(200, dict.fromkeys(names, callbacks)) if callbacks is not None else a_reply(403)
        finding = judge_logging(listed, a_reply(200, {"db": database}))

        assert (finding.came_back, finding.verdict) == (said, Held.TOLD)
        assert ("langfuse" in finding.why) == (callbacks is not None and "langfuse" in callbacks)

    def test_not_asked(self):
        """Where nothing can be asked that is said."""
        assert judge_logging(None, None).came_back == "not visible"


def test_deployments():
    """What is no deployment is left out."""
    entry = {
        "model_name": "qa",
        "litellm_params": {"model": "openai/x"},
        "model_info": {"id": "1", "evalkit_model": "a"},
    }
    found = deployments_of(
        a_reply(200, {"data": [entry, {}, 7, {"model_name": "x"}, {**entry, "model_info": {"id": "2"}}]})
    )

    assert [(one.deployment_id, one.model_id) for one in found] == [("1", "a"), ("2", None)]
    assert deployments_of(a_reply(403)) == deployments_of(FAULT) == ()


def test_reached():
    """An answer with a provider's traces reached one, whatever its status."""
    assert is_reached(a_completion("x"))
    assert not is_reached(a_reply(403))
    assert not is_reached(FAULT)


def test_key_refused():
    """Not every 403 is about the key."""
    assert is_key_refused(a_reply(401))
    assert is_key_refused(a_reply(400, {"error": {"type": "no_db_connection", "message": "No connected db."}}))
    assert not is_key_refused(a_reply(403, {"error": {"code": "evalkit_ineligible", "message": "permission"}}))
    assert not is_key_refused(a_reply(500))
    assert not is_key_refused(FAULT)


def test_lets_through():
    """A limit or a fault behind it shows that the key was taken."""
    assert lets_through(a_completion("x"))
    assert lets_through(a_reply(429))
    assert lets_through(a_reply(503))
    assert not lets_through(a_reply(403, {"error": {"message": "no"}}))
    assert not lets_through(FAULT)
    assert not lets_through(None)


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        ([Held.HELD, Held.TOLD], 0),
        ([Held.HELD, Held.UNKNOWN], 3),
        ([Held.UNKNOWN, Held.BROKEN], 1),
        ([], 0),
    ],
)
def test_exit_code(verdicts, code):
    """Broken before unknown before held; what is only told changes nothing."""
    findings = [Finding(probe="p", sent="s", came_back="c", verdict=verdict) for verdict in verdicts]

    assert probing_exit_code(findings) == code
