"""The gates of one model on one task, over the looks that were taken at its answers.

A suite × model that was measured as a whole has one look, at full alpha, and pools it with earlier nights. One that was
measured look by look is judged at every look it holds, each at its own level, so that all of them together err as
seldom as one would: what passed at some look has passed, what failed at any has failed. Which looks there are was fixed
before the first call, so nothing here depends on why the asking ended, and nothing has to be remembered but answers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import TYPE_CHECKING

from evalkit.domain.verdict import GateStatus, ReasonCode
from evalkit.pipeline.gates import GateContext, is_of_task, judge_gate, judged_share
from evalkit.pipeline.noninferiority import judge_non_inferiority
from evalkit.stats.sequential import nominal_levels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from evalkit.domain.estimate import Correlation
    from evalkit.domain.suite import Gate, Suite
    from evalkit.domain.verdict import GateResult, Reason
    from evalkit.pipeline.clustering import Correlations
    from evalkit.pipeline.evidence import Measurement
    from evalkit.pipeline.yardstick import Yardstick

__all__ = ["Evidence", "LookLevel", "latched", "look_levels", "times_of_task"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LookLevel:
    """What one look may err by, one-sided."""

    number: int
    """From 1."""
    alpha: float
    fail_alpha: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What one task × model is judged on."""

    suites: Sequence[Suite]
    measurements: Sequence[Measurement]
    """One a suite."""
    earlier: Sequence[Sequence[Measurement]]
    """Of each suite, earlier nights that a pass is pooled with; used where there is one look only."""
    alpha: float
    n_gates: int
    """Gates of the whole task: any of them may fail a model."""
    correlations: Correlations | None = None
    """What earlier runs say of the suites' clusters; None: nothing."""
    judge: Callable[[Gate, GateContext], GateResult] = judge_gate
    """Judges one gate at one look."""

    def gates(self) -> Iterator[GateResult]:
        """Yield every gate of every suite, in their order."""
        for place, suite in enumerate(self.suites):
            for gate in suite.gates:
                yield self._gate(gate, place)

    def _gate(self, gate: Gate, place: int) -> GateResult:
        is_looked_at = any(one.cell.looks for one in (self.measurements if is_of_task(gate) else [self._of(place)]))

        def at_look(level: LookLevel) -> GateResult:
            found = self.judge(gate, self._context(gate, place, level=level, is_pooled=not is_looked_at))
            return replace(found, look=level.number if is_looked_at else None)

        return latched(self.levels(gate, place), at_look) or self._unseen(gate, place)

    def _unseen(self, gate: Gate, place: int) -> GateResult:
        """Of a slice of which nothing was asked yet: whatever is found, it is no evidence."""
        level = LookLevel(number=self._of(place).n_looks, alpha=self.alpha, fail_alpha=self.alpha / self.n_gates)
        found = self.judge(gate, self._context(gate, place, level=level, is_pooled=False))
        return replace(found, status=GateStatus.UNDECIDED, look=level.number)

    def _of(self, place: int) -> Measurement:
        return self.measurements[place]

    def _context(self, gate: Gate, place: int, *, level: LookLevel, is_pooled: bool) -> GateContext:
        seen = [one.at_look(min(level.number, one.n_looks)) for one in self.measurements]
        return GateContext(
            suite=self.suites[place],
            measurement=seen[place],
            of_task=seen,
            earlier=self.earlier[place] if is_pooled else (),
            earlier_of_task=_of_task(self.earlier) if is_pooled else (),
            alpha=level.alpha,
            fail_alpha=level.fail_alpha,
            correlation=self._correlation(gate, place, seen=seen[place]),
        )

    def _correlation(self, gate: Gate, place: int, *, seen: Measurement) -> Correlation | None:
        share = judged_share(gate, self.suites[place])
        if share is None or self.correlations is None:
            return None
        return self.correlations.known(self._of(place), seen, share)

    def levels(self, gate: Gate, place: int) -> Iterator[LookLevel]:
        """Yield the levels of the looks at one gate that were taken, in order."""
        if is_of_task(gate):
            n_taken = max(one.n_looks for one in self.measurements)
            times = times_of_task(self.measurements)
        else:
            n_taken = self._of(place).n_looks
            times = _times_of_gate(gate, self.suites[place], self._of(place))
        return look_levels(times, n_taken=n_taken, alpha=self.alpha, n_gates=self.n_gates)

    def comparison(self, place: int, yardstick: Yardstick, *, margin: float) -> Reason | None:
        """Return None when non-inferiority to the incumbent is shown on a suite, else why not."""
        mine = self._of(place)
        incumbent = yardstick.tonight(mine)
        before = [] if mine.cell.looks else yardstick.before([night.evidence for night in self.earlier[place]])
        is_shown = False
        reason: Reason | None = None
        for level in look_levels(_times_of_suite(mine), n_taken=mine.n_looks, alpha=self.alpha, n_gates=1):
            reason = judge_non_inferiority(
                self.suites[place],
                mine.at_look(level.number),
                incumbent=incumbent,
                margin=margin,
                alpha=level.alpha,
                earlier=before,
            )
            if reason is not None and reason.code is ReasonCode.NOT_NON_INFERIOR:
                return reason
            is_shown = is_shown or reason is None
        return None if is_shown else reason


