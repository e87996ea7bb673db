"""Leases: who may publish, who owns tonight. A row says who, on which machine, in which process, until when."""

from __future__ import annotations

import os
import secrets
import socket
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, insert, select, update

from evalkit.errors import LeaseHeldError, StoreError
from evalkit.store.connect import lock_out_others, writing
from evalkit.store.schema import leases

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine, Row

    from evalkit.ports import Clock

__all__ = ["held_lease"]

_RENEWALS = 3
"""Renewals in one time to live: two may fail before the lease is lost."""


@contextmanager
def held_lease(engine: Engine, clock: Clock, *, name: str, holder: str, ttl_s: float) -> Iterator[None]:
    """Own `name` while the block runs; a thread renews it every third of `ttl_s`.

    Raises:
        LeaseHeldError: when a live process owns it.
        StoreError: at the end, when the machine slept so long that somebody else took it meanwhile.
    """
    token = secrets.token_hex(16)
    _take(engine, clock, name=name, row={"token": token, "holder": holder}, ttl_s=ttl_s)
    ended = Event()
    renewer = Thread(
        target=_renew, args=(engine, clock, ended), kwargs={"token": token, "ttl_s": ttl_s}, daemon=True, name="lease"
    )
    renewer.start()
    try:
        yield
    finally:
        ended.set()
        renewer.join()
        is_ours = _give_back(engine, token)
    if not is_ours:
        raise StoreError(f"the lease {name!r} ran out while {holder} held it, and was taken\n  next: run it again")


def _take(engine: Engine, clock: Clock, *, name: str, row: dict[str, Any], ttl_s: float) -> None:
    with writing(engine) as connection:
        # A name nobody owns has no row to lock: without this two would both find it free.
        lock_out_others(connection, f"lease {name}")
        other = connection.execute(select(leases).where(leases.c.name == name).with_for_update()).one_or_none()
        now = clock.now()
        if other is not None and other.expires_at > now and _is_alive(other):
            raise LeaseHeldError(
                f"{name!r} is held by {other.holder} (process {other.pid} on {other.host}) "
                f"for another {other.expires_at - now:.0f} s",
                next_step="wait for it to end, or end that process: its lease is then free at once",
            )
        connection.execute(delete(leases).where(leases.c.name == name))
        mine = {**row, "host": _host(), "pid": os.getpid(), "expires_at": now + ttl_s}
        connection.execute(insert(leases).values(name=name, **mine))


def _host() -> str:
    """Return the machine's name with its process namespace: two containers may share the one, never both."""
    try:
        namespace = Path("/proc/self/ns/pid").readlink().name
    except OSError:
        return socket.gethostname()
    return f"{socket.gethostname()}/{namespace}"


def _is_alive(lease: Row[Any]) -> bool:
    """Return False only for what is certainly dead: a process of this machine that is gone."""
    if lease.host != _host():
        return True
    try:
        os.kill(lease.pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _renew(engine: Engine, clock: Clock, ended: Event, *, token: str, ttl_s: float) -> None:
    while not ended.wait(ttl_s / _RENEWALS):
        try:
            with writing(engine) as connection:
                _extend(connection, token, expires_at=clock.now() + ttl_s)
        except StoreError:
            # A store that is busy now may not be at the next renewal; one that is broken stops the holder itself.
            continue


def _extend(connection: Connection, token: str, *, expires_at: float) -> None:
    connection.execute(update(leases).where(leases.c.token == token).values(expires_at=expires_at))


def _give_back(engine: Engine, token: str) -> bool:
    with writing(engine) as connection:
        return connection.execute(delete(leases).where(leases.c.token == token)).rowcount == 1
