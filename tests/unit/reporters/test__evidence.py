"""The sentences behind a verdict say what the numbers say."""

from __future__ import annotations

import math

import pytest

from evalkit.domain.estimate import Estimate
from evalkit.domain.report import Overhead
from evalkit.domain.verdict import GateResult, GateStatus, Reason, ReasonCode, Status, Verdict
from evalkit.reporters._evidence import (
    bound_words,
    gate_name,
    gate_sentence,
    n_words,
    overhead_words,
    reason_name,
    run_facts,
    worst_gate,
)


def a_gate(status=GateStatus.PASS, *, metric="fields", rule=">= 0.8", limit=0.8, bound=0.9, **changes):
    """Return a gate with 200 answers in 100 clusters."""
    estimate = Estimate(value=0.93, lower=0.9, upper=0.96, level=0.95, method="m", n=200, n_clusters=100)
    whole = {"suite": "s", "estimate": estimate, **changes}
    return GateResult(metric=metric, rule=rule, limit=limit, status=status, bound=bound, **whole)


@pytest.mark.parametrize(
    ("gate", "words"),
    [
        (a_gate(), "lower bound 0.900, needs ≥ 0.8"),
        (a_gate(GateStatus.FAIL, bound=0.7), "even the upper bound is 0.700, needs ≥ 0.8"),
        (a_gate(GateStatus.UNDECIDED, bound=0.79996), "lower bound only 0.79996, needs ≥ 0.8"),
        (a_gate(bound=None), "no bound, needs ≥ 0.8"),
        (a_gate(rule="p95 <= 4", metric="latency_s", limit=4, bound=3.5), "upper bound 3.50 s, needs ≤ 4 s"),
        (
            a_gate(GateStatus.FAIL, rule="<= 4", metric="latency_s", limit=4, bound=4.5),
            "even the lower bound is 4.50 s, needs ≤ 4 s",
        ),
        (a_gate(GateStatus.UNDECIDED, rule="<= 0.1", limit=0.1, bound=0.2), "upper bound still 0.200, needs ≤ 0.1"),
    ],
)
def test_bound_words_hold_for_both_directions(gate, words):
    """Passing, failing and undecided bounds are told apart without knowing statistics."""
    assert bound_words(gate) == words


def test_gate_sentence_carries_estimate_bound_limit_and_n():
    """One line is enough to check a decision."""
    text = gate_sentence(a_gate(n_missing=3))
    assert text == "fields 0.930: lower bound 0.900, needs ≥ 0.8; n = 200 in 100 clusters, 3 missing"
    assert gate_sentence(a_gate(estimate=None, bound=None)).startswith("fields unknown: no bound")


def test_gate_name_says_what_is_taken_of_the_metric():
    """A percentile gate is not mistaken for a mean."""
    assert gate_name(a_gate(metric="latency_s", rule="p95 <= 4")) == "latency_s p95"
    assert gate_name(a_gate()) == "fields"
    assert n_words(a_gate(estimate=None)) == "n = 0"


def test_worst_gate_is_failed_first_then_closest_to_its_limit():
    """A failed gate explains an ineligible model even when another passes by less."""
    close, far = a_gate(bound=0.801), a_gate(bound=0.95)
    failed = a_gate(GateStatus.FAIL, bound=0.2)
    verdict = Verdict(task="t", model_id="m", status=Status.INELIGIBLE, gates=(far, close, failed))
    assert worst_gate(verdict) is failed
    assert worst_gate(Verdict(task="t", model_id="m", status=Status.ELIGIBLE, gates=(far, close))) is close
    assert worst_gate(Verdict(task="t", model_id="m", status=Status.UNDECIDED)) is None


def test_reason_name_points_at_its_gate():
    """A code reads as words, with suite and metric when it has them."""
    assert reason_name(Reason(code=ReasonCode.LOW_COVERAGE)) == "low coverage"
    assert reason_name(Reason(code=ReasonCode.GATE_FAILED, suite="s", metric="m")) == "gate failed (s/m)"


def test_run_facts_say_when_the_spend_is_only_a_floor(made):
    """A model without a price makes the total a lower limit, and says so."""
    report, _ = made.sample()
    facts = {name: (value, note) for name, value, note in run_facts(report)}
    known = math.fsum(m.cost_usd for m in report.models if m.cost_usd is not None)
    direct = math.fsum(m.direct_usd for m in report.models)
    note = "at least: 1 without a price; $0.62 to the baseline gateway"
    assert facts["Spend"] == (f"${known + direct:.2f}", note)
    assert facts["Calls"][0] == "6,400"
    assert facts["Duration"][0] == "20 min 34 s"


def test_overhead_words():
    """Median with its interval, tail with its bound and the pairs; without pairs not measured, never zero."""
    shared = {"level": 0.95, "method": "order_statistic", "n": 60, "n_clusters": 10}
    p50 = Estimate(value=0.0237, lower=0.022, upper=0.0251, **shared)
    few = Overhead(p50=p50, p95=Estimate(value=-0.0347, lower=None, upper=None, **shared))
    assert overhead_words(None) == ("not measured", "")
    assert overhead_words(few) == ("0.024 s [0.022 s, 0.025 s]", "p95 -0.035 s, upper bound unknown, 60 pairs")
