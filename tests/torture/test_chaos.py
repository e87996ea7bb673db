"""Whole runs through a gateway that breaks: the short form of the torture's chaos matrix."""

from __future__ import annotations

import pytest
from torture.chaos import PERCENTS, Weather, compared, elsewhere, matrix, weathered
from torture.fault_server import QUIRKS, RAW

SEED = 3


@pytest.fixture(scope="module")
def calm(fault_port):
    """Return the run without faults, and hold what the comparison rests on: one model in, one out, one open."""
    survived = weathered(Weather(faults="late", percent=0), port=fault_port)
    assert survived.verdicts == {"good": "eligible", "bad": "ineligible", "border": "undecided"}
    assert (survived.n_scored, survived.problems) == (survived.n_planned, [])
    return survived


@pytest.mark.parametrize("weather", matrix(seed=SEED, is_short=True), ids=lambda weather: f"{weather.percent}%")
def test_everything_at_once(fault_port, calm, weather):
    """All faults together, rare and common: it ends, counts each call once, and admits nobody it would not."""
    survived = compared(weathered(weather, port=fault_port), calm)
    assert survived.problems == []
    assert survived.n_scored + survived.n_void == survived.n_planned


@pytest.mark.parametrize("name", ["reset_mid_sse", "second_answer", "length_too_short", "gzip_bomb", "body_100mb"])
def test_one_fault_alone(fault_port, calm, name):
    """Half of the answers of one kind of fault: those that could be taken for an answer, or for all memory."""
    survived = compared(weathered(Weather(faults=name, percent=50, seed=SEED), port=fault_port), calm)
    assert survived.problems == []


def test_nobody_to_talk_to(fault_port, calm):
    """No name, no TLS, no listener: nobody is admitted; and a wall clock that jumps admits nobody else."""
    found = [compared(survived, calm) for survived in elsewhere(port=fault_port)]
    assert [survived.problems for survived in found] == [[]] * 4
    assert {verdict for survived in found[:3] for verdict in survived.verdicts.values()} == {"undecided"}


def test_the_matrix_is_whole():
    """The long form has every fault alone at every rate, and what comes together."""
    weathers = matrix(seed=SEED, is_short=False)
    assert {weather.percent for weather in weathers} == set(PERCENTS)
    assert {weather.faults for weather in weathers} == {*RAW, *QUIRKS, "RAW", "QUIRKS", "ALL"}
