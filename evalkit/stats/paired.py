"""Candidate against baseline on the same prompts: did it get worse, and is it good enough to take over?

Two questions, two populations. `compare_paired` asks about *these* prompts: only sampling noise is random, so trials of
one prompt are evidence. `non_inferiority` asks about prompts *like* these: clusters are the units.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import special

from evalkit.stats._conditional import exact_p_worse, null_variance
from evalkit.stats._limits import check_alpha
from evalkit.stats._tango import tango_bounds
from evalkit.stats.bounds import Interval

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from evalkit.stats._limits import FloatArray

    Trials = Mapping[str, Sequence[float]]

__all__ = [
    "MIN_CLUSTERS_FOR_T",
    "NonInferiority",
    "PairedTest",
    "compare_models",
    "compare_paired",
    "non_inferiority",
    "worst_case_difference",
]

MIN_CLUSTERS_FOR_T = 100
"""Clusters below which a t bound may not decide non-inferiority."""

_LEVEL = 0.95
_MIN_CLUSTERS_FOR_PAIRED_T = 20
_MIN_CLUSTERS = 2
# Cluster differences closer than this differ by rounding alone.
_SAME = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedTest:
    """Candidate minus baseline on the cases both have."""

    difference: float | None
    """Mean over clusters of the mean difference, in [-1, 1]; negative is worse; None without a common case."""
    lower: float | None
    """*One-sided* at `level`; None with fewer than two clusters."""
    upper: float | None
    """*One-sided* at `level`; None with fewer than two clusters."""
    level: float
    p_worse: float
    """*One-sided*: how likely a difference this bad is if nothing changed; 1 when nothing can be compared."""
    n: int
    """Cases present on both sides."""
    n_clusters: int
    n_worse: int
    """Cases whose mean over trials fell."""
    n_better: int
    method: str
    """`mcnemar_exact`, `stratified_exact`, `paired_t`, `sign_flip`, or `none` without a common case."""
    null_variance: float = 0.0
    """Of the difference if nothing changed, as the test has it; 0 when no trial disagreed with another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NonInferiority:
    """Is the candidate worse than the incumbent by less than the margin?"""

    status: Literal["pass", "fail", "undecided"]
    lower: float | None
    """*One-sided* bound of the difference at 1 - alpha; pass means it is at or above -margin."""
    upper: float | None
    """*One-sided* bound of the difference at 1 - alpha; fail means it is below -margin."""
    difference: float | None
    n: int
    n_clusters: int
    method: str
    """`tango`, `paired_t`, or `none` without a common case."""


@dataclass(frozen=True, slots=True)
class _Pairs:
    """The common cases in order of case id, so that the order of records never matters."""

    candidate: tuple[Sequence[float], ...]
    baseline: tuple[Sequence[float], ...]
    by_case: FloatArray
    """Difference of means, one per case."""
    by_cluster: FloatArray
    """Mean of the case differences, one per cluster."""
    cluster_ids: tuple[str, ...]
    """In the order of `by_cluster`."""

    @property
    def has_one_trial(self) -> bool:
        return all(len(trials) == 1 for trials in (*self.candidate, *self.baseline))

    @property
    def is_binary(self) -> bool:
        return all(score in {0, 1} for trials in (*self.candidate, *self.baseline) for score in trials)


def compare_paired(
    candidate: Trials, baseline: Trials, clusters: Mapping[str, str], *, level: float = _LEVEL
) -> PairedTest:
    """Test whether the candidate got worse on the cases both sides answered; all else is left out.

    `p_worse` is about these very prompts. Binary scores: exact McNemar with one trial a side, else the exact test given
    each prompt's total (prompts are strata). Graded scores: t over clusters, or all sign flips below 20 clusters.
    The bounds are t bounds over cluster differences; when all clusters agree they come from how many unseen
    clusters may differ, so they are never closed on the estimate.

    Args:
        candidate: case id to the scores of its trials, each in [0, 1]; a case with no trial is absent.
        baseline: the same, of the other side; numbers of trials may differ.
        clusters: case id to cluster; a case not named is its own.
        level: one-sided confidence of each bound, in (0.5, 1).

    Source: McNemar 1947; Mehta, Patel and Gray 1985 for the exact stratified test; Fisher 1935 for sign flips.
    """
    return _tested(candidate, baseline, clusters, level=level, test=_p_worse)


