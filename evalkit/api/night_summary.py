"""What a night came to: its parts, its exit code, and the one line a machine reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from evalkit.api.exits import Exit
from evalkit.domain.verdict import TOO_LITTLE_ANSWERED, ReasonCode, Status
from evalkit.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from evalkit.api.deciding import Comparing
    from evalkit.api.exporting import TaskDifference
    from evalkit.domain.call import Plan
    from evalkit.domain.project import Project
    from evalkit.domain.run import Run
    from evalkit.pipeline.decide import Decision
    from evalkit.pipeline.record import Recording
    from evalkit.pipeline.verdict_changes import Said, VerdictChange

__all__ = ["Night", "NightPart", "Told", "night_exit", "night_head", "night_summary", "plan_line"]

FORMAT = "evalkit.nightly/1"

Told = Literal["told", "told before", "nothing to tell", "nobody to tell", "failed"]
"""What became of the notification: `failed` is tried again when the night is started again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NightPart:
    """One export of the night."""

    name: str
    folder: Path
    changed: bool = False
    tasks: tuple[TaskDifference, ...] = ()
    """Who serves a task now and did not, or did and does not."""
    problem: str = ""
    """Why nothing was written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """One night as far as it got."""

    night: str
    project: Project
    plan: Plan
    file: Path
    """Where the eligibility file is."""
    before: Said | None
    """What was in force when the night began; None when nothing was."""
    run: Run | None = None
    recording: Recording | None = None
    """None when an earlier start had measured all of it, or the gateway was dead."""
    is_resumed: bool = False
    """Whether an earlier start had begun the run."""
    is_cut_short: bool = False
    """By budget or deadline."""
    unusable: str = ""
    """Why the gateway could not be used; empty when it could."""
    comparing: Comparing | None = None
    decision: Decision | None = None
    document: dict[str, Any] | None = None
    """The file in force now."""
    is_published: bool = False
    """Whether this night wrote it."""
    changes: tuple[VerdictChange, ...] = ()
    exports: tuple[NightPart, ...] = ()
    report: tuple[Path, ...] = ()
    told: Told = "nothing to tell"
    exit: Exit = field(default_factory=lambda: Exit(code=ExitCode.OK))


def night_exit(night: Night) -> Exit:
    """Return the first that holds: 2 an export failed, 4 no gateway, 1 something is lost, 3 too little is known."""
    for code, reasons in (
        (ExitCode.USAGE, _unusable_exports(night)),
        (ExitCode.GATEWAY, iter([night.unusable.partition("\n")[0]] if night.unusable else [])),
        (ExitCode.WORSE, _losses(night)),
        (ExitCode.UNDECIDED, _doubts(night)),
    ):
        reason = next(reasons, None)
        if reason is not None:
            return Exit(code=code, reason=reason)
    return Exit(code=ExitCode.OK)


def _unusable_exports(night: Night) -> Iterator[str]:
    yield from (f"export {part.name}: {part.problem.partition(chr(10))[0]}" for part in night.exports if part.problem)


def _losses(night: Night) -> Iterator[str]:
    yield from (str(change) for change in night.changes if change.is_loss)
    tasks = night.project.policy.tasks
    for verdict in night.decision.verdicts if night.decision is not None else ():
        policy = tasks[verdict.task]
        if verdict.status is Status.INELIGIBLE and verdict.model_id in {policy.pin, policy.incumbent}:
            role = "pin" if verdict.model_id == policy.pin else "incumbent"
            yield f"{verdict.model_id}, the {role} of {verdict.task}, is ineligible"
    for name, task in (night.document or {"tasks": {}})["tasks"].items():
        if not task["candidates"]:
            yield f"{name} has no candidate"
    for found in night.comparing.comparisons if night.comparing is not None else ():
        if found.is_regression:
            yield f"regression: {found.model_id} on {found.suite}: {found.metric} {found.difference:+.3f}"
    if night.told == "failed":
        yield "the notification was not taken"


def _doubts(night: Night) -> Iterator[str]:
    if night.is_cut_short:
        yield "stopped early: " + (", ".join(sorted(night.recording.stopped_by)) if night.recording else "deadline")
    if night.document is None:
        yield "nothing is decided yet: there is no eligibility file"
    admitted = {
        (name, model) for name, models in (night.before or {}).items() for model, said in models.items()
        if said == "eligible"
    }  # fmt: skip
    for verdict in night.decision.verdicts if night.decision is not None else ():
        codes = {reason.code for reason in verdict.reasons}
        head = f"{verdict.model_id} on {verdict.task}"
        if codes & TOO_LITTLE_ANSWERED:
            yield f"{head}: {min(codes & TOO_LITTLE_ANSWERED)}"
        if ReasonCode.KEPT in codes:
            yield f"{head}: kept by earlier evidence"
        if verdict.status is Status.UNDECIDED and (verdict.task, verdict.model_id) in admitted:
            yield f"{head}: undecided"


def night_head(night: Night) -> str:
    """Return the first line of a message about the night."""
    config = night.project.config
    label = "SIMULATED " if _is_simulated(night) else ""
    n_losses = sum(change.is_loss for change in night.changes)
    lost = f", {n_losses} of them losses" if n_losses else ""
    what = f"{len(night.changes)} verdicts changed{lost}"
    return f"{label}evalkit {night.project.name} / {config.environment}, night {night.night}: {what}"


def night_summary(night: Night) -> dict[str, Any]:
    """Return the night as plain JSON values: the line on stdout."""
    return {
        "format": FORMAT,
        "night": night.night,
        "project": night.project.name,
        "environment": night.project.config.environment,
        "simulated": _is_simulated(night),
        "exit": {"code": night.exit.code, "reason": night.exit.reason},
        "plan": _plan(night.plan),
        "run": _run(night),
        "gateway": night.unusable.partition("\n")[0],
        "compare": _compare(night),
        "file": _file(night),
        "changes": [
            {"task": c.task, "model": c.model_id, "before": c.before, "after": c.after, "codes": [*c.codes],
             "is_loss": c.is_loss} for c in night.changes
        ],
        "exports": [
            {"target": part.name, "folder": str(part.folder), "changed": part.changed, "problem": part.problem,
             "tasks": [{"task": t.task, "before": [*t.before], "after": [*t.after]} for t in part.tasks]}
            for part in night.exports
        ],
        "report": [str(path) for path in night.report],
        "notification": night.told,
    }  # fmt: skip


def plan_line(plan: Plan, *, budget_usd: float | None) -> str:
    """Return what a night asks and costs at the most, in a sentence without an end."""
    said = _plan(plan)
    direct = f" and {said['baseline_calls']} to the baseline gateway" if said["baseline_calls"] else ""
    unpriced = f", {said['unpriced_cells']} cells of unknown price" if said["unpriced_cells"] else ""
    budget = "no budget" if budget_usd is None else f"budget USD {budget_usd:g}"
    cost = f"about USD {said['usd_expected']:.2f}, at most USD {said['usd_at_most']:.2f}{unpriced}"
    return f"{said['calls']} calls{direct}, {cost}; {budget}"


def _is_simulated(night: Night) -> bool:
    is_marked = night.document is not None and bool(night.document["simulated"])
    return is_marked or night.project.config.gateway.kind == "simulator"


def _plan(plan: Plan) -> dict[str, Any]:
    known = [cell for cell in plan.cells if cell.usd_at_most is not None]
    return {
        "calls": plan.n_calls,
        "baseline_calls": plan.n_direct,
        "usd_expected": sum((cell.usd_expected or 0.0) + (cell.direct_usd_expected or 0.0) for cell in known),
        "usd_at_most": sum((cell.usd_at_most or 0.0) + (cell.direct_usd_at_most or 0.0) for cell in known),
        "unpriced_cells": len(plan.cells) - len(known),
    }


def _run(night: Night) -> dict[str, Any] | None:
    if night.run is None:
        return None
    recording = night.recording
    counts = (
        None
        if recording is None
        else {
            "planned": recording.n_planned,
            "held": recording.n_held,
            "sent": recording.n_sent,
            "answered": recording.n_answered,
            "missing": recording.n_missing,
            "spent_usd": recording.spent_usd,
            "unknown_costs": recording.n_unknown_cost,
            "given_up": {model_id: str(kind) for model_id, kind in recording.given_up.items()},
        }
    )
    return {
        "id": night.run.run_id,
        "status": str(night.run.status),
        "note": night.run.note,
        "resumed": night.is_resumed,
        "calls": counts,
    }


def _compare(night: Night) -> dict[str, Any] | None:
    if night.comparing is None:
        return None
    found = night.comparing
    return {
        "baseline": found.baseline.run_id,
        "comparisons": len(found.comparisons),
        "regressions": [
            {"model": one.model_id, "suite": one.suite, "metric": one.metric, "difference": one.difference}
            for one in found.comparisons
            if one.is_regression
        ],
        "identity": [{"suite": c.suite, "model": c.model_id, "what": c.what} for c in found.found.changes],
        "measure_again": [*dict.fromkeys(one.cure for one in found.comparisons if one.cure)],
    }


def _file(night: Night) -> dict[str, Any]:
    document = night.document
    state = "none" if document is None else "written" if night.is_published else "kept"
    facts = ("generated_at", "valid_until", "digest")
    return {"path": str(night.file), "state": state} | {name: document[name] if document else None for name in facts}
