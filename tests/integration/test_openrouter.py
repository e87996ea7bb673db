"""Whole runs through `kind: openrouter`, against a server that speaks as OpenRouter is documented to.

Every request is held against the models of OpenRouter's own SDK. These ignore keys they do not know and take any
word for an enumeration, so what was parsed is written out again and must be what was sent.
"""

from __future__ import annotations

import json

import pytest
import yaml
from openrouter.components import ChatRequest, ChatResult
from openrouter.types import BaseModel, UnrecognizedStr

from evalkit.api.deciding import decide, publish
from evalkit.domain.outcome import IdentityClass, Kind
from evalkit.domain.verdict import ReasonCode, Status
from evalkit.errors import InputError

N = 12
FEW = 5
"""The fewest cases the gate can be passed with."""
GATEWAY = {"kind": "openrouter", "api_key_env": "GATEWAY_KEY"}
CAPABLE = {"structured": "json_schema", "tools": True}


def model(model_id, route, host=None, **fields):
    """Return a roster entry."""
    return {"id": model_id, "route": route, "host": host, "capabilities": CAPABLE, **fields}


DIRECT = model("direct", "openai/gpt-4o-2024-08-06", "openai")
OWN_KEY = model("own-key", "anthropic/claude-sonnet-4.5", "anthropic")
SWAPPED = model("swapped", "meta-llama/llama-3.1-70b-instruct", "deepinfra", quantization="fp8")
SHAKY = model("shaky", "mistralai/mistral-small-24b-instruct-2501", "mistral")
STREAMED = model("streamed", "openai/gpt-4o-mini", adapt={"extra_body": {"stream": True}})


def differences(sent, parsed, path=""):
    """Return where what a model of the SDK understood is not what was sent."""
    if isinstance(sent, dict) and isinstance(parsed, dict):
        lost = [f"{path}/{name}" for name in sent.keys() - parsed.keys()]
        both = sent.keys() & parsed.keys()
        return lost + [found for name in both for found in differences(sent[name], parsed[name], f"{path}/{name}")]
    if isinstance(sent, list) and isinstance(parsed, list) and len(sent) == len(parsed):
        pairs = enumerate(zip(sent, parsed, strict=True))
        return [found for i, (one, other) in pairs for found in differences(one, other, f"{path}/{i}")]
    return [] if sent == parsed else [path]


def unknown_words(value):
    """Return the words that stand where the SDK knows an enumeration, and are none of it."""
    if isinstance(value, UnrecognizedStr):
        return [str(value)]
    if isinstance(value, BaseModel):
        return [word for name in type(value).model_fields for word in unknown_words(getattr(value, name))]
    return [word for one in value for word in unknown_words(one)] if isinstance(value, list) else []


def complaints(body):
    """Return what the SDK's model of a chat request does not know of a body."""
    request = ChatRequest.model_validate(body)
    return sorted(differences(body, request.model_dump(by_alias=True, mode="json"))) + unknown_words(request)


@pytest.fixture
def a_router(dialects):
    """Give a function: OpenRouter with a habit for each model that is named."""

    def build(**habits):
        known = {one["id"]: one["route"] for one in (DIRECT, OWN_KEY, SWAPPED, SHAKY, STREAMED)}
        by_route = {known[name.replace("_", "-")]: steps for name, steps in habits.items()}
        return dialects.OpenRouter("sk-or-v1-" + "0" * 32, by_route)

    return build


# --- the check itself


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({}, []),
        ({"num_retries": 0}, ["/num_retries"]),
        ({"provider": {"only": ["x"], "alow_fallbacks": False}}, ["/provider/alow_fallbacks"]),
        ({"provider": {"quantizations": ["fp7"]}}, ["/provider/quantizations", "fp7"]),
        ({"plugins": [{"id": "response-healing", "enable": False}]}, ["/plugins/0/enable"]),
    ],
)
def test_the_check_sees_what_the_sdk_lets_pass(change, complaint):
    """A misspelt key or word is ignored by the SDK and found by us: the check below means something."""
    assert complaints({"model": "a/b", "messages": [{"role": "user", "content": "x"}], **change}) == complaint


def test_the_server_speaks_the_sdks_language(a_project, a_router, measured):
    """The double's own answers are chat results of the SDK, save what is seen and not in its schema."""
    router = a_router(direct=["plain"], own_key=["own_key"], swapped=["other_model"])
    measured(a_project(FEW, models=[DIRECT, OWN_KEY, SWAPPED], gateway=GATEWAY), router)
    assert len(router.answers) == 3 * FEW
    for answer in router.answers:
        parsed = ChatResult.model_validate(answer)
        lost = differences(answer, parsed.model_dump(by_alias=True, mode="json"))
        assert sorted(lost) == ["/choices/0/native_finish_reason", "/provider"]
        assert not unknown_words(parsed)


