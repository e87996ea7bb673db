"""Judging probes: each way an answer can come back, and what may be said of the model for it."""

from __future__ import annotations

import json

import pytest

from evalkit.domain.outcome import CACHED, Attempt, Kind, Reading, ToolCall, Turn
from evalkit.pipeline.preflight_probes import FEATURE_PROBES, MAX_CALLS, judge_probes, planned_probes, probe_call
from evalkit.pipeline.spending import most_usd
from evalkit.testing.builders import a_model, an_outcome

MODEL = a_model(capabilities={"structured": "json_schema", "tools": True, "seed": True})


def stamp():
    """Return the answer that satisfies the probe's schema."""
    schema = probe_call("json_schema", MODEL, route="r").parameters.schema
    return json.dumps({"stamp": schema["properties"]["stamp"]["enum"][0]})


def outcome(kind=Kind.OK, text="Paris", *, tool_calls=(), detail="", status=200, flags=()):
    """Return the outcome of a probe."""
    reading = Reading(kind=kind, text=text, tool_calls=tool_calls, finish_reason="stop", status=status, detail=detail)
    attempt = Attempt(kind=kind, status=status, cost_usd=0.001, detail=detail)
    return an_outcome(kind=kind, flags=flags, turns=(Turn(reading=reading),), attempts=(attempt,))


def judged(probe, seen, *, model=MODEL, **others):
    """Return the check of a probe whose outcome is `seen`, after a plain answer."""
    found = judge_probes(model, {"plain": outcome(), **others, probe: seen}, route="r")
    return next(check for check in found.checks if check.name == probe)


@pytest.mark.parametrize("probe", FEATURE_PROBES)
@pytest.mark.parametrize("kind", [Kind.REQUEST_REJECTED, Kind.MODEL_UNAVAILABLE])
def test_refusal_after_an_answer_is_of_the_feature(probe, kind):
    """A router that finds no endpoint for a parameter says 404: the route was there a moment ago."""
    check = judged(probe, outcome(kind, None, detail="No endpoints found", status=404))

    assert (check.observed, check.status) == ("rejected", "not_honoured")
    assert check.detail == f"{kind}: No endpoints found"


@pytest.mark.parametrize(
    "kind", [Kind.RATE_LIMITED, Kind.TIMEOUT, Kind.PROVIDER_ERROR, Kind.AUTH_ERROR, Kind.QUOTA_EXHAUSTED]
)
@pytest.mark.parametrize("probe", FEATURE_PROBES)
def test_fault_is_no_verdict(probe, kind):
    """Whatever happened on the way, nothing is known of the model."""
    assert judged(probe, outcome(kind, None, status=500)).status == "unknown"


@pytest.mark.parametrize("kind", [Kind.TRUNCATED, Kind.REFUSAL, Kind.SAFETY_BLOCK, Kind.EMPTY])
@pytest.mark.parametrize("probe", ["json_schema", "json_object", "tools"])
def test_no_answer_to_look_at(probe, kind):
    """A refusal, a block or half an answer shows neither that the feature works nor that it does not."""
    assert judged(probe, outcome(kind, None)).status == "unknown"


@pytest.mark.parametrize("probe", FEATURE_PROBES)
def test_a_cached_answer_shows_nothing(probe):
    """What a cache holds may be right, and no model was asked for it."""
    check = judged(probe, outcome(text=stamp(), flags=(CACHED,)))

    assert (check.observed, check.detail) == ("unseen", "the gateway's cache answered: no model was asked")


def test_a_cached_plain_answer_is_unknown_and_no_fault():
    """The gateway is there; whether the model is, nobody knows."""
    found = judge_probes(MODEL, {"plain": outcome(flags=(CACHED,))}, route="r")

    assert {check.status for check in found.checks} == {"unknown"}
    assert found.checks[0].detail == "the gateway's cache answered: no model was asked"
    assert (found.facts, found.last_fault) == (None, None)


def test_truncated_names_the_cap():
    """Reasoning models spend 64 tokens before they say anything."""
    assert judged("tools", outcome(Kind.TRUNCATED, None)).detail == "truncated: the answer did not fit into 64 tokens"


@pytest.mark.parametrize("kind", [Kind.TRUNCATED, Kind.EMPTY, Kind.REFUSAL])
def test_any_completion_shows_that_a_parameter_is_taken(kind):
    """For seed and temperature it does not matter what was answered."""
    assert judged("seed", outcome(kind, None)).observed == "accepted"
    answer, temperature = judge_probes(MODEL, {"plain": outcome(kind, None)}, route="r").checks[:2]
    assert (answer.observed, answer.detail, temperature.observed) == ("answered", str(kind), "accepted")


@pytest.mark.parametrize(("text", "said"), [("Paris", "same answer"), ("Paris.", "another answer")])
def test_seed_compares_two_answers(text, said):
    """Equal or not is reported; one pair cannot show whether the seed did it."""
    check = judged("seed", outcome(text=text))

    assert (check.status, check.detail) == ("confirmed", said)


