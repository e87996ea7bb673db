"""In which order eligible models are offered, and why: the pin, those as good as the best, what the policy ranks by."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evalkit.domain.report import Rank
from evalkit.domain.verdict import Merit, ReasonCode, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from evalkit.domain.policy import Policy, TaskPolicy
    from evalkit.domain.suite import Suite
    from evalkit.domain.verdict import Verdict
    from evalkit.pipeline.evidence import Measurement

__all__ = ["Offer", "cost_per_success", "merit_of", "offer_of", "percentile", "rank_key", "ranking_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """The eligible models of a task, in the order a router should try them."""

    offered: tuple[Verdict, ...]
    withheld: tuple[Verdict, ...] = ()
    """Eligible too, and not offered; `why` says what for."""
    why: ReasonCode = ReasonCode.BEYOND_MAX_CANDIDATES


def offer_of(policy: TaskPolicy, verdicts: Iterable[Verdict]) -> Offer:
    """Return who is offered among one task's verdicts: the pin first, then by rank, then by name."""
    ranked = sorted(
        (verdict for verdict in verdicts if verdict.status is Status.ELIGIBLE),
        key=lambda verdict: (verdict.model_id != policy.pin, _tier(verdict), verdict.rank_key, verdict.model_id),
    )
    is_pin_lost = policy.pin is not None and all(verdict.model_id != policy.pin for verdict in ranked)
    if is_pin_lost and policy.on_pin_lost == "deny":
        return Offer(offered=(), withheld=tuple(ranked), why=ReasonCode.PIN_LOST)
    most = policy.max_candidates or len(ranked)
    return Offer(offered=tuple(ranked[:most]), withheld=tuple(ranked[most:]))


def rank_key(suites: Sequence[Suite], measurements: Sequence[Measurement], *, rank_by: str) -> tuple[float, ...]:
    """Return a sort key, smaller first; what is unknown ranks last, never as zero."""
    cost = _or_last(cost_per_success(suites, measurements))
    latency = _or_last(percentile(_latencies(measurements), share=0.95))
    quality = -_mean(_primaries(suites, measurements))
    keys = {"cost": (cost, latency, quality), "latency": (latency, cost, quality), "quality": (quality, cost, latency)}
    return keys[rank_by]


def merit_of(suites: Sequence[Suite], measurements: Sequence[Measurement]) -> Merit:
    """Return what a model is ranked by, before it is held against others."""
    primaries = _primaries(suites, measurements)
    return Merit(
        cost_per_success_usd=cost_per_success(suites, measurements),
        latency_p95_s=percentile(_latencies(measurements), share=0.95),
        quality=_mean(primaries) if primaries else None,
    )


def ranking_of(policy: Policy, verdicts: Sequence[Verdict]) -> tuple[Rank, ...]:
    """Return the offered models of every task in order, each with one sentence about why it stands there."""
    return tuple(
        rank
        for task in policy.tasks
        for rank in _ranked(task, policy, [verdict for verdict in verdicts if verdict.task == task])
    )


def _ranked(task: str, policy: Policy, verdicts: Sequence[Verdict]) -> Iterator[Rank]:
    needs, rank_by = policy.tasks[task], policy.defaults_for(task).rank_by
    offer = offer_of(needs, verdicts)
    offered = [(one, one.merit) for one in offer.offered if one.merit is not None]
    merits = [merit for _, merit in offered]
    eligible = [*merits, *(one.merit for one in offer.withheld if one.merit is not None)]
    for place, (verdict, merit) in enumerate(offered, start=1):
        yield Rank(
            task=task,
            model_id=verdict.model_id,
            place=place,
            is_on_frontier=_is_on_frontier(merit, merits),
            merit=merit,
            reason=_reason(merit, eligible, is_pin=verdict.model_id == needs.pin, rank_by=rank_by),
        )


