"""Overhead: quantiles of the differences of pairs, with bounds where there are enough of them."""

from __future__ import annotations

import random

import pytest

from evalkit.domain.report import Overhead
from evalkit.pipeline.overhead import overhead_of
from evalkit.testing.builders import STARTED_AT
from evalkit.testing.evidence import a_unit


def pairs(differences, *, direct_s=1.0):
    """Return units that took so much longer through the gateway, one a second."""
    return [
        a_unit(f"case-{at}", started_at=STARTED_AT + at, latency_s=direct_s + difference, direct_s=direct_s)
        for at, difference in enumerate(differences)
    ]


def test_without_pairs_it_is_not_measured():
    """Not measured is not zero."""
    assert overhead_of([]) is None
    assert overhead_of([a_unit(), a_unit(latency_s=None, direct_s=None)]) is None


def test_units_without_a_pair_are_left_out():
    """Only calls that both sides answered count."""
    units = [*pairs([0.25] * 20), a_unit("alone", latency_s=99.0), a_unit("unknown", latency_s=None, direct_s=1.0)]
    found = overhead_of(units)
    assert (found.n_pairs, found.p50.value, found.p95.value) == (20, 0.25, 0.25)


def test_one_pair_has_a_value_and_no_bound():
    """Nothing bounds a single difference."""
    found = overhead_of(pairs([0.5]))
    assert (found.p50.value, found.p50.lower, found.p50.upper, found.p95.upper) == (0.5, None, None, None)


def test_a_gateway_may_be_faster():
    """A cache of connections or a nearer region: the sign is kept."""
    found = overhead_of(pairs([-0.25] * 30))
    assert (found.p50.value, found.p50.lower, found.p50.upper) == (-0.25, -0.25, -0.25)


def test_levels_are_told():
    """The median is two-sided 95%, the tail one-sided 95%; time is cut into ten blocks."""
    found = overhead_of(pairs([at / 1000 for at in range(200)]))
    assert isinstance(found, Overhead)
    assert (found.p50.level, found.p95.level) == (0.975, 0.95)
    assert (found.p50.method, found.p50.n_clusters) == ("order_statistic", 10)
    assert found.p50.lower < found.p50.value < found.p50.upper


def test_few_pairs_do_not_bound_the_tail():
    """59 independent calls are the least for p95; fewer leave its upper bound open."""
    assert overhead_of(pairs([at / 1000 for at in range(50)])).p95.upper is None


def test_order_of_units_does_not_matter():
    """The store's order is not the order of time."""
    units = pairs([random.Random("order").gauss(0, 1) for _ in range(100)])
    shuffled = random.Random("shuffle").sample(units, len(units))
    assert overhead_of(shuffled) == overhead_of(units)


@pytest.mark.parametrize("drift_s", [0.0, 0.02])
def test_the_interval_of_the_median_holds(drift_s):
    """In 400 simulated runs the true median lies outside in at most 5%, also when the load moves between blocks."""
    rng = random.Random(f"coverage {drift_s}")
    n_runs, n_missed = 400, 0
    for _ in range(n_runs):
        moods = [rng.gauss(0, drift_s) for _ in range(10)]
        found = overhead_of(pairs([0.1 + moods[at * 10 // 120] + rng.gauss(0, 0.05) for at in range(120)]))
        n_missed += not found.p50.lower <= 0.1 <= found.p50.upper
    assert n_missed / n_runs <= 0.065
