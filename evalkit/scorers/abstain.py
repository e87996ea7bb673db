"""`abstain`: did the answer say that it does not know exactly where that is right?

Where a case says `expect: abstain` the right answer abstains; everywhere else abstaining is wrong. An answer abstains
when it, or its field, is null or empty, or says so in one of the phrases.

Findings: `abstain:missed` (an answer where there is none to give), `abstain:needless`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from evalkit.domain.score import Score
from evalkit.domain.shape import Shape
from evalkit.scorers.answer import Accept, AnswerScorer, Scores, field_tokens, normalised, quoted, read_field, text_form
from evalkit.scorers.params import parse_params

if TYPE_CHECKING:
    from evalkit.domain.suite import Case
    from evalkit.plugins import Scorer, ScorerContext

__all__ = ["ABSTENTIONS", "AbstainParams", "Abstention", "Phrases", "build"]

ABSTENTIONS = (
    "not in the text",
    "not in the document",
    "not stated",
    "not specified",
    "not mentioned",
    "not provided",
    "not given",
    "unanswerable",
    "cannot be answered",
    "can't be answered",
    "cannot be determined",
    "can't be determined",
    "cannot answer",
    "can't answer",
    "cannot determine",
    "can't determine",
    "no answer",
    "not enough information",
    "insufficient information",
    "i don't know",
    "i do not know",
    "unknown",
    "n/a",
)
"""How models say that there is no answer, when nobody told them how."""

Phrases = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)]

_MAX_READ = 100_000
"""Characters at the start that are searched for a phrase: nobody abstains after that many."""
_AROUND = " \t\r\n\"'`*_.,:;!?()[]"
_STRAIGHT = {0x2018: "'", 0x2019: "'"}


class AbstainParams(Shape):
    """Parameters of `abstain`."""

    phrases: Phrases = ABSTENTIONS
    """Compared without case; anywhere in a text, but a field must be the phrase and nothing else."""
    field: Annotated[str, Field(min_length=1)] | None = None
    """Read this field of the JSON answer instead of the whole text: a JSON pointer, or a top-level key."""
    accept: Accept = "lenient"
    """With `field`: the most repair the JSON may have needed."""


class Abstention:
    """Recognises answers that give none."""

    __slots__ = ("_anywhere", "_whole")

    def __init__(self, phrases: tuple[str, ...]) -> None:
        self._whole = frozenset(map(_form, phrases))
        words = "|".join(map(re.escape, sorted(self._whole, key=lambda phrase: (-len(phrase), phrase))))
        self._anywhere = re.compile(rf"(?<!\w)(?:{words})(?!\w)")

    def is_whole(self, value: Any) -> bool:
        """Return whether a value is no answer: null, empty, or a phrase and nothing else."""
        form = "" if value is None else _form(text_form(value)[: _MAX_READ + 1])
        return not form or form in self._whole

    def is_said(self, text: str) -> bool:
        """Return whether a text is empty, or says anywhere that there is no answer."""
        return self.is_whole(text) or self._anywhere.search(_form(text[:_MAX_READ])) is not None


def _form(text: str) -> str:
    return normalised(text.translate(_STRAIGHT), "casefold").strip(_AROUND)


def build(context: ScorerContext) -> Scorer:
    """Return the scorer `abstain`.

    Raises:
        InputError: for an unknown parameter or value.
    """
    params = parse_params(AbstainParams, context, scorer="abstain")
    tokens = None if params.field is None else field_tokens(params.field)
    abstention = Abstention(params.phrases)

    def grade(case: Case, text: str) -> Scores:
        read = read_field(text, tokens, accept=params.accept)
        if read.found is None:
            return (Score("abstain", 0.0, f"no field {params.field!r}: {read.problem}", read.findings),)
        value = read.found.value
        has_abstained = abstention.is_said(text) if tokens is None else abstention.is_whole(value)
        is_wanted = case.expect == "abstain"
        if has_abstained == is_wanted:
            return (Score("abstain", 1.0, "", read.findings),)
        finding = "abstain:missed" if is_wanted else "abstain:needless"
        why = "an answer where there is none to give" if is_wanted else "no answer where there is one"
        return (Score("abstain", 0.0, f"{why}: {quoted(value)}", (*read.findings, finding)),)

    return AnswerScorer(("abstain",), grade)
