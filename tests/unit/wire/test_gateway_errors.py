"""Errors as gateways put them: whose doing they are decides whether coming back helps and who is to blame."""

from __future__ import annotations

import json

import pytest

from evalkit.domain.outcome import RETRYABLE, IdentityClass, Kind
from evalkit.wire.response import Asked, read_response


def read(status, body, *, headers=None, **asked):
    """Read an answer whose body is a value (sent as JSON) or text (sent as it is)."""
    raw = body if isinstance(body, str) else json.dumps(body)
    return read_response(status, headers or {}, raw.encode(), asked=Asked(**{"route": "gpt-4o", **asked}))


def origins(reading):
    """Return the flags that say whose refusal it was."""
    return {flag for flag in reading.flags if flag.startswith("origin:")}


def litellm(message, *, code, kind=None, **fields):
    """Return LiteLLM's error: its code is the status, as text."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code, **fields}}


def openrouter(code, message, **metadata):
    """Return OpenRouter's error: its code is a number."""
    return {"error": {"code": code, "message": message, "metadata": metadata}, "user_id": "user_1"}


COOLDOWN = litellm(
    "No deployments available for selected model, Try again in 5 seconds. Passed model=gpt-4o",
    code="429",
    kind="None",
)
UPSTREAM_429 = litellm(
    "litellm.RateLimitError: RateLimitError: OpenAIException - slow down", code="429", kind="throttling_error"
)
CROSSED = litellm("Budget error: deployment d1 crossed budget: 0.1 > 0", code="429", kind="internal_server_error")
NO_DATABASE = litellm("No connected db.", code="400", kind="no_db_connection")
IN_FLIGHT = openrouter(402, "Settle first", limit_source="openrouter_in_flight_budget")
INELIGIBLE = {"message": "no model of this task is eligible", "type": "permission_error", "code": "evalkit_ineligible"}

