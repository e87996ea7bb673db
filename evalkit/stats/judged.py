"""How far a judge agrees with people, and what its verdicts say once that is known.

A lenient judge that passes half of the bad answers makes a model of .80 look like .88: its own verdicts, however many,
bound nothing. What bounds is the share that people would have passed, estimated from the judge's verdicts on all
answers and from the answers that both have judged.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from evalkit.stats._limits import check_alpha
from evalkit.stats.bounds import Bound, clopper_pearson

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evalkit.domain.judging import LabelCounts

__all__ = [
    "METHOD",
    "Agreement",
    "agreement_of",
    "cohen_kappa",
    "fleiss_kappa",
    "judged_bound",
    "post_stratified",
    "transported",
]

METHOD = "judged"
"""The method of a bound that rests on labels."""

_SIDE_ALPHA = 0.05
_GRID = np.linspace(0.0, 1.0, 2001)
"""True shares that are tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """A judge beside people on the same answers; every bound is one-sided at .95, None without data."""

    n: int
    share: float | None
    kappa: float | None
    """None where chance alone would agree on everything: one of the two says the same of every answer."""
    tpr: Bound
    """Of answers people pass, the share the judge passes."""
    tnr: Bound
    """Of answers people fail, the share the judge fails."""

    @property
    def informs(self) -> bool:
        """Whether the judge is surely better than a coin: the lower bounds of both rates add up to more than 1."""
        return (self.tpr.lower or 0.0) + (self.tnr.lower or 0.0) > 1


def agreement_of(counts: LabelCounts) -> Agreement:
    """Return how far a judge agrees with people. Kappa alone misleads: at 95% passes a good judge has a low one."""
    table = ((counts.both_pass, counts.only_people), (counts.only_judge, counts.both_fail))
    n_pass, n_fail = sum(table[0]), sum(table[1])
    return Agreement(
        n=counts.n,
        share=(counts.both_pass + counts.both_fail) / counts.n if counts.n else None,
        kappa=cohen_kappa(table),
        tpr=clopper_pearson(counts.both_pass, n_pass, alpha=_SIDE_ALPHA),
        tnr=clopper_pearson(counts.both_fail, n_fail, alpha=_SIDE_ALPHA),
    )


def cohen_kappa(table: Sequence[Sequence[int]]) -> float | None:
    """Return Cohen's kappa of a square table of counts; None when it is empty or agreement by chance is certain.

    Source: J. Cohen, "A coefficient of agreement for nominal scales", Educ. Psychol. Meas. 20 (1960).
    """
    counts = np.asarray(table, dtype=float)
    total = counts.sum()
    if total == 0:
        return None
    shares = counts / total
    chance = float(shares.sum(axis=0) @ shares.sum(axis=1))
    return None if math.isclose(chance, 1.0) else float((np.trace(shares) - chance) / (1 - chance))


def fleiss_kappa(table: Sequence[Sequence[int]]) -> float | None:
    """Return Fleiss' kappa; None when there is nothing to agree on, or agreement by chance is certain.

    Args:
        table: a row an answer, a column a verdict: how many judges gave it; every row has the same number of judges.

    Raises:
        ValueError: when rows differ in their number of judges, or it is below two.

    Source: J. L. Fleiss, "Measuring nominal scale agreement among many raters", Psychol. Bull. 76 (1971).
    """
    counts = np.asarray(table, dtype=float)
    if counts.size == 0:
        return None
    judges = counts.sum(axis=1)
    n_judges = float(judges[0])
    if n_judges < 2 or not np.all(judges == n_judges):  # noqa: PLR2004  agreement takes two
        raise ValueError(
            f"rows of {sorted(set(judges.tolist()))} judges: every answer needs the same number, at least 2"
        )
    shares = counts.sum(axis=0) / counts.sum()
    chance = float(np.square(shares).sum())
    observed = float(((np.square(counts).sum(axis=1) - n_judges) / (n_judges * (n_judges - 1))).mean())
    return None if math.isclose(chance, 1.0) else (observed - chance) / (1 - chance)


@dataclass(frozen=True, slots=True)
class _Normal:
    """A share with its variance."""

    value: float
    variance: float

    def at(self, z: float) -> float:
        return min(max(self.value + z * math.sqrt(self.variance), 0.0), 1.0)


