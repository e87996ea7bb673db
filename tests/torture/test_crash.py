"""Kills, full disks and damaged stores: the short form of the torture's crash matrix."""

from __future__ import annotations

from random import Random

import pytest
from torture.crash import Bench, crash_damaged, crash_disk, crash_recording, crash_stage, crash_two

pytestmark = pytest.mark.slow


@pytest.fixture
def bench(tmp_path, fault_port):
    """Return a project and the command line on it; its gateway is its own, so its counts are too."""
    seed = abs(hash(tmp_path.name)) % 10**9
    return Bench(tmp_path / "project", port=fault_port, seed=seed)


def test_kills_in_record(bench):
    """What was committed is never paid for twice, and the run is whole in the end."""
    assert crash_recording(bench, n_kills=3, rng=Random(1)).problems == []


@pytest.mark.parametrize("stage", ["decide", "export", "report"])
def test_kills_in_other_stages(bench, stage):
    """Every file is the old one or the new one, and the next start writes the new one."""
    bench.done(*bench.command("record"))
    crashed = crash_stage(bench, stage, n_kills=2, rng=Random(2))
    assert crashed.problems == []
    assert crashed.n_recovered == 2


def test_two_at_once(bench):
    """One measures, the other is told; each call is sent once."""
    assert crash_two(bench).problems == []


def test_a_damaged_store(bench):
    """Cut or overwritten anywhere: an explanation or the work, never a crash, and the file stays."""
    crashed = crash_damaged(bench, n_times=6, rng=Random(3))
    assert crashed.problems == []


def test_a_full_disk(bench):
    """The run says so; with room again the next one goes on."""
    assert crash_disk(bench, limits=[16_384, 262_144]).problems == []
