"""One gate: its estimate, the bound that decides it, three possible answers, and the cheapest cure for "undecided".

Every gate but cost is a proportion gate: a limit on a rate is a lower bound on its complement, and a latency quantile
is a bound on the share of calls within it. So one bound decides them all (docs/explanation/statistics.md).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import TYPE_CHECKING

from evalkit.domain.outcome import SENT_AGAIN, Kind
from evalkit.domain.suite import MIN_LATENCY_CALLS
from evalkit.domain.verdict import GateResult, GateStatus
from evalkit.pipeline.pool import pooled_bound
from evalkit.pipeline.pooled_quantile import Call, QuantileLimit, quantile_of
from evalkit.stats.bounds import Bound, worst_case_bound
from evalkit.stats.cost import cost_per_success_bound, mean_cost_bound
from evalkit.stats.power import cases_to_decide

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from evalkit.domain.estimate import Correlation
    from evalkit.domain.suite import Gate, Suite
    from evalkit.pipeline.evidence import Measurement, Samples, Unit

__all__ = [
    "CACHE_CURE",
    "GateContext",
    "is_of_task",
    "judge_gate",
    "judged_share",
]

CACHE_CURE = "switch the gateway's cache off, then evalkit run --new"
"""Where answers came out of a cache; resuming asks nobody again."""

_STREAM_CURE = "not every probe was streamed, so the time to first token is not known: gate latency_s instead"
_TIMES = frozenset({"latency_s", "ttft_s"})


@dataclass(frozen=True, slots=True, kw_only=True)
class GateContext:
    """What a gate is judged with."""

    suite: Suite
    measurement: Measurement
    of_task: Sequence[Measurement]
    """Every suite of the task: latency is a property of the (model, task)."""
    alpha: float
    """One-sided: what a pass may err by; each gate needs its own bound at it."""
    fail_alpha: float
    """What a fail may err by: stricter, for any of the task's gates may fail a model."""
    earlier: Sequence[Measurement] = ()
    """Earlier nights of the same series: a pass pools them with tonight, a fail looks at tonight alone."""
    earlier_of_task: Sequence[Sequence[Measurement]] = ()
    """The same of every suite of the task, night by night."""
    correlation: Correlation | None = None
    """What earlier runs say of the clusters of `judged_share`, for a fail; None: the cautious default."""
    wants: Callable[[Unit], bool] | None = None
    """Which units the gate is on; None: those of its own cases of the suite."""

    @property
    def rho(self) -> float | None:
        """Intra-cluster correlation known from earlier runs."""
        return None if self.correlation is None else self.correlation.rho


