"""`rouge`: overlap of words with a reference text, by the rouge-score package.

`rouge1` and `rouge2` are F1 of single words and of pairs, `rougeL` is F1 of the longest common subsequence. Words are
runs of lower-case ASCII letters and digits, so texts in other scripts are not for this scorer. Best over references.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenizers import DefaultTokenizer

from evalkit.domain.score import Score
from evalkit.domain.shape import Shape
from evalkit.scorers.answer import AnswerScorer, Scores, unscored
from evalkit.scorers.params import parse_params
from evalkit.scorers.references import check_references, references_of

if TYPE_CHECKING:
    from evalkit.domain.suite import Case
    from evalkit.plugins import Scorer, ScorerContext

__all__ = ["RougeParams", "build"]

METRICS = ("rouge1", "rouge2", "rougeL")

_MAX_CHARACTERS = 100_000
_MAX_WORK = 1_000_000
"""Product of the numbers of words: the longest common subsequence takes that many steps."""


class RougeParams(Shape):
    """Parameters of `rouge`."""

    stem: bool = False
    """Compare words without their English endings (Porter's stemmer)."""


def build(context: ScorerContext) -> Scorer:
    """Return the scorer `rouge`.

    Raises:
        InputError: for an unknown parameter or value, or a case without reference texts.
    """
    params = parse_params(RougeParams, context, scorer="rouge")
    check_references("rouge", context)
    tokenizer = DefaultTokenizer(use_stemmer=params.stem)
    scorer = RougeScorer(list(METRICS), tokenizer=tokenizer)

    def n_words(text: str) -> int:
        return len(tokenizer.tokenize(text))

    def grade(case: Case, text: str) -> Scores:
        wanted = references_of(case)
        if not wanted:
            return unscored(METRICS, "no_reference", "`expected` holds no text")
        if len(text) > _MAX_CHARACTERS or n_words(text) * sum(map(n_words, wanted)) > _MAX_WORK:
            return unscored(METRICS, "too_long", f"{len(text)} characters")
        scores = [scorer.score(reference, text) for reference in wanted]
        return tuple(Score(metric, max(score[metric].fmeasure for score in scores)) for metric in METRICS)

    return AnswerScorer(METRICS, grade)
