"""The last file as memory: what admits a model when the store that once did is gone.

A file says less than a store, so it may do less: keep a model that today's store says nothing or too little of, until
the end the file gives it, and only while everything its evidence rests on is still the same. It never admits a model
the store knows two nights of: those say more than the file does.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from evalkit.canonical import parse_timestamp
from evalkit.domain.estimate import Estimate
from evalkit.domain.outcome import IdentityClass
from evalkit.domain.verdict import GateResult, GateStatus, Reason, ReasonCode, Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evalkit.domain.eligibility import Candidate, Eligibility, GateEvidence
    from evalkit.domain.project import Project
    from evalkit.domain.suite import Gate
    from evalkit.domain.verdict import Verdict
    from evalkit.pipeline.history import History

__all__ = ["kept_by_file", "moment_of"]


def moment_of(previous: Eligibility) -> float:
    """Return when a file was decided, in Unix seconds."""
    return parse_timestamp(previous.generated_at)


def kept_by_file(
    project: Project, verdict: Verdict, *, previous: Eligibility, history: History, as_of: float
) -> Verdict:
    """Return the verdict, or that of the file when today's is undecided and the file's evidence still stands.

    Args:
        project: today's files.
        verdict: from the store, with waivers laid over it.
        previous: a file a router would accept.
        history: what the store holds.
        as_of: Unix seconds.
    """
    if verdict.status is not Status.UNDECIDED or verdict.task not in previous.tasks:
        return verdict
    is_blocked = any(gate.critical and gate.status is not GateStatus.PASS for gate in verdict.gates)
    if is_blocked or not _is_same_ground(project, verdict, previous) or _is_known(project, verdict, history):
        return verdict
    for place, candidate in enumerate(previous.tasks[verdict.task].candidates):
        if candidate.model == verdict.model_id:
            return _kept(project, verdict, candidate, place=place, as_of=as_of)
    return verdict


def _is_known(project: Project, verdict: Verdict, history: History) -> bool:
    """Return whether the store holds more than one night: then it keeps what is to be kept by itself."""
    model = project.roster.by_id[verdict.model_id]
    return any(len(history.of(suite, model)) > 1 for suite in project.suites_of(verdict.task))


def _is_same_ground(project: Project, verdict: Verdict, previous: Eligibility) -> bool:
    """Return whether policy, suites, gateway and the model itself are those of the file."""
    entry = previous.models.get(verdict.model_id)
    model = project.roster.by_id[verdict.model_id]
    if entry is None or previous.run.policy != project.policy.digest:
        return False
    wanted = IdentityClass(project.policy.defaults_for(verdict.task).min_identity)
    facts = ("route", "routes", "provider", "host", "quantization", "context_tokens", "max_output_tokens")
    return (
        previous.gateway.kind == project.config.gateway.kind
        and all(previous.run.suites.get(suite.name) == suite.digest for suite in project.suites_of(verdict.task))
        and all(getattr(entry, name) == getattr(model, name) for name in facts)
        and IdentityClass(entry.identity).rank <= wanted.rank
    )


def _kept(project: Project, verdict: Verdict, candidate: Candidate, *, place: int, as_of: float) -> Verdict:
    model = project.roster.by_id[verdict.model_id]
    gates = [*_gates(project, verdict.task, candidate)]
    ends_at = parse_timestamp(candidate.valid_until)
    n_gates = sum(len(suite.gates) for suite in project.suites_of(verdict.task))
    # What a person admitted for a while is a person's to admit again; a gate that is new has no evidence.
    is_standing = candidate.admitted_by == "evidence" and len(gates) == n_gates and as_of < ends_at
    if not is_standing or candidate.request.adapt != model.adapt:
        return verdict
    detail = "the last file admits it, and its evidence has not expired"
    return replace(
        verdict,
        status=Status.ELIGIBLE,
        reasons=(Reason(code=ReasonCode.KEPT, detail=detail), *verdict.reasons),
        gates=tuple(gates),
        coverage=candidate.coverage,
        mode=candidate.request.mode,
        measured_at=parse_timestamp(candidate.measured_at),
        valid_until=ends_at,
        admitted_by="evidence",
        # After whoever was measured, and among themselves in the order of the file.
        rank_key=(math.inf, math.inf, float(place)),
        run_ids=(),
    )


def _gates(project: Project, task: str, candidate: Candidate) -> Iterator[GateResult]:
    """Yield today's gates that the file says were passed."""
    passed = {(found.suite, found.metric, found.rule): found for found in candidate.gates if found.verdict == "pass"}
    for suite in project.suites_of(task):
        for gate in suite.gates:
            found = passed.get((suite.name, gate.metric, gate.rule))
            if found is not None:
                yield _gate(gate, found)


def _gate(gate: Gate, found: GateEvidence) -> GateResult:
    is_floor = gate.at_least is not None
    estimate = None
    if found.estimate is not None and found.level is not None:
        estimate = Estimate(
            value=found.estimate,
            lower=found.bound if is_floor else None,
            upper=None if is_floor else found.bound,
            level=found.level,
            method=found.method or "",
            n=found.n,
            n_clusters=found.n_clusters,
        )
    return GateResult(
        suite=found.suite,
        metric=found.metric,
        rule=found.rule,
        limit=gate.limit,
        status=GateStatus.PASS,
        estimate=estimate,
        bound=found.bound,
        critical=gate.critical,
    )
