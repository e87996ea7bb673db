"""Charts over many nights: run lengths as published, surprises as defined, alarms at the right night."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import special, stats

from evalkit.stats.cusum import (
    ALLOWANCE,
    MIN_THRESHOLD,
    NIGHTS_NEEDED,
    Alarm,
    average_run_length,
    between_surprises,
    first_alarm,
    threshold_for,
    within_surprises,
)

LIMIT = [(4.0, 335.37), (5.0, 930.88), (8.05, 19_938)]
"""ARL0 at k = .5 in the limit of many states; the tables have 336 and 930."""


def coarse_run_length(threshold, n_states=400):
    """The same chain with cells that begin at 0 instead of a first one centred there: a check made differently."""
    width = threshold / n_states
    index = np.arange(n_states) + 0.5
    steps = (index[None, :] - index[:, None]) * width
    moves = special.ndtr(steps + width / 2 + ALLOWANCE) - special.ndtr(steps - width / 2 + ALLOWANCE)
    moves[:, 0] = special.ndtr((1 - index) * width + ALLOWANCE)
    return np.linalg.solve(np.eye(n_states) - moves, np.ones(n_states))[0]


@pytest.mark.parametrize(("threshold", "expected"), LIMIT)
def test_run_length_known_values(threshold, expected):
    """Run lengths are within .5% of the limit."""
    assert average_run_length(threshold) == pytest.approx(expected, rel=0.005)


@pytest.mark.parametrize(("threshold", "expected"), [(4.0, 334), (5.0, 925), (8.05, 19_735)])
def test_run_length_reference_values(threshold, expected):
    """The project's reference values come out of a coarser chain exactly, and ours is 1.2% off them at most."""
    assert round(coarse_run_length(threshold)) == expected
    assert average_run_length(threshold) == pytest.approx(expected, rel=0.012)


@pytest.mark.parametrize(("threshold", "allowance"), [(0.0, 0.5), (math.nan, 0.5), (4.0, -0.1)])
def test_impossible_charts_are_refused(threshold, allowance):
    """A chart needs a height and cannot be fed by its own allowance."""
    with pytest.raises(ValueError, match="expected > 0 and >= 0"):
        average_run_length(threshold, allowance=allowance)


def test_threshold_follows_the_family():
    """Up to 200 charts share h = 8.05; of more, all together alarm falsely once in 100 nights."""
    assert threshold_for(1) == threshold_for(200) == MIN_THRESHOLD
    for n_charts in (400, 1200, 10_000):
        assert average_run_length(threshold_for(n_charts)) == pytest.approx(100 * n_charts, rel=1e-3)


def test_within_is_the_published_form():
    """For many cases the surprise is (tonight - mean of earlier) * sqrt(t / (t + 1)) / standard error, t = 9 here."""
    rng = np.random.default_rng(305)
    values = rng.normal(0.5, 0.1, size=(10, 400))
    tonight, earlier = values[-1], values[:-1]
    error = math.sqrt(values.var(axis=0, ddof=1).mean() / values.shape[1])
    plain = (tonight.mean() - earlier.mean()) * math.sqrt(9 / 10) / error
    assert within_surprises(values)[-1] == pytest.approx(plain, abs=0.01)


@pytest.mark.parametrize("chance", [0.8, 0.97])
@pytest.mark.parametrize("seed", range(306, 312))
def test_within_matches_the_exact_conditional_test(chance, seed):
    """It is the normal score of the exact mid-p of tonight's passes, given what each case scored on all nights."""
    values = (np.random.default_rng(seed).random((8, 60)) < chance).astype(float)
    exact = np.ones(1)
    for n_passed in values.sum(axis=0):
        exact = np.convolve(exact, [1 - n_passed / 8, n_passed / 8])
    tonight = int(values[-1].sum())
    score = stats.norm.ppf(exact[:tonight].sum() + exact[tonight] / 2)
    assert within_surprises(values)[-1] == pytest.approx(score, abs=0.15)


