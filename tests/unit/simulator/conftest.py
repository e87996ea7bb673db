"""The starter project as `evalkit init` lays it out, loaded once."""

from __future__ import annotations

import pytest

from evalkit.api.starting import init_project
from evalkit.loading.project import load_project
from evalkit.simulator.book import book_from_project


@pytest.fixture(scope="session")
def starter(tmp_path_factory):
    """Return the starter project as `evalkit init` writes it."""
    root = tmp_path_factory.mktemp("starter")
    init_project(root)
    return load_project(root, now=0)


@pytest.fixture(scope="session")
def book(starter):
    """Return the answer book of the starter project."""
    return book_from_project(starter)