def post_stratified(counts: LabelCounts, *, share: float, n: float, alpha: float) -> tuple[float, float, float]:
    """Return (value, lower, upper) of the share people would pass, strata being the judge's two verdicts.

    Holds where the labelled answers are like those that are judged: of each stratum the same share is right.

    Args:
        counts: the labels.
        share: of the answers the judge passes.
        n: how many answers that share rests on, independent ones.
        alpha: one-sided error of each bound.

    Source: STATS 9, simulation 6 (seed 601): coverage .94-.995 at 95% where prediction-powered inference has .84-.94.
    """
    found = _post_stratified(counts, share=share, n=n)
    z = _z(alpha)
    return found.value, found.at(-z), found.at(z)


def _post_stratified(counts: LabelCounts, *, share: float, n: float) -> _Normal:
    n_pass, n_fail = counts.both_pass + counts.only_judge, counts.only_people + counts.both_fail
    right_1, right_0 = (counts.both_pass + 1) / (n_pass + 2), (counts.only_people + 1) / (n_fail + 2)
    value = share * right_1 + (1 - share) * right_0
    variance = (
        share**2 * right_1 * (1 - right_1) / (n_pass + 3)
        + (1 - share) ** 2 * right_0 * (1 - right_0) / (n_fail + 3)
        + (right_1 - right_0) ** 2 * share * (1 - share) / n
    )
    return _Normal(value, variance)


def transported(counts: LabelCounts, *, share: float, n: float, alpha: float) -> tuple[float, float, float] | None:
    """Return (value, lower, upper) of the share people would pass, by the judge's two error rates.

    Holds where the labels are of other models than the one that is judged: a judge's error rates travel better than the
    share of its passes that are right, which depends on how good the answers are. None for a judge that tells nothing.

    Source: W. J. Rogan, B. Gladen, "Estimating prevalence from the results of a screening test", Am. J. Epidemiol. 107
    (1978); the bounds by inverting the test of each share, after E. C. Fieller (1954), for a ratio has no normal error.
    """
    n_good, n_bad = counts.both_pass + counts.only_people, counts.only_judge + counts.both_fail
    hit, slip = counts.both_pass / max(n_good, 1), counts.only_judge / max(n_bad, 1)
    near_hit, near_slip = (counts.both_pass + 1) / (n_good + 2), (counts.only_judge + 1) / (n_bad + 2)
    if near_hit <= near_slip:
        return None
    spread = np.sqrt(
        max(share * (1 - share), 1 / (n + 2)) / n
        + _GRID**2 * near_hit * (1 - near_hit) / (n_good + 3)
        + (1 - _GRID) ** 2 * near_slip * (1 - near_slip) / (n_bad + 3)
    )
    # Rates drawn towards one half keep the spread honest near 0 and 1, and would move the middle: each side takes the
    # ones that make it wider.
    above = share - (_GRID * hit + (1 - _GRID) * near_slip)
    below = share - (_GRID * near_hit + (1 - _GRID) * slip)
    z = _z(alpha)
    possible_low, possible_high = _GRID[above <= z * spread], _GRID[below >= -z * spread]
    return (
        min(max((share - near_slip) / (near_hit - near_slip), 0.0), 1.0),
        float(possible_low[0]) if possible_low.size else 1.0,
        float(possible_high[-1]) if possible_high.size else 0.0,
    )


def judged_bound(
    counts: LabelCounts, *, low_share: float, high_share: float, n: float, n_clusters: int, alpha: float
) -> Bound:
    """Return bounds of the share people would pass that hold whichever way the labels carry over.

    Labels are gathered over several models, and nobody knows which of the two assumptions holds for the next one: the
    lower of the two lower bounds and the higher of the two upper bounds hold under either.

    Args:
        counts: the labels.
        low_share: of the answers the judge passes, with every answer it did not judge counted as failed.
        high_share: the same with every such answer counted as passed.
        n: how many independent answers the shares rest on.
        n_clusters: clusters among them.
        alpha: one-sided error of each bound, in (0, 0.5).
    """
    check_alpha(alpha)
    low = post_stratified(counts, share=low_share, n=n, alpha=alpha)
    high = post_stratified(counts, share=high_share, n=n, alpha=alpha)
    other_low = transported(counts, share=low_share, n=n, alpha=alpha)
    other_high = transported(counts, share=high_share, n=n, alpha=alpha)
    is_blind = other_low is None or other_high is None
    lower = None if is_blind or other_low is None else min(low[1], other_low[1])
    upper = None if is_blind or other_high is None else max(high[2], other_high[2])
    return Bound(
        value=None if is_blind else (low[0] + high[0]) / 2,
        lower=lower,
        upper=upper,
        level=1 - alpha,
        method=METHOD,
        n=round(n),
        n_clusters=n_clusters,
        n_effective=n,
    )


def _z(alpha: float) -> float:
    return float(-special.ndtri(alpha))