def judge_gate(gate: Gate, context: GateContext) -> GateResult:
    """Return whether the gate is held, with its evidence."""
    if gate.is_share:
        finding = _judge_share(gate, context)
    elif gate.of in ("p95", "p99"):
        finding = _judge_quantile(gate, context)
    else:
        finding = _judge_mean(gate, context)
    return GateResult(
        suite=context.suite.name,
        metric=gate.metric,
        rule=gate.rule,
        limit=gate.limit,
        status=finding.status,
        estimate=finding.bound.estimate(),
        bound=finding.decided_by,
        critical=gate.critical,
        n_missing=finding.n_missing,
        cure=finding.cure,
        correlation=context.correlation if finding.status is GateStatus.FAIL else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Finding:
    """What judging a gate found."""

    bound: Bound
    status: GateStatus
    decided_by: float | None = None
    cure: str = ""
    n_missing: int = 0


def _nothing(n: int, *, method: str, alpha: float, cure: str) -> _Finding:
    """Return "undecided" for want of data."""
    bound = Bound(
        value=None,
        lower=None,
        upper=None,
        level=1 - alpha,
        method=method,
        n=n,
        n_clusters=n,
        n_effective=float(n),
    )
    return _Finding(bound=bound, status=GateStatus.UNDECIDED, cure=cure)


def judged_share(gate: Gate, suite: Suite) -> str | None:
    """Return the share in [0, 1] whose clusters a fail has to allow for; None when it is on none, or on a slice."""
    if len(gate.cases_of(suite.active_cases)) < len(suite.active_cases):
        return None
    if gate.of == "per_success":
        return suite.primary
    return gate.metric if gate.is_share else None


def is_of_task(gate: Gate) -> bool:
    """Return whether a gate is on the time of any call of the task, whichever suite it belongs to."""
    return gate.metric == "latency_s" and gate.of in ("p95", "p99") and gate.where is None


def _wants(gate: Gate, context: GateContext) -> Callable[[Unit], bool]:
    """Return whether a unit belongs to the gate's slice."""
    if context.wants is not None:
        return context.wants
    chosen = {case.id for case in gate.cases_of(context.suite.active_cases)}
    return lambda unit: unit.case_id in chosen


def _judge_share(gate: Gate, context: GateContext) -> _Finding:
    """A mean of [0, 1] values against a limit; `at_most` is judged on the complement."""
    wants = _wants(gate, context)
    is_flipped = gate.at_most is not None
    limit = 1 - gate.limit if is_flipped else gate.limit

    def failing_bound(night: Samples) -> Bound:
        return worst_case_bound(
            night.values, night.clusters, night.missing_clusters, alpha=context.fail_alpha, rho=context.rho
        )

    def has_held(night: Samples) -> bool:
        return not _is_below(failing_bound(night).upper, limit)

    tonight = _samples(context.measurement, gate, wants=wants)
    before = (_samples(night, gate, wants=wants) for night in context.earlier)
    # A night that failed is behind us once tonight holds: what was mended since does not inherit it.
    passing = pooled_bound([tonight, *takewhile(has_held, before)], alpha=context.alpha)
    failing = failing_bound(tonight)
    status = _status(lower=passing.lower, upper=failing.upper, limit=limit)
    shown, decided_by = passing, passing.lower
    if status is GateStatus.FAIL:
        shown, decided_by = failing, failing.upper
    return _Finding(
        bound=_flip(shown) if is_flipped else shown,
        status=status,
        decided_by=1 - decided_by if is_flipped and decided_by is not None else decided_by,
        cure=_share_cure(passing, limit=limit, context=context, wants=wants) if status is GateStatus.UNDECIDED else "",
        n_missing=len(tonight.missing_clusters),
    )


def _samples(measurement: Measurement, gate: Gate, *, wants: Callable[[Unit], bool]) -> Samples:
    samples = measurement.samples(gate.metric, wants=wants)
    return samples if gate.at_most is None else replace(samples, values=[1 - value for value in samples.values])


def _status(*, lower: float | None, upper: float | None, limit: float) -> GateStatus:
    """Judge a lower bound (to pass) and tonight's upper bound (to fail): what failed tonight no pool can save."""
    if _is_below(upper, limit):
        return GateStatus.FAIL
    if lower is not None and lower >= limit:
        return GateStatus.PASS
    return GateStatus.UNDECIDED


def _is_below(upper: float | None, limit: float) -> bool:
    return upper is not None and upper < limit


def _flip(bound: Bound) -> Bound:
    """Return the bound of 1 - x."""
    return replace(
        bound,
        value=None if bound.value is None else 1 - bound.value,
        lower=None if bound.upper is None else 1 - bound.upper,
        upper=None if bound.lower is None else 1 - bound.lower,
    )


def _share_cure(bound: Bound, *, limit: float, context: GateContext, wants: Callable[[Unit], bool]) -> str:
    units = [unit for unit in context.measurement.units if wants(unit)]
    n_again = sum(unit.kind in SENT_AGAIN for unit in units)
    if n_again:
        return f"send the {n_again} missing calls again: evalkit run --resume {context.measurement.run.run_id}"
    if any(unit.is_cached for unit in units):
        return CACHE_CURE
    if any(unit.is_missing for unit in units):
        return "another model answered: switch fallbacks off at the gateway, then evalkit run --new"
    if bound.value is None:
        return "no case gives this metric: add cases, or repair the gate"
    # To fail takes a stricter bound than to pass.
    alpha = context.alpha if bound.value >= limit else context.fail_alpha
    more = cases_to_decide(bound.value, int(bound.n_effective), limit, alpha=alpha)
    if more is None:
        return "the rate sits on the limit: more cases will hardly decide it; move the gate or accept undecided"
    return f"+{more} cases"


def _judge_quantile(gate: Gate, context: GateContext) -> _Finding:
    """A p95 or p99: latency over all calls of the task, all else over the gate's own cases.

    A timeout exceeds every limit. What is not known of a call counts as endless to pass, and as nothing to fail.
    What tonight's calls pass the nights together must pass as well.
    """
    calls = _calls(gate, context)
    n_known = sum(call.reading is not None for call in calls)
    needed = MIN_LATENCY_CALLS if gate.metric == "latency_s" else 1
    if n_known < needed:
        cure = f"+{needed - n_known} calls: {n_known} of at least {needed} were measured"
        if gate.metric == "ttft_s" and not n_known:
            cure = _STREAM_CURE
        return _nothing(n_known, method="order_statistic", alpha=context.alpha, cure=cure)
    q = float(gate.of.removeprefix("p")) / 100
    shown = quantile_of(calls, q=q, alpha=context.alpha, unknown=None)
    upper = quantile_of(calls, q=q, alpha=context.alpha, unknown=math.inf).upper
    lower = quantile_of(calls, q=q, alpha=context.fail_alpha, unknown=0.0).lower
    status = _ceiling(upper=upper, lower=lower, limit=gate.limit)
    if status is GateStatus.PASS:
        limit = QuantileLimit(q=q, at_most=gate.limit, alpha=context.alpha, fail_alpha=context.fail_alpha)
        beyond = limit.beyond(calls, _earlier_calls(gate, context))
        if beyond is not None:
            shown, upper, status = beyond, beyond.upper, GateStatus.UNDECIDED
    return _Finding(
        bound=_as_decided(shown, upper=upper, lower=lower, status=status, context=context),
        status=status,
        decided_by=lower if status is GateStatus.FAIL else upper,
        cure="more calls over a longer time" if status is GateStatus.UNDECIDED else "",
        n_missing=len(calls) - n_known,
    )


def _calls(gate: Gate, context: GateContext) -> list[Call]:
    return [Call(unit.started_at, _reading(gate.metric, unit)) for unit in _quantile_units(gate, context)]


def _earlier_calls(gate: Gate, context: GateContext) -> Iterator[list[Call]]:
    """Yield the same of every earlier night, newest first."""
    if is_of_task(gate):
        yield from (_calls(gate, replace(context, of_task=night)) for night in context.earlier_of_task)
    else:
        yield from (_calls(gate, replace(context, measurement=night)) for night in context.earlier)


def _quantile_units(gate: Gate, context: GateContext) -> list[Unit]:
    """Return the units a quantile is of."""
    if is_of_task(gate):
        return [unit for measurement in context.of_task for unit in measurement.units]
    return _own_units(gate, context)


def _own_units(gate: Gate, context: GateContext) -> list[Unit]:
    """Return the units of the gate's own suite it looks at: graded calls are not streamed, so first tokens have others.

    A probe another model answered is void, and missing as any such call.
    """
    wants = _wants(gate, context)
    units = context.measurement.probes if gate.metric == "ttft_s" else context.measurement.units
    return [unit for unit in units if wants(unit)]


def _ceiling(*, upper: float | None, lower: float | None, limit: float) -> GateStatus:
    """Judge `at_most` from an upper bound (to pass) and a lower bound (to fail)."""
    if upper is not None and upper <= limit:
        return GateStatus.PASS
    if lower is not None and lower > limit:
        return GateStatus.FAIL
    return GateStatus.UNDECIDED


def _as_decided(
    bound: Bound, *, upper: float | None, lower: float | None, status: GateStatus, context: GateContext
) -> Bound:
    """Return the bound with the side that decided, and the level it was taken at."""
    if status is GateStatus.FAIL:
        return replace(bound, lower=lower, level=1 - context.fail_alpha)
    return replace(bound, upper=upper)


def _reading(metric: str, unit: Unit) -> float | None:
    """Return what a call took, or None when nobody knows; one that timed out took longer than any limit."""
    if metric in _TIMES and (unit.has_timed_out or unit.kind is Kind.TIMEOUT):
        return math.inf
    return None if unit.is_missing else _amount(metric, unit)


def _amount(metric: str, unit: Unit) -> float | None:
    """Return what the attempt that answered took."""
    if metric == "output_tokens":
        return None if unit.output_tokens is None else float(unit.output_tokens)
    return {"cost_usd": unit.cost_usd, "ttft_s": unit.ttft_s}.get(metric, unit.latency_s)


def _judge_mean(gate: Gate, context: GateContext) -> _Finding:
    """A mean of something that is not a share: USD, seconds or tokens, bounded by Cox's method."""
    units = _own_units(gate, context)
    answered = [unit for unit in units if not unit.is_missing]
    n_known = sum(_reading(gate.metric, unit) is not None for unit in answered)
    if gate.metric == "ttft_s" and (n_known < len(answered) or not answered):
        return _nothing(n_known, method="cox", alpha=context.alpha, cure=_STREAM_CURE)
    if n_known < len(answered) or not answered:
        what = "price" if gate.metric == "cost_usd" else gate.metric
        cure = f"{what} missing on {len(answered) - n_known} of {len(answered)} calls: add it to the roster"
        return _nothing(n_known, method="cox", alpha=context.alpha, cure=cure)
    bounds = _success_bounds if gate.of == "per_success" else _mean_bounds
    passing, failing = bounds(gate, context, units=units)
    status = _ceiling(upper=passing.upper, lower=failing.lower, limit=gate.limit)
    cure = "more cases" if passing.upper is not None else "send the missing calls again, or gate p95 instead"
    return _Finding(
        bound=_as_decided(passing, upper=passing.upper, lower=failing.lower, status=status, context=context),
        status=status,
        decided_by=failing.lower if status is GateStatus.FAIL else passing.upper,
        cure=cure if status is GateStatus.UNDECIDED else "",
        n_missing=len(units) - len(answered),
    )


def _mean_bounds(gate: Gate, context: GateContext, *, units: list[Unit]) -> tuple[Bound, Bound]:
    """Return the bounds to pass and to fail by.

    A missing call costs what it was billed; how long it would have taken nobody knows, so then no mean is bounded
    from above, and from below it counts as nothing.
    """
    known = _amounts(gate.metric, units)
    passing = mean_cost_bound(_by_cluster(known), alpha=context.alpha)
    missing = [(unit.cluster_id, 0.0) for unit in units if unit.is_missing] if gate.metric != "cost_usd" else []
    failing = mean_cost_bound(_by_cluster([*known, *missing]), alpha=context.fail_alpha)
    return replace(passing, upper=None) if missing else passing, failing


def _success_bounds(gate: Gate, context: GateContext, *, units: list[Unit]) -> tuple[Bound, Bound]:
    """Return the bounds to pass and to fail by: an answer without a score is no success to pass, and one to fail."""
    costs = _by_cluster(_amounts(gate.metric, units))
    clusters = [unit.cluster_id for unit in units]

    def bound_at(alpha: float, *, unknown: float, rho: float | None) -> Bound:
        scores = [None if unit.is_missing else unit.scores.get(context.suite.primary) for unit in units]
        successes = [unknown if score is None else score for score in scores]
        return cost_per_success_bound(costs, successes, clusters, alpha=alpha, rho=rho)

    # To pass a cluster is worth one answer, as in a pool.
    passing = bound_at(context.alpha, unknown=0.0, rho=1.0)
    return passing, bound_at(context.fail_alpha, unknown=1.0, rho=context.rho)


def _amounts(metric: str, units: list[Unit]) -> list[tuple[str, float]]:
    """Return (cluster, amount) of the answered calls, and of the missing ones that were billed."""
    billed = [unit for unit in units if not unit.is_missing or (metric == "cost_usd" and unit.cost_usd)]
    readings = [(unit.cluster_id, unit.cost_usd if metric == "cost_usd" else _amount(metric, unit)) for unit in billed]
    return [(cluster_id, amount) for cluster_id, amount in readings if amount is not None]


def _by_cluster(amounts: Sequence[tuple[str, float]]) -> list[float]:
    """Return one amount a cluster with the same mean: trials of one prompt are no new evidence of what prompts cost."""
    totals: dict[str, list[float]] = {}
    for cluster_id, amount in amounts:
        totals.setdefault(cluster_id, []).append(amount)
    if len(totals) == len(amounts):
        return [amount for _, amount in amounts]
    size = len(amounts) / len(totals)
    return [math.fsum(group) / size for group in totals.values()]
