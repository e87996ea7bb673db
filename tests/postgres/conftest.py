"""A database of its own for each test, on the server that `make test-postgres` starts."""

from __future__ import annotations

import os
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, make_url, text

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    """Everything in this folder needs the server."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.postgres)


@pytest.fixture(scope="session")
def server():
    """Return the URL of the server's first database."""
    url = os.environ.get("EVALKIT_TEST_POSTGRES")
    if not url:
        pytest.fail("no PostgreSQL server: run `make test-postgres`", pytrace=False)
    return make_url(url)


@pytest.fixture
def new_database(server):
    """Give a function: make an empty database and return its URL, which has no password in it."""
    names = []
    engine = create_engine(server, isolation_level="AUTOCOMMIT")

    def make():
        names.append(f"evalkit_{uuid4().hex}")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {names[-1]}"))
        return server.set(database=names[-1]).render_as_string()

    yield make
    with engine.connect() as connection:
        for name in names:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    engine.dispose()


@pytest.fixture
def database(new_database):
    """Return the URL of an empty database."""
    return new_database()
