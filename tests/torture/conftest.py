"""The short form of `make torture`: the same parts, on a hundredth of the inputs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

# The torture is a tool, not part of the package: it is found by its folder.
sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))


@pytest.fixture(scope="session")
def fault_port():
    """Return the port of the server that breaks as its URLs say."""
    from torture.chaos import fault_server  # noqa: PLC0415  after the path is set

    with fault_server() as port:
        yield port
