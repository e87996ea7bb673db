"""The shipped project decides as its power table promises: a good model gets in, one exactly at a gate does not."""

from __future__ import annotations

import math
import random
from collections import Counter
from dataclasses import replace

import pytest

from evalkit.api.starting import init_project
from evalkit.domain.score import MEASURES
from evalkit.domain.verdict import Status
from evalkit.loading.project import load_project
from evalkit.pipeline.decide import decide
from evalkit.pipeline.power import project_power
from evalkit.simulator.personas import PERSONAS
from evalkit.store.memory import MemoryStore
from evalkit.testing.contract_store import ManualClock
from evalkit.testing.evidence import Answer, store_night

N_SEEDS = 200
GOOD = next(one for one in PERSONAS if one.truths and all(truth.status == "eligible" for truth in one.truths))
"""The row of the simulator's table that must be eligible for every task: its latency and price are taken from there."""


@pytest.fixture(scope="module")
def starter(tmp_path_factory):
    """The project `evalkit init` writes, with the good model alone on its roster."""
    folder = tmp_path_factory.mktemp("starter")
    init_project(folder)
    project = load_project(folder, now=0)
    alone = project.roster.model_copy(update={"models": (project.roster.by_id[GOOD.model_id],)})
    return replace(project, roster=alone)


def answers(seed, shares):
    """Independent draws: each gated score passes with its share, calls take and cost what the good row's do."""
    chance = random.Random(seed)
    per_input, per_output = GOOD.price

    def answer(suite, _model, _case):
        scores = {metric: float(chance.random() < share) for metric, share in shares(suite).items()}
        n_output = chance.randint(40, 300)
        usd = (chance.randint(200, 600) * per_input + n_output * per_output) / 1e6
        latency_s = chance.lognormvariate(math.log(GOOD.latency.median_s), GOOD.latency.sigma)
        return Answer(scores=scores, latency_s=latency_s, cost_usd=usd, output_tokens=n_output)

    return answer


def eligible_shares(project, shares):
    """Task to the share of seeds in which the model is eligible."""
    found = Counter()
    for seed in range(N_SEEDS):
        store = MemoryStore(clock=ManualClock())
        store_night(store, project, answers(seed, shares))
        found.update(one.task for one in decide(project, store).verdicts if one.status is Status.ELIGIBLE)
    return {task: found[task] / N_SEEDS for task in project.policy.tasks}


def scores_gated(suite):
    """The metrics of scorers that gates look at: measures come with the outcome."""
    return {gate.metric for gate in suite.gates} - MEASURES.keys()


def promised(project, chance_of):
    """Task to the product over its gates of their power; `chance_of` takes a gate's power."""
    product = dict.fromkeys(project.policy.tasks, 1.0)
    for power in project_power(project):
        product[power.task] *= 1.0 if power.metric in MEASURES else chance_of(power)
    return product


def assert_agree(found, expected):
    """Each share lies within three standard errors of what was promised, and half a seed."""
    for task, share in found.items():
        error = math.sqrt(expected[task] * (1 - expected[task]) / N_SEEDS)
        assert abs(share - expected[task]) <= 3 * error + 0.5 / N_SEEDS, (task, share, expected[task])


def test_a_good_model_is_eligible(starter):
    """Valid .99 and right .97 of the time, a little below the good row: nine nights in ten, on every task.

    And as often as the products of the plan's power table say, within Monte Carlo error.
    """

    def shares(suite):
        return {metric: 0.97 if metric == suite.primary else 0.99 for metric in scores_gated(suite)}

    primary = {suite.name: suite.primary for suite in starter.suites}
    found = eligible_shares(starter, shares)
    assert min(found.values()) >= 0.9
    assert_agree(
        found, promised(starter, lambda one: dict(one.rates)[0.97 if one.metric == primary[one.suite] else 0.99])
    )


def test_a_model_at_its_gate_stays_out(starter):
    """Right exactly as often as the gate asks and perfect otherwise: let in at most one night in twenty.

    The honest bound on 200 seeds is .05 plus two Monte Carlo standard errors, .081.
    """
    limits = {(suite.name, gate.metric): gate.limit for suite in starter.suites for gate in suite.gates}

    def shares(suite):
        return {suite.primary: limits[suite.name, suite.primary]}

    primary = {suite.name: suite.primary for suite in starter.suites}
    found = eligible_shares(starter, shares)
    assert max(found.values()) <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / N_SEEDS)
    assert_agree(found, promised(starter, lambda one: one.at_limit if one.metric == primary[one.suite] else 1.0))


def test_a_bad_model_is_ineligible(starter):
    """Far below its gates a model is surely out, not merely undecided."""
    store = MemoryStore(clock=ManualClock())
    store_night(store, starter, answers(0, lambda suite: {suite.primary: 0.7}))
    assert {one.status for one in decide(starter, store).verdicts} == {Status.INELIGIBLE}
