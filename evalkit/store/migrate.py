"""Brings a store to the newest schema, one step at a time, under a lock that lets only one process do it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import insert, inspect, select, text, update

from evalkit.errors import InputError
from evalkit.store.connect import lock_out_others, reading, writing
from evalkit.store.schema import LATEST, METADATA, OUTCOME_COUNTER, counters, version

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeAlias

    from sqlalchemy import Connection, Engine

    Step: TypeAlias = "Callable[[Connection], None]"

__all__ = ["STEPS", "create_tables", "has_tables", "migrate", "stored_version"]


def _add_direct(connection: Connection) -> None:
    """Version 2: time and cost of the same request sent straight to the baseline gateway."""
    connection.execute(text("ALTER TABLE outcomes ADD COLUMN direct_s DOUBLE PRECISION"))
    connection.execute(text("ALTER TABLE outcomes ADD COLUMN direct_usd DOUBLE PRECISION DEFAULT 0"))


def _add_asked(connection: Connection) -> None:
    """Version 3: outcomes of calls that scorers asked for stand beside the planned ones, told apart by this."""
    connection.execute(text("ALTER TABLE outcomes ADD COLUMN asked_about TEXT"))


STEPS: tuple[Step, ...] = (_add_direct, _add_asked)
"""Step i brings version i + 1 to i + 2. A new one goes to the end, with `LATEST`; none is ever changed or removed.

A new store is created at `LATEST` at once, so a step says only what its version changed.
"""

_SCHEMA = "schema"
"""What is locked while tables are made or changed."""


def create_tables(engine: Engine) -> None:
    """Make an empty store at the newest version; a store that is already there is left alone."""
    with writing(engine) as connection:
        lock_out_others(connection, _SCHEMA)
        if inspect(connection).has_table(version.name):
            return
        METADATA.create_all(connection)
        connection.execute(insert(counters).values(name=OUTCOME_COUNTER, value=0))
        connection.execute(insert(version).values(version=LATEST))


def has_tables(engine: Engine) -> bool:
    """Return whether the database holds a store of ours, at any version."""
    with reading(engine) as connection:
        return inspect(connection).has_table(version.name)


def stored_version(engine: Engine) -> int:
    """Return the schema version of a store."""
    with reading(engine) as connection:
        return _version(connection)


def migrate(engine: Engine, *, steps: Sequence[Step] = STEPS) -> None:
    """Run the steps that are missing, all in one transaction.

    Raises:
        InputError: when a newer evalkit wrote the store.
    """
    latest = len(steps) + 1
    found = stored_version(engine)
    if found < latest:
        with writing(engine) as connection:
            lock_out_others(connection, _SCHEMA)
            # Another process may have done it while this one waited for the lock.
            found = _version(connection)
            for step in steps[found - 1 :]:
                step(connection)
            connection.execute(update(version).values(version=max(found, latest)))
    if found > latest:
        raise InputError(
            f"the store has schema version {found}; this evalkit knows versions up to {latest}",
            next_step="upgrade evalkit, or name another store in evalkit.yaml",
        )


def _version(connection: Connection) -> int:
    found: int = connection.execute(select(version.c.version)).scalar_one()
    return found