def test_a_first_failure_is_no_great_surprise():
    """One failure after 9 perfect nights happens with chance .1 if there is to be one at all; z would say 3."""
    values = np.ones((10, 100))
    values[-1, 0] = 0.0
    assert -2.1 < within_surprises(values)[-1] < -1.2
    values[-1, :20] = 0.0
    assert within_surprises(values)[-1] < -5


def test_constant_series_never_signal():
    """Where nothing varies every judged surprise is 0."""
    for found in (within_surprises(np.full((40, 30), 0.7)), between_surprises(np.full(40, 1.25))):
        assert np.isnan(found[: NIGHTS_NEEDED - 1]).all()
        assert (found[NIGHTS_NEEDED - 1 :] == 0).all()
        assert first_alarm(found, threshold=MIN_THRESHOLD) is None


def test_a_spike_after_quiet_does_not_alarm_alone():
    """One night, however far out, is no drift; the second such night makes one, and dates it from the first."""
    one = [0.0] * 10 + [math.inf] + [0.0] * 20
    two = [0.0] * 10 + [math.inf, math.inf]
    assert first_alarm(one, threshold=MIN_THRESHOLD) is None
    assert first_alarm(two, threshold=MIN_THRESHOLD) == Alarm(night=11, change=10)


def test_alarm_by_hand():
    """Heights .5, 1.5, 3, 0 …: the change is the night after the chart last stood at 0."""
    surprises = [math.nan, 1.0, 1.5, -9.0, 2.5, 2.5, 2.5, 2.5, 2.5]
    assert first_alarm(surprises, threshold=8.05) == Alarm(night=8, change=4)
    assert first_alarm(surprises[:-1], threshold=8.05) is None


def test_between_by_hand():
    """Tonight against the nights before, by Student's t, as a normal score."""
    values = [1.0, 1.2, 0.9, 1.1, 1.0, 1.3, 0.8, 1.6]
    earlier = values[:-1]
    statistic = (1.6 - np.mean(earlier)) / (np.std(earlier, ddof=1) * math.sqrt(8 / 7))
    expected = stats.norm.isf(stats.t.sf(statistic, 6))
    assert between_surprises(values)[-1] == pytest.approx(expected, abs=1e-9)


def test_between_after_equal_nights():
    """After nights that were all alike, another value is beyond all bounds."""
    assert between_surprises([2.0] * 8 + [2.1])[-1] == math.inf
    assert between_surprises([2.0] * 8 + [1.9])[-1] == -math.inf


@pytest.mark.parametrize("known", [0.0, 0.3])
def test_missing_cases_are_left_out(known):
    """A case without a value tonight, or without a past, says nothing, and breaks nothing."""
    rng = np.random.default_rng(7)
    values = rng.random((12, 50))
    values[rng.random(values.shape) < known] = np.nan
    with_empty = np.hstack([values, np.full((12, 1), np.nan)])
    with_new = np.hstack([with_empty, np.full((12, 1), np.nan)])
    with_new[-1, -1] = 1.0
    for more in (with_empty, with_new):
        np.testing.assert_allclose(within_surprises(more), within_surprises(values), atol=1e-12)


def chance_of(rng, mean, rho, n_cases=200):
    """Each case's own chance of passing; rho is the share of variance between cases."""
    spread = (1 - rho) / rho
    return rng.beta(mean * spread, (1 - mean) * spread, size=n_cases)


def false_streams(mean, rho, *, seed, n_streams=200, n_cases=200, n_nights=90):
    """How many of the streams alarm to the worse though nothing changes."""
    rng = np.random.default_rng(seed)
    n_false = 0
    for _ in range(n_streams):
        values = rng.random((n_nights, n_cases)) < chance_of(rng, mean, rho, n_cases)
        n_false += first_alarm(-within_surprises(values), threshold=MIN_THRESHOLD) is not None
    return n_false


