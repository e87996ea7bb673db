"""Is a candidate at most a margin worse than the incumbent, on the same prompts?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.domain.verdict import Reason, ReasonCode
from evalkit.stats.paired import NonInferiority, non_inferiority

if TYPE_CHECKING:
    from evalkit.domain.suite import Suite
    from evalkit.pipeline.evidence import Measurement

__all__ = ["judge_non_inferiority"]


def judge_non_inferiority(
    suite: Suite, candidate: Measurement, *, incumbent: Measurement | None, margin: float, alpha: float
) -> Reason | None:
    """Return None when non-inferiority is shown, else the reason why not.

    To pass, cases that are void on either side count as lost by the candidate; to fail, as won by it: so an outage of
    either can neither admit the candidate nor reject it (docs/explanation/statistics.md).
    """
    if incumbent is None:
        return Reason(
            code=ReasonCode.INCUMBENT_UNKNOWN,
            suite=suite.name,
            detail="the incumbent has no complete measurement to compare with",
            cure=f"evalkit run {suite.name}",
        )
    mine, theirs = _values(candidate, suite.primary), _values(incumbent, suite.primary)
    clusters = {unit.case_id: unit.cluster_id for unit in candidate.units}
    shared = sorted(mine.keys() & theirs.keys())

    def judged(*, void_for: float) -> NonInferiority:
        pairs = {case_id: (mine[case_id], theirs[case_id]) for case_id in shared}
        sides = {
            case_id: ([void_for], [1 - void_for]) if ours is None or other is None else (ours, other)
            for case_id, (ours, other) in pairs.items()
        }
        return non_inferiority(
            {case_id: ours for case_id, (ours, _) in sides.items()},
            {case_id: other for case_id, (_, other) in sides.items()},
            clusters,
            margin=margin,
            alpha=alpha,
        )

    result = judged(void_for=0.0)
    if result.status == "pass":
        return None
    failed = judged(void_for=1.0).status == "fail"
    bound = "none" if result.lower is None else f"{result.lower:.3f}"
    difference = "?" if result.difference is None else f"{result.difference:+.3f}"
    detail = f"{suite.primary} differs by {difference} from the incumbent's, bound {bound}"
    detail += f", margin {margin:g}, n={result.n}"
    return Reason(
        code=ReasonCode.NOT_NON_INFERIOR if failed else ReasonCode.GATE_UNDECIDED,
        suite=suite.name,
        metric=suite.primary,
        detail=detail,
        cure="" if failed else "more cases, or a wider non_inferiority_margin",
    )


def _values(measurement: Measurement, metric: str) -> dict[str, list[float] | None]:
    """Return case id to the scores of its trials; None when any of them is unknown."""
    found: dict[str, list[float] | None] = {}
    for unit in measurement.units:
        value = None if unit.is_missing else unit.scores.get(metric)
        known = found.setdefault(unit.case_id, [])
        if value is None or known is None:
            found[unit.case_id] = None
        else:
            known.append(value)
    return found