def compare_models(candidate: Trials, baseline: Trials, clusters: Mapping[str, str]) -> PairedTest:
    """Test whether one model is worse than another on prompts *like* these: clusters are the units.

    As `compare_paired` otherwise. Binary scores, one trial a side and clusters of one case: exact McNemar. Everything
    else: over cluster differences.
    """
    return _tested(candidate, baseline, clusters, level=_LEVEL, test=_p_worse_like)


def worst_case_difference(
    candidate: Trials, baseline: Trials, clusters: Mapping[str, str], *, case_ids: Sequence[str]
) -> Interval:
    """Return the lowest and highest difference there could have been, had every case been known on both sides.

    No confidence comes into it: these are the two extremes of what is missing (Manski 1990).

    Args:
        candidate: case id to the scores of its trials.
        baseline: the same, of the other side.
        clusters: case id to cluster; a case not named is its own.
        case_ids: every case that should be there, at least one; those known on one side only keep what is known.
    """

    def extreme(*, ours: float) -> float:
        pairs = _pairs(
            {case_id: candidate.get(case_id) or [ours] for case_id in case_ids},
            {case_id: baseline.get(case_id) or [1 - ours] for case_id in case_ids},
            clusters,
        )
        if pairs is None:
            raise ValueError("no case is given")
        return _mean(pairs.by_cluster)

    return Interval(extreme(ours=0.0), extreme(ours=1.0))


def _tested(
    candidate: Trials,
    baseline: Trials,
    clusters: Mapping[str, str],
    *,
    level: float,
    test: Callable[[_Pairs], tuple[float, str, float]],
) -> PairedTest:
    alpha = 1 - level
    check_alpha(alpha)
    pairs = _pairs(candidate, baseline, clusters)
    if pairs is None:
        return PairedTest(
            difference=None, lower=None, upper=None, level=level, p_worse=1.0,
            n=0, n_clusters=0, n_worse=0, n_better=0, method="none",
        )  # fmt: skip
    interval = _cluster_bounds(pairs.by_cluster, alpha=alpha)
    p_worse, method, variance = test(pairs)
    return PairedTest(
        difference=_mean(pairs.by_cluster),
        lower=interval.low if interval else None,
        upper=interval.high if interval else None,
        level=level,
        p_worse=p_worse,
        n=len(pairs.by_case),
        n_clusters=len(pairs.by_cluster),
        n_worse=int((pairs.by_case < -_SAME).sum()),
        n_better=int((pairs.by_case > _SAME).sum()),
        method=method,
        null_variance=variance,
    )


