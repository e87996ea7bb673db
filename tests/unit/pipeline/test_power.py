"""Power: what a suite can show before anything is spent."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evalkit.pipeline.power import EQUAL_MEANS, TRUE_RATES, equal_power, project_power
from evalkit.stats.power import equal_pass_probability, failures_allowed, pass_probability
from evalkit.testing.builders import a_case, a_model, a_suite
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


def test_a_model_gate_has_the_clusters_of_all_suites_that_give_it():
    """Two suites of eighty let a gate of .98 be passed that neither could show alone."""
    suites = [a_suite(name, cases=cases(80)) for name in ("one", "two")]
    project = a_project(suites)
    gates = [{"metric": "refusal", "at_most": 0.02}]
    policy = project.policy.model_validate(project.policy.model_dump() | {"model_gates": gates})
    *_, found = project_power(replace(project, policy=policy))
    assert (found.task, found.suite, found.n_clusters) == ("*", "*", 160)
    assert found.failures_allowed == failures_allowed(0.98, 160, alpha=0.05) == 0
    assert failures_allowed(0.98, 80, alpha=0.05) is None


def test_power_against_an_incumbent():
    """One row a suite of the tasks that name one; P(pass) of an equal candidate, which is below 1."""
    suite = a_suite(cases=cases(150))
    models = [a_model("old"), a_model("new")]
    assert equal_power(a_project([suite], models=models)) == ()
    tasks = {"qa": {"incumbent": "old", "non_inferiority_margin": 0.05}}
    (found,) = equal_power(a_project([suite], models=models, tasks=tasks))
    assert (found.suite, found.incumbent, found.margin, found.n_clusters) == ("qa", "old", 0.05, 150)
    assert found.rates == tuple((mean, equal_pass_probability(0.05, 150, mean)) for mean in EQUAL_MEANS)
    assert all(0 < chance < 1 for _, chance in found.rates)
