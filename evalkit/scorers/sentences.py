"""Words and sentences of English text, without a trained model: what instructions on length count.

Source: the sentence rules follow Kiss and Strunk, "Unsupervised Multilingual Sentence Boundary Detection" (2006),
with a fixed list of abbreviations instead of learnt ones; the token rules follow the Penn Treebank's.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["n_capital_words", "n_sentences", "n_words"]

_WORD = re.compile(r"\w+")
_TITLES = {
    "dr",
    "mr",
    "mrs",
    "ms",
    "prof",
    "rev",
    "gen",
    "sen",
    "rep",
    "gov",
    "capt",
    "col",
    "lt",
    "sgt",
    "st",
    "sr",
    "jr",
}
_LATIN = {"vs", "etc", "e.g", "i.e", "a.m", "p.m", "ph.d", "m.d"}
_PLACES = {"u.s", "u.k", "u.n", "d.c", "mt", "ft"}
_FIRMS = {"inc", "ltd", "co", "corp", "dept"}
_REFERENCES = {"no", "vol", "fig", "est", "approx"}
_MONTHS = {"jan", "feb", "mar", "apr", "jun", "jul", "aug", "sep", "sept", "oct", "nov", "dec"}
_ABBREVIATIONS = frozenset(_TITLES | _LATIN | _PLACES | _FIRMS | _REFERENCES | _MONTHS)
_CLOSING = "\"')]}*"
_END_MARKS = ".!?"
_OPENING = "\"'([{*_`“‘-•"
_BREAKING = re.compile(r"[()\[\]{}<>\"“”;@#$%&?!…]|--+|[,:](?!\d)")
_CLITIC = re.compile(r"(?i)(?:n't|'(?:s|m|d|ll|re|ve))$")


def n_words(text: str) -> int:
    """Return the number of runs of letters, digits and underscores."""
    return sum(1 for _ in _WORD.finditer(text))


def n_sentences(text: str) -> int:
    """Return the number of sentences; a line break ends none, a numbered list counts its numbers."""
    tokens = text.split()
    if not tokens:
        return 0
    return 1 + sum(_ends_here(token, following) for token, following in pairwise(tokens))


def _ends_here(token: str, following: str) -> bool:
    body = token.rstrip(_CLOSING)
    stem = body.rstrip(_END_MARKS)
    marks = body[len(stem) :]
    if marks != ".":
        return bool(marks) and (not marks.startswith("..") or _starts_upper(following))
    stem = stem.lstrip(_OPENING).lower()
    if stem in _ABBREVIATIONS:
        return False
    if len(stem) == 1 and stem.isalpha():
        return False
    return not stem.isdigit() or not _starts_lower(following)


def _starts_upper(token: str) -> bool:
    return token.lstrip(_OPENING)[:1].isupper()


def _starts_lower(token: str) -> bool:
    return token.lstrip(_OPENING)[:1].islower()


def n_capital_words(text: str) -> int:
    """Return the number of tokens without a lower-case letter; a contraction is two tokens."""
    return sum(token.isupper() for word in text.split() for token in _tokens(word))


def _tokens(word: str) -> Iterator[str]:
    for piece in _BREAKING.split(word):
        clitic = _CLITIC.search(piece)
        if clitic is None:
            yield piece
        else:
            yield piece[: clitic.start()]
            yield clitic[0]
