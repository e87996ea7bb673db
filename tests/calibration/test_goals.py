"""The short form of `make calibrate`: every goal, on few simulations."""

from __future__ import annotations

import random

import pytest
from calibration import many_nights, on_the_limit, one_night
from calibration.measured import at_least, at_most, mean_at_least
from calibration.page import page
from calibration.worlds import World

from evalkit.domain.verdict import Status

TEXT = {"goal": "13.1", "settings": "x", "what": "y"}
MOST_ERRORS = 4.0
"""Monte Carlo standard errors beyond a goal: over some hundred figures of few simulations two are passed by chance."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("simulate", "n"),
    [
        (one_night.false_eligible, 20),
        (one_night.false_ineligible_known, 5),
        (one_night.false_ineligible, 100),
        (one_night.calls_saved, 2),
        (one_night.slow_tails, 60),
        (one_night.outages, 10),
        (many_nights.pooled_promotion, 2),
        (on_the_limit.beside_incumbent, 4),
        (on_the_limit.slow_nights, 4),
        (many_nights.stability, 2),
        (many_nights.first_fallback, 2),
        (many_nights.drift, 200),
    ],
)
def test_goals_are_kept(simulate, n):
    """No figure misses its goal by more than chance explains."""
    missed = [one for one in simulate(n) if one.errors_beyond > MOST_ERRORS]
    assert not missed


@pytest.mark.slow
def test_goals_of_alarms_are_kept():
    """A small family of streams: false alarms are rare, a real drop is found."""
    figures = [*many_nights.regressions(3, n_streams=20), *many_nights.more_trials(2, n_streams=20)]
    assert not [one for one in figures if one.errors_beyond > MOST_ERRORS]


def test_simulation_tells_good_from_bad():
    """A perfect model is eligible, a poor one is not, and both are known early."""
    world = World((1,) * 200, [{"metric": "exact", "at_least": 0.85}])
    for share, status in ((1.0, Status.ELIGIBLE), (0.5, Status.INELIGIBLE)):
        units = world.answered(random.Random(1), [share] * 200)
        assert world.verdict([world.night(units)]).status is status
        early = world.sequential(units)
        assert early.verdict.status is status
        assert early.n_calls < 100


@pytest.mark.parametrize(
    ("figure", "met"),
    [
        (at_most(5, 100, 0.05, **TEXT), "yes"),
        (at_most(9, 100, 0.05, **TEXT), "within error"),
        (at_most(10, 100, 0.05, **TEXT), "no"),
        (at_least(99, 100, 1.0, **TEXT), "no"),
        (mean_at_least([0.5, 0.5], 0.6, **TEXT), "no"),
    ],
)
def test_a_missed_goal_is_said(figure, met):
    """The page says by words whether a goal is kept, missed within error, or missed; and what was not simulated."""
    assert figure.met == met
    written = page([figure], scale=0.5)
    assert f"| {met} |" in written
    assert "scale 0.5" in written
    assert "slow drift" in written.rpartition("## Not simulated")[2]