# --- runs


def test_an_honest_model_is_attested_and_priced(a_project, a_router, measured, tmp_path):
    """One request a case; identity from the record, cost from the usage, host as pinned; the file says attested."""
    router = a_router(direct=["plain"])
    run = measured(a_project(N, models=[DIRECT], gateway=GATEWAY), router)
    assert len(router.bodies) == N
    for outcome in run.of("direct"):
        assert (outcome.kind, outcome.identity.identity_class) == (Kind.OK, IdentityClass.ATTESTED)
        assert outcome.identity.provider == "OpenAI"
        assert (outcome.cost.usd, outcome.cost.source) == (0.0003, "gateway")
        assert outcome.flags == ("finish_native",)
    assert run.verdict("direct").status is Status.ELIGIBLE
    assert decide(run.project).verdicts == run.result.decision.verdicts
    document = publish(run.project, tmp_path / "eligibility.json").document
    assert document["models"]["direct"]["identity"] == "attested"
    assert [candidate["model"] for candidate in document["tasks"]["sums"]["candidates"]] == ["direct"]


def test_an_own_keys_cost_is_fee_and_bill(a_project, a_router, measured):
    """With a key of one's own `cost` is OpenRouter's fee alone; the provider's bill is added."""
    run = measured(a_project(FEW, models=[OWN_KEY], gateway=GATEWAY), a_router(own_key=["own_key"]))
    assert [outcome.cost.usd for outcome in run.outcomes] == [pytest.approx(0.00031)] * FEW


def test_another_model_is_void(a_project, a_router, measured):
    """A fallback is `substituted_model`, never asked again, never scored, and drops nothing into the file."""
    router = a_router(swapped=["other_model"], direct=["plain"])
    run = measured(a_project(N, models=[SWAPPED, DIRECT], gateway=GATEWAY), router)
    assert router.n_requests(SWAPPED["route"]) == N
    for outcome in run.of("swapped"):
        assert (outcome.kind, outcome.identity.identity_class) == (Kind.SUBSTITUTED_MODEL, IdentityClass.SUBSTITUTED)
        assert outcome.identity.served_model == "google/gemini-2.5-flash"
        assert {"model_substituted", "gateway_fell_back"} <= set(outcome.flags)
        assert outcome.is_missing
    verdict = run.verdict("swapped")
    assert verdict.status is not Status.ELIGIBLE
    assert ReasonCode.SUBSTITUTED_MODEL in {reason.code for reason in verdict.reasons}
    assert run.verdict("direct").status is Status.ELIGIBLE


def test_faults_of_the_infrastructure_are_tried_again(a_project, a_router, measured):
    """An error under 200 and credit in flight cost an attempt; the third answers, behind comments."""
    router = a_router(shaky=["late_error", "in_flight", "kept_alive"])
    run = measured(a_project(FEW, models=[SHAKY], gateway=GATEWAY), router)
    assert len(router.bodies) == 3 * FEW
    for outcome in run.outcomes:
        assert [attempt.kind for attempt in outcome.attempts] == [Kind.PROVIDER_ERROR, Kind.RATE_LIMITED, Kind.OK]
        assert [attempt.status for attempt in outcome.attempts] == [200, 402, 200]
        assert outcome.identity.identity_class is IdentityClass.ATTESTED
        assert outcome.cost.usd == pytest.approx(0.0003)


def test_a_rate_limit_is_waited_for(a_project, a_router, measured):
    """A 429 with a hint is tried again, and its number in the body is no trouble."""
    run = measured(a_project(FEW, models=[SHAKY], gateway=GATEWAY), a_router(shaky=["too_fast", "plain"]))
    assert [[attempt.kind for attempt in outcome.attempts] for outcome in run.outcomes] == [
        [Kind.RATE_LIMITED, Kind.OK]
    ] * FEW


def test_an_empty_account_is_not_asked_again(a_project, a_router, measured):
    """The other 402 stays: one attempt, missing, no evidence against the model."""
    router = a_router(shaky=["no_credit"], direct=["plain"])
    run = measured(a_project(FEW, models=[SHAKY, DIRECT], gateway=GATEWAY), router)
    assert {outcome.kind for outcome in run.of("shaky")} == {Kind.QUOTA_EXHAUSTED}
    assert all(len(outcome.attempts) == 1 for outcome in run.of("shaky"))
    assert run.verdict("shaky").status is Status.UNDECIDED