ROWS = [
    # LiteLLM
    (429, UPSTREAM_429, Kind.RATE_LIMITED, set()),
    (429, COOLDOWN, Kind.RATE_LIMITED, {"origin:gateway_cooldown"}),
    (429, CROSSED, Kind.QUOTA_EXHAUSTED, {"origin:gateway_budget"}),
    (400, NO_DATABASE, Kind.AUTH_ERROR, set()),
    (400, litellm("Invalid model name passed in model=x", code="400"), Kind.MODEL_UNAVAILABLE, set()),
    (401, litellm("Authentication Error, Invalid proxy server token", code="401"), Kind.AUTH_ERROR, set()),
    (
        408,
        litellm("litellm.Timeout: APITimeoutError - Request timed out.", code="408", kind="invalid_request_error"),
        Kind.TIMEOUT,
        set(),
    ),
    (500, "Internal Server Error", Kind.PROVIDER_ERROR, set()),
    (
        500,
        litellm("litellm.APIConnectionError: TypeError - 'NoneType' object is not iterable", code="500"),
        Kind.PROVIDER_ERROR,
        set(),
    ),
    (403, {"error": INELIGIBLE}, Kind.AUTH_ERROR, {"origin:gateway_ineligible"}),
    (
        403,
        litellm("not eligible", code="403", kind="permission_error", provider_specific_fields={"error": INELIGIBLE}),
        Kind.AUTH_ERROR,
        {"origin:gateway_ineligible"},
    ),
    # Portkey
    (
        400,
        {"status": "failure", "message": "Either x-portkey-config or x-portkey-provider header is required"},
        Kind.REQUEST_REJECTED,
        set(),
    ),
    (
        500,
        {"status": "failure", "message": "Query router did not resolve to any valid target"},
        Kind.AUTH_ERROR,
        {"origin:gateway_ineligible"},
    ),
    (
        429,
        {
            "error": {
                "message": "openai error: You exceeded your current quota",
                "type": "insufficient_quota",
                "param": None,
                "code": "insufficient_quota",
            },
            "provider": "openai",
        },
        Kind.QUOTA_EXHAUSTED,
        set(),
    ),
    (
        408,
        {
            "error": {
                "message": "Request exceeded the timeout sent in the request: 5000ms",
                "type": "timeout_error",
                "param": None,
                "code": None,
            }
        },
        Kind.TIMEOUT,
        set(),
    ),
    (
        446,
        {"error": {"message": "The guardrail checks failed", "type": "hooks_failed"}},
        Kind.SAFETY_BLOCK,
        {"origin:gateway_guardrail"},
    ),
    # OpenRouter
    (400, openrouter(400, "Provider returned error", provider_name="X", raw="bad"), Kind.REQUEST_REJECTED, set()),
    (401, openrouter(401, "No auth credentials found"), Kind.AUTH_ERROR, set()),
    (402, openrouter(402, "Insufficient credits"), Kind.QUOTA_EXHAUSTED, set()),
    (
        402,
        openrouter(402, "This request would exceed it", limit_source="openrouter_credits"),
        Kind.QUOTA_EXHAUSTED,
        set(),
    ),
    (402, IN_FLIGHT, Kind.RATE_LIMITED, {"origin:gateway_in_flight"}),
    (
        403,
        openrouter(403, "Rejected", limit_source="openrouter_guardrail_budget"),
        Kind.QUOTA_EXHAUSTED,
        {"origin:gateway_budget"},
    ),
    (
        403,
        openrouter(403, "Rejected", limit_source="openrouter_key_limit"),
        Kind.QUOTA_EXHAUSTED,
        {"origin:gateway_budget"},
    ),
    (403, openrouter(403, "Your input was flagged", reasons=["violence"]), Kind.SAFETY_BLOCK, set()),
    (404, openrouter(404, "No endpoints found that match your request"), Kind.MODEL_UNAVAILABLE, set()),
    (408, openrouter(408, "Your request timed out"), Kind.TIMEOUT, set()),
    (429, openrouter(429, "Rate limit exceeded", headers={"X-RateLimit-Remaining": "0"}), Kind.RATE_LIMITED, set()),
    (502, openrouter(502, "Provider returned error"), Kind.PROVIDER_ERROR, set()),
    (503, openrouter(503, "No available provider meets your routing needs"), Kind.PROVIDER_OVERLOADED, set()),
    (524, openrouter(524, "Infrastructure timed out"), Kind.TIMEOUT, set()),
    (529, openrouter(529, "Provider overloaded"), Kind.PROVIDER_OVERLOADED, set()),
    # The same after an answer had begun: the status is a success, the body's number is what it was.
    (200, openrouter(429, "Rate limit exceeded"), Kind.RATE_LIMITED, set()),
    (200, openrouter(502, "Upstream connection lost"), Kind.PROVIDER_ERROR, set()),
    (200, IN_FLIGHT, Kind.RATE_LIMITED, {"origin:gateway_in_flight"}),
    # TokenMix names these statuses and no fields
    (400, {"error": {"message": "bad request"}}, Kind.REQUEST_REJECTED, set()),
    (401, {"error": {"message": "bad key"}}, Kind.AUTH_ERROR, set()),
    (402, {"error": {"message": "wallet is empty"}}, Kind.QUOTA_EXHAUSTED, set()),
    (429, {"error": {"message": "RPM reached"}}, Kind.RATE_LIMITED, set()),
]


@pytest.mark.parametrize(("status", "body", "kind", "flags"), ROWS)
def test_kind_and_origin(status, body, kind, flags):
    """Each dialect comes out as its kind; a refusal that is the gateway's own is flagged as that."""
    reading = read(status, body)
    assert reading.kind is kind
    assert origins(reading) == flags


def test_what_passes_is_told_from_what_stays():
    """An upstream's limit, a cooldown and credit in flight are tried again; budgets, keys and eligibility are not."""
    passing = [read(429, UPSTREAM_429), read(429, COOLDOWN), read(402, IN_FLIGHT)]
    assert all(reading.kind in RETRYABLE for reading in passing)
    staying = [read(429, CROSSED), read(400, NO_DATABASE), read(403, {"error": INELIGIBLE})]
    assert not any(reading.kind in RETRYABLE for reading in staying)