def _is_on_frontier(merit: Merit, others: Sequence[Merit]) -> bool:
    """Whether nobody is at least as good for at most as much, and better in one of the two."""
    mine = _or_last(merit.cost_per_success_usd), -(merit.quality or 0.0)
    points = [(_or_last(other.cost_per_success_usd), -(other.quality or 0.0)) for other in others]
    return not any(cost <= mine[0] and loss <= mine[1] and (cost, loss) != mine for cost, loss in points)


def _reason(merit: Merit, merits: Sequence[Merit], *, is_pin: bool, rank_by: str) -> str:
    """Return one sentence: what put a model into its place."""
    what = _in_words(merit, rank_by)
    if is_pin:
        return f"the policy pins it to the first place; {what}"
    if merit.worse_than:
        return f"measurably worse than {merit.worse_than} by {merit.worse_by:.3f}, so after all that are not; {what}"
    if len(merits) == 1:
        return f"the only eligible model; {what}"
    alike = [other for other in merits if not other.worse_than]
    if len(alike) == 1:
        return f"all others are measurably worse; {what}"
    if math.isinf(_value(merit, rank_by)):
        return f"as good as the best, as far as can be told, but behind those whose figures are known; {what}"
    values = [_value(other, rank_by) for other in alike]
    is_first = _value(merit, rank_by) == min(values)
    alone = {"cost": "the cheapest", "latency": "the fastest", "quality": "the highest scoring"}[rank_by]
    tied = {"cost": "as cheap as any", "latency": "as fast as any", "quality": "scoring as high as any"}[rank_by]
    first = alone if values.count(min(values)) == 1 else tied
    head = first if is_first else f"number {1 + sum(v < _value(merit, rank_by) for v in values)}"
    order = "" if is_first else f" by {rank_by}"
    return f"{head}{order} of {len(alike)} that cannot be told apart in quality; {what}"


def _value(merit: Merit, rank_by: str) -> float:
    if rank_by == "quality":
        return -(merit.quality or 0.0)
    return _or_last(merit.cost_per_success_usd if rank_by == "cost" else merit.latency_p95_s)


def _in_words(merit: Merit, rank_by: str) -> str:
    cost = merit.cost_per_success_usd
    usd = "cost unknown" if cost is None else f"USD {cost:.6f} per success"
    latency = "latency unknown" if merit.latency_p95_s is None else f"p95 {merit.latency_p95_s:.2f} s"
    quality = "quality unknown" if merit.quality is None else f"quality {merit.quality:.3f}"
    order = {"cost": (usd, quality), "latency": (latency, quality), "quality": (quality, usd)}
    return ", ".join(order[rank_by])


def _tier(verdict: Verdict) -> int:
    return 0 if verdict.merit is None else verdict.merit.tier


def cost_per_success(suites: Sequence[Suite], measurements: Sequence[Measurement]) -> float | None:
    """Return USD per successful case over all suites; None when any cost is unknown or nothing succeeded."""
    costs = [unit.cost_usd for found in measurements for unit in found.units if not unit.is_missing]
    successes = sum(_primaries(suites, measurements))
    if not costs or not successes or any(cost is None for cost in costs):
        return None
    return sum(cost for cost in costs if cost is not None) / successes


def percentile(values: Sequence[float], *, share: float) -> float | None:
    """Return the order statistic at `share` of sorted values; None when there are none. For display and ranking."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


def _latencies(measurements: Iterable[Measurement]) -> list[float]:
    return [
        unit.latency_s
        for found in measurements
        for unit in found.units
        if not unit.is_missing and unit.latency_s is not None
    ]


def _primaries(suites: Sequence[Suite], measurements: Sequence[Measurement]) -> list[float]:
    return [
        value
        for suite, found in zip(suites, measurements, strict=True)
        for unit in found.units
        if not unit.is_missing and (value := unit.scores.get(suite.primary)) is not None
    ]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _or_last(value: float | None) -> float:
    return math.inf if value is None else value
