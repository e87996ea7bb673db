"""`edit_similarity`: 1 minus Levenshtein's distance over the longer length."""

from __future__ import annotations

import pytest

from evalkit.domain.score import Unscored
from evalkit.errors import InputError


@pytest.mark.parametrize(
    ("answer", "expected", "params", "similarity"),
    [
        ("kitten", "sitting", {}, 1 - 3 / 7),
        ("Paris", "Paris", {}, 1),
        ("Paris", ["Rome", "Pari"], {}, 1 - 1 / 5),
        ("PARIS", "paris", {"normalise": "casefold"}, 1),
        ("PARIS", "paris", {}, 0),
        ("", "abc", {}, 0),
    ],
)
def test_known_answers(value, answer, expected, params, similarity):
    """The textbook's kitten, normal forms, and the best of several references."""
    assert value("edit_similarity", answer, expected=expected, **params) == pytest.approx(similarity)


def test_too_long_to_compare(grade):
    """Beyond half a billion steps nothing is said."""
    entry = grade("edit_similarity", "x" * 500_000, expected="y" * 2_000)["edit_similarity"]
    assert (entry.reason, type(entry)) == ("too_long", Unscored)


@pytest.mark.parametrize("scorer", ["edit_similarity", "rouge", "bleu"])
@pytest.mark.parametrize("expected", [None, 3, [], ["a", 1], " "])
def test_cases_need_a_text(grade, scorer, expected):
    """A case without reference texts is refused."""
    with pytest.raises(InputError, match="reference texts"):
        grade(scorer, "x", expected=expected)