def non_inferiority(
    candidate: Trials,
    baseline: Trials,
    clusters: Mapping[str, str],
    *,
    margin: float,
    alpha: float = 0.05,
    earlier: Sequence[tuple[Trials, Trials]] = (),
) -> NonInferiority:
    """Decide whether the candidate is worse than the baseline by less than `margin`, on prompts like these.

    One binary trial a side and clusters of one case: Tango's score bounds. Everything else: t over cluster differences
    with G - 1 degrees of freedom, which decides only from 100 clusters on.

    With earlier nights of the same prompts the difference of a cluster is its mean over the nights, and its spread that
    of one night: gains and losses are counted a night, and so are squares. Nights never make it surer than one night's
    clusters are. Where some cluster has fewer nights than others, tonight alone has to show it as well.

    Cases void on either side must count -1 for the candidate, which the caller says by giving the candidate 0 and the
    baseline 1 on that case; a case absent from either mapping is left out.

    Args:
        candidate: case id to the scores of its trials, each in [0, 1].
        baseline: the same, of the incumbent.
        clusters: case id to cluster; a case not named is its own.
        margin: the largest loss that is acceptable, in (0, 1).
        alpha: one-sided error of each decision, in (0, 0.5).
        earlier: candidate and baseline of further nights.

    Source: Tango 1998, Statistics in Medicine 17.
    """
    check_alpha(alpha)
    if not 0 < margin < 1:
        raise ValueError(f"margin={margin!r} is outside (0, 1)")
    pairs = _pairs(candidate, baseline, clusters)
    if pairs is None:
        return NonInferiority(
            status="undecided", lower=None, upper=None, difference=None, n=0, n_clusters=0, method="none"
        )
    n, n_clusters = len(pairs.by_case), len(pairs.by_cluster)
    is_tango = n == n_clusters and pairs.has_one_trial and pairs.is_binary
    before = (_pairs(*night, clusters) for night in earlier)
    nights = _by_cluster([pairs, *(night for night in before if night is not None)])
    interval = _nightly_bounds(nights, is_tango=is_tango, alpha=alpha)
    if interval is not None and len(set(map(len, nights))) > 1:
        alone = _nightly_bounds(_by_cluster([pairs]), is_tango=is_tango, alpha=alpha)
        interval = _wider(interval, alone)
    may_decide = is_tango or n_clusters >= MIN_CLUSTERS_FOR_T
    return NonInferiority(
        status=_status(interval, margin=margin) if may_decide else "undecided",
        lower=interval.low if interval else None,
        upper=interval.high if interval else None,
        difference=_mean(_means(nights)),
        n=n,
        n_clusters=n_clusters,
        method="tango" if is_tango else "paired_t",
    )


def _by_cluster(nights: Sequence[_Pairs]) -> list[list[float]]:
    """Return the differences of each cluster, one a night on which it was asked."""
    found: dict[str, list[float]] = {}
    for night in nights:
        for cluster_id, difference in zip(night.cluster_ids, night.by_cluster.tolist(), strict=True):
            found.setdefault(cluster_id, []).append(difference)
    return list(found.values())


def _means(nights: Sequence[Sequence[float]]) -> FloatArray:
    return np.asarray([math.fsum(differences) / len(differences) for differences in nights])


def _nightly_bounds(nights: Sequence[Sequence[float]], *, is_tango: bool, alpha: float) -> Interval | None:
    """Return one-sided bounds of the mean difference, each at error `alpha`, as sure as one night's clusters allow.

    The spread of means over nights would do for one test of a whole series. Tested night after night it lets a
    candidate that is exactly on the margin in about twice as often as `alpha` says, the spread of one night does not
    (docs/explanation/statistics.md).
    """
    means = _means(nights)
    if is_tango:
        gains = math.fsum(_means([[max(one, 0.0) for one in differences] for differences in nights]))
        losses = math.fsum(_means([[max(-one, 0.0) for one in differences] for differences in nights]))
        return tango_bounds(gains, losses, len(means), alpha=alpha)
    if max(map(len, nights)) == 1 or np.ptp(np.concatenate(nights)) <= _SAME:
        return _cluster_bounds(means, alpha=alpha)
    centre = _mean(means)
    squares = math.fsum(_means([[(one - centre) ** 2 for one in differences] for differences in nights]))
    return _t_bounds(means, deviation=math.sqrt(squares / (len(means) - 1)), alpha=alpha) if len(means) > 1 else None


def _wider(pooled: Interval, alone: Interval | None) -> Interval | None:
    """Return bounds that hold only where both do."""
    return None if alone is None else Interval(min(pooled.low, alone.low), max(pooled.high, alone.high))


def _status(interval: Interval | None, *, margin: float) -> Literal["pass", "fail", "undecided"]:
    if interval is not None and interval.low >= -margin:
        return "pass"
    if interval is not None and interval.high < -margin:
        return "fail"
    return "undecided"


