"""What one measurement of a suite × model proves by itself: for a test session, which has no history and no rivals.

The judgement is `decide`'s own, on this measurement alone. Nothing is pooled with or kept from earlier nights, nobody
is compared with an incumbent, and no waiver counts: those are about routing, this is about a suite and its prompts.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from evalkit.domain.score import Score
from evalkit.domain.verdict import ReasonCode, Status
from evalkit.pipeline.decide import verdict_from_history
from evalkit.pipeline.evidence import read_measurements
from evalkit.pipeline.history import History

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evalkit.domain.outcome import Outcome
    from evalkit.domain.project import Project
    from evalkit.domain.roster import Model
    from evalkit.domain.run import Run
    from evalkit.domain.suite import Suite
    from evalkit.domain.verdict import GateResult, Verdict
    from evalkit.pipeline.evidence import Measurement
    from evalkit.ports import RunReader

__all__ = ["TIME_AND_MONEY", "GateLine", "Proof", "judged_alone", "prove", "replayable", "worst_answers"]

TIME_AND_MONEY = frozenset({"latency_s", "ttft_s", "cost_usd"})
"""Measures that a recording says nothing about: gates on them are skipped in a replay."""

_GATE_REASONS = frozenset({
    ReasonCode.GATE_FAILED, ReasonCode.GATE_UNDECIDED, ReasonCode.COST_UNKNOWN, ReasonCode.TOO_FEW_CALLS,
})  # fmt: skip
"""Reasons that a gate's own line says already."""
_SHOWN_CHARS = 160
_N_WORST = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class GateLine:
    """One gate as a test session shows it."""

    rule: str
    """Metric and rule, such as `exact >= 0.9`."""
    status: str
    """`pass`, `fail` or `undecided`."""
    estimate: float | None
    bound: float | None
    n: int | None
    level: float | None
    cure: str = ""

    def __str__(self) -> str:
        """Return status, rule, estimate, bound and n in one line."""
        if self.estimate is None:
            found = "nothing to estimate from"
        else:
            bound = "none" if self.bound is None else f"{self.bound:.4g}"
            found = f"{self.estimate:.4g}, bound {bound}, n={self.n} ({self.level:.4g} one-sided)"
        return f"{self.status:<9} {self.rule}: {found}" + (f"; cure: {self.cure}" if self.cure else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What a measurement of a suite × model showed."""

    suite: str
    model_id: str
    is_held: bool
    """Whether every gate is passed and nothing else is held against the model; undecided is not held."""
    gates: tuple[GateLine, ...] = ()
    reasons: tuple[str, ...] = ()
    """What is held against it beside the gates."""
    worst: tuple[str, ...] = ()
    """The three worst answers, worst first; everything a model said is quoted and escaped."""
    missing: tuple[str, ...] = ()
    """Every call of a replay that nobody recorded, as `case` or `case (trial 1)`."""
    skipped: tuple[str, ...] = ()
    """Rules of the gates that were left out, because a recording says nothing about time and money."""
    is_simulated: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether there was nothing to judge: every gate was left out, and nothing else is held against the model."""
        return not (self.gates or self.reasons or self.missing)


def replayable(project: Project) -> Project:
    """Return the project as recordings can be held against it.

    Gates on time and money are gone, and so is the demand to know who answered; texts are kept, in memory.
    """
    suites = tuple(
        suite.model_copy(
            update={
                "payloads": "full",
                "gates": tuple(gate for gate in suite.gates if gate.metric not in TIME_AND_MONEY),
            }
        )
        for suite in project.suites
    )
    tasks = {
        task: policy.model_copy(update={"min_identity": "unverifiable"})
        for task, policy in project.policy.tasks.items()
    }
    return replace(project, suites=suites, policy=project.policy.model_copy(update={"tasks": tasks}))


def prove(project: Project, reader: RunReader, run: Run, *, suite: Suite, model: Model) -> Proof:
    """Return what a run proves about a suite × model it planned, graded and ended."""
    measurement = read_measurements(reader, run, wanted=[(suite.name, model.id)])[suite.name, model.id]
    if not measurement.is_complete:
        said = f"{len(measurement.units)} of {measurement.cell.n_planned} calls were made: the run ended early"
        reasons = (f"{said} ({run.note})" if run.note else said,)
        return Proof(suite=suite.name, model_id=model.id, is_held=False, reasons=reasons, is_simulated=run.is_simulated)
    verdict = judged_alone(project, measurement, suite=suite, model=model)
    # No gate, no proof: a suite whose every gate was left out has shown nothing.
    is_held = verdict.status is Status.ELIGIBLE and bool(verdict.gates)
    return Proof(
        suite=suite.name,
        model_id=model.id,
        is_held=is_held,
        gates=tuple(_gate_line(gate) for gate in verdict.gates),
        reasons=tuple(_reasons(verdict)),
        worst=() if is_held else worst_answers(reader, run, suite=suite, model_id=model.id),
        is_simulated=run.is_simulated,
    )


def judged_alone(project: Project, measurement: Measurement, *, suite: Suite, model: Model) -> Verdict:
    """Return the verdict that this measurement gives when it is all there is."""
    tasks = {
        task: policy.model_copy(update={"incumbent": None, "pin": None})
        for task, policy in project.policy.tasks.items()
    }
    policy = project.policy.model_copy(update={"tasks": tasks})
    alone = replace(project, suites=(suite,), policy=policy, waivers=())
    history = History({(suite.name, model.id): [measurement]}, frozenset())
    return verdict_from_history(alone, history, task=suite.task, model=model, as_of=measurement.last_at)


def _gate_line(gate: GateResult) -> GateLine:
    estimate = gate.estimate
    is_known = estimate is not None and math.isfinite(estimate.value)
    return GateLine(
        rule=f"{gate.metric} {gate.rule}",
        status=str(gate.status),
        estimate=estimate.value if estimate is not None and is_known else None,
        bound=gate.bound,
        n=None if estimate is None else estimate.n,
        level=None if estimate is None else estimate.level,
        cure=gate.cure,
    )


def _reasons(verdict: Verdict) -> Iterator[str]:
    for reason in verdict.reasons:
        if reason.code not in _GATE_REASONS:
            yield ": ".join(part for part in (str(reason.code), reason.detail) if part)


def worst_answers(reader: RunReader, run: Run, *, suite: Suite, model_id: str) -> tuple[str, ...]:
    """Return the three answers that lost most on the primary metric, worst first, each in one line.

    Answers nobody got come last: they say nothing of the model.
    """
    scored = {one.call_key: one.scores for one in reader.scores(run.run_id, suite=suite.name, model_id=model_id)}
    lost: list[tuple[float, int, str]] = []
    for outcome in reader.outcomes(run.run_id, suite=suite.name, model_id=model_id):
        scores = scored.get(outcome.call_key, ())
        values = {one.metric: one.value for one in scores if isinstance(one, Score)}
        if values and min(values.values()) >= 1:
            continue
        badness = 2.0 if outcome.is_missing else values.get(suite.primary, min(values.values(), default=1.0))
        why = next((one.rationale for one in scores if isinstance(one, Score) and one.value < 1 and one.rationale), "")
        lost.append((badness, outcome.sequence, _shown(outcome, values, why=why)))
    return tuple(text for _, _, text in heapq.nsmallest(_N_WORST, lost))


def _shown(outcome: Outcome, values: dict[str, float], *, why: str) -> str:
    trial = f" (trial {outcome.trial})" if outcome.trial else ""
    numbers = ", ".join(f"{metric} {value:.4g}" for metric, value in values.items())
    parts = [f"{outcome.case_id}{trial}: {outcome.kind}"]
    parts += [numbers] if numbers else []
    # What a model wrote is hostile: `repr` escapes all that is not printable, line breaks included.
    parts += [repr(why[:_SHOWN_CHARS])] if why else []
    parts += [f"answer {outcome.text[:_SHOWN_CHARS]!r}"] if outcome.text else []
    return "; ".join(parts)
