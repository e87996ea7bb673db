"""What to ask next when the answers so far may already decide: the next look of every suite × model, or none.

Pure: plan and answers in, calls or an end out. A look is due when the whole prefix of the scheduled order is answered,
never when some calls came back sooner than others: what is quick is not what is typical. Suites × models that are
measured as a whole are asked at once, and so are critical cases, where one failure settles everything.

A suite whose own matter is settled goes on as long as a model gate waits for it, by which the model may yet be admitted
for another task: a gate over all suites is judged as far as all of them were asked.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

from evalkit.domain.verdict import TOO_LITTLE_ANSWERED, GateStatus, ReasonCode, Status
from evalkit.pipeline.common_looks import is_asked_to_the_end
from evalkit.pipeline.decide import verdict_from_history
from evalkit.pipeline.model_gates import ALL_SUITES, ModelGates
from evalkit.stats.power import failures_allowed
from evalkit.stats.sequential import FUTILE_BELOW, LastLook, decision_probability, nominal_levels

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from evalkit.domain.call import Call
    from evalkit.domain.project import Project
    from evalkit.domain.run import Cell
    from evalkit.domain.suite import Gate
    from evalkit.domain.verdict import GateResult, Reason, Verdict
    from evalkit.pipeline.evidence import Measurement
    from evalkit.pipeline.history import History

__all__ = ["Batch", "Ending", "Pair", "Scored", "Stop", "next_batch", "with_looks_where_new"]

Pair: TypeAlias = "tuple[str, str]"
"""(suite, model id)."""

Ending = Literal["decided", "failed", "futile", "given_up", "whole"]
"""Every gate passed; the task's verdict is no; hardly any chance of a decision; nobody answered; asked to the end.

None of the first three as long as another task waits for a model gate that the suite is part of.
"""

_CLUSTER_ICC = 0.5
"""What trials of one prompt have in common, as long as nobody knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """What is known between two batches."""

    history: History
    """Graded answers of this run so far, and what decisions take from earlier runs."""
    is_start: bool = False
    """Whether this sitting has asked nothing yet: then what is missing up to the last look is asked for again."""
    given_up: frozenset[str] = frozenset()
    """Models that are not asked any more."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Calls to send now: of each suite × model the scheduled order up to some place."""

    until: Mapping[Pair, float]
    """(suite, model id) to the last `Call.sequence`; who is not named is not asked."""
    critical: frozenset[tuple[str, str]]
    """(suite, case id) of the cases that are asked wherever they stand."""

    def wants(self, call: Call) -> bool:
        """Return whether a call of the plan belongs to the batch."""
        until = self.until.get((call.suite, call.model_id))
        return until is not None and (call.sequence <= until or (call.suite, call.case_id) in self.critical)


@dataclass(frozen=True, slots=True)
class Stop:
    """Nothing is left to ask; falsy, so that a loop ends with it."""

    endings: Mapping[Pair, Ending] = field(default_factory=dict)
    """Why each suite × model that was looked at is not asked any further."""

    def __bool__(self) -> bool:
        """Return False: there is no batch."""
        return False


def next_batch(cells: Iterable[Cell], scored: Scored, project: Project) -> Batch | Stop:
    """Return the calls up to the next look of every suite × model that is still open, or why none is.

    Args:
        cells: of the run, with the looks that were fixed when it began.
        scored: every answer to the batches before, graded.
        project: gates, policy and roster.
    """
    cells = tuple(cells)
    judge = _Judge(project, scored, cells)
    until: dict[Pair, float] = {}
    endings: dict[Pair, Ending] = {}
    for cell in cells:
        pair = cell.suite, cell.model_id
        if not cell.looks:
            if scored.is_start:
                until[pair] = math.inf
            continue
        n_taken = judge.n_looks(cell)
        ending = judge.ending(cell)
        if ending is not None:
            endings[pair] = ending
        if ending is None or (scored.is_start and n_taken):
            look = cell.looks[n_taken if ending is None else n_taken - 1]
            until[pair] = look.last_sequence
    if not until:
        return Stop(endings)
    critical = {(suite.name, case.id) for suite in project.suites for case in suite.active_cases if case.critical}
    return Batch(until, frozenset(critical))


