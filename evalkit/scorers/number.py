"""`number`: is the number in the answer the expected one, within a tolerance?

A number is read after dollar signs, percent signs, thousands separators and narrow spaces are taken out, so
`$1,234.50` is 1234.5 and `1,2` is 12 (say `decimal: comma` where commas are decimal). Right means
`|answer - expected| <= max(abs_tol, rel_tol * |expected|)`; with both 0, whole numbers are compared exactly.

An answer without a number is wrong (0) and says so by the finding `unparsed`; several numbers under `pick: only` are
wrong with the finding `ambiguous`. A null `expected` asks for no number: the field must be null, or the text hold none.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from evalkit.domain.score import Score
from evalkit.domain.shape import Shape
from evalkit.scorers.answer import (
    Accept,
    AnswerScorer,
    ParsedAnswer,
    Scores,
    field_tokens,
    parsed_answer,
    quoted,
    text_form,
    value_at,
)
from evalkit.scorers.params import cases_scored_by, parse_params, refuse_case
from evalkit.scorers.tolerance import is_near

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from evalkit.domain.suite import Case
    from evalkit.plugins import Scorer, ScorerContext

__all__ = ["NumberParams", "build", "numbers_in"]

Tolerance = Annotated[float, Field(ge=0)]

_MAX_EXACT_DIGITS = 300
"""Longer whole numbers are read as floats: no float can be compared with them anyway."""
_DROPPED = {ord(character): None for character in "€£\u00a0\u2007\u2009\u202f"}
_HYPHENS = {0x2010: "-", 0x2011: "-", 0x2212: "-"}
_NUMBER = re.compile(r"(?:(?<![\w.])[-+])?(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+)?", re.ASCII)


class NumberParams(Shape):
    """Parameters of `number`."""

    pick: Literal["first", "last", "only"] = "first"
    """Which number counts when there are several; `only` refuses several different ones."""
    field: Annotated[str, Field(min_length=1)] | None = None
    """Read this field of the JSON answer instead of the whole text: a JSON pointer, or a top-level key."""
    accept: Accept = "lenient"
    """With `field`: the most repair the JSON may have needed."""
    decimal: Literal["point", "comma"] = "point"
    abs_tol: Tolerance = 0.0
    rel_tol: Tolerance = 0.0
    """A share of the expected number."""


def build(context: ScorerContext) -> Scorer:
    """Return the scorer `number`.

    Raises:
        InputError: for an unknown parameter or value, or a case whose `expected` holds no number.
    """
    params = parse_params(NumberParams, context, scorer="number")
    _check_cases(context, params)

    def grade_text(case: Case, text: str) -> Scores:
        return (_graded(text, case.expected, params),)

    grade = grade_text if params.field is None else _field_grader(params, params.field)
    return AnswerScorer(("number",), grade, needs_expected=True)


def _check_cases(context: ScorerContext, params: NumberParams) -> None:
    for case in cases_scored_by("number", context):
        alternatives = case.expected if isinstance(case.expected, list) else [case.expected]
        if not all(item is None or next(numbers_in(item, params.decimal), None) is not None for item in alternatives):
            step = "give a number, a string with one, a list of those, or null for no number"
            raise refuse_case(case, context, problem="'number' needs a number in `expected`", next_step=step)


def _field_grader(params: NumberParams, field: str) -> Callable[[Case, str], Scores]:
    tokens = field_tokens(field)

    def has_field(value: Any) -> bool:
        return value_at(value, tokens) is not None

    def grade(case: Case, text: str) -> Scores:
        answer = parsed_answer(text, accept=params.accept, wanted=has_field)
        found = value_at(answer.value, tokens)
        if not answer.is_accepted or found is None:
            return (_unreadable(answer, field),)
        return (_graded(found.value, case.expected, params, findings=answer.findings),)

    return grade


def _unreadable(answer: ParsedAnswer, field: str) -> Score:
    return Score("number", 0.0, f"no field {field!r}: {answer.problem}", (*answer.findings, "unparsed"))


def _graded(value: Any, expected: Any, params: NumberParams, *, findings: tuple[str, ...] = ()) -> Score:
    got, fault = _picked(value, params)
    if fault == "ambiguous":
        return Score("number", 0.0, f"several numbers in {quoted(value)}", (*findings, fault))
    for alternative in expected if isinstance(expected, list) else (expected,):
        if _is_right(got, alternative, params):
            return Score("number", 1.0, "", findings)
    if got is None:
        return Score("number", 0.0, f"no number in {quoted(value)}", (*findings, "unparsed"))
    return Score("number", 0.0, f"{quoted(got)} is not {quoted(expected)}", findings)


def _picked(value: Any, params: NumberParams) -> tuple[float | None, str]:
    """Return the number that counts, or None; and `ambiguous` when `only` finds several."""
    numbers = numbers_in(value, params.decimal)
    first = next(numbers, None)
    if params.pick == "first" or first is None:
        return first, ""
    last = first
    for number in numbers:
        if params.pick == "only" and number != first:
            return None, "ambiguous"
        last = number
    return last, ""


def _is_right(got: float | None, expected: Any, params: NumberParams) -> bool:
    gold = expected if type(expected) in {int, float} else next(numbers_in(expected, params.decimal), None)
    if got is None or gold is None:
        return got is None and expected is None
    return is_near(got, gold, abs_tol=params.abs_tol, rel_tol=params.rel_tol)


def numbers_in(value: Any, decimal: Literal["point", "comma"] = "point") -> Iterator[float]:
    """Yield the numbers of a JSON value, or of its text, from left to right; true and false are none."""
    if isinstance(value, bool) or value is None:
        return
    if isinstance(value, (int, float)):
        yield value
        return
    for match in _NUMBER.finditer(_plain(text_form(value), decimal)):
        yield _number(match[0])


def _plain(text: str, decimal: str) -> str:
    if not text.isascii():
        # Narrow spaces first: NFKC would turn them into the spaces that separate numbers.
        text = unicodedata.normalize("NFKC", text.translate(_DROPPED)).translate(_HYPHENS)
    text = text.replace("$", "").replace("%", "")
    if decimal == "comma":
        return text.replace(".", "").replace(",", ".")
    return text.replace(",", "")


def _number(text: str) -> float:
    """Return a whole number exactly, anything else as a float (infinite beyond its range)."""
    is_whole = len(text) <= _MAX_EXACT_DIGITS and text.lstrip("+-").isdigit()
    return int(text) if is_whole else float(text)
