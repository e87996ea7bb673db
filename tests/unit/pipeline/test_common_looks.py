"""Looks at a pool of suites: each at the same tenth of its own plan, and taken when all were asked as far."""

from __future__ import annotations

import pytest

from evalkit.domain.run import Look
from evalkit.pipeline.common_looks import CommonLooks, is_asked_to_the_end
from evalkit.stats.sequential import look_sizes
from evalkit.testing.evidence import a_measurement, a_unit


def looked(n_asked, *, of=200, trials=1):
    """A measurement with looks at so many clusters, asked as far as `n_asked` of them."""
    looks = tuple(
        Look(n_clusters=size, n_calls=size * trials, last_sequence=size * trials - 1) for size in look_sizes(of)
    )
    return a_measurement(units(n_asked, trials=trials), n_planned=of * trials, looks=looks)


def whole(n):
    """A measurement without looks."""
    return a_measurement(units(n), n_planned=n)


def units(n, *, trials=1):
    """So many clusters in scheduled order, which is not the order they are stored in."""
    found = [
        a_unit(f"c{cluster}", sequence=cluster * trials + trial, trial=trial)
        for cluster in range(n)
        for trial in range(trials)
    ]
    return found[::-1]


def sizes(looks, number):
    """Clusters of each measurement at a look."""
    return [len({unit.cluster_id for unit in one.units}) for one in looks.at(number)]


def test_the_one_asked_least_sets_how_many_are_taken():
    """Where one stopped at its second look, two looks are taken, and there both count with the weights of the plan."""
    looks = CommonLooks([looked(40), looked(200)])
    assert looks.n_taken == 2
    assert [sizes(looks, number) for number in (1, 2)] == [[20, 20], [40, 40]]


def test_times_are_those_of_the_whole_schedule():
    """How far anybody was asked changes no level."""
    assert CommonLooks([looked(40), looked(200)]).times == pytest.approx([tenth / 10 for tenth in range(1, 11)])


def test_what_was_measured_whole_counts_as_far_as_the_others():
    """A tenth of the one beside a tenth of the other, the first in scheduled order, with all their trials."""
    looks = CommonLooks([whole(60), looked(20, trials=3)])
    assert (looks.n_taken, sizes(looks, 1)) == (1, [6, 20])
    first, second = looks.at(1)
    assert {unit.case_id for unit in first.units} == {f"c{index}" for index in range(6)}
    assert (first.coverage, len(second.units)) == (1.0, 60)


def test_a_small_suite_does_not_wait_for_its_own_first_look():
    """Twenty of fifty are four tenths: the first tenth of them is there as soon as the larger suite has its own."""
    looks = CommonLooks([looked(20, of=50), looked(200)])
    assert [sizes(looks, number) for number in range(1, looks.n_taken + 1)] == [[5, 20], [10, 40], [15, 60], [20, 80]]


def test_without_looks_there_is_one_at_the_end():
    """Everything, at all of alpha."""
    looks = CommonLooks([whole(60), whole(3)])
    assert (looks.times, looks.n_taken, sizes(looks, 1)) == ([1.0], 1, [60, 3])


def test_asked_to_the_end():
    """All looks taken, or none planned."""
    assert [is_asked_to_the_end(one) for one in (whole(60), looked(200), looked(180))] == [True, True, False]
