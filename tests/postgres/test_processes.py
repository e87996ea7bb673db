"""A team on one server: many processes at once, and servers that cannot be had."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import make_url

from evalkit.errors import InputError, LeaseHeldError
from evalkit.store.open import open_store
from evalkit.testing.builders import a_run, an_outcome

LIMIT_S = 240

HEAD = """
import sys
from pathlib import Path
from evalkit.domain.score import Score, Scored
from evalkit.errors import LeaseHeldError
from evalkit.store.open import open_store
from evalkit.testing.builders import a_run, an_outcome

store = open_store(sys.argv[1], root=Path("."))
"""

WRITER = """
name = sys.argv[2]
store.open_run(a_run())
for first in range(0, 200, 20):
    own = [an_outcome(f"{name}-{n}", sequence=n, suite=f"suite-{n % 5}", text=f"answer {n} " * 20)
           for n in range(first, first + 20)]
    own = own if int(name) % 2 else own[::-1]
    scored = [Scored(call_key=o.call_key, scores=(Score("exact", 1.0),)) for o in own]
    store.append("run-1", [an_outcome("shared", text=name, sequence=999), *own], scored)
store.close()
"""

LEASE = """
print("ready", flush=True)
sys.stdin.readline()
try:
    with store.lease("nightly", holder=sys.argv[2], ttl_s=60):
        print("held", flush=True)
        sys.stdin.readline()
except LeaseHeldError:
    print("refused", flush=True)
    sys.stdin.readline()
"""


def start(body, *arguments, **options):
    """Start a process that works on a store."""
    command = [sys.executable, "-c", HEAD + body, *map(str, arguments)]
    return subprocess.Popen(command, text=True, stderr=subprocess.PIPE, **options)


def test_eight_processes_lose_nothing(database):
    """Eight that create, open and write the same store at once: every row of each arrives, the shared one once."""
    writers = [start(WRITER, database, name) for name in range(8)]
    assert [writer.communicate(timeout=LIMIT_S)[1] for writer in writers] == [""] * 8
    with closing(open_store(database, root=Path())) as store:
        found = sorted(outcome.case_id for outcome in store.outcomes("run-1"))
        n_scored = sum(1 for _ in store.scores("run-1"))
        spent_usd = store.spent_usd("run-1")
    assert found == sorted(["shared", *(f"{name}-{n}" for name in range(8) for n in range(200))])
    assert n_scored == 1600
    assert spent_usd == pytest.approx(8 * 10 * 21 * 0.001)


def test_one_of_many_gets_a_lease(database):
    """A name nobody ever owned goes to one process; the others are told who has it."""
    open_store(database, root=Path()).close()
    processes = [start(LEASE, database, n, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for n in range(6)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.stdout.readline().strip() for process in processes]
    errors = [process.communicate("end\n", timeout=LIMIT_S)[1] for process in processes]
    assert errors == [""] * 6
    assert sorted(said) == ["held", *["refused"] * 5]


def test_the_lease_of_a_dead_process_is_free(database):
    """A holder on this machine that was killed is not waited for."""
    process = start(LEASE, database, "child", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdin.write("go\n")
    process.stdin.flush()
    assert [process.stdout.readline().strip() for _ in range(2)] == ["ready", "held"]
    with closing(open_store(database, root=Path())) as store:
        with pytest.raises(LeaseHeldError, match="child"), store.lease("nightly", holder="me", ttl_s=60):
            pytest.fail("two own it")
        process.kill()
        process.communicate()
        with store.lease("nightly", holder="me", ttl_s=60):
            pass


def test_a_reader_sees_one_moment(database):
    """What is committed while a stream is read is not in it, and the next stream has it."""
    with closing(open_store(database, root=Path())) as store, closing(open_store(database, root=Path())) as other:
        store.open_run(a_run())
        store.append("run-1", [an_outcome(f"c{n}", sequence=n) for n in range(1500)])
        reading = store.outcomes("run-1", with_payloads=False)
        first = next(reading)
        other.append("run-1", [an_outcome("late", suite="another suite", sequence=5000)])
        assert sum(1 for _ in reading) == 1499
        assert first.case_id == "c0"
        assert sum(1 for _ in store.outcomes("run-1", with_payloads=False)) == 1501


@pytest.mark.parametrize("wrong", ["password", "database", "port"])
def test_a_server_that_cannot_be_had_is_said(database, monkeypatch, wrong):
    """It is the user's to mend, with the address and without the password."""
    url = make_url(database)
    if wrong == "password":
        monkeypatch.setenv("PGPASSWORD", "hunter2-wrong")
    elif wrong == "database":
        url = url.set(database="nothing")
    else:
        url = url.set(port=1)
    with pytest.raises(InputError) as caught:
        open_store(url.render_as_string(), root=Path())
    assert url.host in str(caught.value)
    assert "next: " in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_password_in_the_url_is_never_shown(database):
    """Neither in the message nor in what it was made from."""
    url = make_url(database).set(password="hunter2-wrong").render_as_string(hide_password=False)
    with pytest.raises(InputError) as caught:
        open_store(url, root=Path())
    assert "hunter2" not in repr(caught.value) + repr(caught.value.__cause__)


def test_a_whole_project_lives_there(database, tmp_path):
    """init, run, decide, runs: the commands neither know nor say where the store is."""

    def evalkit(*arguments):
        environ = {**os.environ, "EVALKIT_STORE": database, "EVALKIT_ROOT": str(tmp_path)}
        command = [sys.executable, "-c", "from evalkit.cli.main import main; main()", *arguments]
        return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=LIMIT_S, check=False)

    assert evalkit("init", str(tmp_path)).returncode == 0
    done = evalkit("run", "policy-qa", "--model", "sim-gpt", "-n", "40", "--fail-on", "never", "--progress", "quiet")
    assert done.returncode in {0, 3}, done.stderr
    (run,) = json.loads(evalkit("runs", "--json").stdout)["runs"]
    assert run["status"] == "finished"
    assert not (tmp_path / ".evalkit").exists()
    said = done.stdout + done.stderr
    assert os.environ["PGPASSWORD"] not in said
