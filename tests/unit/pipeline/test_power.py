"""Power: what a suite can show before anything is spent."""

from __future__ import annotations

import pytest

from evalkit.pipeline.power import TRUE_RATES, project_power
from evalkit.stats.power import failures_allowed, pass_probability
from evalkit.testing.builders import a_case, a_suite
from evalkit.testing.evidence import a_project


def powers(gates, cases, **fields):
    """What the gates of one suite can show."""
    return project_power(a_project([a_suite(cases=cases, gates=gates)], **fields))


def cases(n, **fields):
    """So many plain cases."""
    return [a_case(f"c{index}", **fields) for index in range(n)]


def test_power_of_a_gate():
    """Failures allowed and the chance to pass, at the limit and above it."""
    (found,) = powers([{"metric": "exact", "at_least": 0.9}], cases(180))
    assert (found.task, found.suite, found.metric, found.rule, found.n_clusters) == ("qa", "qa", "exact", ">= 0.9", 180)
    assert found.failures_allowed == failures_allowed(0.9, 180, alpha=0.05)
    assert found.at_limit == pass_probability(0.9, 180, alpha=0.05, true_share=0.9) <= 0.05
    assert [rate for rate, _ in found.rates] == list(TRUE_RATES)
    assert [chance for _, chance in found.rates] == sorted(chance for _, chance in found.rates)


def test_at_most_is_the_complement():
    """A limit of .1 on a bad rate has the power of .9 on the good one."""
    good, bad = powers([{"metric": "exact", "at_least": 0.9}, {"metric": "refusal", "at_most": 0.1}], cases(100))
    assert (good.failures_allowed, good.rates) == (bad.failures_allowed, bad.rates)


def test_clusters_are_the_unit():
    """Forty cases in twenty clusters are twenty."""
    pairs = [a_case(f"c{index}", cluster=f"p{index // 2}") for index in range(40)]
    (found,) = powers([{"metric": "exact", "at_least": 0.9}], pairs)
    assert found.n_clusters == 20
    assert found.failures_allowed is None
    assert found.rates[-1][1] == 0.0


def test_slices_count_their_own_cases():
    """A tag's cases for a slice, answerable cases for over-refusal, active ones always."""
    mixed = [
        *cases(30, tags=("hard",)),
        *[a_case(f"r{index}", expect="refusal") for index in range(50)],
        a_case("skipped", skip="later"),
    ]
    gates = [
        {"metric": "exact", "at_least": 0.5, "where": {"tag": "hard"}},
        {"metric": "over_refusal", "at_most": 0.5},
        {"metric": "refusal", "at_most": 0.9},
    ]
    assert [found.n_clusters for found in powers(gates, mixed)] == [30, 30, 80]


def test_gates_on_times_and_money_are_left_out():
    """Only a share has a power that can be told beforehand."""
    gates = [{"metric": "latency_s", "of": "p95", "at_most": 1.0}, {"metric": "cost_usd", "at_most": 1.0}]
    assert powers(gates, cases(10)) == ()


@pytest.mark.parametrize("confidence", [0.9, 0.99])
def test_a_task_has_its_own_confidence(confidence):
    """The surer a task wants to be, the fewer failures it allows."""
    (found,) = powers([{"metric": "exact", "at_least": 0.9}], cases(100), tasks={"qa": {"confidence": confidence}})
    assert found.failures_allowed == failures_allowed(0.9, 100, alpha=1 - confidence)
