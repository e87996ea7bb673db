"""Verdicts: eligible, ineligible or undecided, each gate with its evidence, each reason with its cure."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evalkit.domain.estimate import Correlation, Estimate
    from evalkit.domain.outcome import IdentityClass

__all__ = ["TOO_LITTLE_ANSWERED", "GateResult", "GateStatus", "Merit", "Reason", "ReasonCode", "Status", "Verdict"]


class Status(StrEnum):
    """May the model serve the task?"""

    ELIGIBLE = "eligible"
    INELIGIBLE = "ineligible"
    UNDECIDED = "undecided"


class GateStatus(StrEnum):
    """Does the bound hold?"""

    PASS = "pass"  # noqa: S105  the word of the eligibility file, not a password
    FAIL = "fail"
    UNDECIDED = "undecided"


class ReasonCode(StrEnum):
    """Why a verdict is not a plain yes; stable, for machines."""

    GATE_FAILED = "gate_failed"
    GATE_UNDECIDED = "gate_undecided"
    CRITICAL_CASE_FAILED = "critical_case_failed"
    NOT_MEASURED = "not_measured"
    """No complete measurement with today's prompts, or tonight's is missing and an older one still holds."""
    EVIDENCE_EXPIRED = "evidence_expired"
    SCORES_STALE = "scores_stale"
    """Answers are there, but graded by other scorers: `evalkit score` cures it."""
    LOW_COVERAGE = "low_coverage"
    OUTAGE = "outage"
    IDENTITY_TOO_WEAK = "identity_too_weak"
    SUBSTITUTED_MODEL = "substituted_model"
    UNSUPPORTED_MODE = "unsupported_mode"
    CONTEXT_TOO_SMALL = "context_too_small"
    COST_UNKNOWN = "cost_unknown"
    TOO_FEW_CALLS = "too_few_calls"
    REGRESSED = "regressed"
    """Worse than its earlier nights on two nights running: those earlier nights are no evidence any more."""
    NOT_NON_INFERIOR = "not_non_inferior"
    INCUMBENT_UNKNOWN = "incumbent_unknown"
    JUDGE_UNQUALIFIED = "judge_unqualified"
    """A gate on a judge's metric, and nobody has shown how far that judge agrees with people."""
    WAIVER_DENY = "waiver_deny"
    WAIVER_HOLD = "waiver_hold"
    WAIVER_ALLOW = "waiver_allow"
    BEYOND_MAX_CANDIDATES = "beyond_max_candidates"
    PIN_LOST = "pin_lost"
    KEPT = "kept"
    """Undecided now; earlier evidence that has not expired keeps the model admitted."""


TOO_LITTLE_ANSWERED = frozenset({ReasonCode.LOW_COVERAGE, ReasonCode.OUTAGE})
"""Too much is missing to say anything, also that nothing will come of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One reason, machine-readable, with the cheapest cure for a person."""

    code: ReasonCode
    suite: str | None = None
    metric: str | None = None
    detail: str = ""
    cure: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateResult:
    """One gate with its evidence."""

    suite: str
    metric: str
    rule: str
    limit: float
    status: GateStatus
    estimate: Estimate | None
    """None when there is nothing to estimate from."""
    bound: float | None
    """The side of the interval that decided, in the metric's unit."""
    critical: bool = False
    n_missing: int = 0
    cure: str = ""
    doubt: Reason | None = None
    """Why it is undecided, when that is not where the bound lies."""
    look: int | None = None
    """Which look at a growing sample this is, from 1; None: measured as a whole."""
    correlation: Correlation | None = None
    """What a fail took clusters of several answers to be worth; None where no earlier run says, or nothing failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Merit:
    """What a model is ranked by among the eligible ones of a task, over all its suites; None is unknown."""

    cost_per_success_usd: float | None
    latency_p95_s: float | None
    quality: float | None
    """Mean of the primary metrics, in [0, 1]."""
    worse_than: str = ""
    """The best eligible model, when this one is measurably worse; empty: as good, as far as anybody can tell."""
    worse_by: float = 0.0
    """The largest such loss on the primary metric of a suite."""

    @property
    def tier(self) -> int:
        """0 for as good as the best, 1 for measurably worse: the first thing that ranks."""
        return int(bool(self.worse_than))


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """May this model serve this task, and why."""

    task: str
    model_id: str
    status: Status
    reasons: tuple[Reason, ...] = ()
    gates: tuple[GateResult, ...] = ()
    coverage: float | None = None
    """Scored share of the planned units; None when nothing was planned."""
    identity_class: IdentityClass | None = None
    mode: str | None = None
    measured_at: float | None = None
    """Unix seconds, end of the oldest measurement the verdict rests on."""
    valid_until: float | None = None
    """Unix seconds."""
    admitted_by: str | None = None
    """`evidence` or `waiver`, when eligible."""
    rank_key: tuple[float, ...] = field(default=(), repr=False)
    """Smaller ranks first, within a tier; see `evalkit.pipeline.ranking`."""
    merit: Merit | None = field(default=None, repr=False)
    """What the key is made of; None without a measurement."""
    run_ids: tuple[str, ...] = ()
