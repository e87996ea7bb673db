"""Holm and Benjamini-Hochberg against statsmodels."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from evalkit.stats.multiplicity import benjamini_hochberg, holm

BH_1995 = [
    0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344,
    0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0000,
]  # fmt: skip


@pytest.mark.parametrize(("adjust", "method"), [(holm, "holm"), (benjamini_hochberg, "fdr_bh")])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_equal_to_statsmodels(adjust, method, seed):
    """Adjusted values equal the oracle's, in the order given, ties included."""
    p = np.random.default_rng(seed).random(40) ** 3
    p[5] = p[6]
    assert adjust(p) == pytest.approx(multipletests(p, method=method)[1])


def test_rejections_of_the_1995_example():
    """Of Benjamini and Hochberg's fifteen p-values Holm rejects three and theirs four, at .05."""
    assert sum(p <= 0.05 for p in holm(BH_1995)) == 3
    assert sum(p <= 0.05 for p in benjamini_hochberg(BH_1995)) == 4


@pytest.mark.parametrize("adjust", [holm, benjamini_hochberg])
def test_no_tests_no_values(adjust):
    """An empty family has no adjusted values."""
    assert adjust([]) == ()


@pytest.mark.parametrize("adjust", [holm, benjamini_hochberg])
@pytest.mark.parametrize("p", [[0.1, 1.1], [-0.1], [float("nan"), 0.5]])
def test_values_that_are_no_p_values_are_refused(adjust, p):
    """NaN in a family would silently reorder all others."""
    with pytest.raises(ValueError, match="p-values"):
        adjust(p)