def test_a_stream_that_breaks_is_tried_again(a_project, a_router, measured):
    """An event with an error voids what was streamed; the next stream is read with record, usage and cost."""
    router = a_router(streamed=["broken_stream", "streamed"])
    run = measured(a_project(FEW, models=[STREAMED], gateway=GATEWAY), router)
    assert not [found for body in router.bodies for found in complaints(body)]
    for outcome in run.outcomes:
        assert [attempt.kind for attempt in outcome.attempts] == [Kind.STREAM_ERROR, Kind.OK]
        assert {"stream", "sse_comments"} <= set(outcome.flags)
        assert outcome.identity.identity_class is IdentityClass.ATTESTED
        assert outcome.cost.usd == pytest.approx(0.0003)
        assert outcome.timings.ttft_s is not None


# --- requests


def write_suite(root, name, **suite):
    """Write one more suite of the task into a project."""
    content = {
        "version": 1, "name": name, "task": "sums", "primary": "exact", "scorers": ["exact"],
        "gates": [{"metric": "exact", "at_least": 0.1}],
        "cases": [{"id": f"{name}-{i}", "vars": {"a": i, "b": 2}, "expected": str(i + 2)} for i in range(FEW)],
        **suite,
    }  # fmt: skip
    path = root / "suites" / name / "suite.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


PROMPT = "What is {{ a }} plus {{ b }}?"
SCHEMA = {"type": "object", "properties": {"sum": {"type": "integer"}}, "required": ["sum"]}
TOOL = {"name": "add", "description": "Adds.", "parameters": SCHEMA}


def a_wide_project(a_project, models):
    """Return a project that sends every part a request can have."""
    root = a_project(FEW, models=models, gateway=GATEWAY)
    shaped = {"schema": SCHEMA, "modes": ["json_schema"]}
    write_suite(root, "shaped", request={"system": "You add.", "prompt": PROMPT, "response": shaped, "temperature": 0})
    write_suite(root, "object", request={"prompt": PROMPT, "response": {"schema": SCHEMA, "modes": ["json_object"]}})
    turns = [{"user": PROMPT, "tool_results": {"add": 3}}, {"user": f"Again: {PROMPT}"}]
    write_suite(root, "tooled", request={"tools": [TOOL], "turns": turns, "response": {"modes": ["tools"]}})
    policy = {"version": 1, "tasks": {"sums": {"max_candidates": 2}}}
    (root / "policy.yaml").write_text(yaml.safe_dump(policy), encoding="utf-8")
    return root


def test_every_request_is_one_the_sdk_knows(a_project, a_router, measured):
    """Modes, tools, turns, pins and extras: nothing misspelt, nothing unknown, nothing that is silently dropped."""
    own = {"extra_body": {"provider": {"data_collection": "deny"}, "reasoning": {"effort": "low"}, "seed": 1}}
    bent = {"max_tokens_field": "max_completion_tokens", "system_role": "developer"}
    models = [DIRECT, SWAPPED | {"adapt": own}, SHAKY | {"adapt": bent}]
    router = a_router(direct=["plain"], swapped=["plain"], shaky=["plain"])
    measured(a_wide_project(a_project, models), router)
    assert {body["model"] for body in router.bodies} == {one["route"] for one in models}
    assert {"json_schema", "json_object"} <= {body.get("response_format", {}).get("type") for body in router.bodies}
    assert any("tools" in body for body in router.bodies)
    roles = {message["role"] for body in router.bodies for message in body["messages"]}
    assert roles == {"system", "developer", "user", "assistant", "tool"}
    assert not [found for body in router.bodies for found in complaints(body)]


def test_every_request_is_pinned(a_project, a_router, measured):
    """One model, one host, no fallback, no repair; the key as bearer token, and the record asked for."""
    router = a_router(direct=["plain"], swapped=["plain"])
    measured(a_wide_project(a_project, [DIRECT, SWAPPED]), router)
    for body in router.bodies:
        assert "models" not in body
        assert body["provider"]["allow_fallbacks"] is False
        assert body["provider"]["require_parameters"] is True
        assert len(body["provider"]["only"]) == 1
        assert {plugin["id"]: plugin["enabled"] for plugin in body["plugins"]} == {
            "context-compression": False,
            "response-healing": False,
        }
    hosts = {body["model"]: json.dumps(body["provider"]["order"]) for body in router.bodies}
    assert hosts == {DIRECT["route"]: '["openai"]', SWAPPED["route"]: '["deepinfra"]'}
    assert {header["X-OpenRouter-Metadata"] for header in router.headers} == {"enabled"}


def test_a_moving_route_is_refused_before_anything_is_sent(a_project, a_router, measured):
    """The message names the file, the model and the route; the other model is not asked either."""
    router = a_router(direct=["plain"])
    moving = model("any", "openrouter/auto")
    with pytest.raises(InputError, match=r"roster\.yaml: /models/any: model 'any' asks OpenRouter for"):
        measured(a_project(FEW, models=[DIRECT, moving], gateway=GATEWAY), router)
    assert router.bodies == []
