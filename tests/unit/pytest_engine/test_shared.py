"""What the workers of a session share: one measurement, one purse, and a lock that dies with its holder."""

from __future__ import annotations

import subprocess
import sys

import pytest

from evalkit.pytest_engine.shared import Shared


def test_what_was_made_once_is_not_made_again(tmp_path):
    """The second to ask gets what the first one made."""
    made = []
    for number in range(2):
        found = Shared(tmp_path).once("suites", lambda _held, number=number: made.append(number) or f"made {number}")
        assert found == "made 0"
    assert made == [0]


def test_what_failed_to_be_made_is_made_by_the_next(tmp_path):
    """An error leaves nothing behind: neither a note nor the lock nor a cost."""

    def fail(held):
        held.spend(1.0)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        Shared(tmp_path).once("suites", fail)
    assert Shared(tmp_path).once("suites", lambda held: f"spent {held.spent_usd}") == "spent 0.0"


def test_money_adds_up_over_processes(tmp_path):
    """Each process sees what the others have spent."""
    for _ in range(3):
        with Shared(tmp_path).held() as held:
            held.spend(0.25)
    assert Shared(tmp_path).spent_usd() == 0.75


def test_processes_wait_for_each_other(tmp_path):
    """Eight processes that add to one number at once lose nothing."""
    code = (
        "import sys; from pathlib import Path; from evalkit.pytest_engine.shared import Shared\n"
        "for _ in range(20):\n"
        "    with Shared(Path(sys.argv[1])).held() as held: held.spend(1.0)"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) for _ in range(8)]
    assert [process.wait(timeout=120) for process in running] == [0] * 8
    assert Shared(tmp_path).spent_usd() == 160.0


def test_the_lock_of_a_killed_process_is_free(tmp_path):
    """Nobody waits for the dead, and what they noted is forgotten."""
    code = (
        "import os, sys; from pathlib import Path; from evalkit.pytest_engine.shared import Shared\n"
        "held = Shared(Path(sys.argv[1])).hold(); held.spend(5.0); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False).returncode == 9
    assert Shared(tmp_path).spent_usd() == 0.0