def with_looks_where_new(cells: Iterable[Cell], history: History, project: Project) -> tuple[Cell, ...]:
    """Return the cells of a new run, with looks only where the store holds no measurement of this suite × model.

    Where it does, the whole suite is what earlier nights are compared with; and a second sample that may stop when it
    looks good would be a second chance. An incumbent is measured whole, because others are held against it; and so is a
    suite too small to pass a gate at what its last look may err by.
    """
    return tuple(replace(cell, looks=()) if _is_whole(cell, history, project) else cell for cell in cells)


def _is_whole(cell: Cell, history: History, project: Project) -> bool:
    task = project.policy.tasks.get(cell.task)
    is_incumbent = task is None or task.incumbent == cell.model_id
    pair = cell.suite, cell.model_id
    is_known = bool(history.by_pair.get(pair)) or pair in history.stale
    return is_incumbent or is_known or not _can_pass_in_looks(cell, project)


def _can_pass_in_looks(cell: Cell, project: Project) -> bool:
    """Whether a perfect model would pass every gate on a share at the last look, which may err by less than alpha."""
    if not cell.looks:
        return False
    suite = project.suite_by_name[cell.suite]
    alpha = 1 - project.policy.defaults_for(cell.task).confidence
    last = nominal_levels(_times(cell), alpha=alpha)[-1]
    return all(
        failures_allowed(
            gate.limit if gate.at_least is not None else 1 - gate.limit,
            len({case.cluster_id for case in gate.cases_of(suite.active_cases)}),
            alpha=last,
        )
        is not None
        for gate in suite.gates
        if gate.is_share
    )


def _times(cell: Cell) -> list[float]:
    return [look.n_clusters / cell.looks[-1].n_clusters for look in cell.looks]


