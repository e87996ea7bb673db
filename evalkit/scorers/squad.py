"""`squad`: exact match and F1 of short answers, by the rules of the SQuAD 2.0 evaluation.

Text is compared in lower case, without ASCII punctuation, without the articles a, an and the, spaces collapsed.
`squad_em` is 1 when that equals one of the golds. `squad_f1` is the harmonic mean of the precision and recall of
words, each counted as often as it occurs, best over the golds. Where either side is empty both are 1 if the other is
empty too, else 0.

`expected` is an answer or a list of answers. Null, an empty list, or `expect: abstain` with neither say that there
is none; an answer that is null, empty or a phrase of `no_answer` is empty.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from evalkit.domain.score import Score
from evalkit.domain.shape import Shape
from evalkit.scorers.abstain import ABSTENTIONS, Abstention, Phrases
from evalkit.scorers.answer import Accept, AnswerScorer, Scores, field_tokens, quoted, read_field, text_form
from evalkit.scorers.params import cases_scored_by, parse_params, refuse_case

if TYPE_CHECKING:
    from evalkit.domain.suite import Case
    from evalkit.plugins import Scorer, ScorerContext

__all__ = ["SquadParams", "build", "f1", "squad_form"]

METRICS = ("squad_em", "squad_f1")

_MAX_SHOWN = 5
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLE = re.compile(r"\b(?:a|an|the)\b")


class SquadParams(Shape):
    """Parameters of `squad`."""

    field: Annotated[str, Field(min_length=1)] | None = None
    """Compare this field of the JSON answer instead of the whole text: a JSON pointer, or a top-level key."""
    accept: Accept = "lenient"
    """With `field`: the most repair the JSON may have needed."""
    no_answer: Phrases = ABSTENTIONS
    """Answers that mean none, when they are the whole of it."""


def build(context: ScorerContext) -> Scorer:
    """Return the scorer `squad`.

    Raises:
        InputError: for an unknown parameter or value, or a case whose `expected` holds an object.
    """
    params = parse_params(SquadParams, context, scorer="squad")
    tokens = None if params.field is None else field_tokens(params.field)
    abstention = Abstention(params.no_answer)
    for case in cases_scored_by("squad", context):
        if any(isinstance(item, (dict, list)) for item in _golds(case)):
            step = "give an answer, a list of answers, or null when there is none"
            raise refuse_case(case, context, problem="'squad' compares short answers", next_step=step)

    def grade(case: Case, text: str) -> Scores:
        read = read_field(text, tokens, accept=params.accept)
        if read.found is None:
            why = f"no field {params.field!r}: {read.problem}"
            return tuple(Score(metric, 0.0, why, read.findings) for metric in METRICS)
        value = read.found.value
        answer = _said(value, abstention)
        golds = [_said(gold, abstention) for gold in _golds(case)]
        return _graded(answer, golds, value=value, findings=read.findings)

    return AnswerScorer(METRICS, grade, needs_expected=True)


def _golds(case: Case) -> list[Any]:
    expected = case.expected if isinstance(case.expected, list) else [case.expected]
    return [item for item in expected if item is not None] or [None]


def _said(value: Any, abstention: Abstention) -> str:
    return "" if abstention.is_whole(value) else text_form(value)


def _graded(answer: str, golds: list[str], *, value: Any, findings: tuple[str, ...]) -> Scores:
    given = squad_form(answer)
    forms = list(map(squad_form, golds))
    is_match = given in forms
    best = 1.0 if is_match else max(f1(given, form) for form in forms)
    shown = " or ".join(map(quoted, golds[:_MAX_SHOWN]))
    why = "" if is_match else f"{quoted(value)} is not {shown}"
    return Score("squad_em", float(is_match), why, findings), Score("squad_f1", best, why, findings)


def squad_form(text: str) -> str:
    """Return the normal form that is compared: lower case, no ASCII punctuation, no articles, single spaces."""
    return " ".join(_ARTICLE.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def f1(given: str, gold: str) -> float:
    """Return the F1 of the words of two normal forms; 1 of two empty ones, 0 when one is empty."""
    if not given or not gold:
        return float(given == gold)
    words, wanted = given.split(), gold.split()
    n_same = sum((Counter(words) & Counter(wanted)).values())
    return 2 * n_same / (len(words) + len(wanted))