def _of_task(earlier: Sequence[Sequence[Measurement]]) -> list[list[Measurement]]:
    """Return night by night what the suites have; one measured less often is not in every night."""
    return [[one for one in night if one is not None] for night in zip_longest(*earlier)]


def latched(levels: Iterable[LookLevel], judge: Callable[[LookLevel], GateResult]) -> GateResult | None:
    """Return the first pass, but a fail at any look; without either the last result, and None without a look."""
    passed: GateResult | None = None
    result: GateResult | None = None
    for level in levels:
        result = judge(level)
        if result.status is GateStatus.FAIL:
            return result
        if passed is None and result.status is GateStatus.PASS:
            passed = result
    return passed or result


def look_levels(times: Sequence[float], *, n_taken: int, alpha: float, n_gates: int) -> Iterator[LookLevel]:
    """Yield the levels of the first looks of a schedule, of those that can decide.

    Args:
        times: share of all information at each look of the schedule, never falling.
        n_taken: how many of them were taken.
        alpha: one-sided error of a pass over all looks.
        n_gates: a fail may err by alpha / n_gates over all looks.
    """
    # A level depends on the looks up to it: those that were not taken change nothing, and are worked out once for all.
    to_pass = nominal_levels(times, alpha=alpha)[:n_taken]
    to_fail = nominal_levels(times, alpha=alpha / n_gates)[:n_taken]
    for number, (passing, failing) in enumerate(zip(to_pass, to_fail, strict=True), start=1):
        if passing > 0 and failing > 0:
            yield LookLevel(number=number, alpha=passing, fail_alpha=failing)


def _times_of_suite(measurement: Measurement) -> list[float]:
    looks = measurement.cell.looks
    return [look.n_clusters / looks[-1].n_clusters for look in looks] or [1.0]


def _times_of_gate(gate: Gate, suite: Suite, measurement: Measurement) -> list[float]:
    """Return the share of the gate's own clusters at each look; of a slice they come as the seeded order has them."""
    wanted = gate.cases_of(suite.active_cases)
    if not measurement.cell.looks or len(wanted) == len(suite.active_cases):
        return _times_of_suite(measurement)
    names = {case.id for case in wanted}
    n_all = max(len({case.cluster_id for case in wanted}), 1)
    times = []
    for number in range(1, measurement.n_looks + 1):
        seen = {unit.cluster_id for unit in measurement.at_look(number).units if unit.case_id in names}
        times.append(len(seen) / n_all)
    return times


def times_of_task(measurements: Sequence[Measurement]) -> list[float]:
    """Return the share of all clusters of the task at each look, as if no suite had stopped before the others.

    A suite that did makes later looks more alike than these times say, and alike looks err less often together.
    """
    schedules = [[look.n_clusters for look in one.cell.looks] or [_n_clusters(one)] for one in measurements]
    n_all = sum(schedule[-1] for schedule in schedules)
    n_looks = max(map(len, schedules))
    return [sum(schedule[min(look, len(schedule) - 1)] for schedule in schedules) / n_all for look in range(n_looks)]


def _n_clusters(measurement: Measurement) -> int:
    return len({unit.cluster_id for unit in measurement.units})
