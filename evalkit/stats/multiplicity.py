"""Corrections for asking many questions in one night: Holm before acting, Benjamini-Hochberg for a list to read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["benjamini_hochberg", "holm"]


def holm(p_values: ArrayLike) -> tuple[float, ...]:
    """Return adjusted p-values in the order given; acting on those <= alpha errs at all with probability <= alpha.

    Holds under any dependence between the tests. The family is every (model, suite, metric) of one night.

    Source: Holm 1979, "A simple sequentially rejective multiple test procedure".
    """
    p = _p_values(p_values)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(stepped, 1.0)
    return tuple(adjusted.tolist())


def benjamini_hochberg(p_values: ArrayLike) -> tuple[float, ...]:
    """Return adjusted p-values in the order given; of those listed at <= q, a share <= q is expected to be false.

    For reading only: it lets single false alarms through on bad nights, so nothing may be demoted on it.

    Source: Benjamini and Hochberg 1995, "Controlling the false discovery rate".
    """
    p = _p_values(p_values)
    if len(p) == 0:
        return ()
    order = np.argsort(p, kind="stable")
    stepped = p[order] * len(p) / np.arange(1, len(p) + 1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.minimum.accumulate(stepped[::-1])[::-1], 1.0)
    return tuple(adjusted.tolist())


def _p_values(p_values: ArrayLike) -> NDArray[np.float64]:
    p = np.asarray(p_values, dtype=float)
    # Written so that NaN fails it.
    if len(p) and not (p.min() >= 0 and p.max() <= 1):
        raise ValueError(f"p-values run from {p.min()!r} to {p.max()!r}, expected [0, 1]")
    return p
