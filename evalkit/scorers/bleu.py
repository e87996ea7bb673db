"""`bleu`: how near an answer comes to reference translations, by the sacrebleu package.

`bleu` is sentence BLEU with effective order, `chrf` is chrF2, both as shares. They mean something as means over a suite
and next to another model's, hardly for one sentence; the rationale carries sacrebleu's signature, without which a
BLEU cannot be compared with any other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from evalkit.domain.score import Score
from evalkit.domain.shape import Shape
from evalkit.scorers.answer import AnswerScorer, Scores, unscored
from evalkit.scorers.params import parse_params
from evalkit.scorers.references import check_references, references_of

if TYPE_CHECKING:
    from evalkit.domain.suite import Case
    from evalkit.plugins import Scorer, ScorerContext

__all__ = ["BleuParams", "build"]

METRICS = ("bleu", "chrf")

_MAX_CHARACTERS = 50_000
_PERCENT = 100


class BleuParams(Shape):
    """Parameters of `bleu`."""

    tokenise: Literal["13a", "intl", "char"] = "13a"
    """sacrebleu's tokeniser; `char` for languages that put no spaces between words."""


def build(context: ScorerContext) -> Scorer:
    """Return the scorer `bleu`.

    Raises:
        InputError: for an unknown parameter or value, or a case without reference texts.
    """
    params = parse_params(BleuParams, context, scorer="bleu")
    check_references("bleu", context)
    bleu, chrf = BLEU(tokenize=params.tokenise, effective_order=True), CHRF()

    def grade(case: Case, text: str) -> Scores:
        wanted = list(references_of(case))
        if not wanted:
            return unscored(METRICS, "no_reference", "`expected` holds no text")
        if len(text) > _MAX_CHARACTERS:
            return unscored(METRICS, "too_long", f"{len(text)} characters")
        return (
            Score("bleu", _share(bleu.sentence_score(text, wanted).score), str(bleu.get_signature())),
            Score("chrf", _share(chrf.sentence_score(text, wanted).score), str(chrf.get_signature())),
        )

    return AnswerScorer(METRICS, grade)


def _share(percent: float) -> float:
    return min(1.0, max(0.0, percent / _PERCENT))
