"""Simulated nights: whole clusters, drawn again, as measurements that decide takes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evalkit.domain.outcome import Kind
from evalkit.pipeline.resampling import Resampler
from evalkit.stats.flips import NightDraw
from evalkit.testing.builders import a_case
from evalkit.testing.evidence import a_measurement, a_unit
from evalkit.testing.verdicts import a_demo, a_gated_suite

MINE, THEIRS = ("qa", "gpt-4o"), ("qa", "incumbent")


def a_pair_suite(n=3, *, critical=(), gates=None):
    """Return a suite of n clusters of two cases."""
    cases = tuple(
        a_case(f"c{i}{side}", cluster=f"p{i}", critical=f"c{i}{side}" in critical) for i in range(n) for side in "ab"
    )
    return a_gated_suite(cases=cases, **({} if gates is None else {"gates": gates}))


def units_of(suite, *, trials=1, **fields):
    """Return an answer to every case and trial; `failing` are case ids that get 0."""
    failing = fields.pop("failing", ())
    return [
        a_unit(case.id, cluster_id=case.cluster_id, trial=trial, exact=float(case.id not in failing), **fields)
        for case in suite.active_cases
        for trial in range(trials)
    ]


def a_resampler(suite, *nights, others=()):
    """Return what draws from these nights of one model."""
    found = {MINE: [a_measurement(units, suite=suite) for units in nights]}
    if others:
        found[THEIRS] = [a_measurement(units, suite=suite) for units in others]
    return Resampler(a_demo(suite), "qa", found, model_id="gpt-4o")


def drawn(resampler, *counts, occasion=0.0):
    """Return the suite, my measurement and everybody's, of a night with these counts."""
    project, history = resampler.night(NightDraw(counts=(counts,), occasion=occasion))
    return project.suites[0], history.by_pair[MINE][0], history.by_pair


def test_a_cluster_drawn_twice_is_two_clusters():
    """With all its cases and trials, names of their own, and a plan that fits."""
    suite = a_pair_suite()
    resampler = a_resampler(suite, units_of(suite, trials=2, failing={"c1b"}))

    asked, night, _ = drawn(resampler, 0, 2, 1, 0, 0)

    assert len(asked.cases) == 6
    assert {case.id for case in asked.cases} == {unit.case_id for unit in night.units}
    assert len({unit.cluster_id for unit in night.units}) == 3
    assert night.is_complete
    assert night.cell.n_planned == 12
    assert sum(unit.scores["exact"] == 0 for unit in night.units) == 4


def test_imagined_clusters_fail_or_pass_a_gate():
    """Half a perfect and half a bad cluster nobody saw; a bad answer fails the gate it stands for."""
    suite = a_pair_suite(gates=[{"metric": "exact", "at_least": 0.9}, {"metric": "truncated", "at_most": 0.1}])
    resampler = a_resampler(suite, units_of(suite, failing={"c0a", "c0b"}))
    assert (resampler.populations[0].n_observed, resampler.populations[0].n_imagined) == (3, 3)

    _, night, _ = drawn(resampler, 0, 0, 0, 1, 1, 1)

    kinds = [(unit.kind, unit.scores["exact"]) for unit in night.units]
    assert kinds == [(Kind.REFUSAL, 0.0)] * 2 + [(Kind.OK, 1.0)] * 2 + [(Kind.TRUNCATED, 0.0)] * 2


def test_an_imagined_outage_is_missing():
    """A gate on availability fails by an answer that never came."""
    suite = a_pair_suite(gates=[{"metric": "availability", "at_least": 0.9}])
    _, night, _ = drawn(a_resampler(suite, units_of(suite)), 1, 1, 0, 1, 0)
    assert [unit.is_missing for unit in night.units] == [False] * 4 + [True] * 2


def test_critical_cases_are_there_every_night():
    """Without them no night could be judged: their cluster is kept, once."""
    suite = a_pair_suite(critical={"c0a"})
    resampler = a_resampler(suite, units_of(suite))
    assert resampler.populations[0].n_observed == 2

    asked, _, _ = drawn(resampler, 2, 0, 0, 0)

    assert sum(case.critical for case in asked.cases) == 1
    assert len(asked.cases) == 6


def test_nothing_to_draw_from():
    """One cluster that may be drawn is no population."""
    suite = a_pair_suite(2, critical={"c0a"})
    assert a_resampler(suite, units_of(suite)).populations is None


def test_the_occasion_picks_a_stored_night():
    """So that what differs from night to night differs between simulated ones, too."""
    suite = a_pair_suite()
    resampler = a_resampler(suite, units_of(suite), units_of(suite, failing={"c0a"}))

    found = [drawn(resampler, 3, 0, 0, 0, 0, occasion=at)[1] for at in (0.49, 0.51)]

    assert [sum(unit.scores["exact"] for unit in night.units) for night in found] == [6, 3]


def test_the_incumbent_answers_the_same_prompts():
    """Its answers go with the cluster; to an imagined cluster it answers as to the one that is like it."""
    suite = a_pair_suite()
    resampler = a_resampler(suite, units_of(suite), others=[units_of(suite, failing={"c0a"})])

    _, mine, every = drawn(resampler, 1, 0, 1, 1, 0)

    theirs = every[THEIRS][0]
    assert [unit.case_id for unit in theirs.units] == [unit.case_id for unit in mine.units]
    assert [unit.scores["exact"] for unit in theirs.units] == [0, 1, 1, 1, 0, 1]
    assert [unit.scores["exact"] for unit in mine.units] == [1, 1, 1, 1, 0, 0]


def test_a_cluster_that_was_not_answered_is_no_example():
    """An imagined answer has the time and the cost of a real one."""
    suite = a_pair_suite()
    units = units_of(suite)
    units[0] = replace(units[0], kind=Kind.TIMEOUT, is_missing=True, scores={}, latency_s=None)

    _, night, _ = drawn(a_resampler(suite, units), 0, 0, 0, 1, 0)

    assert [unit.latency_s for unit in night.units] == [pytest.approx(0.25)] * 2