def test_the_hint_of_the_proxy_and_of_its_upstream():
    """A cooldown says `retry-after`; of the upstream's own hint LiteLLM keeps only a renamed header."""
    assert read(429, COOLDOWN, headers={"retry-after": "5"}).retry_after_s == 5
    assert read(429, UPSTREAM_429, headers={"llm_provider-retry-after": "7"}).retry_after_s == 7


def test_a_guardrail_that_let_the_answer_pass_is_flagged():
    """Portkey's 246 is a success that is not 200: the answer counts."""
    choice = {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
    reading = read(246, {"model": "gpt-4o", "choices": [choice], "hook_results": {}})
    assert reading.kind is Kind.OK
    assert "guardrail_failed" in reading.flags


# --- fallbacks


def completion(model, **top):
    """Return a completion by some model."""
    choice = {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
    return {"model": model, "choices": [choice], **top}


PORTKEY = {"x-portkey-last-used-option-index": "config.targets[1]", "x-portkey-retry-attempt-count": "0"}


def test_a_portkey_fallback_to_another_model_is_substituted():
    """The body carries the upstream's own name, which is not the one that was asked for."""
    reading = read(200, completion("claude-haiku-4-5"), headers=PORTKEY)
    assert reading.kind is Kind.SUBSTITUTED_MODEL
    assert {"gateway_fell_back", "gateway_retries_unknown", "model_substituted"} <= set(reading.flags)


def test_a_portkey_fallback_to_the_same_model_elsewhere_is_flagged():
    """The model is the asked one, so the answer counts; that another target gave it is seen."""
    reading = read(200, completion("gpt-4o-2024-08-06"), headers=PORTKEY)
    assert (reading.kind, reading.identity.identity_class) == (Kind.OK, IdentityClass.SELF_REPORTED)
    assert "gateway_fell_back" in reading.flags


def record(served, *attempts, strategy="direct"):
    """Return OpenRouter's record: the endpoint that was selected, and (model, provider, status) of each attempt."""
    tried = [{"model": model, "provider": provider, "status": status} for model, provider, status in attempts]
    available = [{"model": served, "provider": attempts[-1][1] if attempts else "OpenAI", "selected": True}]
    return {
        "requested": "openai/gpt-4o",
        "strategy": strategy,
        "attempt": len(tried),
        "attempts": tried,
        "endpoints": {"available": available, "total": 1},
    }


def test_an_openrouter_fallback_to_another_model_is_substituted():
    """The record outranks the body: even one that repeats the asked name is found out."""
    tried = ("openai/gpt-4o", "OpenAI", 502), ("google/gemini-2.5-flash", "Google", 200)
    metadata = record("google/gemini-2.5-flash", *tried, strategy="fallback")
    reading = read(200, completion("openai/gpt-4o", openrouter_metadata=metadata), route="openai/gpt-4o")
    assert reading.kind is Kind.SUBSTITUTED_MODEL
    assert "gateway_fell_back" in reading.flags


def test_an_openrouter_fallback_to_another_host_is_flagged():
    """The model is attested; that a second host had to answer is seen, and which."""
    tried = ("openai/gpt-4o", "OpenAI", 502), ("openai/gpt-4o", "Azure", 200)
    reading = read(
        200, completion("openai/gpt-4o", openrouter_metadata=record("openai/gpt-4o", *tried)), route="openai/gpt-4o"
    )
    assert (reading.kind, reading.identity.identity_class) == (Kind.OK, IdentityClass.ATTESTED)
    assert reading.identity.provider == "Azure"
    assert "gateway_fell_back" in reading.flags


def test_an_openrouter_answer_without_a_record_is_self_reported():
    """A proxy in between may drop the header that asks for the record."""
    reading = read(200, completion("openai/gpt-4o", provider="OpenAI"), route="openai/gpt-4o")
    assert reading.identity.identity_class is IdentityClass.SELF_REPORTED
    assert reading.identity.provider == "OpenAI"
