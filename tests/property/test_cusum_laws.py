"""Laws of charts and sizes, whatever the nights."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from evalkit.stats.cusum import (
    MIN_THRESHOLD,
    NIGHTS_NEEDED,
    between_surprises,
    first_alarm,
    threshold_for,
    within_surprises,
)
from evalkit.stats.shifts import ratio_of_means, within_shift

shapes = st.tuples(st.integers(NIGHTS_NEEDED, 20), st.integers(1, 12))
seeds = st.integers(0, 10_000)
SIZES = (1, 20, 199, 200, 201, 500, 1200, 5000)
surprises = st.lists(st.floats(-6, 6), min_size=1, max_size=60)


def nights(shape, seed, *, is_binary=False):
    """Nights × cases of this seed."""
    values = np.random.default_rng(seed).random(shape)
    return (values < 0.8).astype(float) if is_binary else values


@given(shapes, seeds, st.booleans(), st.floats(0.01, 100), st.floats(-50, 50))
def test_scale_and_shift_change_no_surprise(shape, seed, is_binary, scale, shift):
    """Neither the unit nor the level of the numbers matters, case by case or night by night."""
    values = nights(shape, seed, is_binary=is_binary)
    np.testing.assert_allclose(within_surprises(values * scale + shift), within_surprises(values), atol=1e-5)
    alone = nights(shape[0], seed)
    np.testing.assert_allclose(between_surprises(alone * scale + shift), between_surprises(alone), atol=1e-5)


@given(shapes, seeds, st.booleans())
def test_each_case_may_have_its_own_level(shape, seed, is_binary):
    """Only what changes within a case counts."""
    values = nights(shape, seed, is_binary=is_binary)
    level = np.random.default_rng(seed + 1).normal(size=shape[1])
    np.testing.assert_allclose(within_surprises(values + level), within_surprises(values), atol=1e-6)


@given(shapes, seeds, st.booleans())
def test_turning_the_values_over_turns_the_surprises_over(shape, seed, is_binary):
    """Failures surprise as much as successes."""
    values = nights(shape, seed, is_binary=is_binary)
    np.testing.assert_allclose(within_surprises(1 - values), -within_surprises(values), atol=1e-9)


@given(shapes, seeds, st.booleans())
def test_order_of_cases_and_later_nights_do_not_matter(shape, seed, is_binary):
    """A chart never changes its mind about a night because of what came after."""
    values = nights(shape, seed, is_binary=is_binary)
    whole = within_surprises(values)
    np.testing.assert_allclose(within_surprises(values[:, ::-1]), whole, atol=1e-9)
    np.testing.assert_allclose(within_surprises(values[:-1]), whole[:-1], atol=1e-9)
    np.testing.assert_allclose(between_surprises(values[:-1, 0]), between_surprises(values[:, 0])[:-1], atol=1e-9)


@given(surprises)
def test_a_higher_threshold_alarms_later(values):
    """What alarms at a higher threshold has alarmed at a lower one, not later."""
    low, high = (first_alarm(values, threshold=threshold) for threshold in (4.0, 6.0))
    if high is not None:
        assert low is not None
        assert low.night <= high.night


@given(surprises)
def test_an_alarm_spans_at_least_two_nights(values):
    """No single night alarms, and the nights since the change have gained more than they lost."""
    alarm = first_alarm(values, threshold=MIN_THRESHOLD)
    if alarm is not None:
        assert alarm.change < alarm.night
        assert sum(values[alarm.change : alarm.night + 1]) > MIN_THRESHOLD


@given(st.sampled_from(SIZES), st.sampled_from(SIZES))
def test_a_larger_family_is_judged_no_more_loosely(one, other):
    """More charts never lower the threshold."""
    few, many = sorted((one, other))
    assert threshold_for(few) <= threshold_for(many)


@given(shapes, seeds, st.data())
def test_a_size_lies_within_its_interval(shape, seed, data):
    """Ordered, and turned over when before and after change places."""
    values = nights(shape, seed)
    change = data.draw(st.integers(1, shape[0] - 1))
    there = within_shift(values, change, of="difference")
    back = within_shift(np.vstack([values[change:], values[:change]]), shape[0] - change, of="difference")
    assume(there.value != 0)
    assert there.lower < there.value < there.upper
    assert math.isclose(there.value, -back.value, abs_tol=1e-12)
    assert math.isclose(there.lower, -back.upper, abs_tol=1e-9)


@given(st.lists(st.tuples(st.floats(1, 500), st.floats(1, 500)), min_size=2, max_size=30))
def test_length_ratios_are_reciprocal(pairs):
    """Ours over theirs is one over theirs over ours, bounds and all."""
    ours, theirs = zip(*pairs, strict=True)
    there, back = ratio_of_means(ours, theirs, range(len(pairs))), ratio_of_means(theirs, ours, range(len(pairs)))
    assert math.isclose(there.value * back.value, 1, rel_tol=1e-9)
    if there.lower is not None and back.upper is not None:
        assert math.isclose(there.lower * back.upper, 1, rel_tol=1e-6)
