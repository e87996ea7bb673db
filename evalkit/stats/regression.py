"""Which of a night's many streams got worse: one family, two looks, one share of false alarms.

The first look is at one run, with every stream. Streams that look worse are measured again the same night, and looked
at once more over *all* of the night's answers. Testing the fresh answers alone, corrected for the few that were
extended, would be wrong: a baseline that was lucky got its stream chosen, and is lucky in the second test too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from scipy import special

from evalkit.stats._limits import check_alpha
from evalkit.stats.multiplicity import benjamini_hochberg, holm
from evalkit.stats.nights import night_variance, p_beyond_nights
from evalkit.stats.paired import compare_paired

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from evalkit.domain.estimate import Standing
    from evalkit.stats.paired import PairedTest, Trials

__all__ = [
    "ALPHA",
    "FIRST_ALPHA",
    "MIN_DROP",
    "SCREEN",
    "Judged",
    "Judgement",
    "Stream",
    "confirmable_drop",
    "detectable_drop",
    "judge_regressions",
]

ALPHA = 0.05
"""Probability of any false alarm in a night, both looks together."""
FIRST_ALPHA = 0.01
"""Of it, what the first look may spend; the look after an extension has the rest."""
SCREEN = 0.125
"""An unadjusted p up to which a drop is worth measuring again; exact p-values are coarse: a tenth of quiet streams."""
MIN_DROP = 0.02
"""A smaller mean drop is shown, never acted on (docs/explanation/statistics.md)."""

_LIST_RATE = 0.05
_POWER = 0.80
_LEVEL = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """One (model, suite, metric): case id to the scores of its trials, of each side."""

    candidate: Trials
    nights: tuple[Trials, ...]
    """The baseline, one entry a night; pooled for the test, kept apart to see how nights differ."""
    clusters: Mapping[str, str]
    """Case id to cluster; a case not named is its own."""
    extension: Trials | None = None
    """What was measured again because the first look was suspicious; None when it was not."""
    is_testable: bool = True
    """False when too much is missing: the stream keeps its place in the family and is never found worse."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What became of one stream."""

    standing: Standing
    test: PairedTest
    """Of the last look at it. Bounds allow for what nights differ by; `p_worse` too."""
    p_adjusted: float
    """By Holm over the family of its look."""
    q_value: float
    """By Benjamini-Hochberg over the first look: for the list to read."""
    alpha: float
    """What `p_adjusted` is held against."""
    detectable: float | None
    """The smallest drop this look confirms with probability .8; None: not even a collapse would be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A whole family."""

    judged: tuple[Judged, ...]
    """In the order of the streams."""
    night_variance: float | None
    """What a night adds to the variance of a suite's mean; None when too few nights are known."""


def judge_regressions(streams: Sequence[Stream], *, alpha: float = ALPHA, level: float = _LEVEL) -> Judgement:
    """Say of each stream whether it got worse; of all that did not, any is found with probability <= alpha.

    Each look is a Holm family of all streams: `FIRST_ALPHA / ALPHA` of alpha at the first, the rest at the second,
    where whatever was not extended counts with p = 1. So it does not matter who chose what to extend, or why.

    Args:
        streams: everything that was looked at tonight, compared or not.
        alpha: error over both looks, in (0, 0.5).
        level: one-sided confidence of each bound, in (0.5, 1).

    Source: Holm 1979; the division of alpha is Bonferroni's.
    """
    check_alpha(alpha)
    nightly = night_variance([stream.nights for stream in streams])
    first_alpha = alpha * FIRST_ALPHA / ALPHA
    tests = [_look(stream, nightly, level=level, is_final=False) for stream in streams]
    first = _Look(tests, alpha=first_alpha, is_final=False)
    is_final = [stream.extension is not None and stream.is_testable for stream in streams]
    again = [
        _look(stream, nightly, level=level, is_final=True) if extended else replace(test, p_worse=1.0)
        for stream, test, extended in zip(streams, tests, is_final, strict=True)
    ]
    final = _Look(again, alpha=alpha - first_alpha, is_final=True)
    q_values = benjamini_hochberg([test.p_worse for test in tests])
    judged = []
    for index, stream in enumerate(streams):
        look = final if is_final[index] and not first.confirms(index) else first
        standing: Standing = "untested"
        if stream.is_testable:
            standing = _standing(look, index, is_extended=is_final[index], q_value=q_values[index])
        judged.append(
            Judged(
                standing=standing,
                test=look.tests[index],
                p_adjusted=look.adjusted[index],
                q_value=q_values[index],
                alpha=look.alpha,
                detectable=_detectable(stream, look, index, nightly=nightly) if stream.is_testable else None,
            )
        )
    return Judgement(judged=tuple(judged), night_variance=nightly)


