"""Engines, transactions and the translation of driver errors: what differs between SQLite and PostgreSQL is here."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError

from evalkit.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import URL, Connection, Insert, Table

__all__ = [
    "BUSY_S",
    "insert_ignoring",
    "insert_rows",
    "lock_out_others",
    "make_engine",
    "reading",
    "translated",
    "writing",
]

BUSY_S = 30
"""Seconds to wait for another process before giving up."""

_WRITE = "evalkit_write"
_LOCK_SPACE = 0x6576616C
"""PostgreSQL's advisory locks of ours: the letters `eval`. Two words that fall together only wait for each other."""


def make_engine(url: URL) -> Engine:
    """Return an engine whose transactions are exactly the ones asked for."""
    engine = create_engine(url)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # The driver would open transactions of its own, and only before some statements: `_begin_sqlite` opens them all.
    connection.isolation_level = None
    for pragma in (f"busy_timeout = {BUSY_S * 1000}", "synchronous = NORMAL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    # A write takes the lock at once: one that starts as a read cannot wait for another writer, it can only fail.
    is_write = connection.get_execution_options().get(_WRITE, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_write else "BEGIN")


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Open one write transaction; it commits when the block ends and leaves nothing when the block raises.

    Raises:
        StoreError: when the database refuses.
    """
    with translated(engine), engine.execution_options(**{_WRITE: True}).begin() as connection:
        yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Open one read transaction: everything read in it is of one moment.

    Raises:
        StoreError: when the database refuses.
    """
    if engine.dialect.name == "postgresql":
        # Its default shows each statement another moment.
        engine = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    with translated(engine), engine.connect() as connection:
        yield connection


def lock_out_others(connection: Connection, what: str) -> None:
    """Let no other process past this call with the same words until this write transaction ends.

    It locks what has no row yet. SQLite's write transactions exclude each other already.
    """
    if connection.dialect.name == "postgresql":
        statement = text("SELECT pg_advisory_xact_lock(:space, hashtext(:what))")
        connection.execute(statement, {"space": _LOCK_SPACE, "what": what})


@contextmanager
def translated(engine: Engine) -> Iterator[None]:
    """Turn driver errors into StoreError with a next step."""
    try:
        yield
    except DBAPIError as error:
        reason = str(error.orig)
        name = engine.url.database if engine.dialect.name == "sqlite" else engine.url.render_as_string()
        raise StoreError(f"the store {name!r}: {reason}\n  next: {_next_step(reason)}") from error


_NEXT_STEPS = {
    "locked": f"another process has been writing for {BUSY_S} s: end it, or try again",
    "full": "free disk space, then run the same command again: it resumes",
    "readonly": "give this user write access to the file and its folder",
    "malformed": "put back a backup, or move the file away to start a new store",
    "unable to open": "check that the folder exists and this user may write in it",
}


def _next_step(reason: str) -> str:
    lowered = reason.lower()
    found = (step for sign, step in _NEXT_STEPS.items() if sign in lowered)
    return next(found, "everything committed is kept; check the database, then run the same command again")


def insert_ignoring(connection: Connection, table: Table) -> Insert:
    """Return an INSERT that leaves a row alone whose unique columns are already there."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    return cast("Insert", dialect.insert(table).on_conflict_do_nothing())


def insert_rows(connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows given in column order.

    SQLite takes them as they are: naming 26 values a row and taking the names off again was a third of an append.
    """
    if not rows:
        return
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(_sqlite_insert(table), list(rows))
    else:
        names = [column.name for column in table.columns]
        connection.execute(table.insert(), [dict(zip(names, row, strict=True)) for row in rows])


@cache
def _sqlite_insert(table: Table) -> str:
    return str(table.insert().compile(dialect=sqlite.dialect()))
