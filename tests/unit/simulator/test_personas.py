"""The table is honest: roster and personas agree, and every verdict it promises follows from its own numbers."""

from __future__ import annotations

import re
from functools import cache

import pytest
from scipy.stats import beta, binom, lognorm

from evalkit.simulator.dialects import DIALECTS
from evalkit.simulator.faults import FAULTS
from evalkit.simulator.personas import PERSONAS, persona_by_route

TRUTHS = [(persona, truth) for persona in PERSONAS for truth in persona.truths]
FORMAT_METRICS = ("json_schema",)


@cache
def _needed(n, limit, alpha):
    """Return the fewest successes of n whose lower bound reaches the limit."""
    return next((k for k in range(1, n + 1) if beta.ppf(alpha, k, n - k + 1) >= limit), n + 1)


@cache
def _refuted(n, limit, alpha):
    """Return the most successes of n whose upper bound stays below the limit; -1 when none does."""
    below = [k for k in range(n) if beta.ppf(1 - alpha, k + 1, n - k) < limit]
    return below[-1] if below else -1


def p_pass(n, limit, rate, *, alpha=0.05):
    """Return the probability that a gate passes at a true rate."""
    return float(binom.sf(_needed(n, limit, alpha) - 1, n, rate))


def p_fail(n, limit, rate, *, n_gates):
    """Return the probability that a gate is failed beyond doubt."""
    return float(binom.cdf(_refuted(n, limit, 0.05 / n_gates), n, rate))


def _format_share(persona, suite, ability):
    """Return the share of answers whose form the scorer takes, where nothing forces it."""
    accept = next(spec.params.get("accept", "fence") for spec in suite.scorers if spec.name == "json_schema")
    broken = 0.0 if persona.structured == "json_schema" else ability.broken
    form = 1.0
    if persona.structured == "none" and accept != "lenient":
        form = (1 - persona.habits.preamble) * (1 - persona.habits.postamble)
    return (1 - ability.unusable - broken) * form


def rate_of(persona, suite, gate):
    """Return the true rate of a share gate, written as at-least; a lower bound on it for the task metric."""
    ability = persona.ability_for(suite.task)
    if gate.metric == "refusal":
        return 1 - ability.refused - ability.blocked
    if gate.metric == "latency_s":
        return float(lognorm.cdf(gate.limit, persona.latency.sigma, scale=persona.latency.median_s))
    if gate.metric in FORMAT_METRICS:
        return _format_share(persona, suite, ability)
    broken = 0.0 if persona.structured == "json_schema" else ability.broken
    return 1 - ability.unusable - ability.wrong - broken


def limit_of(gate):
    """Return the limit a rate is held against."""
    if gate.metric == "latency_s":
        return 0.95
    return gate.limit if gate.at_least is not None else 1 - gate.limit


def n_effective(suite, gate):
    """Return the sample size; time blocks and tails cost a latency gate up to a third of it."""
    n = len(suite.active_cases)
    return round(n * 0.65) if gate.metric == "latency_s" else n


def p_eligible(persona, suite):
    """Return a lower bound (union) on the probability that all share gates pass."""
    gates = [gate for gate in suite.gates if gate.of != "per_success"]
    return 1 - sum(
        1 - p_pass(n_effective(suite, gate), limit_of(gate), rate_of(persona, suite, gate)) for gate in gates
    )


def p_lasting(persona, n):
    """Return the probability that more than 5 % of n calls stay missing."""
    share = sum(rate.share * rate.lasting for rate in persona.faults)
    return float(binom.sf(int(0.05 * n), n, share))


def p_gate(persona, truth, suite):
    """Return the probability that the named gate is failed, or left open, as promised."""
    gate = next(gate for gate in suite.gates if truth.metric == f"{suite.name}/{gate.metric}")
    n, limit, rate = n_effective(suite, gate), limit_of(gate), rate_of(persona, suite, gate)
    failed = p_fail(n, limit, rate, n_gates=len(suite.gates))
    return failed if truth.reason == "gate_failed" else 1 - failed - p_pass(n, limit, rate)