def detectable_drop(variance: float, *, alpha: float) -> float:
    """Return the smallest drop that a test at `alpha` finds with probability .8, in the normal approximation.

    Args:
        variance: of the difference, at least 0.
        alpha: *one-sided* error of the test, in (0, 0.5).
    """
    check_alpha(alpha)
    return float(special.ndtri(1 - alpha) + special.ndtri(_POWER)) * math.sqrt(variance)


def confirmable_drop(
    test: PairedTest, *, alpha: float, added: float = 0.0, trials: tuple[int, int] = (1, 1)
) -> float | None:
    """Return the smallest drop a test like this one confirms with probability .8; None: not even a collapse.

    At least `MIN_DROP`, and at least the fewest cases that can be significant at all: where nothing varied the normal
    approximation would claim that any drop is found.

    Args:
        test: with its `null_variance`.
        alpha: *one-sided* error that one test of the family may have, in (0, 0.5).
        added: variance of the difference beyond that of sampling.
        trials: of a case, on either side.
    """
    if not test.n:
        return None
    coarsest = 0.0
    if test.method in {"mcnemar_exact", "stratified_exact"}:
        patterns = math.comb(sum(trials), trials[0])
        coarsest = math.ceil(math.log(1 / alpha) / math.log(patterns)) / test.n
    elif not test.null_variance:
        coarsest = math.ceil(math.log2(1 / alpha)) / test.n_clusters
    found = max(MIN_DROP, coarsest, detectable_drop(test.null_variance + added, alpha=alpha))
    return found if found <= 1 else None


class _Look:
    """One Holm family."""

    def __init__(self, tests: Sequence[PairedTest], *, alpha: float, is_final: bool) -> None:
        self.tests = tests
        self.alpha = alpha
        self.is_final = is_final
        self.adjusted = holm([test.p_worse for test in tests])

    def confirms(self, index: int) -> bool:
        difference = self.tests[index].difference
        # A sum of scores may miss the limit by rounding alone.
        is_large = difference is not None and difference <= -MIN_DROP + 1e-12
        return is_large and self.adjusted[index] <= self.alpha


def _look(stream: Stream, nightly: float | None, *, level: float, is_final: bool) -> PairedTest:
    """Test all the answers of a look against all nights of the baseline, allowing for what nights differ by."""
    extension = stream.extension if is_final and stream.extension is not None else {}
    test = compare_paired(_pooled((stream.candidate, extension)), _pooled(stream.nights), stream.clusters, level=level)
    if not stream.is_testable:
        test = replace(test, p_worse=1.0)
    added = _added(stream, nightly)
    p_worse = p_beyond_nights(test.p_worse, null_variance=test.null_variance, added=added)
    if test.difference is None or test.lower is None or test.upper is None:
        return replace(test, p_worse=p_worse)
    reach = float(special.ndtri(level)) * math.sqrt(added)
    return replace(
        test,
        p_worse=p_worse,
        lower=max(-1.0, test.difference - math.hypot(test.difference - test.lower, reach)),
        upper=min(1.0, test.difference + math.hypot(test.upper - test.difference, reach)),
    )


def _added(stream: Stream, nightly: float | None) -> float:
    """Return the variance that tonight, and the mean of the baseline's nights, add to the difference."""
    return (nightly or 0.0) * (1 + 1 / max(1, len(stream.nights)))


def _pooled(nights: Sequence[Trials]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for night in nights:
        for case_id, trials in night.items():
            found.setdefault(case_id, []).extend(trials)
    return found


def _standing(look: _Look, index: int, *, is_extended: bool, q_value: float) -> Standing:
    test = look.tests[index]
    if look.confirms(index):
        return "confirmed"
    if is_extended:
        return "cleared"
    if test.difference is None or test.difference >= 0:
        return "none"
    if q_value <= _LIST_RATE:
        return "suspect"
    return "screened" if test.p_worse <= SCREEN else "none"


def _detectable(stream: Stream, look: _Look, index: int, *, nightly: float | None) -> float | None:
    extension = stream.extension if look.is_final and stream.extension is not None else {}
    return confirmable_drop(
        look.tests[index],
        # Holm's first step: what a single change among many quiet streams has to reach.
        alpha=look.alpha / len(look.tests),
        added=_added(stream, nightly),
        trials=(_typical((stream.candidate, extension)), _typical(stream.nights)),
    )


def _typical(nights: Sequence[Trials]) -> int:
    """Return how many trials a case has, on average and at least 1."""
    n_trials = sum(len(trials) for night in nights for trials in night.values())
    return max(1, round(n_trials / max(1, len(frozenset().union(*nights)))))
