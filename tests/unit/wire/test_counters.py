"""What gateways count about themselves: read, flagged, and never believed further than that."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.domain.outcome import CACHED, Kind
from evalkit.wire.counters import header_flags, route_record_flags
from evalkit.wire.response import Asked, read_response

COMPLETION = {
    "model": "gpt-4o",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7, "cost": 0.25},
}


def read(body, *, status=200, headers=None, **asked):
    """Read an answer of a gateway."""
    raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return read_response(status, headers or {}, raw, asked=Asked(route="gpt-4o", **asked))


@pytest.mark.parametrize(
    ("headers", "flags"),
    [
        ({}, set()),
        ({"x-litellm-attempted-retries": "0", "x-litellm-attempted-fallbacks": "0"}, set()),
        ({"x-litellm-attempted-retries": "2"}, {"gateway_retried"}),
        ({"x-portkey-retry-attempt-count": "1"}, {"gateway_retried"}),
        ({"x-portkey-retry-attempt-count": "-1"}, {"gateway_retried"}),
        ({"x-portkey-retry-attempt-count": "0"}, set()),
        ({"x-portkey-last-used-option-index": "config"}, set()),
        ({"x-portkey-last-used-option-index": "config.targets[0]"}, set()),
        (
            {"x-portkey-last-used-option-index": "config.targets[1].targets[0]"},
            {"gateway_fell_back", "gateway_retries_unknown"},
        ),
        (
            {"x-portkey-last-used-option-index": "config.targets[0].targets[2]"},
            {"gateway_fell_back", "gateway_retries_unknown"},
        ),
        ({"x-portkey-cache-status": "HIT"}, {CACHED}),
        ({"x-portkey-cache-status": "SEMANTIC HIT"}, {CACHED}),
        ({"x-portkey-cache-status": "MISS"}, set()),
        ({"x-portkey-cache-status": "REFRESH"}, set()),
        ({"x-portkey-cache-status": "DISABLED"}, set()),
        ({"x-openrouter-cache-status": "HIT"}, {CACHED}),
        ({"x-litellm-cache-key": "886823f5"}, {CACHED}),
        ({"x-litellm-attempted-retries": "None", "x-portkey-retry-attempt-count": ""}, set()),
        ({"x-litellm-attempted-retries": "9" * 5000}, {"gateway_retried"}),
    ],
)
def test_headers_are_flagged(headers, flags):
    """Each counter has its flag; a counter that is missing or no number says nothing."""
    assert header_flags(headers) == flags


def test_a_fallback_makes_the_retry_counter_worthless():
    """LiteLLM counts no retry where three tries on the first group went before the fallback."""
    flags = header_flags({"x-litellm-attempted-retries": "0", "x-litellm-attempted-fallbacks": "1"})
    assert flags == {"gateway_fell_back", "gateway_retries_unknown"}


def test_retries_that_are_counted_beside_a_fallback_are_known():
    """A counter that is not zero has at least seen those."""
    flags = header_flags({"x-litellm-attempted-retries": "1", "x-litellm-attempted-fallbacks": "1"})
    assert flags == {"gateway_fell_back", "gateway_retried"}


@pytest.mark.parametrize(
    ("record", "flags"),
    [
        ({}, set()),
        ({"strategy": "direct", "attempt": 1, "attempts": [{"model": "m", "status": 200}]}, set()),
        ({"strategy": "direct", "attempt": 2}, {"gateway_fell_back"}),
        ({"attempts": [{"status": 502}, {"status": 200}]}, {"gateway_fell_back"}),
        ({"strategy": "fallback", "attempt": 1}, {"gateway_fell_back"}),
        ({"strategy": ["fallback"], "attempt": "2", "attempts": {"0": 1}}, set()),
    ],
)
def test_openrouters_record_is_flagged(record, flags):
    """More than one attempt, or a strategy that says so, is a fallback; hostile types are nothing."""
    assert route_record_flags({"openrouter_metadata": record}) == flags


@given(st.dictionaries(st.sampled_from(["openrouter_metadata", "x"]), st.recursive(st.none() | st.text(), st.lists)))
def test_records_of_any_shape_are_read(body):
    """No body raises."""
    assert route_record_flags(body) == set()


def test_flags_come_with_the_answer():
    """A reading carries what headers and record say, beside its own flags."""
    body = COMPLETION | {"openrouter_metadata": {"attempt": 2, "requested": "gpt-4o"}}
    reading = read(body, headers={"X-Portkey-Retry-Attempt-Count": "3"})
    assert reading.kind is Kind.OK
    assert {"gateway_retried", "gateway_fell_back"} <= set(reading.flags)


def test_flags_come_with_an_error():
    """Portkey's exhausted retries are told with the error they ended in."""
    reading = read("upstream is down", status=502, headers={"x-portkey-retry-attempt-count": "-1"})
    assert reading.kind is Kind.PROVIDER_ERROR
    assert "gateway_retried" in reading.flags


@pytest.mark.parametrize("header", [None, "x-litellm-response-cost"])
def test_a_cached_answer_has_no_cost(header):
    """A hit repeats the first answer's cost or says zero: neither is what an answer costs."""
    headers = {"x-litellm-cache-key": "886823f5", "x-litellm-response-cost": "0.5"}
    assert read(COMPLETION, headers=headers, cost_header=header).cost_usd is None
    del headers["x-litellm-cache-key"]
    assert read(COMPLETION, headers=headers, cost_header=header).cost_usd == (0.5 if header else 0.25)


def test_litellms_cost_before_discounts_is_no_price():
    """Without a price LiteLLM leaves its cost out and still says 0.0 in `-original`: unknown, not free."""
    headers = {"x-litellm-response-cost-original": "0.0", "x-litellm-model-id": "d1"}
    body = COMPLETION | {"usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}}
    assert read(body, headers=headers, cost_header="x-litellm-response-cost").cost_usd is None
