"""`exact`, `contains` and `regex`: comparisons of text after a declared normal form.

`expected` is a string, a list of alternatives, or any other JSON scalar, which is compared by the text people write
for it (`true`, `null`, `3`). A null `expected` therefore means that the answer, or the field, must be null.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import regex
from pydantic import Field

from evalkit.domain.score import Score, Unscored
from evalkit.domain.shape import Shape
from evalkit.errors import InputError, Place
from evalkit.scorers.answer import (
    Accept,
    AnswerScorer,
    Normalise,
    Scores,
    field_tokens,
    normalised,
    parsed_answer,
    quoted,
    text_form,
    value_at,
)
from evalkit.scorers.params import cases_scored_by, parse_params, refuse_case

if TYPE_CHECKING:
    from collections.abc import Callable

    from evalkit.domain.suite import Case
    from evalkit.plugins import Scorer, ScorerContext

__all__ = ["ContainsParams", "ExactParams", "RegexParams", "build_contains", "build_exact", "build_regex"]

REGEX_LIMIT_S = 0.2
_MAX_SHOWN = 5

Words = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)]


class ExactParams(Shape):
    """Parameters of `exact`."""

    normalise: Normalise = "nfkc"
    field: Annotated[str, Field(min_length=1)] | None = None
    """Compare this field of the JSON answer instead of the whole text: a JSON pointer, or a top-level key."""
    accept: Accept = "lenient"
    """With `field`: the most repair the JSON may have needed."""


class ContainsParams(Shape):
    """Parameters of `contains`; without `any` and `all` the words are `expected` (any of them)."""

    any: Words | None = None
    all: Words | None = None
    normalise: Normalise = "nfkc"


class RegexParams(Shape):
    """Parameters of `regex`."""

    pattern: Annotated[str, Field(min_length=1)] | None = None
    """In the syntax of the `regex` package; without it `expected` is the pattern, or a list of alternatives."""
    fullmatch: bool = False
    """The whole answer must match, apart from space around it; else a match anywhere counts."""


def build_exact(context: ScorerContext) -> Scorer:
    """Return the scorer `exact`: 1 when the answer, or one field of it, equals `expected`.

    Raises:
        InputError: for an unknown parameter or value.
    """
    params = parse_params(ExactParams, context, scorer="exact")
    tokens = None if params.field is None else field_tokens(params.field)

    def grade_text(case: Case, text: str) -> Scores:
        return (_equality(_Read(text), case.expected, how=params.normalise),)

    def grade_field(case: Case, text: str) -> Scores:
        answer = parsed_answer(
            text, accept=params.accept, wanted=lambda value: value_at(value, tokens or ()) is not None
        )
        if not answer.is_accepted:
            return (Score("exact", 0.0, f"no field {params.field!r}: {answer.problem}", answer.findings),)
        found = value_at(answer.value, tokens or ())
        value = None if found is None else found.value
        return (_equality(_Read(value, answer.findings), case.expected, how=params.normalise),)

    return AnswerScorer(("exact",), grade_text if tokens is None else grade_field, needs_expected=True)


class _Read(NamedTuple):
    value: Any
    findings: tuple[str, ...] = ()


def _equality(read: _Read, expected: Any, *, how: Normalise) -> Score:
    got = normalised(text_form(read.value), how)
    for alternative in _alternatives(expected):
        if normalised(text_form(alternative), how) == got:
            return Score("exact", 1.0, "", read.findings)
    return Score("exact", 0.0, f"{quoted(read.value)} is not {_shown(expected)}", read.findings)


def _alternatives(expected: Any) -> list[Any]:
    return expected if isinstance(expected, list) else [expected]


def _shown(expected: Any) -> str:
    return " or ".join(quoted(item) for item in _alternatives(expected)[:_MAX_SHOWN])


def build_contains(context: ScorerContext) -> Scorer:
    """Return the scorer `contains`: 1 when the answer holds all the words of `all` and one of `any`.

    Raises:
        InputError: for an unknown parameter or value, or a case that names no words.
    """
    params = parse_params(ContainsParams, context, scorer="contains")
    how = params.normalise
    if params.any is None and params.all is None:
        for case in cases_scored_by("contains", context):
            if not _words(case.expected):
                step = "give a string or a list of strings, or the parameter any or all"
                raise refuse_case(case, context, problem="'contains' needs words in `expected`", next_step=step)

    def grade(case: Case, text: str) -> Scores:
        from_case = _words(case.expected) if params.any is None and params.all is None else ()
        any_of = params.any or from_case
        answer = normalised(text, how)
        missing = [word for word in params.all or () if normalised(word, how) not in answer]
        if missing:
            return (Score("contains", 0.0, f"missing: {', '.join(map(quoted, missing[:_MAX_SHOWN]))}"),)
        if any_of and not any(normalised(word, how) in answer for word in any_of):
            return (Score("contains", 0.0, f"none of: {', '.join(map(quoted, any_of[:_MAX_SHOWN]))}"),)
        if not any_of and not params.all:
            return (Unscored("contains", "no_words", "the case names no words"),)
        return (Score("contains", 1.0),)

    return AnswerScorer(("contains",), grade)


def _words(expected: Any) -> tuple[str, ...]:
    words = tuple(text_form(item) for item in _alternatives(expected) if item is not None)
    return words if all(words) else ()


def build_regex(context: ScorerContext) -> Scorer:
    """Return the scorer `regex`: 1 when the pattern, or one of the alternatives, matches.

    A match that takes longer than 0.2 s is no verdict on the model: `Unscored` with reason `regex_timeout`.

    Raises:
        InputError: for an unknown parameter or value, a pattern that does not compile, or a case without one.
    """
    params = parse_params(RegexParams, context, scorer="regex")
    if params.pattern is not None:
        _compile_param(params.pattern, context)
    else:
        _check_patterns(context)

    def grade(case: Case, text: str) -> Scores:
        patterns = _words(case.expected) if params.pattern is None else (params.pattern,)
        if not patterns:
            return (Unscored("regex", "no_pattern", "neither the suite nor the case has a pattern"),)
        try:
            is_match = any(_matcher(pattern, fullmatch=params.fullmatch)(text) for pattern in patterns)
        except TimeoutError:
            return (Unscored("regex", "regex_timeout", f"a pattern took longer than {REGEX_LIMIT_S} s"),)
        shown = " or ".join(map(quoted, patterns[:_MAX_SHOWN]))
        return (Score("regex", 1.0) if is_match else Score("regex", 0.0, f"no match of {shown}"),)

    return AnswerScorer(("regex",), grade)


@lru_cache(maxsize=1024)
def _matcher(pattern: str, *, fullmatch: bool) -> Callable[[str], bool]:
    compiled = regex.compile(pattern)

    def matches(text: str) -> bool:
        if fullmatch:
            return compiled.fullmatch(text.strip(), timeout=REGEX_LIMIT_S) is not None
        return compiled.search(text, timeout=REGEX_LIMIT_S) is not None

    return matches


def _compile_param(pattern: str, context: ScorerContext) -> None:
    try:
        regex.compile(pattern)
    except regex.error as error:
        place = Place(file=context.suite.name, pointer="/scorers/regex/pattern")
        problem = f"the pattern {quoted(pattern)} does not compile: {error}"
        raise InputError(problem, place=place, next_step="correct it; see the regex package for the syntax") from error


def _check_patterns(context: ScorerContext) -> None:
    for case in cases_scored_by("regex", context):
        patterns = _words(case.expected)
        try:
            for pattern in patterns:
                regex.compile(pattern)
        except regex.error as error:
            problem = f"the pattern in `expected` does not compile ({error})"
            raise refuse_case(case, context, problem=problem, next_step="correct it") from error
        if not patterns:
            step = "give the parameter pattern, or a pattern as `expected`"
            raise refuse_case(case, context, problem="'regex' needs a pattern", next_step=step)
