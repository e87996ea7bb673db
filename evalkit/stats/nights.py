"""How much nights differ by themselves: what a single night's drop must exceed before it means anything.

Providers wobble by some tenths of a point from night to night, for the whole suite at once. A sharp paired test takes
that for a change, and is right, and nobody wants to be woken for it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from evalkit.stats._limits import FloatArray

__all__ = ["MIN_NIGHTS", "night_variance", "p_beyond_nights"]

MIN_NIGHTS = 3
"""Nights below which a stream says nothing of how nights differ."""

_MIN_CASES = 2


def night_variance(streams: Sequence[Sequence[Mapping[str, Sequence[float]]]]) -> float | None:
    """Return the variance a whole night adds to a suite's mean; None when no stream has three nights.

    Per stream: variance of the night means minus what the sampling of answers explains, which is the residual of scores
    after prompt and night are taken out (two-way random effects). The mean over streams is taken before it is cut at 0;
    streams in which no case ever changed are left out of it, since nothing could have shown there.

    Args:
        streams: per stream its nights, each case id to the scores of its trials. Tonight is not among them.

    Source: Searle, Casella and McCulloch 1992, *Variance Components*, section 4.3.
    """
    found = [one for one in map(_excess, streams) if one is not None]
    if not found:
        return 0.0 if any(len(nights) >= MIN_NIGHTS for nights in streams) else None
    return max(0.0, math.fsum(found) / len(found))


def p_beyond_nights(p_value: float, *, null_variance: float, added: float) -> float:
    """Return a *one-sided* p that also allows for what nights differ by; never smaller than `p_value`.

    The normal deviate of the p is shortened by the share of the standard error that sampling alone explains, so without
    added variance an exact p stays exact.

    Args:
        p_value: of a test that allows for the sampling of answers only.
        null_variance: what that test takes the variance of the difference for, at least 0.
        added: variance of the difference that nights add, at least 0.
    """
    deviate = float(special.ndtri(p_value))
    if added <= 0 or not -math.inf < deviate < 0:
        return p_value
    return max(p_value, float(special.ndtr(deviate * math.sqrt(null_variance / (null_variance + added)))))


def _excess(nights: Sequence[Mapping[str, Sequence[float]]]) -> float | None:
    """Return one stream's estimate, which may be negative; None when it has too little to say."""
    if len(nights) < MIN_NIGHTS:
        return None
    common = sorted(set.intersection(*({case_id for case_id in night if night[case_id]} for night in nights)))
    if len(common) < _MIN_CASES:
        return None
    table = np.asarray([[math.fsum(night[case_id]) / len(night[case_id]) for case_id in common] for night in nights])
    return _night_component(table)


def _night_component(table: FloatArray) -> float | None:
    """Return (mean square of nights - residual mean square) / cases; shape of `table` is (nights, cases)."""
    n_nights, n_cases = table.shape
    means = table.mean(axis=1)
    residual = table - table.mean(axis=0) - (means - table.mean())[:, None]
    within = float(np.square(residual).sum()) / ((n_nights - 1) * (n_cases - 1))
    between = n_cases * float(means.var(ddof=1))
    return None if within == between == 0 else (between - within) / n_cases
