"""How good the evidence of identity can get: what the profile says, and what the probe's refusal says."""

from __future__ import annotations

import asyncio
import json

import pytest

from evalkit.domain.outcome import IdentityClass, Kind
from evalkit.domain.policy import Policy
from evalkit.pipeline.reach import identity_reach, known_reach, shortfall, unmet_tasks
from evalkit.plugins import Fault, IdentityProbe, Profile, Reply

PROBE = IdentityProbe(
    route="evalkit/identity-probe",
    headers={"x-evalkit-probe": "identity"},
    is_proof=lambda reply: reply.status == 403 and b"evalkit_probe" in reply.body,
)
JSON = {"content-type": "application/json"}


def refusal(status, message, code=None):
    """Return a JSON error."""
    body = {"error": {"message": message, "type": "error", "code": code}}
    return Reply(status=status, headers=JSON, body=json.dumps(body).encode(), latency_s=0.1)


def completion(model):
    """Return an answer."""
    choice = {"index": 0, "message": {"content": "hi"}, "finish_reason": "stop"}
    return Reply(
        status=200, headers=JSON, body=json.dumps({"model": model, "choices": [choice]}).encode(), latency_s=0.1
    )


@pytest.fixture
def reach(scripted):
    """Give a function: the reach through a gateway that answers so, and what it was asked."""

    def _reach(answer=None, **profile):
        gateway = scripted(lambda _request: answer, **profile)
        return asyncio.run(identity_reach(gateway, timeout_s=3)), gateway.requests

    return _reach


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        ({"attests": True, "model_field": "echo", "identity_probe": PROBE}, "attested"),
        ({"attests": True}, "attested"),
        ({"model_field": "upstream"}, "self_reported"),
        ({"model_field": "echo"}, "unverifiable"),
    ],
)
def test_known_without_asking(reach, profile, expected):
    """What the profile settles costs no request."""
    found, requests = reach(**profile)

    assert (found, requests) == (expected, [])
    assert known_reach(Profile(kind="x", **profile)) == expected


def test_probe_is_proof(reach):
    """The callback's own refusal: attested, whatever the model field says; one request, clean-room switches and all."""
    answer = refusal(403, "evalkit_probe: identity", "evalkit_probe")
    found, (request,) = reach(answer, model_field="echo", identity_probe=PROBE, extra_body={"disable_fallbacks": True})

    body = json.loads(request.body)
    assert found is IdentityClass.ATTESTED
    assert (body["model"], body["max_tokens"], body["disable_fallbacks"]) == (PROBE.route, 1, True)
    assert request.headers == PROBE.headers
    assert request.timeout_s == 3


@pytest.mark.parametrize(
    "answer",
    [
        refusal(400, "Invalid model name passed in model=evalkit/identity-probe. Call `/v1/models`"),
        refusal(404, "The model `evalkit/identity-probe` does not exist", "model_not_found"),
        Reply(
            status=400,
            headers=JSON,
            body=rb'{"error":{"message":"Invalid model name evalkit\/identity-probe"}}',
            latency_s=0.1,
        ),
        completion("evalkit/identity-probe"),
        completion("gpt-4o"),
    ],
)
@pytest.mark.parametrize(("model_field", "expected"), [("echo", "unverifiable"), ("upstream", "self_reported")])
def test_answers_that_say_no(reach, answer, model_field, expected):
    """The gateway refused that model by name, or somebody answered: there is no callback."""
    assert reach(answer, model_field=model_field, identity_probe=PROBE)[0] == expected


@pytest.mark.parametrize(
    "answer",
    [
        Fault(kind=Kind.CONNECTION, detail="connection refused", latency_s=0.1),
        Fault(kind=Kind.TIMEOUT, detail="no whole answer in time", latency_s=3.0),
        refusal(401, "Incorrect API key provided"),
        refusal(400, "No connected db.", "no_db_connection"),
        refusal(403, "key not allowed to access model. Tried to access evalkit/identity-probe"),
        refusal(404, "Not Found"),
        Reply(status=404, headers={}, body=b"<html>404 page not found</html>", latency_s=0.1),
        Reply(status=302, headers={"location": "/login"}, body=b"", latency_s=0.1),
        Reply(status=500, headers={}, body=b"Internal Server Error", latency_s=0.1),
        refusal(429, "Rate limit reached"),
        refusal(503, "evalkit/identity-probe is overloaded"),
        Reply(status=200, headers=JSON, body=b"{}", latency_s=0.1),
    ],
    ids=lambda answer: getattr(answer, "detail", None) or f"{answer.status} {answer.body[:40]!r}",
)
@pytest.mark.parametrize("model_field", ["echo", "upstream"])
def test_answers_that_say_nothing(reach, answer, model_field):
    """A dead gateway, a wrong key, a wrong address or a bad moment is not a gateway that proves too little."""
    assert reach(answer, model_field=model_field, identity_probe=PROBE)[0] is None


POLICY = Policy.model_validate(
    {
        "version": 1,
        "defaults": {"min_identity": "self_reported"},
        "tasks": {"plain": {}, "strict": {"min_identity": "attested"}, "lax": {"min_identity": "unverifiable"}},
    }
)


@pytest.mark.parametrize(
    ("reach_", "unmet"),
    [
        (IdentityClass.ATTESTED, []),
        (IdentityClass.SELF_REPORTED, ["strict"]),
        (IdentityClass.UNVERIFIABLE, ["plain", "strict"]),
    ],
)
def test_unmet_tasks(reach_, unmet):
    """A task is met by what it asks for, or by better."""
    found = unmet_tasks(POLICY, ["plain", "lax", "strict", "plain"], reach=reach_)

    assert [one.task for one in found] == unmet


def test_shortfall_names_kind_reach_needs_and_ways_out():
    """Better evidence comes first, asking for less last."""
    profile = Profile(kind="litellm", model_field="echo", identity_cure="add the callback")
    reach_ = IdentityClass.UNVERIFIABLE
    problem, next_step = shortfall(profile, unmet_tasks(POLICY, POLICY.tasks, reach=reach_), reach=reach_)

    assert problem == (
        "answers through gateway kind 'litellm' are at most unverifiable, and tasks need more: "
        "plain (self_reported), strict (attested)"
    )
    assert next_step.startswith("add the callback; or `gateway.model_field: upstream`, when the gateway passes on")
    assert next_step.endswith("; or `min_identity: unverifiable` in the policy for these tasks")


def test_shortfall_of_a_self_reporting_gateway():
    """Where the name is passed on already, saying so again is no way out."""
    reach_ = IdentityClass.SELF_REPORTED
    _, next_step = shortfall(Profile(kind="openai"), unmet_tasks(POLICY, POLICY.tasks, reach=reach_), reach=reach_)

    assert next_step == "`min_identity: self_reported` in the policy for these tasks"