@pytest.mark.parametrize(
    ("text", "observed", "detail"),
    [
        (stamp(), "honoured", ""),
        (f"<think>hm</think>\n{stamp()}", "honoured", ""),
        (f"```json\n{stamp()}\n```", "honoured", "inside a fence"),
        (f"Here you are: {stamp()}", "ignored", None),
        ('{"stamp": "something"}', "ignored", None),
        (stamp().replace("}", ', "more": 1}'), "ignored", None),
        ("Paris", "ignored", "answered 'Paris'"),
    ],
)
def test_json_schema(text, observed, detail):
    """Only an answer that validates shows that the schema was obeyed."""
    check = judged("json_schema", outcome(text=text))

    assert check.observed == observed
    assert detail is None or check.detail == detail


@pytest.mark.parametrize("kind", [Kind.SCHEMA_VIOLATION, Kind.TOOL_CALL_MALFORMED])
def test_server_says_the_model_failed(kind):
    """The feature is there and did not come off: declared, it is not honoured."""
    check = judged("json_schema", outcome(kind, None, detail="failed to generate JSON", status=400))

    assert (check.observed, check.status) == ("failed", "not_honoured")


@pytest.mark.parametrize(
    ("text", "observed"),
    [
        ('{"a": 1}', "honoured"),
        ('\n{"a": 1}', "honoured"),
        ('```json\n{"a": 1}\n```', "ignored"),
        ("[1]", "ignored"),
        ("Paris", "ignored"),
    ],
)
def test_json_object(text, observed):
    """JSON mode sends the bare object: a fence comes from the prompt's words alone."""
    assert judged("json_object", outcome(text=text)).observed == observed


@pytest.mark.parametrize(
    ("calls", "observed"),
    [
        ([("read_water_gauge", '{"gauge": "K-117"}')], "honoured"),
        ([("other", "{}"), ("read_water_gauge", '{"gauge": "K-117"}')], "honoured"),
        ([("read_water_gauge", "{}")], "failed"),
        ([("read_water_gauge", "K-117")], "failed"),
        ([("read_water_gauge", "")], "failed"),
        ([("get_level", '{"gauge": "K-117"}')], "failed"),
        ([], "ignored"),
    ],
)
def test_tool_call(calls, observed):
    """The right tool with arguments of the right shape, or it did not come off."""
    tool_calls = tuple(ToolCall(name=name, arguments=arguments) for name, arguments in calls)

    assert judged("tools", outcome(tool_calls=tool_calls)).observed == observed


def test_what_a_model_says_is_cut():
    """A detail quotes a little of an answer, however long it is."""
    calls = (ToolCall(name="x" * 9000, arguments="y" * 9000),)

    assert len(judged("tools", outcome(tool_calls=calls)).detail) < 250
    assert len(judged("json_object", outcome(text="z" * 9000)).detail) < 120


def test_swap_in_a_later_probe_counts():
    """One swapped answer makes the model ineligible in a run: so it does here."""
    swapped = outcome(Kind.SUBSTITUTED_MODEL, None, detail="asked for r, answered by q")
    found = judge_probes(MODEL, {"plain": outcome(), "seed": outcome(), "tools": swapped}, route="r")

    assert (found.checks[0].observed, found.checks[0].status) == ("substituted", "not_honoured")
    assert found.facts is None


def test_route_that_is_not_there():
    """Refused with and without temperature as unknown: that is the route, and no verdict on the model."""
    gone = outcome(Kind.MODEL_UNAVAILABLE, None, status=404)
    found = judge_probes(MODEL, {"plain": gone, "bare": gone}, route="r")

    assert {check.status for check in found.checks} == {"unknown"}
    assert found.last_fault is Kind.MODEL_UNAVAILABLE


@pytest.mark.parametrize(("declares", "honours"), [("json_object", True), ("none", False)])
def test_weaker_mode_is_not_declared_by_the_stronger(declares, honours):
    """A model that declares JSON mode does not declare schemas: there a refusal confirms the roster."""
    model = a_model(capabilities={"structured": declares})
    refused = outcome(Kind.REQUEST_REJECTED, None, status=400)

    assert judged("json_schema", refused, model=model).status == "confirmed"
    assert (judged("json_object", refused, model=model).status == "not_honoured") is honours


def test_planned_cost():
    """Expected at half the cap; at most includes the spare request at the price of the dearest."""
    calls = [probe_call(probe, MODEL, route="r") for probe in ("plain", *FEATURE_PROBES)]
    most = [most_usd(call, MODEL.price) for call in calls]
    planned = planned_probes(MODEL, route="r")

    prompt = sum(call.script.n_prompt_tokens for call in calls)
    assert (planned.n_calls, planned.max_calls) == (5, MAX_CALLS)
    assert planned.usd_expected == pytest.approx((prompt * 2.5 + 5 * 32 * 10) / 1e6)
    assert planned.usd_at_most == pytest.approx(sum(most) + max(most))


def test_planned_cost_without_a_price():
    """Unknown is not free."""
    planned = planned_probes(a_model(price=None), route="r")

    assert (planned.usd_expected, planned.usd_at_most) == (None, None)


def test_seed_keeps_the_models_own_extras():
    """What the roster merges into the body stays."""
    model = a_model(adapt={"extra_body": {"top_k": 3}})

    assert probe_call("seed", model, route="r").adapt.extra_body == {"top_k": 3, "seed": 7}
    assert model.adapt.extra_body == {"top_k": 3}
