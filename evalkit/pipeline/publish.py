"""Verdicts become the eligibility file: the document, its order and its digest. Signing is the router's business."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from evalkit.canonical import digest_of, timestamp
from evalkit.domain.eligibility import FORMAT, Eligibility
from evalkit.domain.outcome import IdentityClass
from evalkit.domain.policy import seconds_of
from evalkit.domain.verdict import Status
from evalkit.pipeline.ranking import offer_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evalkit.domain.project import Project
    from evalkit.domain.roster import Model
    from evalkit.domain.verdict import GateResult, Reason, Verdict
    from evalkit.pipeline.decide import Decision

__all__ = ["eligibility_from_decision"]


def eligibility_from_decision(
    project: Project, decision: Decision, *, is_simulated: bool, evalkit_version: str
) -> Eligibility:
    """Return the unsigned file, checked against its own schema.

    The same store, files and `as_of` give the same bytes.
    """
    tasks = {
        task: _task_entry(project, task, [verdict for verdict in decision.verdicts if verdict.task == task])
        for task in project.policy.tasks
    }
    admitted = {entry["model"]: entry for task in tasks.values() for entry in task["candidates"]}
    ends = [entry["valid_until"] for task in tasks.values() for entry in task["candidates"]]
    horizon = timestamp(decision.as_of + seconds_of(project.policy.defaults.valid_for))
    gateway = project.config.gateway
    document: dict[str, Any] = {
        "format": FORMAT,
        "audience": project.config.environment,
        "generated_at": timestamp(decision.as_of),
        "valid_until": max(ends, default=horizon),
        "default": "deny",
        "simulated": is_simulated,
        "gateway": {"kind": gateway.kind, "vantage": gateway.vantage},
        "run": {
            "id": decision.runs[0].run_id if decision.runs else None,
            "evalkit": evalkit_version,
            "suites": {suite.name: suite.digest for suite in project.suites},
            "roster": project.roster.digest,
            "policy": project.policy.digest,
        },
        "providers": {name: entry.model_dump(mode="json") for name, entry in project.policy.providers.items()},
        "models": {
            model.id: _model_entry(model, decision.verdicts) for model in project.roster.models if model.id in admitted
        },
        "tasks": tasks,
    }
    draft = Eligibility.model_validate({**document, "digest": f"sha256:{'0' * 64}"})
    return draft.model_copy(update={"digest": digest_of(draft.payload())})


def _task_entry(project: Project, task: str, verdicts: Sequence[Verdict]) -> dict[str, Any]:
    policy = project.policy.tasks[task]
    offer = offer_of(policy, verdicts)
    rejected = [verdict for verdict in verdicts if verdict.status is not Status.ELIGIBLE]
    return {
        "critical": policy.critical,
        "pin": policy.pin if offer.offered and offer.offered[0].model_id == policy.pin else None,
        "on_expiry": policy.on_expiry,
        "failover": policy.failover.model_dump(mode="json"),
        "spend_cap": policy.spend_cap and policy.spend_cap.model_dump(mode="json"),
        "latency": policy.latency and policy.latency.model_dump(mode="json"),
        "candidates": [_candidate(project, verdict) for verdict in offer.offered],
        "rejected": [
            *(
                {"model": verdict.model_id, "verdict": "eligible", "reasons": [{"code": str(offer.why)}]}
                for verdict in offer.withheld
            ),
            *(_rejection(verdict) for verdict in rejected),
        ],
    }


def _candidate(project: Project, verdict: Verdict) -> dict[str, Any]:
    if verdict.measured_at is None or verdict.valid_until is None:
        raise AssertionError(f"{verdict.model_id} is eligible for {verdict.task} without a measurement")
    model = project.roster.by_id[verdict.model_id]
    return {
        "model": verdict.model_id,
        "measured_at": timestamp(verdict.measured_at),
        "valid_until": timestamp(verdict.valid_until),
        "admitted_by": verdict.admitted_by or "evidence",
        "request": {"mode": verdict.mode or "text", "adapt": model.adapt.model_dump(mode="json")},
        "coverage": verdict.coverage if verdict.coverage is not None else 0.0,
        "gates": [_evidence(gate) for gate in verdict.gates],
    }


def _evidence(gate: GateResult) -> dict[str, Any]:
    estimate = gate.estimate
    return {
        "suite": gate.suite,
        "metric": gate.metric,
        "rule": gate.rule,
        "estimate": None if estimate is None else _finite(estimate.value),
        "bound": _finite(gate.bound),
        "level": None if estimate is None else estimate.level,
        "method": None if estimate is None else estimate.method,
        "n": 0 if estimate is None else estimate.n,
        "n_clusters": 0 if estimate is None else estimate.n_clusters,
        "verdict": str(gate.status),
    }


def _finite(value: float | None) -> float | None:
    """Return None for what JSON cannot say: the p95 of calls that mostly timed out is beyond every number."""
    return value if value is not None and math.isfinite(value) else None


def _rejection(verdict: Verdict) -> dict[str, Any]:
    reasons = [_reason(reason) for reason in verdict.reasons]
    return {"model": verdict.model_id, "verdict": str(verdict.status), "reasons": reasons}


def _reason(reason: Reason) -> dict[str, Any]:
    whole = {
        "code": str(reason.code),
        "suite": reason.suite,
        "metric": reason.metric,
        "detail": reason.detail,
        "cure": reason.cure,
    }
    return {key: value for key, value in whole.items() if value}


def _model_entry(model: Model, verdicts: Sequence[Verdict]) -> dict[str, Any]:
    admitting = [v for v in verdicts if v.model_id == model.id and v.status is Status.ELIGIBLE]
    weakest = max((v.identity_class or IdentityClass.UNVERIFIABLE for v in admitting), key=lambda found: found.rank)
    return {
        **model.model_dump(
            include={"route", "routes", "provider", "host", "quantization", "context_tokens", "max_output_tokens"}
        ),
        "identity": str(weakest),
    }
