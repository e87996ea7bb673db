"""The one place that reads the machine's clocks; everything else is given a `evalkit.ports.Clock`."""

from __future__ import annotations

import time

__all__ = ["RehearsalClock", "SystemClock"]


class SystemClock:
    """Time as the operating system tells it."""

    def now(self) -> float:
        """Return Unix seconds."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return time.monotonic()


class RehearsalClock:
    """Time that begins at a given moment and goes on from there: for nights that are rehearsed on the simulator."""

    def __init__(self, starts_at: float) -> None:
        self._ahead_s = starts_at - time.time()

    def now(self) -> float:
        """Return Unix seconds of the rehearsal."""
        return time.time() + self._ahead_s

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return time.monotonic()
