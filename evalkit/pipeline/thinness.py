"""How much of a measurement is there: what so many missing calls leave unsaid, whatever the rest of it shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.domain.outcome import CACHED
from evalkit.domain.verdict import Reason, ReasonCode
from evalkit.pipeline.gates import CACHE_CURE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evalkit.domain.suite import Suite
    from evalkit.pipeline.evidence import Measurement

__all__ = ["MAX_OUTAGE_SHARE", "critical_values", "is_thin", "thin_reasons"]

MAX_OUTAGE_SHARE = 0.20
"""A longer unbroken row of missing calls makes a night undecided (docs/explanation/statistics.md)."""


def is_thin(measurement: Measurement, *, min_coverage: float) -> bool:
    """Whether so much is missing that the data say too little even to reject (docs/explanation/statistics.md)."""
    evidence = measurement.evidence
    return evidence.coverage < min_coverage or evidence.longest_outage_share > MAX_OUTAGE_SHARE


def thin_reasons(suite: Suite, measurement: Measurement, *, min_coverage: float) -> Iterator[Reason]:
    """Yield why a measurement says too little, each with its cure."""
    evidence = measurement.evidence
    is_cached = any(unit.is_cached for unit in measurement.units)
    resume = CACHE_CURE if is_cached else f"evalkit run --resume {measurement.run.run_id}"
    if evidence.coverage < min_coverage:
        detail = f"{evidence.coverage:.3f} of {evidence.cell.n_planned} calls were answered"
        detail += f"; the policy wants {min_coverage:g}"
        detail += f" ({_missing_kinds(evidence)})"
        yield Reason(code=ReasonCode.LOW_COVERAGE, suite=suite.name, detail=detail, cure=resume)
    unknown = sorted({case_id for case_id, value in critical_values(suite, measurement) if value is None})
    if unknown:
        detail = f"critical cases without a score: {', '.join(unknown[:5])}"
        yield Reason(code=ReasonCode.LOW_COVERAGE, suite=suite.name, detail=detail, cure=resume)
    if evidence.longest_outage_share > MAX_OUTAGE_SHARE:
        detail = f"an unbroken {evidence.longest_outage_share:.2f} of the calls went unanswered"
        yield Reason(code=ReasonCode.OUTAGE, suite=suite.name, detail=detail, cure=resume)


def critical_values(suite: Suite, measurement: Measurement) -> Iterator[tuple[str, float | None]]:
    """Yield (case id, primary score) of every critical case; None where nobody knows, or it was never asked."""
    critical = {case.id for case in suite.active_cases if case.critical}
    for unit in measurement.units:
        if unit.case_id in critical:
            yield unit.case_id, None if unit.is_missing else unit.scores.get(suite.primary)
    for case_id in sorted(critical - {unit.case_id for unit in measurement.units}):
        yield case_id, None


def _missing_kinds(measurement: Measurement) -> str:
    counts: dict[str, int] = {}
    for unit in measurement.units:
        if unit.is_missing:
            name = CACHED if unit.is_cached else str(unit.kind)
            counts[name] = counts.get(name, 0) + 1
    return ", ".join(f"{kind} {count}" for kind, count in sorted(counts.items(), key=lambda item: -item[1]))
