"""Which measurement of the incumbent a candidate's is held against."""

from __future__ import annotations

from dataclasses import replace

from evalkit.pipeline.yardstick import Yardstick
from evalkit.testing.builders import STARTED_AT
from evalkit.testing.evidence import DAY_S, a_measurement, a_unit


def measured(run_id, day, **cell):
    """A measurement of one case in a run that started on a day."""
    started_at = STARTED_AT + day * DAY_S
    found = a_measurement([a_unit(started_at=started_at)], **cell)
    return replace(found, run=replace(found.run, run_id=run_id, started_at=started_at))


def a_yardstick(*series, expired_before=-99.0, thin=()):
    """Of an incumbent measured so, newest first."""
    return Yardstick(
        series=series,
        is_expired=lambda moment: moment < STARTED_AT + expired_before * DAY_S,
        is_thin=lambda one: one.run.run_id in thin,
    )


def held_against(yardstick, mine):
    """The runs tonight and an earlier night are held against."""
    tonight = yardstick.tonight(mine)
    return tonight and tonight.run.run_id, [theirs.run.run_id for _, theirs in yardstick.before([mine])]


def test_the_same_run_comes_first():
    """Both sides of one run were asked together, whatever is newer."""
    theirs = a_yardstick(measured("c", 2), measured("b", 1), measured("a", 0))
    assert held_against(theirs, measured("b", 1)) == ("b", ["b"])


def test_else_the_newest_at_that_time():
    """An incumbent measured less often counts on, and its later answers change nothing about that night."""
    theirs = a_yardstick(measured("d", 3), measured("b", 1), measured("a", 0))
    assert held_against(theirs, measured("mine", 2)) == ("b", ["b"])


def test_else_the_first_one_after():
    """Who was measured before the incumbent ever was is held against its first answers."""
    assert held_against(a_yardstick(measured("c", 3), measured("b", 2)), measured("mine", 1)) == ("b", ["b"])


def test_one_that_stopped_early_is_none():
    """What its own answers ended is no yardstick."""
    theirs = a_yardstick(measured("b", 1, n_planned=9), measured("a", 0))
    assert held_against(theirs, measured("b", 1)) == ("a", ["a"])


def test_tonight_needs_a_fresh_one():
    """An expired measurement is none to take over from; the nights it was fresh on keep it."""
    assert held_against(a_yardstick(measured("a", 0), expired_before=1), measured("a", 0)) == (None, ["a"])


def test_an_outage_of_the_incumbent_makes_no_earlier_night():
    """Thin nights are not pooled, of neither side; tonight says for itself what is missing."""
    theirs = a_yardstick(measured("b", 1), measured("a", 0), thin={"b"})
    assert held_against(theirs, measured("b", 1)) == ("b", ["a"])
    assert a_yardstick().before([measured("b", 1)]) == []
