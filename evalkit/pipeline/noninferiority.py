"""Is a candidate at most a margin worse than the incumbent, on the same prompts?

As for gates, a pass rests on the nights of the series together and a fail on tonight alone: asked anew every night, a
candidate exactly on the margin gets in within weeks.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING

from evalkit.domain.verdict import Reason, ReasonCode
from evalkit.stats.paired import non_inferiority

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evalkit.domain.suite import Suite
    from evalkit.pipeline.evidence import Measurement
    from evalkit.stats.paired import NonInferiority

    Night = tuple[Measurement, Measurement]
    """Candidate and incumbent."""
    Trials = dict[str, list[float]]

__all__ = ["judge_non_inferiority"]


def judge_non_inferiority(
    suite: Suite,
    candidate: Measurement,
    *,
    incumbent: Measurement | None,
    margin: float,
    alpha: float,
    earlier: Sequence[Night] = (),
) -> Reason | None:
    """Return None when non-inferiority is shown, else the reason why not.

    To pass, cases that are void on either side count as lost by the candidate; to fail, as won by it: so an outage of
    either can neither admit the candidate nor reject it (docs/explanation/statistics.md).

    Args:
        suite: its primary metric is compared.
        candidate: tonight's measurement.
        incumbent: what it is held against; None: nothing.
        margin: the largest loss that is acceptable, in (0, 1).
        alpha: one-sided error of each decision.
        earlier: further nights, newest first: a pass pools them with tonight.
    """
    if incumbent is None:
        return Reason(
            code=ReasonCode.INCUMBENT_UNKNOWN,
            suite=suite.name,
            detail="the incumbent has no complete measurement to compare with",
            cure=f"evalkit run {suite.name}",
        )
    against = _Against(suite=suite, margin=margin, alpha=alpha)
    tonight = (candidate, incumbent)
    failed = against.fails(tonight)
    before = [] if failed else [*takewhile(lambda night: not against.is_mended(night, candidate), earlier)]
    result = against.shown([tonight, *before])
    if result.status == "pass" and not failed:
        return None
    bound = "none" if result.lower is None else f"{result.lower:.3f}"
    difference = "?" if result.difference is None else f"{result.difference:+.3f}"
    detail = f"{suite.primary} differs by {difference} from the incumbent's, bound {bound}"
    detail += f", margin {margin:g}, n={result.n}"
    detail += f", {1 + len(before)} nights" if before else ""
    return Reason(
        code=ReasonCode.NOT_NON_INFERIOR if failed else ReasonCode.GATE_UNDECIDED,
        suite=suite.name,
        metric=suite.primary,
        detail=detail,
        cure="" if failed else "more cases, or a wider non_inferiority_margin",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Against:
    """Candidate against incumbent on one suite."""

    suite: Suite
    margin: float
    alpha: float

    def shown(self, nights: Sequence[Night]) -> NonInferiority:
        """Return the comparison that can pass."""
        return self._compared(nights, void_for=0.0)

    def fails(self, night: Night) -> bool:
        """Return whether the candidate is surely worse by more than the margin on one night."""
        return self._compared([night], void_for=1.0).status == "fail"

    def is_mended(self, night: Night, tonight: Measurement) -> bool:
        """Return whether a night failed that is behind the candidate now.

        What the candidate still fails against, it was not the candidate that changed: an incumbent's poor night
        makes nobody better.
        """
        return self.fails(night) and not self.fails((tonight, night[1]))

    def _compared(self, nights: Sequence[Night], *, void_for: float) -> NonInferiority:
        (mine, theirs), *earlier = [self._sides(night, void_for=void_for) for night in nights]
        clusters = {unit.case_id: unit.cluster_id for candidate, _ in nights for unit in candidate.units}
        return non_inferiority(mine, theirs, clusters, margin=self.margin, alpha=self.alpha, earlier=earlier)

    def _sides(self, night: Night, *, void_for: float) -> tuple[Trials, Trials]:
        """Return the scores of both sides on the cases they share; void ones are won by nobody but as told."""
        mine, theirs = (_values(side, self.suite.primary) for side in night)
        ours: Trials = {}
        others: Trials = {}
        for case_id in sorted(mine.keys() & theirs.keys()):
            one, other = mine[case_id], theirs[case_id]
            if one is None or other is None:
                one, other = [void_for], [1 - void_for]
            ours[case_id], others[case_id] = one, other
        return ours, others


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
