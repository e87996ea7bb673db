"""`bleu` and `chrf` as shares, with the signature that makes them comparable."""

from __future__ import annotations

import pytest

from evalkit.domain.score import Unscored
from evalkit.errors import InputError


def test_known_answers(grade):
    """Equal texts get 1, unrelated ones next to nothing, the best reference counts."""
    same = grade("bleu", "The cat sat on the mat.", expected="The cat sat on the mat.")
    assert [entry.value for entry in same.values()] == pytest.approx([1, 1])
    other = grade("bleu", "xyz", expected="The cat sat on the mat.")
    assert all(entry.value < 0.05 for entry in other.values())
    near = grade("bleu", "The cat sat on a mat.", expected=["Dogs bark.", "The cat sat on the mat."])
    # 6 of 7 words, 4 of 6 pairs, 2 of 5 triples, 1 of 4 fours; no brevity penalty.
    assert near["bleu"].value == pytest.approx((6 / 7 * 4 / 6 * 2 / 5 * 1 / 4) ** 0.25)


def test_signatures_are_kept(grade):
    """The rationale says which BLEU it is, down to the version."""
    entries = grade("bleu", "a b", expected="a b")
    assert "tok:13a" in entries["bleu"].rationale
    assert "eff:yes" in entries["bleu"].rationale
    assert all("version:" in entry.rationale for entry in entries.values())
    assert "tok:char" in grade("bleu", "你好", expected="你好", tokenise="char")["bleu"].rationale


def test_parameters_are_checked(grade):
    """Only tokenisers that need no model are allowed."""
    with pytest.raises(InputError, match="tokenise"):
        grade("bleu", "a", expected="a", tokenise="flores200")


def test_too_long_to_compare(grade):
    """Beyond fifty thousand characters nothing is said."""
    assert all(isinstance(entry, Unscored) for entry in grade("bleu", "x" * 50_001, expected="b").values())