def p_true(persona, truth, suite):
    """Return the probability of a promised verdict, from the persona's own numbers."""
    n = len(suite.active_cases)
    by_reason = {
        "": lambda: p_eligible(persona, suite),
        "low_coverage": lambda: p_lasting(persona, n),
        "substituted_model": lambda: 1 - persona.served[0].share ** n,
        "gate_failed": lambda: p_gate(persona, truth, suite),
        "gate_undecided": lambda: p_gate(persona, truth, suite),
        "cost_unknown": lambda: float(persona.price is None) * p_eligible(persona, suite),
        "identity_too_weak": lambda: float(persona.served[0].name is None) * p_eligible(persona, suite),
    }
    return by_reason[truth.reason]()


@pytest.mark.parametrize(
    ("persona", "truth"), TRUTHS, ids=lambda item: getattr(item, "model_id", getattr(item, "task", ""))
)
def test_every_promised_verdict_follows_from_the_numbers(starter, persona, truth):
    """At least with the probability the table states, by exact binomials at the gates of the starter suites."""
    (suite,) = starter.suites_of(truth.task)
    assert p_true(persona, truth, suite) >= truth.probability


def test_the_roster_shows_all_three_verdicts():
    """A first run must show what the product is for; all but one beyond doubt."""
    clear = {truth.status for _, truth in TRUTHS if truth.probability >= 0.99}
    assert clear == {"eligible", "ineligible", "undecided"}
    assert sum(truth.probability < 0.99 for _, truth in TRUTHS) == 1


@pytest.mark.parametrize("task", ["invoice-extraction", "ticket-triage", "policy-qa"])
def test_every_task_has_a_truth_for_each_roster_model(starter, task):
    """Nothing in the starter is left without an expected verdict, and every task has a candidate."""
    statuses = {persona.model_id: truth.status for persona, truth in TRUTHS if truth.task == task}
    assert set(statuses) == set(starter.roster.by_id)
    assert "eligible" in statuses.values()


@pytest.mark.parametrize("suite_name", ["invoice-extraction", "ticket-triage", "policy-qa"])
def test_a_good_model_passes_and_one_on_the_limit_does_not(starter, suite_name):
    """Schema .995 and task .97 pass all gates with P >= .9; a rate exactly at any share gate passes with P <= .05."""
    suite = starter.suite_by_name[suite_name]
    good = {"json_schema": 0.995, "refusal": 0.995, "latency_s": 0.995}
    missed = 0.0
    for gate in suite.gates:
        if gate.of == "per_success":
            continue
        n, limit = n_effective(suite, gate), limit_of(gate)
        missed += 1 - p_pass(n, limit, good.get(gate.metric, 0.97))
        assert p_pass(n, limit, limit) <= 0.05
    assert 1 - missed >= 0.9


@pytest.mark.parametrize("persona", PERSONAS, ids=lambda persona: persona.model_id)
def test_names_in_the_table_exist(persona):
    """Dialects, faults and rows are real, and shares add up."""
    assert persona.dialect in DIALECTS
    assert persona_by_route(persona.route) is persona_by_route(persona.model_id) is persona
    assert re.match(r"QUIRKS \d", persona.source)
    assert {rate.fault for rate in persona.faults} <= {*FAULTS, "reset", "half_body", "stall"}
    assert {persona.overflow_fault, *(fault for _, fault in persona.rejects)} <= set(FAULTS)
    assert sum(rate.share for rate in persona.faults) < 1
    for ability in (persona.ability, *persona.abilities.values()):
        assert ability.unusable + ability.wrong + ability.broken < 1


def test_roster_and_personas_agree(starter):
    """Route, price, window and structured mode are written twice; this keeps them one."""
    for model in starter.roster.models:
        persona = persona_by_route(model.route)
        price = None if model.price is None else (model.price.input_usd_per_mtok, model.price.output_usd_per_mtok)
        found = (persona.model_id, persona.price, persona.context_tokens, persona.structured)
        assert found == (model.id, price, model.context_tokens, model.capabilities.structured)


def test_an_unknown_route_is_nobody():
    """The server answers 404."""
    assert persona_by_route("sim/nobody") is None
