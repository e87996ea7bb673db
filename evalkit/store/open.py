"""Finds, creates and checks the store a URL names. What is there is never recreated, whatever state it is in."""

from __future__ import annotations

import os
import secrets
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from sqlalchemy import false, make_url, update
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from evalkit.clock import SystemClock
from evalkit.errors import InputError, StoreError
from evalkit.store.connect import make_engine, reading, writing
from evalkit.store.migrate import create_tables, has_tables, migrate
from evalkit.store.schema import version
from evalkit.store.sql_store import SqlStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import URL, Engine

    from evalkit.ports import Clock

__all__ = ["open_store"]

_SQLITE = "sqlite"
_POSTGRES = "postgresql+psycopg"
_SMALLEST_BYTES = 512
"""One page of the smallest size; SQLite would take less for an empty database."""
_ANOTHER_FILE = "put back a backup, or name another file in evalkit.yaml"
_CHECK_RIGHTS = "give this user access to the file and its folder, or name another store in evalkit.yaml"


def open_store(url: str, *, root: Path, clock: Clock | None = None) -> SqlStore:
    """Return the store at `url`, created or brought to the newest schema version if need be.

    `sqlite:///relative.db` is relative to `root`, `sqlite:////absolute.db` is not; `postgresql+psycopg://…` takes its
    password from `PGPASSWORD` when the URL has none. `clock` decides when leases end; None is the machine's clock.

    Raises:
        InputError: when the URL, the file, its rights or its schema version cannot be used.
        StoreError: when the file is damaged.
    """
    parsed = _parse(url)
    engine = _sqlite_engine(parsed, root) if parsed.drivername == _SQLITE else _postgres_engine(parsed)
    try:
        migrate(engine)
    except BaseException:
        engine.dispose()
        raise
    return SqlStore(engine, clock=clock or SystemClock())


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        parsed = None
    if parsed is None or parsed.drivername not in {_SQLITE, _POSTGRES}:
        # The URL may hold a password: only its scheme is shown.
        scheme = url.partition(":")[0]
        raise InputError(
            f"store: {scheme!r} is not a kind of store",
            next_step=f"use {_SQLITE}:///.evalkit/evalkit.db or {_POSTGRES}://user@host/database",
        )
    return parsed


def _sqlite_engine(url: URL, root: Path) -> Engine:
    if not url.database or url.database.startswith(("file:", ":memory:")) or url.query:
        raise InputError(
            f"store: {url.render_as_string()!r} does not name a plain file; a store must outlive its process",
            next_step=f"use {_SQLITE}:///.evalkit/evalkit.db",
        )
    path = root / url.database
    url = url.set(database=str(path))
    try:
        if not path.exists():
            _create(url, path)
        _check_file(path)
    except OSError as error:
        raise InputError(f"store: {path} cannot be reached: {error}", next_step=_CHECK_RIGHTS) from error
    engine = make_engine(url)
    try:
        with _explained(path):
            _check_store(engine, path)
    except BaseException:
        engine.dispose()
        raise
    return engine


def _create(url: URL, path: Path) -> None:
    """Make a whole store beside `path`, then give it its name: nobody ever sees half of one.

    When two processes do this at once, the second finds the name taken and drops its own.
    """
    if _has_left_over_log(path) and not path.exists():
        raise StoreError(
            f"{path} is gone but its write-ahead log {path.name}-wal is still there\n"
            "  next: put the database back beside it, or move the log away to start a new store"
        )
    new = path.with_name(f".{path.name}.{secrets.token_hex(8)}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _build(url.set(database=str(new)))
        _give_name(new, path)
    except FileExistsError:
        if not path.exists():
            raise InputError(f"store: a folder on the way to {path} is a file", next_step="name another path") from None
    except (OSError, StoreError) as error:
        raise InputError(f"store: {path} cannot be created: {error}", next_step=_CHECK_RIGHTS) from error
    finally:
        for ending in ("", "-wal", "-shm", "-journal"):
            with suppress(OSError):
                new.with_name(f"{new.name}{ending}").unlink()


def _give_name(new: Path, path: Path) -> None:
    try:
        os.link(new, path)
    except FileExistsError:
        raise
    except OSError:
        # A file system without hard links; a rename would replace, so look first.
        if path.exists():
            raise FileExistsError(path) from None
        new.rename(path)


def _build(url: URL) -> None:
    engine = make_engine(url)
    try:
        with reading(engine) as connection:
            driver = connection.connection.driver_connection
            # Kept in the file's header: readers never wait for the writer, nor it for them.
            if driver is not None:
                driver.execute("PRAGMA journal_mode = WAL")
        create_tables(engine)
    finally:
        # The last connection to close moves the log into the file.
        engine.dispose()


def _has_left_over_log(path: Path) -> bool:
    log = path.with_name(f"{path.name}-wal")
    return log.exists() and log.stat().st_size > 0


def _check_file(path: Path) -> None:
    """Refuse what is no database by its outside: SQLite itself looks inside.

    Opened and closed here, the file would lose the locks of every other connection this process has to it (POSIX drops
    them all), and the next process to leave would take the write-ahead log for nobody's and remove it.
    """
    if not path.is_file():
        raise InputError(f"store: {path} is not a file", next_step="name a file in evalkit.yaml")
    if 0 < path.stat().st_size < _SMALLEST_BYTES:
        raise InputError(f"store: {path} is not a database", next_step=_ANOTHER_FILE)
    if path.stat().st_size == 0:
        raise InputError(
            f"store: {path} is empty, so whatever it held is lost",
            next_step="put back a backup, or delete the file to start a new store",
        )


def _check_store(engine: Engine, path: Path) -> None:
    if not has_tables(engine):
        raise InputError(
            f"store: {path} is a database, but not one of evalkit's",
            next_step=f"{_ANOTHER_FILE}; evalkit changes nothing in this one",
        )
    # Whether this user may write shows only when a write is tried, even one that changes no row.
    with writing(engine) as connection:
        connection.execute(update(version).where(false()).values(version=version.c.version))


_UNUSABLE = {
    "not a database": ("is not a database", _ANOTHER_FILE),
    "readonly": ("cannot be written", _CHECK_RIGHTS),
    "unable to open": ("cannot be opened", _CHECK_RIGHTS),
}


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except StoreError as error:
        cause = str(error.__cause__.orig) if isinstance(error.__cause__, DBAPIError) else ""
        for sign, (problem, next_step) in _UNUSABLE.items():
            if sign in cause:
                raise InputError(f"store: {path} {problem}", next_step=next_step) from error
        raise


def _postgres_engine(url: URL) -> Engine:
    try:
        engine = make_engine(url)
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        raise InputError(
            "store: PostgreSQL needs the psycopg driver", next_step="pip install 'gateway-evalkit[postgres]'"
        ) from error
    try:
        create_tables(engine)
    except BaseException as error:
        engine.dispose()
        cause = error.__cause__
        # Without a statement it was the connection that failed.
        if isinstance(error, StoreError) and isinstance(cause, DBAPIError) and cause.statement is None:
            raise InputError(
                f"store: {url.render_as_string()} cannot be reached: {cause.orig}",
                next_step="check server, database and user; PGPASSWORD gives the password",
            ) from error
        raise
    return engine
