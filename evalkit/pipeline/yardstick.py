"""Which of the incumbent's measurements a candidate's is held against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from evalkit.pipeline.evidence import Measurement

__all__ = ["Yardstick"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Yardstick:
    """The incumbent of a task on one of its suites.

    One that stopped early stopped because of its own answers: it is no yardstick for others.
    """

    series: Sequence[Measurement]
    """Newest first."""
    is_expired: Callable[[float], bool]
    """Whether what was measured at this moment, in Unix seconds, is too old to hold tonight against."""
    is_thin: Callable[[Measurement], bool]
    """Whether so much is missing that no earlier night is held against it."""

    def tonight(self, mine: Measurement) -> Measurement | None:
        """Return what a candidate's newest measurement is held against; None without a fresh one."""
        return next(
            (one for one in self._nearest(mine) if one.is_complete and not self.is_expired(one.measured_at)), None
        )

    def before(self, nights: Sequence[Measurement]) -> list[tuple[Measurement, Measurement]]:
        """Return earlier measurements of the candidate, each with what it is held against."""
        return [(mine, theirs) for mine in nights if (theirs := self._earlier(mine)) is not None]

    def _earlier(self, mine: Measurement) -> Measurement | None:
        return next((one for one in self._nearest(mine) if one.is_complete and not self.is_thin(one)), None)

    def _nearest(self, mine: Measurement) -> Iterator[Measurement]:
        """Yield that of the same run, then what was there before it, newest first, then what came after.

        So that tomorrow's answers of the incumbent change nothing about tonight.
        """
        run = mine.run
        yield from (one for one in self.series if one.run.run_id == run.run_id)
        others = [one for one in self.series if one.run.run_id != run.run_id]
        yield from (one for one in others if one.run.started_at <= run.started_at)
        yield from reversed([one for one in others if one.run.started_at > run.started_at])
