"""Reading an answer: the text a model gave, the JSON inside it, one field of it, and its normal form.

Every built-in scorer is a function from a case and a text to scores, wrapped in `AnswerScorer`. How an answer was
read is layered and never silent: a JSON scorer says which parse level it accepts, and every score carries
`repair:fence` or `repair:lenient` when the text was not JSON as it stood, `invalid_json` when it held none.
"""

from __future__ import annotations

import json
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, final

from evalkit.domain.score import Score, Unscored
from evalkit.wire.json_text import parse_json_text
from evalkit.wire.text import answer_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from evalkit.domain.call import Call
    from evalkit.domain.outcome import Outcome
    from evalkit.domain.suite import Case

__all__ = [
    "MAX_GRADED_CHARACTERS",
    "Accept",
    "AnswerScorer",
    "FieldRead",
    "Found",
    "Normalise",
    "OutcomeScorer",
    "ParsedAnswer",
    "Scores",
    "field_tokens",
    "normalised",
    "parsed_answer",
    "quoted",
    "read_field",
    "text_form",
    "unscored",
    "value_at",
]

Accept = Literal["strict", "fence", "lenient"]
"""The most repair an answer may have needed: none, one fence around it, or whatever makes it JSON."""

Normalise = Literal["none", "nfkc", "casefold"]
"""`nfkc`: NFKC, outer space dropped, inner space collapsed; `casefold`: the same without regard to case."""

Scores = tuple[Score | Unscored, ...]

MAX_GRADED_CHARACTERS = 2**19
"""Longest answer that is graded, about 130,000 tokens: no model is asked for more, and beyond it time has no bound."""

_RANK = {"strict": 0, "fence": 1, "lenient": 2}
_MAX_QUOTED = 80
_EXACT_FLOAT = 2**53


@final
class AnswerScorer:
    """A scorer that needs only the text of the answer."""

    __slots__ = ("_grade", "metrics", "needs_expected")

    def __init__(
        self, metrics: tuple[str, ...], grade: Callable[[Case, str], Scores], *, needs_expected: bool = False
    ) -> None:
        self.metrics = metrics
        self.needs_expected = needs_expected
        self._grade = grade

    def ask(self, case: Case, outcome: Outcome) -> tuple[Call, ...]:
        """Ask nothing."""
        _ = case, outcome
        return ()

    def score(self, case: Case, outcome: Outcome, replies: tuple[Outcome, ...]) -> Scores:
        """Grade the last turn's text; an answer without text is a wrong answer."""
        _ = replies
        text = outcome.text
        if text is None:
            return tuple(Score(metric, 0.0, "no text, only tool calls", ("no_text",)) for metric in self.metrics)
        if len(text) > MAX_GRADED_CHARACTERS:
            return unscored(self.metrics, "too_long", f"{len(text)} characters")
        return self._grade(case, answer_text(text))


@final
class OutcomeScorer:
    """A scorer that needs more of an outcome than its text, such as the calls it made."""

    __slots__ = ("_grade", "metrics")

    def __init__(self, metrics: tuple[str, ...], grade: Callable[[Case, Outcome], Scores]) -> None:
        self.metrics = metrics
        self._grade = grade

    def ask(self, case: Case, outcome: Outcome) -> tuple[Call, ...]:
        """Ask nothing."""
        _ = case, outcome
        return ()

    def score(self, case: Case, outcome: Outcome, replies: tuple[Outcome, ...]) -> Scores:
        """Grade the last turn."""
        _ = replies
        n_characters = len(outcome.text or "")
        if n_characters > MAX_GRADED_CHARACTERS:
            return unscored(self.metrics, "too_long", f"{n_characters} characters")
        return self._grade(case, outcome)


def unscored(metrics: tuple[str, ...], reason: str, why: str) -> Scores:
    """Return that there is no number, for every metric."""
    return tuple(Unscored(metric, reason, why) for metric in metrics)


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedAnswer:
    """The JSON of an answer, as far as a scorer accepts it."""

    value: Any
    is_accepted: bool
    """False when there is no JSON, or when it needed more repair than accepted."""
    findings: tuple[str, ...]
    problem: str
    is_strict: bool = False
    """Whether the whole text is JSON as it stands."""


def parsed_answer(text: str, *, accept: Accept, wanted: Callable[[Any], bool] | None = None) -> ParsedAnswer:
    """Return the first JSON value in the text that is `wanted`."""
    parsed = parse_json_text(text, accept=wanted)
    if parsed.level is None:
        return ParsedAnswer(value=None, is_accepted=False, findings=("invalid_json",), problem=parsed.problem)
    if parsed.level == "strict":
        return ParsedAnswer(value=parsed.value, is_accepted=True, findings=(), problem="", is_strict=True)
    findings = (f"repair:{parsed.level}",)
    is_accepted = _RANK[parsed.level] <= _RANK[accept]
    problem = f"JSON only after {parsed.level} repair"
    return ParsedAnswer(value=parsed.value, is_accepted=is_accepted, findings=findings, problem=problem)


class Found(NamedTuple):
    """A value that is there, even when it is null."""

    value: Any


def field_tokens(field: str) -> tuple[str, ...]:
    """Return the steps to a field: an RFC 6901 pointer such as `/items/0/name`, or the name of a top-level key."""
    if not field.startswith("/"):
        return (field,)
    return tuple(token.replace("~1", "/").replace("~0", "~") for token in field[1:].split("/"))


def value_at(value: Any, tokens: tuple[str, ...]) -> Found | None:
    """Return what stands at the end of these steps, or None."""
    for token in tokens:
        if isinstance(value, dict) and token in value:
            value = value[token]
        elif isinstance(value, list) and token.isascii() and token.isdigit() and int(token[:9]) < len(value):
            value = value[int(token)]
        else:
            return None
    return Found(value)


def normalised(text: str, how: Normalise) -> str:
    """Return the declared normal form, so that only differences that matter are left."""
    if how == "none":
        return text
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    if how == "casefold":
        # Folding can undo the normal form (Unicode 3.13, D146).
        text = text.lower() if text.isascii() else unicodedata.normalize("NFKC", text.casefold())
    return " ".join(text.split())


class FieldRead(NamedTuple):
    """What an answer says: its text, or one field of its JSON."""

    found: Found | None
    """None when there is no such field in JSON of the accepted kind."""
    findings: tuple[str, ...] = ()
    problem: str = ""


def read_field(text: str, tokens: tuple[str, ...] | None, *, accept: Accept) -> FieldRead:
    """Return the field at the end of these steps; the text itself where no steps are given."""
    if tokens is None:
        return FieldRead(Found(text))
    answer = parsed_answer(text, accept=accept, wanted=lambda value: value_at(value, tokens) is not None)
    found = value_at(answer.value, tokens) if answer.is_accepted else None
    return FieldRead(found, answer.findings, answer.problem)


def text_form(value: Any) -> str:
    """Return a JSON value as the text people write for it: a string as it is, `true`, `null`, `3` for 3.0."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT_FLOAT:
        return str(int(value))
    try:
        return json.dumps(value, sort_keys=True)
    except (RecursionError, TypeError, ValueError):  # hand-made values: cycles, mixed keys, 4,301 digits
        return ""


def quoted(value: Any) -> str:
    """Return at most 80 characters of a value for a rationale, such as can be stored and shown anywhere."""
    text = repr(value[: _MAX_QUOTED + 1]) if isinstance(value, str) else text_form(value)
    return text if len(text) <= _MAX_QUOTED else text[: _MAX_QUOTED - 1] + "…"
