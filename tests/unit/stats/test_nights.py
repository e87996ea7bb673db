"""What nights add by themselves, and how a p allows for it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from statsmodels.regression.linear_model import OLS

from evalkit.stats.nights import night_variance, p_beyond_nights


def a_stream(rng, *, sd, nights=14, cases=200):
    """Nights of one stream whose true rates move together by `sd` from night to night."""
    rates = rng.beta(8.5, 1.5, size=cases)
    table = [(rng.random(cases) < np.clip(rates + rng.normal(0, sd), 0, 1)).astype(float) for _ in range(nights)]
    return tuple({f"c{i}": [value] for i, value in enumerate(night)} for night in table)


def test_known_answer():
    """Three nights of two cases, worked by hand: mean square of nights .25, residual 0, so .125."""
    nights = [{"a": [1.0], "b": [1.0]}, {"a": [0.5], "b": [0.5]}, {"a": [0.5], "b": [0.5]}]
    between = 2 * np.var([1, 0.5, 0.5], ddof=1)
    assert night_variance([nights]) == pytest.approx(between / 2)


def test_agrees_with_least_squares():
    """The mean squares are those of two-way least squares, fitted with and without the nights."""
    rng = np.random.default_rng(3)
    table = rng.normal(size=(8, 1)) * 0.05 + rng.normal(size=(1, 30)) * 0.1 + rng.normal(size=(8, 30)) * 0.02 + 0.5
    nights = [{f"c{i}": [float(v)] for i, v in enumerate(row)} for row in table.clip(0, 1)]
    night, case = np.indices(table.shape)
    of_case, of_night = np.eye(30)[case.ravel()], np.eye(8)[night.ravel()][:, 1:]
    answers = table.clip(0, 1).ravel()
    full, reduced = OLS(answers, np.hstack([of_case, of_night])).fit(), OLS(answers, of_case).fit()
    expected = ((reduced.ssr - full.ssr) / 7 - full.mse_resid) / 30
    assert night_variance([nights]) == pytest.approx(expected)


def test_found_over_many_streams():
    """Two points of wobble are found to within a few tenths over 100 streams; none is none to within the noise."""
    rng = np.random.default_rng(306)
    still = night_variance([a_stream(rng, sd=0.0) for _ in range(100)])
    moved = night_variance([a_stream(rng, sd=0.02) for _ in range(100)])
    assert math.sqrt(still) < 0.009
    assert math.sqrt(moved) == pytest.approx(0.02, abs=0.003)


def test_too_few_nights_say_nothing():
    """Unknown is not zero: with two nights, or no case common to three, there is no number."""
    night = {"a": [1.0], "b": [0.0]}
    assert night_variance([]) is None
    assert night_variance([[night, night]]) is None
    assert night_variance([[night, night, {"c": [1.0], "d": [0.0]}]]) == 0.0


def test_streams_in_which_nothing_ever_changed_are_left_out():
    """A metric that is always 1 does not halve what the others show."""
    rng = np.random.default_rng(4)
    moved = a_stream(rng, sd=0.05)
    constant = tuple({"a": [1.0], "b": [1.0]} for _ in range(5))
    assert night_variance([moved, constant]) == night_variance([moved])
    assert night_variance([constant]) == 0.0


def test_never_negative():
    """Nights that differ less than sampling explains add nothing."""
    nights = [{"a": [1.0], "b": [0.0]}, {"a": [0.0], "b": [1.0]}, {"a": [1.0], "b": [0.0]}]
    assert night_variance([nights]) == 0.0


@pytest.mark.parametrize("p_value", [0.0, 1e-8, 0.02, 0.5, 0.9, 1.0])
def test_a_p_only_grows(p_value):
    """Allowing for nights makes nothing more significant, and without anything to allow for an exact p stays exact."""
    assert p_beyond_nights(p_value, null_variance=1e-4, added=0.0) == p_value
    assert p_value <= p_beyond_nights(p_value, null_variance=1e-4, added=1e-4) <= 1
    assert p_beyond_nights(p_value, null_variance=0.0, added=1e-4) >= p_value


def test_p_is_that_of_the_longer_error():
    """With as much variance added as there was, the deviate is divided by the root of two."""
    assert p_beyond_nights(0.02275013, null_variance=1.0, added=1.0) == pytest.approx(0.0786496, abs=1e-6)