class _Judge:
    """Tells open pairs from settled ones, by the verdict that `decide` would give now."""

    def __init__(self, project: Project, scored: Scored, cells: Iterable[Cell]) -> None:
        self._project = replace(project, waivers=())  # decisions of people save no calls
        self._scored = scored
        self._cells = {(cell.suite, cell.model_id): cell for cell in cells}
        self._model_gates = ModelGates(project, scored.history)
        self._verdicts: dict[tuple[str, str], Verdict] = {}
        self._own_endings: dict[Pair, Ending | None] = {}

    def n_looks(self, cell: Cell) -> int:
        """Return how many looks the answers so far allow."""
        found = self._newest(cell.suite, cell.model_id)
        return 0 if found is None or found.cell.looks != cell.looks else found.n_looks

    def ending(self, cell: Cell) -> Ending | None:
        """Return why a suite × model need not be asked further; None while it must."""
        ending = self._own_ending(cell)
        is_settled = ending in ("decided", "failed", "futile") and self.n_looks(cell) < len(cell.looks)
        return None if is_settled and self._is_waited_for(cell) else ending

    def _own_ending(self, cell: Cell) -> Ending | None:
        """Return the same by what its own task needs."""
        pair = cell.suite, cell.model_id
        if pair not in self._own_endings:
            self._own_endings[pair] = self._found_ending(cell)
        return self._own_endings[pair]

    def _found_ending(self, cell: Cell) -> Ending | None:
        if cell.model_id in self._scored.given_up:
            return "given_up"
        n_taken = self.n_looks(cell)
        if not n_taken:
            return None
        return self._settled(cell, n_taken=n_taken) or ("whole" if n_taken == len(cell.looks) else None)

    def _is_waited_for(self, cell: Cell) -> bool:
        """Whether the model may yet be admitted for another task by a model gate that needs more of this suite."""
        model = self._project.roster.by_id[cell.model_id]
        over = [[suite.name for suite in suites] for _, suites in self._model_gates.over(model)]
        needs = [cell.suite in names and all(self._gets_whole(name, model.id) for name in names) for names in over]
        return any(needs) and any(self._waits(task, model.id, needs) for task in self._project.policy.tasks)

    def _waits(self, task: str, model_id: str, needs: Sequence[bool]) -> bool:
        """Whether a task is open but for model gates, and one of those that need more is undecided in it."""
        verdict = self._verdict(task, model_id)
        if verdict.status is Status.INELIGIBLE or any(self._stands(one, model_id) for one in verdict.reasons):
            return False
        found = [result for result in verdict.gates if result.suite == ALL_SUITES]
        # Without a gate some suite of the task is still to come.
        is_open = [one.status is GateStatus.UNDECIDED for one in found] or [True] * len(needs)
        return any(need and is_one for need, is_one in zip(needs, is_open, strict=True))

    def _stands(self, reason: Reason, model_id: str) -> bool:
        """Whether a doubt will be there whatever is still asked; what earlier evidence lends is no doubt."""
        if reason.suite == ALL_SUITES or reason.code is ReasonCode.KEPT:
            return False
        cell = self._cells.get((reason.suite or "", model_id))
        return cell is None or not cell.looks or self._own_ending(cell) is not None

    def _gets_whole(self, suite: str, model_id: str) -> bool:
        """Whether a suite × model was asked to the end, or may be in this run: where it ended early the gate stays."""
        newest = self._newest(suite, model_id)
        return (suite, model_id) in self._cells or (newest is not None and is_asked_to_the_end(newest))

    def _settled(self, cell: Cell, *, n_taken: int) -> Ending | None:
        verdict = self._verdict(cell.task, cell.model_id)
        if not verdict.gates:  # a suite of the task has no answers yet: there is no verdict to stop for
            return None
        if verdict.status is Status.INELIGIBLE:
            return "failed"
        mine = {reason.code for reason in verdict.reasons if reason.suite in (cell.suite, ALL_SUITES)}
        if not mine:
            return "decided"
        is_last = n_taken == len(cell.looks)
        if not is_last and not mine & TOO_LITTLE_ANSWERED and self._is_futile(cell, verdict, n_taken=n_taken):
            return "futile"
        return None

    def _is_futile(self, cell: Cell, verdict: Verdict, *, n_taken: int) -> bool:
        """Whether some gate of the suite will hardly be decided even when everything is asked."""
        suite = self._project.suite_by_name[cell.suite]
        results = [result for result in verdict.gates if result.suite == cell.suite]
        n_gates = sum(len(one.gates) for one in self._project.suites_of(cell.task))
        n_gates += len(self._project.policy.model_gates)
        alpha = 1 - self._project.policy.defaults_for(cell.task).confidence
        times = _times(cell)
        last = {
            "pass_alpha": nominal_levels(times, alpha=alpha)[-1],
            "fail_alpha": nominal_levels(times, alpha=alpha / n_gates)[-1],
        }
        chances = (
            _chance(gate, result, seen=times[n_taken - 1], **last)
            for gate, result in zip(suite.gates, results, strict=True)
            if result.status is GateStatus.UNDECIDED and gate.is_share
        )
        return any(chance < FUTILE_BELOW for chance in chances)

    def _verdict(self, task: str, model_id: str) -> Verdict:
        if (task, model_id) not in self._verdicts:
            nights = [self._newest(suite.name, model_id) for suite in self._project.suites_of(task)]
            self._verdicts[task, model_id] = verdict_from_history(
                self._project,
                self._scored.history,
                task=task,
                model=self._project.roster.by_id[model_id],
                # Judged as of its oldest answer: a long run must not outlive its own evidence.
                as_of=min((night.measured_at for night in nights if night is not None), default=0.0),
            )
        return self._verdicts[task, model_id]

    def _newest(self, suite: str, model_id: str) -> Measurement | None:
        return next(iter(self._scored.history.by_pair.get((suite, model_id), ())), None)


def _chance(gate: Gate, result: GateResult, *, seen: float, pass_alpha: float, fail_alpha: float) -> float:
    """Return how likely the last look decides a gate of which a share `seen` of the clusters was answered."""
    estimate = result.estimate
    if estimate is None:
        return 1.0
    size = estimate.n / max(estimate.n_clusters, 1)
    n = estimate.n / (1 + (size - 1) * _CLUSTER_ICC)
    is_flipped = gate.at_most is not None
    last = LastLook(
        limit=1 - gate.limit if is_flipped else gate.limit,
        n=round(n / seen),
        pass_alpha=pass_alpha,
        fail_alpha=fail_alpha,
    )
    return decision_probability(1 - estimate.value if is_flipped else estimate.value, n, last)
