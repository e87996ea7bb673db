"""`edit_similarity`: how few characters have to change to make the answer one of the reference texts.

1 - distance / length of the longer text, with Levenshtein's distance: insertions, deletions and substitutions, each
counted once. Both texts in the declared normal form; best over the references.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rapidfuzz.distance import Levenshtein

from evalkit.domain.score import Score, Unscored
from evalkit.domain.shape import Shape
from evalkit.scorers.answer import AnswerScorer, Normalise, Scores, normalised
from evalkit.scorers.params import parse_params
from evalkit.scorers.references import check_references, references_of

if TYPE_CHECKING:
    from evalkit.domain.suite import Case
    from evalkit.plugins import Scorer, ScorerContext

__all__ = ["EditSimilarityParams", "build"]

_MAX_WORK = 500_000_000
"""Product of the two lengths; 64 of them are one step."""


class EditSimilarityParams(Shape):
    """Parameters of `edit_similarity`."""

    normalise: Normalise = "nfkc"


def build(context: ScorerContext) -> Scorer:
    """Return the scorer `edit_similarity`.

    Raises:
        InputError: for an unknown parameter or value, or a case without reference texts.
    """
    params = parse_params(EditSimilarityParams, context, scorer="edit_similarity")
    check_references("edit_similarity", context)

    def grade(case: Case, text: str) -> Scores:
        given = normalised(text, params.normalise)
        wanted = [normalised(reference, params.normalise) for reference in references_of(case)]
        if not wanted:
            return (Unscored("edit_similarity", "no_reference", "`expected` holds no text"),)
        if len(given) * sum(map(len, wanted)) > _MAX_WORK:
            return (Unscored("edit_similarity", "too_long", f"{len(given)} characters"),)
        return (Score("edit_similarity", max(Levenshtein.normalized_similarity(given, one) for one in wanted)),)

    return AnswerScorer(("edit_similarity",), grade)
