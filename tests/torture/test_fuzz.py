"""Seeded inputs through every door that takes bytes from outside: the short form of the torture's fuzzing."""

from __future__ import annotations

import pytest
from torture.fuzz import fuzz, input_of
from torture.targets import loading_targets, wire_targets
from torture.weight import weighed

SEED = 7
NAMES = ("suite", "roster", "policy")


@pytest.mark.parametrize("target", wire_targets(), ids=lambda target: target.name)
def test_the_wire(target):
    """Nothing but our own errors, no input takes a second, memory stays in proportion."""
    found = fuzz(target, seed=SEED, n_inputs=2_000)
    assert found.findings == []
    assert found.n_inputs == 2_000
    assert found.n_memory_samples > 5


@pytest.mark.parametrize("name", NAMES)
def test_files(tmp_path, name):
    """The same of files a person wrote."""
    (target,) = [one for one in loading_targets(tmp_path) if one.name == name]
    assert fuzz(target, seed=SEED, n_inputs=120).findings == []


def test_large_inputs_stay_in_proportion():
    """Peak memory within ten times the input or, of dense JSON, within twice what its values are worth to Python."""
    found = weighed(2**20)
    assert [one.problem for one in found if one.problem] == []
    assert all(one.factor >= 1 for one in found)


def test_an_input_can_be_made_again():
    """What a finding names is enough to see it again."""
    for target in wire_targets():
        assert input_of(target, seed=3, number=11) == input_of(target, seed=3, number=11)
        assert input_of(target, seed=3, number=11) != input_of(target, seed=4, number=11)


def test_a_crash_and_a_hang_are_found():
    """A target that crashes is no silent success: the search itself is tested."""
    (target, *_) = wire_targets()

    def crash(data):
        raise KeyError(data[:3])

    object.__setattr__(target, "check", crash)
    found = fuzz(target, seed=SEED, n_inputs=3)
    assert [finding["number"] for finding in found.findings] == [0, 1, 2]
    assert "KeyError" in found.findings[0]["what"]