def _pairs(candidate: Trials, baseline: Trials, clusters: Mapping[str, str]) -> _Pairs | None:
    common = sorted(
        case_id for case_id in candidate.keys() & baseline.keys() if candidate[case_id] and baseline[case_id]
    )
    if not common:
        return None
    ours = tuple(candidate[case_id] for case_id in common)
    theirs = tuple(baseline[case_id] for case_id in common)
    by_case = np.asarray([_trial_mean(a) - _trial_mean(b) for a, b in zip(ours, theirs, strict=True)])
    grouped: dict[str, list[float]] = {}
    for case_id, difference in zip(common, by_case.tolist(), strict=True):
        grouped.setdefault(clusters.get(case_id, case_id), []).append(difference)
    by_cluster = np.asarray([math.fsum(group) / len(group) for group in grouped.values()])
    return _Pairs(ours, theirs, by_case, by_cluster, tuple(grouped))


def _trial_mean(trials: Sequence[float]) -> float:
    # Written so that NaN fails it.
    if not all(0 <= score <= 1 for score in trials):
        raise ValueError(f"scores {list(trials)!r} are not all in [0, 1]")
    return math.fsum(trials) / len(trials)


def _mean(differences: FloatArray) -> float:
    return math.fsum(differences) / len(differences)


def _cluster_bounds(differences: FloatArray, *, alpha: float) -> Interval | None:
    """Return one-sided bounds of the mean difference, each at error `alpha`; None with fewer than two clusters."""
    n_clusters = len(differences)
    if n_clusters < _MIN_CLUSTERS:
        return None
    mean = _mean(differences)
    if np.ptp(differences) <= _SAME:
        # All agree: at most this share of clusters differs, by no more than the whole range.
        unseen = 1 - alpha ** (1 / n_clusters)
        return Interval(mean - unseen * (1 + mean), mean + unseen * (1 - mean))
    return _t_bounds(differences, deviation=float(differences.std(ddof=1)), alpha=alpha)


def _t_bounds(differences: FloatArray, *, deviation: float, alpha: float) -> Interval:
    mean, n_clusters = _mean(differences), len(differences)
    half = float(special.stdtrit(n_clusters - 1, 1 - alpha)) * deviation / math.sqrt(n_clusters)
    return Interval(max(mean - half, -1.0), min(mean + half, 1.0))


def _p_worse(pairs: _Pairs) -> tuple[float, str, float]:
    """Return p, method and the variance of the difference if nothing changed, on these prompts."""
    if not pairs.is_binary:
        return _p_over_clusters(pairs.by_cluster)
    strata = [
        (sum(ours), len(ours), sum(theirs), len(theirs))
        for ours, theirs in zip(pairs.candidate, pairs.baseline, strict=True)
    ]
    method = "mcnemar_exact" if pairs.has_one_trial else "stratified_exact"
    return exact_p_worse(strata), method, null_variance(strata)


def _p_worse_like(pairs: _Pairs) -> tuple[float, str, float]:
    """Return the same on prompts like these."""
    is_mcnemar = pairs.is_binary and pairs.has_one_trial and len(pairs.by_case) == len(pairs.by_cluster)
    return _p_worse(pairs) if is_mcnemar else _p_over_clusters(pairs.by_cluster)


def _p_over_clusters(differences: FloatArray) -> tuple[float, str, float]:
    if len(differences) < _MIN_CLUSTERS_FOR_PAIRED_T or np.ptp(differences) <= _SAME:
        return _sign_flip_p(differences), "sign_flip", float(np.square(differences).sum()) / len(differences) ** 2
    error = float(differences.std(ddof=1)) / math.sqrt(len(differences))
    return float(special.stdtr(len(differences) - 1, _mean(differences) / error)), "paired_t", error**2


def _sign_flip_p(differences: FloatArray) -> float:
    """Return the share of sign patterns whose sum is as low as observed; all are counted, so no seed is needed."""
    if np.ptp(differences) <= _SAME:
        # Every pattern but one lies above the sum of equal losses; without a loss there is nothing to test.
        return float(0.5 ** len(differences)) if differences[0] < -_SAME else 1.0
    sums = np.zeros(1)
    for size in np.abs(differences):
        sums = np.concatenate((sums - size, sums + size))
    return float((sums <= math.fsum(differences) + _SAME * len(differences)).mean())
