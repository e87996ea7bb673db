"""What a gateway's profile does to a call: switches and headers per model, and a cache's answer taken for one."""

from __future__ import annotations

import asyncio
import json

import pytest

from evalkit.pipeline.plan import plan
from evalkit.pipeline.record import record
from evalkit.testing.builders import a_model, a_suite

PRICE = {"input_usd_per_mtok": 2.0, "output_usd_per_mtok": 10.0}


@pytest.fixture
def recorded(a_project, a_recorder, scripted):
    """Give a function: every call of two models answered by a script; outcomes by model and the requests."""

    def _recorded(script, *, models=None, **profile):
        project = a_project(
            suites=[a_suite()], models=models or [a_model(id="one"), a_model(id="two", host="deepinfra")]
        )
        gateway = scripted(script, **profile)
        recorder, run_id = a_recorder(gateway, project)
        asyncio.run(record(plan(project), run_id, recorder=recorder))
        return list(recorder.ledger.outcomes(run_id)), gateway.requests

    return _recorded


def test_switches_and_headers_are_the_models_own(recorded, a_reply):
    """What depends on the model is merged after what does not, and goes with each of its requests only."""
    _, requests = recorded(
        lambda _request: a_reply(),
        extra_body={"num_retries": 0, "provider": {"only": []}},
        body_for=lambda model: {"provider": {"only": [model.host]}} if model.host else {},
        headers_for=lambda model: {"x-host": model.host} if model.host else {},
    )
    sent = {request.model_id: (json.loads(request.body), dict(request.headers)) for request in requests}
    assert {name: body["provider"]["only"] for name, (body, _) in sent.items()} == {"one": [], "two": ["deepinfra"]}
    assert {name: headers for name, (_, headers) in sent.items()} == {"one": {}, "two": {"x-host": "deepinfra"}}
    assert all(body["num_retries"] == 0 for body, _ in sent.values())


def test_a_cached_answer_has_neither_latency_nor_the_gateways_cost(recorded, a_reply):
    """It is graded and flagged; how fast and how cheap it came says nothing of the model."""
    headers = {"x-litellm-cache-key": "k", "x-cost": "0.0"}
    outcomes, _ = recorded(
        lambda request: a_reply(headers=headers if request.model_id == "one" else {"x-cost": "0.5"}),
        models=[a_model(id="one", price=PRICE), a_model(id="two", price=PRICE)],
        cost_header="x-cost",
    )
    cached = [outcome for outcome in outcomes if outcome.model_id == "one"]
    fresh = [outcome for outcome in outcomes if outcome.model_id == "two"]
    assert cached
    assert fresh
    assert all("gateway_cached" in outcome.flags and outcome.timings.latency_s is None for outcome in cached)
    assert {(outcome.cost.usd, outcome.cost.source) for outcome in cached} == {((20 * 2.0 + 5 * 10.0) / 1e6, "roster")}
    assert {(outcome.cost.usd, outcome.cost.source) for outcome in fresh} == {(0.5, "gateway")}
    assert all(outcome.timings.latency_s == pytest.approx(0.25) for outcome in fresh)
