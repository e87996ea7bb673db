"""What the workers of one session share: results that are measured once, and the money that was spent.

One small SQLite file in a folder of the session. Its write lock is the session's lock: only one process measures at a
time, and the lock of a process that was killed is free again.
"""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["Held", "Shared"]

_POLL_S = 0.1
"""How long one try for the lock takes: between two of them Ctrl-C is heard."""
_SPENT = "spent_usd"


class Held:
    """The session's notes while this process holds the lock."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def get(self, name: str) -> str | None:
        """Return what was noted under a name, or None."""
        row = self._connection.execute("SELECT text FROM notes WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def put(self, name: str, text: str) -> None:
        """Note something; it is there for the others once the lock is given back."""
        self._connection.execute("INSERT OR REPLACE INTO notes (name, text) VALUES (?, ?)", (name, text))

    @property
    def spent_usd(self) -> float:
        """Known cost of all that this session has asked for."""
        return float(self.get(_SPENT) or 0.0)

    def spend(self, usd: float) -> None:
        """Add to what the session has spent."""
        self.put(_SPENT, repr(self.spent_usd + usd))

    def release(self, *, keep: bool) -> None:
        """Give the lock back; what was noted meanwhile is kept, or forgotten."""
        with contextlib.closing(self._connection):
            self._connection.execute("COMMIT" if keep else "ROLLBACK")


class Shared:
    """A session's notes, in a folder that all its processes see."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def hold(self) -> Held:
        """Wait for the lock and take it; whoever takes it releases it."""
        # An event loop may wait for it in a thread and go on in its own.
        path = self.folder / "session.db"
        connection = sqlite3.connect(path, timeout=_POLL_S, isolation_level=None, check_same_thread=False)
        try:
            # Ends when the holder has measured, or has died: the system then frees its lock.
            while True:
                try:
                    connection.execute("BEGIN IMMEDIATE")
                    break
                except sqlite3.OperationalError as error:
                    if "locked" not in str(error):
                        raise
            connection.execute("CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, text TEXT NOT NULL)")
        except BaseException:
            connection.close()
            raise
        return Held(connection)

    @contextlib.contextmanager
    def held(self) -> Iterator[Held]:
        """Hold the lock while the context is open; an error forgets what was noted in it."""
        held = self.hold()
        is_done = False
        try:
            yield held
            is_done = True
        finally:
            held.release(keep=is_done)

    def once(self, name: str, make: Callable[[Held], str]) -> str:
        """Return what the first process to ask made; the others wait for it, and `make` nothing."""
        with self.held() as held:
            found = held.get(name)
            if found is None:
                found = make(held)
                held.put(name, found)
            return found

    def spent_usd(self) -> float:
        """Return the known cost of all that this session has asked for."""
        with self.held() as held:
            return held.spent_usd