def found_in_time(drop, rho, *, seed, n_streams=200, at=30, within=14):
    """Share of streams whose drop at night `at` is told within so many nights."""
    rng = np.random.default_rng(seed)
    n_found = 0
    for _ in range(n_streams):
        chance = chance_of(rng, 0.85, rho)
        before = rng.random((at, 200)) < chance
        after = rng.random((within, 200)) < chance * (1 - drop / 0.85)
        alarm = first_alarm(-within_surprises(np.vstack([before, after])), threshold=MIN_THRESHOLD)
        n_found += alarm is not None and alarm.night >= at
    return n_found / n_streams


@pytest.mark.parametrize(("mean", "rho"), [(0.85, 0.3), (0.999, 0.3)])
def test_quiet_streams_are_quiet(mean, rho):
    """Of 200 quiet streams at most 4 alarm in 90 nights: with a rate of 1.5 that fails once in 50 seeds."""
    assert false_streams(mean, rho, seed=1) <= 4


def test_drop_of_three_points_is_found():
    """Three points are found within 14 nights by at least .60 / .95 of streams, less two standard errors."""
    assert found_in_time(0.03, 0.3, seed=2) >= 0.60 - 0.07
    assert found_in_time(0.03, 0.7, seed=2) >= 0.95 - 0.03


@pytest.mark.slow
@pytest.mark.parametrize("mean", [0.85, 0.95, 0.99, 0.999])
@pytest.mark.parametrize("rho", [0.3, 0.7])
def test_false_streams_goal(mean, rho):
    """At most 1.5 false streams of 200 in 90 nights, at any level: 2,000 streams, two standard errors allowed."""
    assert false_streams(mean, rho, seed=3, n_streams=2000) / 10 <= 1.5 + 2 * math.sqrt(1.5 / 10)


@pytest.mark.slow
def test_drop_of_three_points_goal():
    """The goal itself, over 1,000 streams each."""
    assert found_in_time(0.03, 0.3, seed=4, n_streams=1000) >= 0.60
    assert found_in_time(0.03, 0.7, seed=4, n_streams=1000) >= 0.95


def simulated_run_length(surprises_of, *, threshold, seed, n_charts):
    """Mean nights from the first that can be judged to the first alarm."""
    rng = np.random.default_rng(seed)
    lengths = []
    for _ in range(n_charts):
        alarm = first_alarm(surprises_of(rng), threshold=threshold)
        assert alarm is not None
        lengths.append(alarm.night - NIGHTS_NEEDED + 2)
    return float(np.mean(lengths))


@pytest.mark.parametrize("kind", ["within", "between"])
def test_simulated_run_length(kind):
    """A self-starting chart of h = 4 runs as long as the chain says, 335 nights; 300 charts, three standard errors.

    And longer, if anything: that no single night alarms costs some of the false alarms of so low a threshold.
    """

    def draw(rng):
        if kind == "between":
            return between_surprises(rng.normal(size=5000))
        return within_surprises(rng.normal(size=(5000, 10)))

    found = simulated_run_length(draw, threshold=4.0, seed=11, n_charts=300)
    assert 0.83 < found / average_run_length(4.0) < 1.40


@pytest.mark.parametrize(("n_before", "most"), [(30, 9.0), (80, 7.5)])
def test_delay_for_two_standard_errors(n_before, most):
    """A shift of two standard errors of a night is told within a week or so: h / (2 - k) is 5.4 for a known level."""
    rng = np.random.default_rng(12)
    delays = []
    for _ in range(200):
        values = rng.normal(size=n_before + 60)
        values[n_before:] += 2.0
        alarm = first_alarm(between_surprises(values), threshold=MIN_THRESHOLD)
        assert alarm is not None
        delays.append(alarm.night - n_before + 1)
    assert 4.5 < float(np.mean(delays)) < most
