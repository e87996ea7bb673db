"""Did a series fall for good? Two nights running that are worse than the nights before both of them end its pool.

A pass is pooled over a fortnight, so a model that was well above its gates would be carried by what it was for another
week. Asked of what its gates measure, and of its own nights only: what others did must not change a verdict.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from evalkit.domain.verdict import Reason, ReasonCode
from evalkit.pipeline.baselines import MIN_COVERAGE
from evalkit.pipeline.evidence import MAX_NIGHTS, share_reader
from evalkit.stats.nights import MIN_NIGHTS
from evalkit.stats.regression import ALPHA, FIRST_ALPHA, MIN_DROP, Stream, judge_regressions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from evalkit.domain.suite import Gate, Suite
    from evalkit.pipeline.evidence import Measurement
    from evalkit.stats.paired import Trials

__all__ = ["Fall", "ended_by", "falls_of", "nights_that_keep"]

_APART_S = 6 * 3600.0
"""Measurements that began less than this after a night's first are of the same night: an extension, or one more try."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fall:
    """One confirmed fall of a suite × model, by places in its series, newest first."""

    confirmed: int
    """Newest measurement of the night that confirmed it: from there on it is known."""
    since: int
    """Oldest measurement of the night of the fall: what is older is another model's, as it were."""
    reasons: tuple[Reason, ...]
    """One a gate that fell."""


@dataclass(frozen=True, slots=True)
class _Night:
    """What was measured within some hours of one another."""

    newest: int
    oldest: int
    measurements: tuple[Measurement, ...]
    judges: frozenset[tuple[str, str]]
    means: tuple[float | None, ...]
    """Of each gate's answers, turned so that less is worse; None without any."""


def falls_of(
    suite: Suite,
    nights: Sequence[Measurement],
    *,
    n_gates: int,
    judges: Callable[[Measurement], frozenset[tuple[str, str]]],
) -> tuple[Fall, ...]:
    """Return the confirmed falls of a suite × model, newest first.

    A fall is a night and the next, each worse than all nights before the two, at most fourteen since the last fall: on
    the same gate's share by at least `MIN_DROP`, with a Holm-adjusted p of at most `ALPHA` on both nights and of at
    most `FIRST_ALPHA` on one of them. The task's gates share both levels: Holm is over those of the suite, which has
    its part of either. Nights with too much missing are passed over; another judge is another series.

    Args:
        suite: with its gates.
        nights: of one series, newest first.
        n_gates: gates of the whole task.
        judges: who answered the suite's scorers on a night.
    """
    gates = [gate for gate in suite.gates if gate.is_share]
    if not gates or len(nights) < MIN_NIGHTS + 2:
        return ()
    series = _Series(suite, gates, alpha=ALPHA * len(gates) / n_gates)
    found: list[Fall] = []
    before: deque[_Night] = deque(maxlen=MAX_NIGHTS)
    last: _Night | None = None
    for night in series.nights(nights, judges=judges):
        if last is not None and night.judges != last.judges:
            before.clear()
        elif last is not None:
            fall = series.fall(last, night, before=tuple(before))
            if fall is not None:
                found.append(fall)
                before.clear()
            before.append(last)
        last = night
    return tuple(reversed(found))


def ended_by(falls: Sequence[Fall], *, place: int) -> Fall | None:
    """Return the newest fall that was known at a place in the series and still shortens its pool; None without one."""
    known = next((fall for fall in falls if fall.confirmed >= place), None)
    return known if known is not None and known.since + 1 < place + MAX_NIGHTS else None


def nights_that_keep(falls: Iterable[Sequence[Fall]]) -> int:
    """Return how many nights before the newest may keep a model: none whose verdict rests on what was before a fall.

    Args:
        falls: of each suite of a task, as `falls_of` gives them.
    """
    return min((found[0].confirmed for found in falls if found), default=MAX_NIGHTS)


