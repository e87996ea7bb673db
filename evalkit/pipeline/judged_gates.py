"""A gate on a judge's metric: only a judge that people have confirmed may gate, and then with its errors allowed for.

What passes the gate is not what the judge passed but what people would have: the bound takes the labels' own
uncertainty in (docs/explanation/statistics.md). A judge that was not held against enough labels, or is not the one that
was, decides nothing, either way.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING

from evalkit.domain.judging import MIN_LABELS, LabelCounts, Qualification
from evalkit.domain.verdict import GateResult, GateStatus, Reason, ReasonCode
from evalkit.pipeline.pool import pooled_bound
from evalkit.stats.judged import agreement_of, judged_bound

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from evalkit.domain.judging import Instrument
    from evalkit.domain.suite import Gate
    from evalkit.pipeline.evidence import Measurement, Samples
    from evalkit.pipeline.gates import GateContext
    from evalkit.stats.bounds import Bound

__all__ = ["MAX_UNJUDGED_SHARE", "MIN_EACH", "Opinions", "judge_opinion_gate", "shortfall_of"]

MIN_EACH = 20
"""Labels of either kind: with fewer nobody knows how the judge treats that kind."""

MAX_UNJUDGED_SHARE = 0.05
"""Of the labelled answers; a judge that often says nothing was not held against the ones it skipped."""

_LABEL = "label answers and run `evalkit judge check {suite} --labels FILE`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinions:
    """What is known of the judges of a project."""

    qualifications: Mapping[tuple[str, str], Qualification]
    """By (suite, metric)."""
    judges: Mapping[tuple[str, str], frozenset[tuple[str, str]]]
    """(Run id, suite) to the judges that answered, each with the name it reported."""
    gateway_kind: str

    def shortfall(self, suite: str, metric: str, instrument: Instrument) -> str:
        """Return why a judge may not gate; empty when it may, as long as it is the one that answers."""
        found = self.qualifications.get((suite, metric))
        if not instrument.is_yes_or_no:
            return "its scores are shares, and people confirm a yes or no: set pass_at"
        if found is None:
            return "it was never held against labelled answers"
        if found.instrument != instrument.digest:
            return "judge, prompt or rubric changed since it was held against labelled answers"
        if found.gateway_kind != self.gateway_kind:
            return f"it was held against labels through {found.gateway_kind!r}, not {self.gateway_kind!r}"
        return shortfall_of(found)

    def is_the_one(self, run_id: str, suite: str, qualification: Qualification) -> bool:
        """Return whether the judges that answered in a run are, by name, those that were held against the labels."""
        seen = self.judges.get((run_id, suite), frozenset())
        named = qualification.served
        return all(name in named[judge_id] for judge_id, name in seen if judge_id in named)


def shortfall_of(found: Qualification) -> str:
    """Return why labels are not enough for a gate; empty when they are."""
    counts = found.counts
    n_pass, n_fail = counts.both_pass + counts.only_people, counts.only_judge + counts.both_fail
    if counts.n < MIN_LABELS:
        return f"{counts.n} labels, and {MIN_LABELS} are needed"
    if min(n_pass, n_fail) < MIN_EACH:
        return f"people passed {n_pass} of the labelled answers and failed {n_fail}; {MIN_EACH} of each are needed"
    if found.n_unjudged > MAX_UNJUDGED_SHARE * (counts.n + found.n_unjudged):
        return f"it gave no verdict on {found.n_unjudged} of {counts.n + found.n_unjudged} labelled answers"
    if not agreement_of(counts).informs:
        return "on the labelled answers it is not surely better than a coin"
    return ""


def judge_opinion_gate(gate: Gate, context: GateContext, *, instrument: Instrument, opinions: Opinions) -> GateResult:
    """Return whether the gate is held, by the share of answers that people would pass."""
    suite = context.suite.name
    qualification = opinions.qualifications.get((suite, gate.metric))
    shortfall = opinions.shortfall(suite, gate.metric, instrument)
    if not shortfall and qualification is not None:
        if opinions.is_the_one(context.measurement.run.run_id, suite, qualification):
            return _decided(gate, context, qualification=qualification, opinions=opinions)
        shortfall = "another model answered for the judge than the one that was held against labels"
    detail = f"{gate.metric} {gate.rule}: the judge {', '.join(instrument.model_ids)} does not qualify: {shortfall}"
    cure = _LABEL.format(suite=suite)
    doubt = Reason(code=ReasonCode.JUDGE_UNQUALIFIED, suite=suite, metric=gate.metric, detail=detail, cure=cure)
    return _result(gate, context, None, status=GateStatus.UNDECIDED, cure=cure, doubt=doubt)


def _decided(gate: Gate, context: GateContext, *, qualification: Qualification, opinions: Opinions) -> GateResult:
    chosen = {case.id for case in gate.cases_of(context.suite.active_cases)}
    suite = context.suite.name

    def samples(measurement: Measurement) -> Samples:
        return measurement.samples(gate.metric, wants=lambda unit: unit.case_id in chosen)

    def failing(night: Samples) -> Bound | None:
        return _bound([night], qualification.counts, alpha=context.fail_alpha)

    def has_held(night: Samples) -> bool:
        bound = failing(night)
        return bound is None or bound.upper is None or bound.upper >= gate.limit

    tonight = samples(context.measurement)
    before = takewhile(
        has_held,
        (samples(m) for m in context.earlier if opinions.is_the_one(m.run.run_id, suite, qualification)),
    )
    passing = _bound([tonight, *before], qualification.counts, alpha=context.alpha)
    failed = failing(tonight)
    if failed is not None and failed.upper is not None and failed.upper < gate.limit:
        return _result(gate, context, failed, status=GateStatus.FAIL, decided_by=failed.upper)
    if passing is not None and passing.lower is not None and passing.lower >= gate.limit:
        return _result(gate, context, passing, status=GateStatus.PASS, decided_by=passing.lower)
    n_missing = len(tonight.missing_clusters)
    cure = f"evalkit score --ask ({n_missing} answers without a verdict)" if n_missing else "more labels, or more cases"
    decided_by = None if passing is None else passing.lower
    return _result(gate, context, passing, status=GateStatus.UNDECIDED, decided_by=decided_by, cure=cure)


def _bound(nights: Sequence[Samples], counts: LabelCounts, *, alpha: float) -> Bound | None:
    """Return the bound of what people would pass; None when the judge has said nothing.

    The effective number of answers is that of the judge's own verdicts: cases that share a passage share its luck.
    """
    if not any(night.values for night in nights):
        return None
    plain = pooled_bound(nights, alpha=alpha)
    if plain.n_effective <= 0:
        return None
    return judged_bound(
        counts,
        low_share=_share(nights, missing_as=0.0),
        high_share=_share(nights, missing_as=1.0),
        n=plain.n_effective,
        n_clusters=plain.n_clusters,
        alpha=alpha,
    )


def _share(nights: Sequence[Samples], *, missing_as: float) -> float:
    """Return the share the judge passes: the mean over nights, or tonight's where that is the less favourable."""
    means = [
        (math.fsum(night.values) + missing_as * len(night.missing_clusters)) / night.n for night in nights if night.n
    ]
    pooled = math.fsum(means) / len(means)
    return min(pooled, means[0]) if missing_as == 0 else max(pooled, means[0])


def _result(  # noqa: PLR0913  a gate's result is made of this much
    gate: Gate,
    context: GateContext,
    bound: Bound | None,
    *,
    status: GateStatus,
    decided_by: float | None = None,
    cure: str = "",
    doubt: Reason | None = None,
) -> GateResult:
    chosen = {case.id for case in gate.cases_of(context.suite.active_cases)}
    tonight = context.measurement.samples(gate.metric, wants=lambda unit: unit.case_id in chosen)
    return GateResult(
        suite=context.suite.name,
        metric=gate.metric,
        rule=gate.rule,
        limit=gate.limit,
        status=status,
        estimate=None if bound is None else bound.estimate(),
        bound=decided_by,
        critical=gate.critical,
        n_missing=len(tonight.missing_clusters),
        cure=cure,
        doubt=doubt,
    )
