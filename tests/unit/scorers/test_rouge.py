"""`rouge`: F1 of words, pairs and the longest common subsequence."""

from __future__ import annotations

import pytest

from evalkit.domain.score import Unscored

REFERENCE = "the cat was under the bed"


@pytest.mark.parametrize(
    ("answer", "expected", "values"),
    [
        # Lin (2004), worked by hand: 6 of 7 words, 4 of 6 pairs.
        ("the cat was found under the bed", REFERENCE, (2 * 6 / 13, 2 * 4 / 11, 2 * 6 / 13)),
        (REFERENCE, ["dogs", REFERENCE], (1, 1, 1)),
        ("dogs", REFERENCE, (0, 0, 0)),
        ("bed the under", REFERENCE, (2 * 3 / 9, 0, 2 * 2 / 9)),
    ],
)
def test_known_answers(grade, answer, expected, values):
    """Worked examples, best over the references."""
    entries = grade("rouge", answer, expected=expected)
    assert tuple(entries) == ("rouge1", "rouge2", "rougeL")
    assert [entry.value for entry in entries.values()] == pytest.approx(values)


def test_stemming(grade):
    """Endings can be left out of account."""
    assert grade("rouge", "running cats", expected="run cat", stem=True)["rouge1"].value == 1
    assert grade("rouge", "running cats", expected="run cat")["rouge1"].value == 0


def test_too_long_to_compare(grade):
    """Beyond a million steps nothing is said."""
    assert all(isinstance(entry, Unscored) for entry in grade("rouge", "a " * 40_000, expected="b " * 40).values())
