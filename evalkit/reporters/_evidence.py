"""What stands behind a verdict, in a few words: the gate that decided, its bound against its limit, the cure.

HTML, Markdown and JUnit show the same sentences because they are all made here.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from evalkit.domain.verdict import GateStatus, ReasonCode, Status
from evalkit.reporters._format import (
    UNKNOWN,
    format_count,
    format_duration,
    format_limit,
    format_seconds,
    format_usd,
    format_value_against,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evalkit.domain.report import Overhead, Report
    from evalkit.domain.verdict import GateResult, Reason, Verdict

__all__ = [
    "GATE_REASONS",
    "INFRASTRUCTURE",
    "bound_words",
    "changed_verdicts",
    "gate_name",
    "gate_sentence",
    "is_at_least",
    "n_words",
    "overhead_words",
    "reason_name",
    "run_facts",
    "tasks_of",
    "worst_gate",
]

GATE_REASONS = frozenset({ReasonCode.GATE_FAILED, ReasonCode.GATE_UNDECIDED})
"""Reasons that only point at a gate; the gate itself says more."""

INFRASTRUCTURE = frozenset({ReasonCode.LOW_COVERAGE, ReasonCode.OUTAGE})
"""Reasons that say nothing about the model."""

_SEVERITY = {GateStatus.FAIL: 0, GateStatus.UNDECIDED: 1, GateStatus.PASS: 2}


def worst_gate(verdict: Verdict) -> GateResult | None:
    """Return the gate that decides: failed before undecided before passed, then the smallest margin to its limit."""
    if not verdict.gates:
        return None
    return min(verdict.gates, key=lambda gate: (_SEVERITY[gate.status], _margin(gate)))


def is_at_least(gate: GateResult) -> bool:
    """Return whether the gate asks for a value at or above its limit."""
    return ">=" in gate.rule


def gate_name(gate: GateResult) -> str:
    """Return the metric with what is taken of it, such as `latency_s p95`."""
    of = gate.rule.split(">=")[0].split("<=")[0].strip()
    return f"{gate.metric} {of}".strip()


def bound_words(gate: GateResult) -> str:
    """Return what the bound says about the limit, in words that hold for passing, failing and undecided gates."""
    needs = f"needs {'≥' if is_at_least(gate) else '≤'} {format_limit(gate.metric, gate.limit)}"
    if gate.bound is None:
        return f"no bound, {needs}"
    bound = format_value_against(gate.metric, gate.bound, gate.limit)
    return f"{_bound_head(gate)} {bound}, {needs}"


def n_words(gate: GateResult) -> str:
    """Return how much the gate rests on."""
    if gate.estimate is None:
        return "n = 0"
    words = f"n = {format_count(gate.estimate.n)}"
    if gate.estimate.n_clusters != gate.estimate.n:
        words += f" in {format_count(gate.estimate.n_clusters)} clusters"
    if gate.correlation is not None:
        words += f" ({gate.correlation.words})"
    if gate.n_missing:
        words += f", {format_count(gate.n_missing)} missing"
    return words


def gate_sentence(gate: GateResult) -> str:
    """Return estimate, bound, limit and n in one line."""
    value = UNKNOWN
    if gate.estimate is not None:
        value = format_value_against(gate.metric, gate.estimate.value, gate.limit)
    return f"{gate_name(gate)} {value}: {bound_words(gate)}; {n_words(gate)}"


def reason_name(reason: Reason) -> str:
    """Return a reason code as words, with the gate it points at."""
    words = str(reason.code).replace("_", " ")
    about = "/".join(part for part in (reason.suite, reason.metric) if part)
    return f"{words} ({about})" if about else words


def overhead_words(overhead: Overhead | None) -> tuple[str, str]:
    """Return the median of what the gateway added with its interval, and what else there is to say of it."""
    if overhead is None:
        return "not measured", ""
    p50, p95 = overhead.p50, overhead.p95
    median = f"{format_seconds(p50.value)} [{format_seconds(p50.lower)}, {format_seconds(p50.upper)}]"
    tail = f"p95 {format_seconds(p95.value)}, upper bound {format_seconds(p95.upper)}"
    return median, f"{tail}, {format_count(overhead.n_pairs)} pair{'' if overhead.n_pairs == 1 else 's'}"


def tasks_of(report: Report) -> tuple[str, ...]:
    """Return every task in the order of the suites, then those only a verdict names."""
    return tuple(
        dict.fromkeys([*(suite.task for suite in report.suites), *(verdict.task for verdict in report.verdicts)])
    )


def changed_verdicts(report: Report) -> Iterator[tuple[Verdict, Verdict]]:
    """Yield (before, now) of every verdict with another status than before: what was lost comes first."""
    before = {} if report.previous is None else {(one.task, one.model_id): one for one in report.previous.verdicts}
    pairs = [
        (before[now.task, now.model_id], now)
        for now in report.verdicts
        if (now.task, now.model_id) in before and before[now.task, now.model_id].status is not now.status
    ]
    yield from sorted(
        pairs, key=lambda pair: (pair[0].status is not Status.ELIGIBLE, pair[1].status is Status.ELIGIBLE)
    )


def run_facts(report: Report) -> tuple[tuple[str, str, str], ...]:
    """Return (name, value, note) of the run's totals."""
    n_calls = sum(model.n_calls for model in report.models)
    n_missing = sum(model.n_missing for model in report.models)
    known = [model.cost_usd for model in report.models if model.cost_usd is not None]
    direct = [model.direct_usd for model in report.models if model.direct_usd is not None]
    n_unpriced = sum(None in (model.cost_usd, model.direct_usd) for model in report.models)
    spend = format_usd(math.fsum([*known, *direct])) if known else UNKNOWN
    note = f"at least: {n_unpriced} without a price" if known and n_unpriced else "all attempts"
    if any(direct):
        note += f"; {format_usd(math.fsum(direct))} to the baseline gateway"
    finished_at = report.run.finished_at
    duration_s = None if finished_at is None else max(0.0, finished_at - report.run.started_at)
    return (
        ("Calls", format_count(n_calls), f"{len(report.models)} models, {len(report.suites)} suites"),
        ("Missing", format_count(n_missing), "never a score: worst case both ways"),
        ("Spend", spend, note),
        ("Duration", format_duration(duration_s), str(report.run.status)),
    )


def _margin(gate: GateResult) -> float:
    if gate.bound is None:
        return -math.inf
    distance = gate.bound - gate.limit if is_at_least(gate) else gate.limit - gate.bound
    return distance / (abs(gate.limit) or 1.0)


def _bound_head(gate: GateResult) -> str:
    at_least = is_at_least(gate)
    if gate.status is GateStatus.PASS:
        return "lower bound" if at_least else "upper bound"
    if gate.status is GateStatus.FAIL:
        return "even the upper bound is" if at_least else "even the lower bound is"
    return "lower bound only" if at_least else "upper bound still"
