"""When two numbers are near enough, in the decimals people write."""

from __future__ import annotations

import math
from decimal import Decimal

__all__ = ["is_near"]


def is_near(got: float, gold: float, *, abs_tol: float, rel_tol: float) -> bool:
    """Return whether |got - gold| <= max(abs_tol, rel_tol * |gold|); without tolerances, whether they are equal.

    In decimal: 41.9 is within 0.1 of 42, which binary floats deny by a hair. An infinite number is near nothing else.
    """
    if got == gold:
        return True
    if not (abs_tol or rel_tol) or _is_infinite(got) or _is_infinite(gold):
        return False
    wanted = _decimal(gold)
    return abs(_decimal(got) - wanted) <= max(_decimal(abs_tol), _decimal(rel_tol) * abs(wanted))


def _is_infinite(number: float) -> bool:
    return isinstance(number, float) and not math.isfinite(number)


def _decimal(number: float) -> Decimal:
    return Decimal(number) if isinstance(number, int) else Decimal(repr(number))