class _Series:
    """The share gates of one suite × model, night by night."""

    def __init__(self, suite: Suite, gates: Sequence[Gate], *, alpha: float) -> None:
        self._suite = suite
        self._gates = gates
        self._cases = [frozenset(case.id for case in gate.cases_of(suite.active_cases)) for gate in gates]
        self._clusters = {case.id: case.cluster_id for case in suite.active_cases}
        self._alpha = alpha
        self._first_alpha = alpha * FIRST_ALPHA / ALPHA

    def nights(
        self, measurements: Sequence[Measurement], *, judges: Callable[[Measurement], frozenset[tuple[str, str]]]
    ) -> Iterator[_Night]:
        """Yield the nights that can be compared, oldest first."""
        grouped: list[list[int]] = []
        for place in range(len(measurements) - 1, -1, -1):
            one = measurements[place]
            if not one.is_complete or one.coverage < MIN_COVERAGE:
                continue
            if grouped and one.run.started_at - measurements[grouped[-1][0]].run.started_at < _APART_S:
                grouped[-1].append(place)
            else:
                grouped.append([place])
        for places in grouped:
            found = tuple(measurements[place] for place in places)
            yield _Night(
                newest=places[-1],
                oldest=places[0],
                measurements=found,
                judges=frozenset().union(*map(judges, found)),
                means=tuple(_mean(self._values(found, index)) for index in range(len(self._gates))),
            )

    def fall(self, first: _Night, second: _Night, *, before: Sequence[_Night]) -> Fall | None:
        """Return the fall that two nights running confirm, or None."""
        may_be = [
            index
            for index in range(len(self._gates))
            if self._is_lower(index, first, before) and self._is_lower(index, second, before)
        ]
        if len(before) < MIN_NIGHTS or not may_be:
            return None
        baseline = [tuple(self._trials(night, index) for night in before) for index in range(len(self._gates))]
        p_first = self._worse(first, baseline)
        p_second = self._worse(second, baseline) if p_first else {}
        has_fallen = [
            index
            for index in may_be
            if index in p_first and index in p_second and min(p_first[index], p_second[index]) <= self._first_alpha
        ]
        if not has_fallen:
            return None
        return Fall(
            confirmed=second.newest,
            since=first.oldest,
            reasons=tuple(self._reason(index, (first, second), before) for index in has_fallen),
        )

    def _is_lower(self, index: int, night: _Night, before: Sequence[_Night]) -> bool:
        """Whether plain means fell at all: tests are dear, and most nights of most models need none."""
        known = [mean for one in before if (mean := one.means[index]) is not None]
        mean = night.means[index]
        # Half: what is missing on either side may hide some of a drop.
        return mean is not None and bool(known) and mean <= math.fsum(known) / len(known) - MIN_DROP / 2

    def _worse(self, night: _Night, baseline: Sequence[tuple[Trials, ...]]) -> dict[int, float]:
        """Return the gates on which a night is worse than its baseline, each with its adjusted p."""
        streams = []
        for index, earlier in enumerate(baseline):
            ours = self._trials(night, index)
            n_shared = len(frozenset().union(*earlier) & ours.keys())
            is_testable = n_shared >= MIN_COVERAGE * len(self._cases[index]) - 1e-9
            streams.append(Stream(candidate=ours, nights=earlier, clusters=self._clusters, is_testable=is_testable))
        return {
            index: judged.p_adjusted
            for index, judged in enumerate(judge_regressions(streams).judged)
            if judged.test.difference is not None
            # A sum of scores may miss the limit by rounding alone.
            and judged.test.difference <= -MIN_DROP + 1e-12
            and judged.p_adjusted <= self._alpha
        }

    def _trials(self, night: _Night, index: int) -> dict[str, list[float]]:
        found: dict[str, list[float]] = {}
        for case_id, value in self._values(night.measurements, index):
            found.setdefault(case_id, []).append(value)
        return found

    def _values(self, measurements: Sequence[Measurement], index: int) -> Iterator[tuple[str, float]]:
        """Yield (case id, value) of a gate's answers, turned so that less is worse."""
        gate, cases = self._gates[index], self._cases[index]
        read = share_reader(gate.metric)
        for unit in chain.from_iterable(one.units for one in measurements):
            value = read(unit) if unit.case_id in cases else None
            if value is not None:
                yield unit.case_id, value if gate.at_most is None else 1 - value

    def _reason(self, index: int, fallen: Sequence[_Night], before: Sequence[_Night]) -> Reason:
        gate = self._gates[index]

        def shown(nights: Sequence[_Night]) -> str:
            values = [*chain.from_iterable(self._values(night.measurements, index) for night in nights)]
            mean = _mean(iter(values)) or 0.0
            return f"{mean if gate.at_most is None else 1 - mean:.4g} (n={len(values)})"

        detail = f"{gate.metric} went from {shown(before)} to {shown(fallen)} on two nights running"
        return Reason(
            code=ReasonCode.REGRESSED,
            suite=self._suite.name,
            metric=gate.metric,
            detail=f"{detail}; only the nights since are evidence",
        )


def _mean(values: Iterator[tuple[str, float]]) -> float | None:
    known = [value for _, value in values]
    return math.fsum(known) / len(known) if known else None
