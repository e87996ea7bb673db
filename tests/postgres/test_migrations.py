"""Schema versions on PostgreSQL: a store as each released version wrote it becomes one of today."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from threading import Barrier, Thread

import pytest
from sqlalchemy import inspect, make_url, text

from evalkit.domain.score import Score
from evalkit.store.connect import make_engine
from evalkit.store.migrate import STEPS, migrate, stored_version
from evalkit.store.open import open_store
from evalkit.store.schema import LATEST, METADATA
from evalkit.testing.builders import a_run, an_outcome

VERSION_1 = Path(__file__).parents[1] / "data_fixtures" / "store" / "version_1.sql"
"""The dump of SQLite: the same tables and the same rows."""

ADDED = (("outcomes", "direct_s"), ("outcomes", "direct_usd"), ("outcomes", "asked_about"))
"""Columns that version 1 did not have: without them today's tables are its own."""


@pytest.fixture
def version_1(database):
    """Return the URL of a store as version 1 wrote it: one run, one outcome, one score."""
    engine = make_engine(make_url(database))
    with closing(sqlite3.connect(":memory:")) as source, engine.begin() as connection:
        source.executescript(VERSION_1.read_text(encoding="utf-8"))
        source.row_factory = sqlite3.Row
        METADATA.create_all(connection)
        for table, column in ADDED:
            connection.execute(text(f"ALTER TABLE {table} DROP COLUMN {column}"))
        for table in METADATA.sorted_tables:
            rows = [dict(row) for row in source.execute(f"SELECT * FROM {table.name}")]
            if rows:
                connection.execute(table.insert(), rows)
        for table, key in (("words", "word_id"), ("runs", "run_no"), ("dictionaries", "dictionary_id")):
            after = f"(SELECT max({key}) FROM {table})"
            connection.execute(text(f"SELECT setval(pg_get_serial_sequence('{table}', '{key}'), {after})"))
    engine.dispose()
    return database


def test_version_1_reads_as_it_was_written(version_1):
    """Nothing is lost, nothing is invented."""
    with closing(open_store(version_1, root=Path())) as store:
        assert list(store.outcomes("run-1")) == [an_outcome()]
        assert [entry.scores for entry in store.scores("run-1")] == [(Score("exact", 1.0),)]
        assert (store.run("run-1"), store.spent_usd("run-1")) == (a_run(), 0.001)


def test_version_1_takes_what_the_latest_writes(version_1):
    """A migrated store goes on like a new one."""
    with closing(open_store(version_1, root=Path())) as store:
        store.append("run-1", [an_outcome("case-2", sequence=1)])
        assert list(store.outcomes("run-1")) == [an_outcome(), an_outcome("case-2", sequence=1)]


def test_a_migrated_store_has_the_columns_of_a_new_one(version_1, new_database):
    """Names, types, defaults: whichever way a store came to the latest version."""
    found = []
    for url in (version_1, new_database()):
        open_store(url, root=Path()).close()
        engine = make_engine(make_url(url))
        inspector = inspect(engine)
        found.append({
            table: {
                column["name"]: (
                    str(column["type"]), column["nullable"], str(column["default"]).split("::")[0].strip("'")
                )
                for column in inspector.get_columns(table)
            }
            for table in METADATA.tables
        })  # fmt: skip
        engine.dispose()
    assert found[0] == found[1]


def test_many_open_an_old_store_at_once(version_1):
    """One of them migrates it; nobody sees half of it."""
    barrier = Barrier(6)
    errors = []

    def opened():
        barrier.wait()
        try:
            open_store(version_1, root=Path()).close()
        except Exception as error:  # noqa: BLE001  whatever it is, the test shows it
            errors.append(error)

    threads = [Thread(target=opened) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    engine = make_engine(make_url(version_1))
    assert stored_version(engine) == LATEST == len(STEPS) + 1
    engine.dispose()


def test_a_step_that_fails_leaves_nothing(version_1):
    """All steps are one transaction, tables included."""
    engine = make_engine(make_url(version_1))

    def half(connection):
        connection.execute(text("CREATE TABLE half (x INTEGER)"))
        connection.execute(text("ALTER TABLE nothing ADD COLUMN x INTEGER"))

    with pytest.raises(Exception, match="nothing"):
        migrate(engine, steps=(*STEPS, half))
    assert stored_version(engine) == 1
    assert not inspect(engine).has_table("half")
    engine.dispose()
