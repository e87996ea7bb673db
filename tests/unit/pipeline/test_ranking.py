"""Ranking: what the policy asks for first, and the unknown always last."""

from __future__ import annotations

import math

import pytest

from evalkit.domain.outcome import Kind
from evalkit.pipeline.ranking import cost_per_success, percentile, rank_key
from evalkit.testing.builders import a_suite
from evalkit.testing.evidence import a_measurement, a_unit

SUITE = a_suite()


def measured(*, exact=1.0, usd=0.001, latency_s=0.5, n=20):
    """A measurement of some alike answers."""
    units = [a_unit(f"c{index}", exact=exact, cost_usd=usd, latency_s=latency_s) for index in range(n)]
    return a_measurement(units, suite=SUITE)


def key(*measurements, rank_by="cost"):
    """The sort key of some measurements of one model."""
    return rank_key([SUITE] * len(measurements), measurements, rank_by=rank_by)


@pytest.mark.parametrize(
    ("rank_by", "better", "worse"),
    [
        ("cost", {"usd": 0.001, "latency_s": 9.0}, {"usd": 0.002}),
        ("latency", {"latency_s": 0.5, "usd": 9.0}, {"latency_s": 0.6}),
        ("quality", {"exact": 0.9, "usd": 9.0}, {"exact": 0.8}),
    ],
)
def test_policy_says_what_comes_first(rank_by, better, worse):
    """The wanted property decides before the others."""
    assert key(measured(**better), rank_by=rank_by) < key(measured(**worse), rank_by=rank_by)


def test_ties_go_to_the_next_property():
    """At equal cost the faster one comes first."""
    assert key(measured(latency_s=0.1)) < key(measured(latency_s=0.2))


@pytest.mark.parametrize("rank_by", ["cost", "latency"])
def test_unknown_ranks_last_never_as_zero(rank_by):
    """A missing price or latency is no advantage."""
    unknown = key(measured(usd=None, latency_s=None), rank_by=rank_by)
    assert unknown[0] == math.inf
    assert key(measured(usd=99.0, latency_s=99.0), rank_by=rank_by) < unknown


def test_cost_counts_wrong_answers_too():
    """Half of the answers wrong doubles the cost of a right one."""
    assert cost_per_success([SUITE], [measured(exact=0.5)]) == pytest.approx(0.002)


def test_cost_is_over_all_suites():
    """A cheap suite and a dear one are added up."""
    both = cost_per_success([SUITE, SUITE], [measured(usd=0.001), measured(usd=0.003)])
    assert both == pytest.approx(0.002)


@pytest.mark.parametrize("fields", [{"exact": 0.0}, {"usd": None}, {"n": 0}])
def test_cost_may_be_unknown(fields):
    """Nothing right, nothing known or nothing at all: no number."""
    assert cost_per_success([SUITE], [measured(**fields)]) is None


def test_missing_answers_do_not_rank():
    """Calls that failed bring neither quality nor latency."""
    with_holes = measured()
    with_holes.units.append(a_unit("gone", kind=Kind.TIMEOUT, latency_s=60.0, cost_usd=None))
    assert key(with_holes) == key(measured())


def test_nothing_measured_ranks_last():
    """An empty measurement has a key, too."""
    assert key(measured(n=0)) == (math.inf, math.inf, 0.0)


@pytest.mark.parametrize(("share", "value"), [(0.0, 1), (0.05, 1), (0.5, 10), (0.95, 19), (1.0, 20)])
def test_percentile_is_an_observed_value(share, value):
    """Percentiles are order statistics of the values, in any order."""
    assert percentile([*range(20, 0, -1)], share=share) == value


def test_percentile_of_nothing():
    """Nothing has no percentile."""
    assert percentile([], share=0.5) is None
