"""The machine's clock."""

from __future__ import annotations

import time

from evalkit.clock import RehearsalClock, SystemClock


def test_now_is_unix_time():
    """Seconds since 1970, as the machine has them."""
    before = time.time()
    assert before <= SystemClock().now() <= time.time()


def test_monotonic_never_goes_back():
    """Two readings are in order."""
    clock = SystemClock()
    assert clock.monotonic() <= clock.monotonic()


def test_a_rehearsal_begins_at_its_moment_and_goes_on():
    """Time passes in it, and the monotonic clock is the machine's own."""
    clock = RehearsalClock(1_000.0)
    first, second = clock.now(), clock.now()
    assert 1_000.0 <= first <= second < 1_060.0
    assert clock.monotonic() <= clock.monotonic()
