"""Schema versions: forward only, once only, never back."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Barrier, Thread
from types import SimpleNamespace

import pytest
from sqlalchemy import URL, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

from evalkit.domain.score import Score
from evalkit.errors import InputError, StoreError
from evalkit.store.connect import make_engine, writing
from evalkit.store.migrate import STEPS, create_tables, migrate, stored_version
from evalkit.store.open import open_store
from evalkit.store.schema import LATEST, METADATA
from evalkit.testing.builders import a_run, an_outcome

VERSION_1 = Path(__file__).parents[2] / "data_fixtures" / "store" / "version_1.sql"
"""A dump of `a_run()` with `an_outcome()`, made by the last evalkit that wrote version 1."""


def _add_comment(connection):
    connection.execute(text("ALTER TABLE runs ADD COLUMN comment TEXT"))


def _count_runs(connection):
    connection.execute(text("CREATE TABLE run_count AS SELECT count(*) AS n FROM runs"))


def _broken(connection):
    connection.execute(text("CREATE TABLE half (x)"))
    connection.execute(text("ALTER TABLE nothing ADD COLUMN x"))


@pytest.fixture
def path(tmp_path):
    """Return the file of a store as version 1 wrote it: one run, one outcome, one score."""
    path = tmp_path / "evalkit.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(VERSION_1.read_text(encoding="utf-8"))
    return path


@pytest.fixture
def engine(path):
    """Return an engine on that store."""
    engine = make_engine(URL.create("sqlite", database=str(path)))
    yield engine
    engine.dispose()


def _tables(engine):
    with engine.connect() as connection:
        return set(connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'table'")).scalars())


def test_list_of_steps_leads_to_the_latest():
    """Each version after the first has its step."""
    assert len(STEPS) == LATEST - 1


def test_version_1_migrates(engine, tmp_path):
    """Steps run in order, and what was stored stays."""
    migrate(engine, steps=(_add_comment, _count_runs))
    assert stored_version(engine) == 3
    with engine.connect() as connection:
        assert connection.execute(text("SELECT n FROM run_count")).scalar() == 1
        assert connection.execute(text("SELECT comment FROM runs")).scalar() is None


def test_version_1_reads_as_it_was_written(path, tmp_path):
    """Nothing is lost, nothing is invented: nothing was sent to a baseline gateway, so that cost nothing."""
    with closing(open_store("sqlite:///evalkit.db", root=tmp_path)) as store:
        assert list(store.outcomes("run-1")) == [an_outcome()]
        assert [entry.scores for entry in store.scores("run-1")] == [(Score("exact", 1.0),)]
        assert (store.run("run-1"), store.spent_usd("run-1")) == (a_run(), 0.001)


def test_version_1_takes_what_the_latest_writes(path, tmp_path):
    """A migrated store goes on like a new one."""
    paired = an_outcome("case-2", sequence=1)
    paired = replace(
        paired, timings=replace(paired.timings, direct_s=0.125), cost=replace(paired.cost, direct_usd=0.002)
    )
    with closing(open_store("sqlite:///evalkit.db", root=tmp_path)) as store:
        store.append("run-1", [paired])
        assert list(store.outcomes("run-1")) == [an_outcome(), paired]
        assert store.spent_usd("run-1") == pytest.approx(0.001 + 0.001 + 0.002)


def test_a_migrated_store_has_the_columns_of_a_new_one(path, tmp_path):
    """Names, order, types and defaults agree, whichever way a store came to the latest version."""
    new = tmp_path / "new"
    new.mkdir()
    for root in (tmp_path, new):
        open_store("sqlite:///evalkit.db", root=root).close()
    assert _columns(path) == _columns(new / "evalkit.db")


def _columns(path):
    """Return (name, affinity, nullable, default) of the columns of every table."""
    found = {}
    with closing(sqlite3.connect(path)) as connection:
        for table in METADATA.tables:
            rows = connection.execute(f"PRAGMA table_info({table})").fetchall()
            found[table] = [
                (name, "REAL" if kind in {"FLOAT", "DOUBLE PRECISION"} else kind, is_required, str(default).strip("'"))
                for _, name, kind, is_required, default, _ in rows
            ]
    return found


@pytest.mark.parametrize("step", STEPS)
def test_steps_are_sql_both_databases_know(step):
    """What a step says is said without a dialect's own words: adding nullable columns."""
    said = []
    step(SimpleNamespace(execute=lambda statement: said.append(str(statement))))
    assert said
    for statement in said:
        assert re.fullmatch(r"ALTER TABLE \w+ ADD COLUMN \w+ (DOUBLE PRECISION( DEFAULT 0)?|TEXT)", statement)


def test_migrating_again_does_nothing(engine):
    """A step that ran does not run twice."""
    migrate(engine, steps=(_add_comment,))
    migrate(engine, steps=(_add_comment,))
    assert stored_version(engine) == 2


def test_only_missing_steps_run(engine):
    """A store in the middle goes on from there."""
    migrate(engine, steps=(_add_comment,))
    migrate(engine, steps=(_add_comment, _count_runs))
    assert "run_count" in _tables(engine)


def test_failed_step_leaves_nothing(engine):
    """All steps are one transaction."""
    with pytest.raises(StoreError):
        migrate(engine, steps=(_add_comment, _broken))
    assert stored_version(engine) == 1
    assert "half" not in _tables(engine)


def test_newer_store_is_refused(path, tmp_path):
    """An older evalkit does not touch what a newer one wrote."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"UPDATE store_version SET version = {LATEST + 1}")
    before = path.read_bytes()
    with pytest.raises(InputError, match=f"version {LATEST + 1}.*\n.*upgrade evalkit"):
        open_store("sqlite:///evalkit.db", root=tmp_path)
    assert path.read_bytes() == before


def test_two_at_once_migrate_once(engine, path):
    """Whoever waits for the lock finds the work done."""
    barrier, failures = Barrier(2), []

    def run():
        own = make_engine(URL.create("sqlite", database=str(path)))
        barrier.wait()
        try:
            migrate(own, steps=(_add_comment,))
        except StoreError as error:
            failures.append(error)
        own.dispose()

    threads = [Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert stored_version(engine) == 2


def test_creating_twice_keeps_the_first(engine):
    """Creation leaves a store alone that is already there."""
    create_tables(engine)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM outcomes")).scalar() == 1


def test_failed_transaction_says_what_to_do(engine):
    """A driver's error becomes one of ours, with the file and a next step."""
    with pytest.raises(StoreError, match=r"evalkit\.db.*no such table.*\n  next: "), writing(engine) as connection:
        connection.execute(text("SELECT * FROM nowhere"))


@pytest.mark.parametrize("table", METADATA.sorted_tables, ids=lambda table: table.name)
def test_tables_compile_for_postgresql(table):
    """The one schema serves both databases; ids are 64 bits wide there."""
    ddl = str(CreateTable(table).compile(dialect=postgresql.dialect()))
    ids = [column.name for column in table.columns if column.name.endswith(("_id", "_no")) and column.name != "run_id"]
    assert all(f"{name} BIGINT" in ddl or f"{name} BIGSERIAL" in ddl for name in ids), ddl
