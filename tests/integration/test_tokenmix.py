"""Whole runs through `kind: tokenmix`: what can be known of a gateway that documents an address and status codes."""

from __future__ import annotations

import pytest

from evalkit.api.deciding import publish
from evalkit.domain.outcome import IdentityClass, Kind
from evalkit.domain.verdict import Status

N = 12
FEW = 5
"""The fewest cases the gate can be passed with."""
GATEWAY = {"kind": "tokenmix", "api_key_env": "GATEWAY_KEY"}
PRICE = {"input_usd_per_mtok": 2.5, "output_usd_per_mtok": 10.0}
HONEST = {"id": "honest", "route": "deepseek/deepseek-v4-pro", "price": PRICE}
UNPRICED = {"id": "unpriced", "route": "gpt-4o"}


@pytest.fixture
def a_mixer(dialects):
    """Give a function: TokenMix with a habit for each route."""
    return lambda habits: dialects.TokenMix("tm-" + "0" * 32, habits)


def test_an_answer_is_worth_its_own_word(a_project, a_mixer, measured, tmp_path):
    """Identity is self-reported, cost follows from the roster's price, and that is enough to be admitted."""
    mixer = a_mixer({HONEST["route"]: ["plain"]})
    run = measured(a_project(N, models=[HONEST], gateway=GATEWAY), mixer)
    assert len(mixer.bodies) == N
    for outcome in run.outcomes:
        assert (outcome.kind, outcome.identity.identity_class) == (Kind.OK, IdentityClass.SELF_REPORTED)
        assert (outcome.cost.usd, outcome.cost.source) == (pytest.approx((20 * 2.5 + 2 * 10) / 1e6), "roster")
    assert run.verdict("honest").status is Status.ELIGIBLE
    document = publish(run.project, tmp_path / "eligibility.json").document
    assert document["models"]["honest"]["identity"] == "self_reported"


def test_nothing_is_sent_that_was_not_asked_for(a_project, a_mixer, measured):
    """No switch of ours is known to be understood: the body is the suite's and no more."""
    mixer = a_mixer({HONEST["route"]: ["plain"]})
    measured(a_project(FEW, models=[HONEST], gateway=GATEWAY), mixer)
    assert set(mixer.bodies[0]) == {"model", "messages", "max_tokens", "temperature"}
    assert mixer.headers[0]["Authorization"].startswith("Bearer tm-")
    assert not [name for name in mixer.headers[0] if name.lower().startswith("x-")]


def test_a_cost_nobody_tells_is_unknown(a_project, a_mixer, measured):
    """Without a price in the roster an answer is not free."""
    run = measured(a_project(FEW, models=[UNPRICED], gateway=GATEWAY), a_mixer({"gpt-4o": ["plain"]}))
    assert {(outcome.cost.usd, outcome.cost.source) for outcome in run.outcomes} == {(None, "unknown")}


def test_a_failover_is_seen_by_the_name_alone(a_project, a_mixer, measured):
    """Nothing else says that another model answered; the answer is void."""
    run = measured(a_project(N, models=[UNPRICED], gateway=GATEWAY), a_mixer({"gpt-4o": ["unseen_failover"]}))
    assert {outcome.kind for outcome in run.outcomes} == {Kind.SUBSTITUTED_MODEL}
    assert run.verdict("unpriced").status is not Status.ELIGIBLE


def test_limits_pass_and_an_empty_wallet_stays(a_project, a_mixer, measured):
    """A 429 is tried again; a 402 is not, and is no evidence against the model."""
    mixer = a_mixer({HONEST["route"]: ["too_fast", "plain"], "gpt-4o": ["empty_wallet"]})
    run = measured(a_project(FEW, models=[HONEST, UNPRICED], gateway=GATEWAY), mixer)
    assert {tuple(attempt.kind for attempt in outcome.attempts) for outcome in run.of("honest")} == {
        (Kind.RATE_LIMITED, Kind.OK)
    }
    assert {tuple(attempt.kind for attempt in outcome.attempts) for outcome in run.of("unpriced")} == {
        (Kind.QUOTA_EXHAUSTED,)
    }
