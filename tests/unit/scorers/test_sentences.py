"""Words, sentences and capitals."""

from __future__ import annotations

import pytest

from evalkit.scorers.sentences import n_capital_words, n_sentences, n_words


@pytest.mark.parametrize(
    ("text", "n"),
    [
        ("", 0),
        ("One", 1),
        ("One. Two! Three?", 3),
        ('"One." Two.', 2),
        ("Mr. Smith lives in the U.S. today.", 1),
        ("J. Smith came.", 1),
        ("It costs 3.5 dollars.", 1),
        ("Well... maybe. Yes", 2),
        ("Well... Maybe", 2),
        ("A line\nand another", 1),
        ("1. First thing\n2. Second thing", 3),
        ("See no. 5 of it.", 1),
        ("What?! Really.", 2),
    ],
)
def test_sentences(text, n):
    """Marks end sentences; abbreviations, initials and decimals do not."""
    assert n_sentences(text) == n


def test_words_are_runs_of_letters_and_digits():
    """A hyphen splits, an underscore does not."""
    assert n_words("one two-three four_five 6.") == 5


@pytest.mark.parametrize(
    ("text", "n"),
    [("I am HERE", 2), ("DON'T", 2), ("I'm", 1), ("**BOLD** (OK)", 2), ("COVID-19", 1), ("2024", 0), ("A,B", 2)],
)
def test_capitals(text, n):
    """A token counts when it has a letter and no small one; contractions are two tokens."""
    assert n_capital_words(text) == n
