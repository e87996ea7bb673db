"""Draws belong to their name and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest

from evalkit.simulator.dice import Dice


@given(st.lists(st.text(), max_size=4), st.text())
def test_same_parts_and_name_give_the_same_draw(parts, name):
    """Asking again, on another object and after other draws, changes nothing."""
    one, other = Dice(*parts), Dice(*parts)
    other.share("something else")
    assert one.share(name) == other.share(name)


def test_parts_do_not_run_into_each_other():
    """(ab, c) and (a, bc) are two things."""
    assert Dice("ab", "c").share("x") != Dice("a", "bc").share("x")


def test_draws_of_many_cases_are_uniform():
    """A Kolmogorov-Smirnov test sees no difference from the uniform distribution."""
    draws = [Dice(0, case).share("fate") for case in range(5000)]
    assert kstest(draws, "uniform").pvalue > 0.01


def test_normal_draws_are_standard_normal():
    """Latency rests on it."""
    assert kstest([Dice(1, case).normal("latency") for case in range(5000)], "norm").pvalue > 0.01


@given(st.integers(-50, 50), st.integers(0, 50))
def test_whole_numbers_stay_in_range(low, width):
    """Both ends are included, nothing is outside."""
    assert low <= Dice("n").whole("x", low, low + width) <= low + width


def test_every_option_is_picked_sometimes():
    """No option is out of reach."""
    assert {Dice(case).pick("x", "abc") for case in range(60)} == set("abc")


def test_nothing_to_pick_from_is_an_error():
    """An empty table is a bug of ours, and says so."""
    with pytest.raises(ValueError, match="nothing to pick"):
        Dice().pick("x", ())


def test_happens_follows_its_share():
    """0 never, 1 always."""
    assert not any(Dice(case).happens("x", 0.0) for case in range(100))
    assert all(Dice(case).happens("x", 1.0) for case in range(100))
