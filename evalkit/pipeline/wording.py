"""How a verdict says what it found of one gate, and of a suite that cannot be asked."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from evalkit.domain.verdict import Reason, ReasonCode
from evalkit.pipeline.plan import mode_for

if TYPE_CHECKING:
    from evalkit.domain.roster import Model
    from evalkit.domain.suite import Suite
    from evalkit.domain.verdict import GateResult

__all__ = ["doubt_code", "gate_detail", "unsupported"]


def unsupported(suite: Suite, model: Model) -> Reason | None:
    """Return why a model cannot be asked a suite at all; None when it can."""
    if mode_for(suite, model) is not None:
        return None
    detail = f"the suite asks in {', '.join(suite.request.modes)}"
    detail += f"; the model declares {', '.join(model.capabilities.modes)}"
    return Reason(code=ReasonCode.UNSUPPORTED_MODE, suite=suite.name, detail=detail, cure="correct `capabilities`")


def doubt_code(gate: GateResult) -> ReasonCode:
    """Return what an undecided gate is undecided for."""
    if gate.estimate is None and gate.metric == "cost_usd":
        return ReasonCode.COST_UNKNOWN
    if gate.estimate is None and gate.metric in ("latency_s", "ttft_s"):
        return ReasonCode.TOO_FEW_CALLS
    return ReasonCode.GATE_UNDECIDED


def gate_detail(gate: GateResult) -> str:
    """Return a gate with its estimate, the bound that decides it and n, for a person."""
    if gate.estimate is None or gate.bound is None or not math.isfinite(gate.estimate.value):
        return f"{gate.metric} {gate.rule}: nothing to estimate from"
    found = f"{gate.metric} {gate.estimate.value:.4g}, bound {gate.bound:.4g}, {gate.estimate.n_words}"
    found += f" ({gate.correlation.words})" if gate.correlation is not None else ""
    return f"{found}; the gate is {gate.rule}"
