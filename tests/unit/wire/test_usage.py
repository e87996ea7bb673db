"""Tokens and money as reported: missing is unknown, never zero."""

from __future__ import annotations

import json

import pytest

from evalkit.domain.outcome import Usage
from evalkit.wire.response import Asked, read_response


def completion(usage=None):
    """Return a whole completion with a usage object."""
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Paris."}}
    return {"model": "gpt-4o", "choices": [choice], "usage": usage}


def read(body, *, headers=None, **asked):
    """Read a plain answer."""
    return read_response(200, headers or {}, json.dumps(body).encode(), asked=Asked(route="gpt-4o", **asked))


def test_cost_sources():
    """The gateway's header, else `usage.cost`; with a key of one's own the upstream's bill is added; else unknown."""
    priced = completion({"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2, "cost": 0.02})
    assert read(priced).cost_usd == 0.02
    header = {"x-litellm-response-cost": "0.5"}
    assert read(priced, headers=header, cost_header="x-litellm-response-cost").cost_usd == 0.5
    detailed = completion({"prompt_tokens": 1, "cost": {"input_tokens_cost": 0.01, "total_cost": 0.03}})
    assert read(detailed).cost_usd == 0.03
    priced["usage"] |= {"is_byok": True, "cost_details": {"upstream_inference_cost": 0.3}}
    assert read(priced).cost_usd == pytest.approx(0.32)
    priced["usage"]["cost_details"] = {}
    assert read(priced).cost_usd is None
    assert read(completion()).cost_usd is None


@pytest.mark.parametrize("cost", [-1, "nan", float("inf"), True, [], {}, "free", 1e300])
def test_a_cost_that_is_none(cost):
    """What is no sum of money is unknown, never zero."""
    body = completion({"cost": cost})
    assert read(body).cost_usd is None


def test_litellm_zeros_are_unknown():
    """LiteLLM fills in zeros where the upstream reported nothing."""
    body = completion({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0})
    reading = read(body, headers={"x-litellm-model-id": "x"})
    assert (reading.usage, "usage_zeros" in reading.flags) == (Usage(), True)
    assert read(body).usage.prompt_tokens == 0


def test_tokens_in_other_spellings():
    """Counts are read from every place providers put them; what is no count is unknown."""
    usage = {"input_tokens": 5, "output_tokens": 3.0, "total_tokens": "9", "num_cached_tokens": 2}
    reading = read(completion(usage | {"reasoning_tokens": -1}))
    assert reading.usage == Usage(prompt_tokens=5, completion_tokens=3, cached_tokens=2)
