"""Leases beyond the contract: renewal, other machines, and what is said."""

from __future__ import annotations

import os
import time
from contextlib import closing

import pytest
from sqlalchemy import select, update

from evalkit.errors import LeaseHeldError
from evalkit.store.connect import reading, writing
from evalkit.store.open import open_store
from evalkit.store.schema import leases
from evalkit.testing.contract_store import ManualClock


@pytest.fixture
def clock():
    """Return a clock the test moves."""
    return ManualClock()


@pytest.fixture
def store(tmp_path, clock):
    """Return an empty store on that clock."""
    with closing(open_store("sqlite:///evalkit.db", root=tmp_path, clock=clock)) as store:
        yield store


def _expiry(store):
    with reading(store._engine) as connection:
        return connection.execute(select(leases.c.expires_at)).scalar_one()


def _wait_until(condition):
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "nothing happened in 10 s"
        time.sleep(0.01)


def test_lease_is_renewed_while_held(store, clock):
    """A holder that lives keeps its lease, however long it works."""
    with store.lease("nightly", holder="one", ttl_s=0.06):
        clock.now_s += 1000
        _wait_until(lambda: _expiry(store) > clock.now_s)
        with pytest.raises(LeaseHeldError):
            store.lease("nightly", holder="two", ttl_s=1).__enter__()


def test_renewal_ends_with_the_block(store):
    """After the block there is neither a row nor a thread that writes one."""
    with store.lease("nightly", holder="one", ttl_s=0.03):
        pass
    time.sleep(0.05)
    with reading(store._engine) as connection:
        assert connection.execute(select(leases)).all() == []


@pytest.mark.parametrize(
    ("host", "pid", "is_held"), [("elsewhere", 1, True), (None, 2**22 + 1, False), (None, 1, True)]
)
def test_only_a_dead_process_of_this_machine_loses_its_lease(store, host, pid, is_held):
    """Of another machine nothing is known before the lease ends; init of this one is alive."""
    first = store.lease("nightly", holder="one", ttl_s=60)
    first.__enter__()
    changed = {"pid": pid} if host is None else {"pid": pid, "host": host}
    with writing(store._engine) as connection:
        connection.execute(update(leases).values(**changed))
    second = store.lease("nightly", holder="two", ttl_s=60)
    if is_held:
        with pytest.raises(LeaseHeldError, match="for another 60 s"):
            second.__enter__()
        first.__exit__(None, None, None)
    else:
        with second:
            assert _row(store).holder == "two"
            assert _row(store).pid == os.getpid()


def _row(store):
    with reading(store._engine) as connection:
        return connection.execute(select(leases)).one()
