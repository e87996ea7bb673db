"""Both stores keep the one contract."""

from __future__ import annotations

from evalkit.store.memory import MemoryStore
from evalkit.store.open import open_store
from evalkit.testing.contract_store import StoreContract


class TestMemoryStore(StoreContract):
    """The store of the tests."""

    def new_store(self, root, clock):
        """Return a store in memory."""
        return MemoryStore(clock=clock)


class TestSqlStore(StoreContract):
    """The store of the product, on SQLite."""

    def new_store(self, root, clock):
        """Return a store in a file."""
        return open_store("sqlite:///.evalkit/evalkit.db", root=root, clock=clock)
