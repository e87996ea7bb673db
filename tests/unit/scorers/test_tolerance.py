"""Near enough, in decimals."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.scorers.tolerance import is_near

numbers = st.integers() | st.floats(allow_nan=False)


@pytest.mark.parametrize(
    ("got", "gold", "abs_tol", "rel_tol", "is_right"),
    [
        (41.9, 42, 0.1, 0, True),
        (0.1 + 0.2, 0.3, 0, 0, False),
        (0.1 + 0.2, 0.3, 1e-9, 0, True),
        (101, 100, 0, 0.01, True),
        (-101, -100, 0, 0.01, True),
        (100, -100, 0, 0.01, False),
        (101.5, 100, 2, 0.01, True),
        (10**400, 10**400 + 1, 1, 0, True),
        (10**400, 1.0, 1, 0.5, False),
        (math.inf, 1e308, 1, 0.5, False),
        (math.inf, math.inf, 0, 0, True),
        (-math.inf, math.inf, 1, 1, False),
    ],
)
def test_known_answers(got, gold, abs_tol, rel_tol, is_right):
    """The larger of both tolerances counts; nothing overflows."""
    assert is_near(got, gold, abs_tol=abs_tol, rel_tol=rel_tol) is is_right


@given(numbers, numbers, st.floats(0, 1e9))
def test_absolute_tolerance_is_symmetric(left, right, tolerance):
    """With an absolute tolerance alone it does not matter which number was expected."""
    assert is_near(left, right, abs_tol=tolerance, rel_tol=0) == is_near(right, left, abs_tol=tolerance, rel_tol=0)
