"""Many calls, and many at once: the short form of the torture's load."""

from __future__ import annotations

import pytest
from torture.load import loaded

pytestmark = pytest.mark.slow


def test_twenty_thousand_calls():
    """Each is answered once and kept once, in memory that does not grow with them."""
    load = loaded("many calls", n_calls=20_000, concurrency=64, n_models=10)
    assert load.problems == []
    assert load.n_kept == 20_000


def test_five_hundred_at_once():
    """As many connections as the project allows, and none waits for another."""
    load = loaded("many at once", n_calls=1_000, concurrency=500, delay_ms=5_000)
    assert load.problems == []
    assert load.most_connections >= 500
