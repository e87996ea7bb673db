"""The store on PostgreSQL keeps the contract that the one on SQLite keeps."""

from __future__ import annotations

import pytest

from evalkit.store.open import open_store
from evalkit.testing.contract_store import StoreContract


class TestPostgresStore(StoreContract):
    """The store of a team."""

    @pytest.fixture(autouse=True)
    def _own_database(self, database):
        self.url = database

    def new_store(self, root, clock):
        """Return a store in an empty database."""
        return open_store(self.url, root=root, clock=clock)
