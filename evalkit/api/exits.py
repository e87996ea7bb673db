"""Which exit code a result means; the order is 2, 4, 1, 3, 0 and the first two are errors raised earlier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from evalkit.api.deciding import admitted_in
from evalkit.api.project import reports_folder
from evalkit.domain.verdict import TOO_LITTLE_ANSWERED, GateStatus, ReasonCode, Status
from evalkit.errors import ExitCode
from evalkit.settings import deployed_file, read_environment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evalkit.api.deciding import Comparing, Published
    from evalkit.api.measuring import RunResult
    from evalkit.domain.project import Project
    from evalkit.domain.verdict import Verdict

__all__ = ["CURRENT_FILE", "Exit", "FailOn", "compare_exit_code", "publish_exit_code", "run_exit"]

FailOn = Literal["admitted", "gate", "never"]
"""Whose failures make a run end with 1: models the file in force admits, any model, nobody."""

CURRENT_FILE = "eligibility.json"
"""The newest night's file, in the folder of the newest reports; beside it counts the one that is deployed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """An exit code and the first thing that makes it so."""

    code: int
    reason: str = ""
    """Empty when nothing needs a person."""


def run_exit(project: Project, result: RunResult, *, fail_on: FailOn) -> Exit:
    """Return 1 for a failure that matters, 3 when the run says too little, else 0.

    Only what this run measured counts: other tasks are judged by the runs that measure them.
    """
    files = (reports_folder(project) / CURRENT_FILE, deployed_file(project.root, read_environment()))
    admitted = {pair for file in files for pair in admitted_in(file) or ()}
    measured = {(cell.task, cell.model_id) for cell in result.run.plain_cells}
    verdicts = [verdict for verdict in result.decision.verdicts if _pair(verdict) in measured]
    mattering = [verdict for verdict in verdicts if fail_on == "gate" or _pair(verdict) in admitted]
    failures = () if fail_on == "never" else _failures(mattering)
    failure = next(iter(failures), None)
    if failure is not None:
        return Exit(code=ExitCode.WORSE, reason=failure)
    thinness = next(_thinness(result, verdicts=verdicts, mattering=mattering), None)
    return Exit(code=ExitCode.OK) if thinness is None else Exit(code=ExitCode.UNDECIDED, reason=thinness)


def _pair(verdict: Verdict) -> tuple[str, str]:
    return verdict.task, verdict.model_id


def _failures(verdicts: list[Verdict]) -> Iterator[str]:
    for verdict in verdicts:
        head = f"{verdict.model_id} on {verdict.task}"
        for gate in verdict.gates:
            if gate.status is GateStatus.FAIL:
                yield f"{head}: gate {gate.suite}/{gate.metric} {gate.rule} failed"
        # A waiver is a person's decision: it needs nobody's attention a second time.
        codes = [reason.code for reason in verdict.reasons if reason.code is not ReasonCode.WAIVER_DENY]
        if verdict.status is Status.INELIGIBLE and codes:
            yield f"{head}: {codes[0]}"


def _thinness(result: RunResult, *, verdicts: list[Verdict], mattering: list[Verdict]) -> Iterator[str]:
    if result.is_cut_short:
        yield f"stopped early: {', '.join(sorted(result.stopped_by))}"
    for verdict in verdicts:
        for reason in verdict.reasons:
            if reason.code in TOO_LITTLE_ANSWERED:
                yield f"{verdict.model_id} on {verdict.task}: {reason.code}"
    for verdict in mattering:
        if verdict.status is Status.UNDECIDED:
            yield f"{verdict.model_id} on {verdict.task}: undecided"


def publish_exit_code(published: Published) -> int:
    """Return 3 when a task has no candidate, or none that has not expired by now, else 0."""
    return ExitCode.UNDECIDED if published.empty_tasks or published.expired_tasks else ExitCode.OK


def compare_exit_code(comparing: Comparing) -> int:
    """Return 1 for a regression, 3 when nothing could be compared, else 0."""
    if any(found.is_regression for found in comparing.comparisons):
        return ExitCode.WORSE
    return ExitCode.OK if comparing.comparisons else ExitCode.UNDECIDED
