"""The exact test that binary scores of the same prompts fell, given how many passes each prompt had in all.

If nothing changed, each prompt's passes fall on its trials at random (hypergeometric); prompts are independent, so the
candidate's total is a convolution. With one trial a side this is McNemar's exact test.
"""

from __future__ import annotations

import math
from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from evalkit.stats._distributions import hypergeometric_pmf

if TYPE_CHECKING:
    from collections.abc import Iterable

    from evalkit.stats._limits import FloatArray

__all__ = ["exact_p_worse", "null_variance"]


def exact_p_worse(strata: Iterable[tuple[float, int, float, int]]) -> float:
    """Return the *one-sided* probability of as few candidate passes as seen, if nothing changed.

    Args:
        strata: per prompt (candidate passes, candidate trials, baseline passes, baseline trials).

    Source: Mehta, Patel and Gray 1985, "Computing an exact confidence interval for the common odds ratio in several
    2 x 2 contingency tables", for the conditional distribution.
    """
    observed = 0
    tables: Counter[tuple[int, int, int]] = Counter()
    for ours, our_trials, theirs, their_trials in strata:
        passes, trials = round(ours + theirs), our_trials + their_trials
        # A prompt that always passes, or never, has one possible table and says nothing.
        if 0 < passes < trials:
            tables[trials, passes, our_trials] += 1
            observed += round(ours)
    total, smallest = np.ones(1), 0
    for (trials, passes, drawn), count in sorted(tables.items()):
        low, pmf = _hypergeometric(trials, passes, drawn)
        for _ in range(count):
            total = np.convolve(total, pmf)
        smallest += low * count
    return min(float(total[: observed - smallest + 1].sum()), 1.0)


def null_variance(strata: Iterable[tuple[float, int, float, int]]) -> float:
    """Return the variance of the mean difference (candidate minus baseline, prompts equal) if nothing changed.

    With s² the sample variance of all a prompt's trials, that is the mean of s² (1/n1 + 1/n2) over prompts, divided by
    their number: the hypergeometric variance of what `exact_p_worse` sums.

    Args:
        strata: as in `exact_p_worse`.
    """
    terms = []
    for ours, our_trials, theirs, their_trials in strata:
        passes, trials = ours + theirs, our_trials + their_trials
        spread = passes * (trials - passes) / (trials * (trials - 1))
        terms.append(spread * (1 / our_trials + 1 / their_trials))
    return math.fsum(terms) / len(terms) ** 2


@lru_cache(maxsize=4096)
def _hypergeometric(trials: int, passes: int, drawn: int) -> tuple[int, FloatArray]:
    """Return the smallest possible number of passes among the drawn trials, and the probabilities from there on."""
    low, high = max(0, drawn - (trials - passes)), min(drawn, passes)
    return low, hypergeometric_pmf(np.arange(low, high + 1), total=trials, good=passes, drawn=drawn)
