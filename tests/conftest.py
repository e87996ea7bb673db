"""Options and fixtures every test may use."""

from __future__ import annotations

import pytest
from hypothesis import settings

# Two busy cores make single examples slow; a deadline would then test the machine.
settings.register_profile("evalkit", deadline=None, derandomize=True)
settings.load_profile("evalkit")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the switch that rewrites golden files."""
    parser.addoption("--update-golden", action="store_true", help="rewrite golden files instead of comparing with them")


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    """Whether golden files are rewritten; the change is then reviewed like code."""
    return bool(request.config.getoption("--update-golden"))
