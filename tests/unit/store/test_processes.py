"""Several processes on one file, and processes that die in the middle of things."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import closing

import pytest

from evalkit.errors import LeaseHeldError
from evalkit.store.open import open_store
from evalkit.testing.builders import a_run, an_outcome

_URL = "sqlite:///.evalkit/evalkit.db"

_HEAD = """
import sys, itertools
from pathlib import Path
from evalkit.domain.score import Score, Scored
from evalkit.store.open import open_store
from evalkit.testing.builders import a_run, an_outcome

def batch(name, first, size):
    outcomes = [an_outcome(f"{name}-{n}", sequence=n, text=f"answer {n} " * 20) for n in range(first, first + size)]
    return outcomes, [Scored(call_key=o.call_key, scores=(Score("exact", 1.0),)) for o in outcomes]

store = open_store("sqlite:///.evalkit/evalkit.db", root=Path(sys.argv[1]))
"""

_WRITER = """
store.open_run(a_run())
for first in range(0, 500, 50):
    outcomes, scored = batch(sys.argv[2], first, 50)
    store.append("run-1", [an_outcome("shared", text=sys.argv[2], sequence=999), *outcomes], scored)
store.close()
"""

_ENDLESS_WRITER = """
store.open_run(a_run())
for first in itertools.count(0, 7):
    store.append("run-1", *batch("a", first, 7))
    print(first + 7, flush=True)
"""

_LEASE_HOLDER = """
with store.lease("nightly", holder="the child", ttl_s=3600):
    print("held", flush=True)
    sys.stdin.read()
"""


def _start(body, *arguments, **options):
    command = [sys.executable, "-c", _HEAD + body, *map(str, arguments)]
    return subprocess.Popen(command, text=True, stderr=subprocess.PIPE, **options)


def test_four_processes_lose_nothing(tmp_path):
    """Four that create, open and write the same store at once: every row of each arrives, the shared one once."""
    writers = [_start(_WRITER, tmp_path, name) for name in "abcd"]
    errors = [writer.communicate(timeout=120)[1] for writer in writers]
    assert errors == ["", "", "", ""]
    with closing(open_store(_URL, root=tmp_path)) as store:
        found = [outcome.case_id for outcome in store.outcomes("run-1")]
        scored = sum(1 for _ in store.scores("run-1"))
        spent_usd = store.spent_usd("run-1")
    assert sorted(found) == sorted(["shared", *(f"{name}-{n}" for name in "abcd" for n in range(500))])
    assert scored == 2000
    assert spent_usd == pytest.approx(4 * 10 * 51 * 0.001)


def test_killed_writer_leaves_whole_batches(tmp_path):
    """After kill -9 all that was acknowledged is there, nothing is there in part, and the store can be written."""
    writer = _start(_ENDLESS_WRITER, tmp_path, stdout=subprocess.PIPE)
    acknowledged = [int(writer.stdout.readline()) for _ in range(20)][-1]
    writer.send_signal(signal.SIGKILL)
    writer.communicate(timeout=60)
    with closing(open_store(_URL, root=tmp_path)) as store:
        n_outcomes = sum(1 for _ in store.outcomes("run-1"))
        n_scored = sum(1 for _ in store.scores("run-1"))
        assert n_outcomes >= acknowledged
        assert n_outcomes % 7 == 0
        assert n_scored == n_outcomes
        assert store.spent_usd("run-1") == pytest.approx(n_outcomes * 0.001)
        store.append("run-1", [an_outcome("after")])
        assert an_outcome("after").call_key in store.held_keys("run-1")


def test_lease_of_a_live_process_is_respected(tmp_path):
    """Who holds it, and where, is in the message; when it ends the name is free."""
    holder = _start(_LEASE_HOLDER, tmp_path, stdout=subprocess.PIPE, stdin=subprocess.PIPE)
    assert holder.stdout.readline() == "held\n"
    with closing(open_store(_URL, root=tmp_path)) as store:
        with pytest.raises(LeaseHeldError, match=f"the child.*process {holder.pid}.*\n.*next: "):
            store.lease("nightly", holder="the parent", ttl_s=60).__enter__()
        holder.communicate(timeout=60)
        with store.lease("nightly", holder="the parent", ttl_s=60):
            pass


def test_lease_of_a_dead_process_is_taken_at_once(tmp_path):
    """Nobody waits an hour for a process that was killed."""
    holder = _start(_LEASE_HOLDER, tmp_path, stdout=subprocess.PIPE, stdin=subprocess.PIPE)
    assert holder.stdout.readline() == "held\n"
    holder.kill()
    holder.communicate(timeout=60)
    with (
        closing(open_store(_URL, root=tmp_path)) as store,
        store.lease("nightly", holder="the parent", ttl_s=60),
    ):
        store.open_run(a_run())
