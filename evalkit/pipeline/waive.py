"""Human decisions, laid over evidence: visible, with a reason, and never longer than two weeks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from evalkit.domain.verdict import GateStatus, Reason, ReasonCode, Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evalkit.domain.policy import Waiver
    from evalkit.domain.verdict import Verdict

__all__ = ["apply_waivers"]


def apply_waivers(
    verdict: Verdict, waivers: Sequence[Waiver], *, earlier: Verdict | None, as_of: float, is_critical: bool
) -> Verdict:
    """Return the verdict after the waivers in force; `deny` wins over `hold`, `hold` over `allow`.

    A waiver that reaches too far is ignored, save one that only takes a model out. What a waiver admits ends with it.
    """
    active = {
        waiver.action: waiver
        for waiver in sorted(waivers, key=lambda one: one.ends_at)
        if as_of < waiver.ends_at and (waiver.action == "deny" or not waiver.reaches_too_far(as_of))
    }
    if "deny" in active:
        return replace(
            verdict,
            status=Status.INELIGIBLE,
            admitted_by=None,
            reasons=(_reason(ReasonCode.WAIVER_DENY, active["deny"]), *verdict.reasons),
        )
    if "hold" in active and earlier is not None:
        return _hold(verdict, active["hold"], earlier=earlier, as_of=as_of, is_critical=is_critical)
    if "allow" in active and not is_critical and _is_fresh_doubt(verdict, as_of=as_of) and not _has_failed(verdict):
        return replace(
            verdict,
            status=Status.ELIGIBLE,
            admitted_by="waiver",
            valid_until=_end(verdict, active["allow"]),
            reasons=(_reason(ReasonCode.WAIVER_ALLOW, active["allow"]), *verdict.reasons),
        )
    return verdict


def _hold(verdict: Verdict, waiver: Waiver, *, earlier: Verdict, as_of: float, is_critical: bool) -> Verdict:
    """Keep the status of the measurement before this one until that expires; never admit to a critical task."""
    is_over = earlier.valid_until is None or earlier.valid_until <= as_of
    if is_over or earlier.status in {Status.UNDECIDED, verdict.status}:
        return verdict
    reasons = (_reason(ReasonCode.WAIVER_HOLD, waiver), *verdict.reasons)
    if earlier.status is Status.INELIGIBLE:
        return replace(verdict, status=Status.INELIGIBLE, admitted_by=None, reasons=reasons)
    if is_critical:
        return verdict
    return replace(earlier, admitted_by="waiver", valid_until=_end(earlier, waiver), reasons=reasons)


def _end(verdict: Verdict, waiver: Waiver) -> float | None:
    """Return when what a waiver admits ends: with its evidence, or with the waiver if that is sooner."""
    return None if verdict.valid_until is None else min(verdict.valid_until, waiver.ends_at)


def _is_fresh_doubt(verdict: Verdict, *, as_of: float) -> bool:
    has_evidence = verdict.valid_until is not None and verdict.valid_until > as_of
    return verdict.status is Status.UNDECIDED and has_evidence


def _has_failed(verdict: Verdict) -> bool:
    """Whether something is shown against the model, though too much was missing to drop it for that."""
    is_worse = any(reason.code is ReasonCode.NOT_NON_INFERIOR for reason in verdict.reasons)
    return is_worse or any(gate.status is GateStatus.FAIL for gate in verdict.gates)


def _reason(code: ReasonCode, waiver: Waiver) -> Reason:
    return Reason(code=code, detail=f"{waiver.reason} ({waiver.by}, until {waiver.until.isoformat()})")
