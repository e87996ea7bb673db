"""Gates that say nothing, or that no model could ever pass with the cases there are."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from evalkit.domain.score import MEASURES
from evalkit.domain.suite import MIN_LATENCY_CALLS
from evalkit.errors import InputError
from evalkit.loading.problems import closest
from evalkit.stats.power import clusters_needed, failures_allowed, latency_calls_needed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from evalkit.domain.suite import Case, Gate
    from evalkit.errors import Place

__all__ = ["calls_needed", "gate_errors"]

_QUANTILES = {"p95": 0.95, "p99": 0.99}
_QUANTILE_MEASURES = ("latency_s", "output_tokens", "ttft_s")


def gate_errors(
    gate: Gate, cases: Sequence[Case], *, metrics: Iterable[str], confidence: float, place: Place
) -> Iterator[InputError]:
    """Yield what is wrong with a gate of a suite whose scorers give `metrics`; `cases` are the active ones."""
    known = set(metrics)
    if gate.metric not in known and gate.metric not in MEASURES:
        yield InputError(
            f"no scorer of this suite gives the metric {gate.metric!r}",
            place=place,
            next_step=closest(gate.metric, {*known, *MEASURES}, what="metrics"),
        )
        return
    wrong = [*_wrong_aggregate(gate, place), *_wrong_side(gate, place), *_wrong_limit(gate, place)]
    wrong += _wrong_tag(gate, cases, place)
    yield from wrong
    if not wrong and gate.is_share:
        yield from _unreachable(gate, cases, confidence=confidence, place=place)


def calls_needed(gate: Gate, *, confidence: float) -> int:
    """Return how many calls of the task a gate on a quantile, or on latency, needs at the least; 0 for any other."""
    floor = MIN_LATENCY_CALLS if gate.metric == "latency_s" else 0
    quantile = _QUANTILES.get(gate.of)
    return floor if quantile is None else max(floor, latency_calls_needed(quantile, 1 - confidence))


def _wrong_aggregate(gate: Gate, place: Place) -> Iterator[InputError]:
    if gate.of == "per_success" and gate.metric != "cost_usd":
        yield InputError(
            f"`of: per_success` is for cost_usd, not {gate.metric!r}", place=place, next_step="leave out `of`"
        )
    if gate.of in _QUANTILES and gate.metric not in _QUANTILE_MEASURES:
        yield InputError(
            f"`of: {gate.of}` is for {', '.join(_QUANTILE_MEASURES)}, not {gate.metric!r}",
            place=place,
            next_step="leave out `of`, which gates the mean",
        )


def _wrong_side(gate: Gate, place: Place) -> Iterator[InputError]:
    lower_is_better = gate.metric in MEASURES and MEASURES[gate.metric].better == "lower"
    if lower_is_better and gate.at_least is not None:
        yield InputError(
            f"{gate.metric!r} is better when lower, but the gate asks for at least {gate.limit:g}",
            place=place,
            next_step="use at_most",
        )
    if not lower_is_better and gate.at_most is not None:
        yield InputError(
            f"{gate.metric!r} is better when higher, but the gate asks for at most {gate.limit:g}",
            place=place,
            next_step="use at_least; `negate: true` on a scorer turns its score around",
        )


def _wrong_limit(gate: Gate, place: Place) -> Iterator[InputError]:
    if not math.isfinite(gate.limit) or gate.limit < 0 or (gate.is_share and gate.limit > 1):
        wanted = "a share from 0 to 1" if gate.is_share else f"{MEASURES[gate.metric].unit}, not negative"
        yield InputError(
            f"the limit {gate.limit:g} of {gate.metric!r} must be {wanted}",
            place=place,
            next_step="write 0.95 for 95 in 100" if gate.is_share else "mend the limit",
        )
    elif not gate.is_share and gate.limit == 0:
        yield InputError(
            f"no model has {gate.metric} of 0", place=place, next_step=f"give a limit in {MEASURES[gate.metric].unit}"
        )


def _wrong_tag(gate: Gate, cases: Sequence[Case], place: Place) -> Iterator[InputError]:
    if gate.where is None:
        return
    if "tag" not in gate.where:
        yield InputError("`where` names no tag", place=place, next_step="write where: {tag: NAME}")
    elif not gate.cases_of(cases):
        tags = {tag for case in cases for tag in case.tags}
        yield InputError(
            f"no case carries the tag {gate.where['tag']!r}",
            place=place,
            next_step=closest(gate.where["tag"], tags, what="tags"),
        )


def _unreachable(gate: Gate, cases: Sequence[Case], *, confidence: float, place: Place) -> Iterator[InputError]:
    """A bound on a share needs enough independent clusters before even a perfect model can pass it."""
    share = gate.limit if gate.at_least is not None else 1 - gate.limit
    if share <= 0:
        return
    needed = clusters_needed(share, alpha=1 - confidence)
    if needed is None:
        yield InputError(
            f"no number of cases can show {gate.metric} {gate.rule}",
            place=place,
            next_step="mark the cases that must never fail `critical: true`, and gate the mean below 1",
        )
        return
    chosen = gate.cases_of(cases)
    n_clusters = len({case.cluster_id for case in chosen})
    of_cases = f" in {len(chosen)} cases (those that ask the same are one)" if len(chosen) > n_clusters else ""
    if failures_allowed(share, n_clusters, alpha=1 - confidence) is None:
        yield InputError(
            f"{gate.metric} {gate.rule} can never pass: it needs {needed} clusters of cases at confidence "
            f"{confidence:g}, and there are {n_clusters}{of_cases}",
            place=place,
            next_step=f"add cases in {needed - n_clusters} new clusters, or loosen the limit",
        )
