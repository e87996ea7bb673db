"""`choice`: which of a closed set of labels did the answer choose?

Read in this order: the JSON field (when the parameter `field` is given and the JSON has it), the whole text, a phrase
like "the answer is (B)", the last line with a standalone label; at last the one option whose text the answer repeats,
when the parameter `options` says where a case keeps them. Labels of one character are matched in exact case in running
text, so the article "a" is not a choice.

Unread is not wrong: an answer without a label (`unparsed`), with several different ones where one was looked for
(`ambiguous`) or with something else in the field (`invalid_label`) gets 0 with that finding, or, with `unread:
unscored`, no score at all. A null `expected` asks for no choice: the field must be null, or the text name no label.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from evalkit.domain.score import Score, Unscored
from evalkit.domain.shape import Shape
from evalkit.errors import InputError, Place
from evalkit.scorers.answer import (
    Accept,
    AnswerScorer,
    Scores,
    field_tokens,
    normalised,
    parsed_answer,
    quoted,
    value_at,
)
from evalkit.scorers.params import cases_scored_by, parse_params, refuse_case

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from evalkit.domain.suite import Case
    from evalkit.plugins import Scorer, ScorerContext

__all__ = ["ChoiceParams", "build"]

_FEWEST_LABELS = 2
_MAX_SHOWN = 12
_WRAPPING = " \t\r\n\"'`*_().[]:"


class ChoiceParams(Shape):
    """Parameters of `choice`."""

    labels: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=_FEWEST_LABELS)] | None = None
    """The closed set; without it the enum of `field` in the response schema, else every `expected` of the suite."""
    field: Annotated[str, Field(min_length=1)] | None = None
    """The field of the JSON answer that holds the label: a JSON pointer, or a top-level key."""
    accept: Accept = "lenient"
    """With `field`: the most repair the JSON may have needed."""
    casefold: bool = True
    """Compare without regard to case."""
    options: Annotated[str, Field(min_length=1)] | None = None
    """The variable of a case that holds the options' texts: an object from label to text."""
    unread: Literal["zero", "unscored"] = "zero"
    """What an answer is worth from which no label can be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Choice:
    """What was read: a label, or why there is none."""

    label: str | None
    finding: str = ""
    rationale: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Labels:
    """The closed set, ready to be found."""

    by_form: Mapping[str, str]
    """Normal form to label."""
    form: Callable[[str], str]
    said: re.Pattern[str]
    """"answer is X" and its variants."""
    standalone: re.Pattern[str]

    def of(self, text: str) -> str | None:
        """Return the label this text is, apart from quotes, brackets and a full stop around it."""
        form = self.form(text)
        return self.by_form.get(form) or self.by_form.get(form.strip(_WRAPPING))


def build(context: ScorerContext) -> Scorer:
    """Return the scorer `choice`.

    Raises:
        InputError: for an unknown parameter or value, fewer than two labels, or a case that expects none of them.
    """
    params = parse_params(ChoiceParams, context, scorer="choice")
    labels = _labels(_label_texts(params, context), casefold=params.casefold)
    _check_cases(context, labels)
    tokens = None if params.field is None else field_tokens(params.field)

    def grade_text(case: Case, text: str) -> Scores:
        choice = _from_text(text, labels, _options_of(case, params, labels))
        return (_graded(choice, case.expected, labels, unread=params.unread),)

    def grade_field(case: Case, text: str) -> Scores:
        steps = tokens or ()
        answer = parsed_answer(text, accept=params.accept, wanted=lambda value: value_at(value, steps) is not None)
        found = value_at(answer.value, steps) if answer.is_accepted else None
        options = _options_of(case, params, labels)
        choice = _from_text(text, labels, options) if found is None else _from_field(found.value, labels, options)
        return (_graded(choice, case.expected, labels, unread=params.unread, findings=answer.findings),)

    return AnswerScorer(("choice",), grade_text if tokens is None else grade_field, needs_expected=True)


def _label_texts(params: ChoiceParams, context: ScorerContext) -> tuple[str, ...]:
    if params.labels is not None:
        return params.labels
    found = _enum_of(params.field, context) or _expected_labels(context)
    if len(found) < _FEWEST_LABELS:
        place = Place(file=context.suite.name, pointer="/scorers/choice/labels")
        step = "give labels: [...], or an enum for the field in the response schema"
        raise InputError(f"'choice' needs two or more labels, found {list(found)}", place=place, next_step=step)
    return found


def _enum_of(field: str | None, context: ScorerContext) -> tuple[str, ...]:
    response = context.suite.request.response
    if field is None or response is None or response.schema_ is None:
        return ()
    node: Any = response.schema_
    for token in field_tokens(field):
        inner = node.get("items") if token.isdigit() else (node.get("properties") or {}).get(token)
        if not isinstance(inner, dict):
            return ()
        node = inner
    enum = node.get("enum")
    return tuple(item for item in enum if isinstance(item, str)) if isinstance(enum, list) else ()


def _expected_labels(context: ScorerContext) -> tuple[str, ...]:
    expected = [item for case in context.suite.active_cases for item in _alternatives(case.expected)]
    return tuple(sorted({item for item in expected if isinstance(item, str)}))


def _alternatives(expected: Any) -> list[Any]:
    return expected if isinstance(expected, list) else [expected]


def _labels(texts: tuple[str, ...], *, casefold: bool) -> _Labels:
    def form(text: str) -> str:
        return normalised(text, "casefold" if casefold else "nfkc")

    longest_first = sorted(texts, key=lambda text: (-len(text), text))
    words = "|".join(_word(text, casefold=casefold) for text in longest_first)
    bounded = rf"(?<![\w-])(?:{words})(?![\w-])"
    said = rf"(?i:answer|choice|label|category)\s*(?i:is|:|=)[\s:*_\"'`(\[]*({bounded})"
    return _Labels(
        by_form={form(text): text for text in texts},
        form=form,
        said=re.compile(said),
        standalone=re.compile(bounded),
    )


def _word(text: str, *, casefold: bool) -> str:
    """Match a label in running text; any space of it matches any space; one character keeps its case."""
    spaced = r"\s+".join(map(re.escape, text.split()))
    return f"(?i:{spaced})" if casefold and len(text) > 1 else spaced


def _check_cases(context: ScorerContext, labels: _Labels) -> None:
    for case in cases_scored_by("choice", context):
        for item in _alternatives(case.expected):
            if item is not None and not (isinstance(item, str) and labels.form(item) in labels.by_form):
                step = f"one of: {', '.join(sorted(labels.by_form.values())[:_MAX_SHOWN])}"
                raise refuse_case(case, context, problem="'choice' expects one of its labels", next_step=step)


def _options_of(case: Case, params: ChoiceParams, labels: _Labels) -> dict[str, str]:
    """Return the normal form of each option's text with its label; empty where the case has none."""
    given = case.vars.get(params.options) if params.options is not None else None
    if not isinstance(given, dict):
        return {}
    named = ((labels.by_form.get(labels.form(label)), text) for label, text in given.items())
    return {_bare(text): label for label, text in named if label is not None and isinstance(text, str) and _bare(text)}


def _bare(text: str) -> str:
    return normalised(text, "casefold").strip(_WRAPPING)


def _from_field(value: Any, labels: _Labels, options: Mapping[str, str]) -> _Choice:
    if value is None:
        return _Choice(label=None, rationale="the field is null")
    label = labels.of(value) or options.get(_bare(value)) if isinstance(value, str) else None
    if label is None:
        return _Choice(label=None, finding="invalid_label", rationale=f"{quoted(value)} is no label")
    return _Choice(label=label)


def _from_text(text: str, labels: _Labels, options: Mapping[str, str]) -> _Choice:
    whole = labels.of(text)
    if whole is not None:
        return _Choice(label=whole)
    found = labels.said.findall(text) or _last_line_labels(text, labels)
    return _one_of(found, labels) if found or not options else _one_of(_repeated(text, options), labels)


def _repeated(text: str, options: Mapping[str, str]) -> list[str]:
    """Return the labels of the options whose texts the last line with any of them repeats, longest text first."""
    words = "|".join(map(re.escape, sorted(options, key=lambda form: (-len(form), form))))
    pattern = re.compile(rf"(?<!\w)(?:{words})(?!\w)")
    for line in reversed(text.splitlines()):
        found = pattern.findall(normalised(line, "casefold"))
        if found:
            return [options[form] for form in found]
    return []


def _last_line_labels(text: str, labels: _Labels) -> list[str]:
    for line in reversed(text.splitlines()):
        found = labels.standalone.findall(line)
        if found:
            return found
    return []


def _one_of(found: list[str], labels: _Labels) -> _Choice:
    # A match can have no normal form among the labels: re takes the Turkish dotted capital I for an i.
    distinct = dict.fromkeys(filter(None, (labels.by_form.get(labels.form(item)) for item in found)))
    if not distinct:
        return _Choice(label=None, finding="unparsed", rationale="no label in the answer")
    if len(distinct) > 1:
        shown = ", ".join(map(quoted, list(distinct)[:_MAX_SHOWN]))
        return _Choice(label=None, finding="ambiguous", rationale=f"several labels: {shown}")
    return _Choice(label=next(iter(distinct)))


def _graded(
    choice: _Choice,
    expected: Any,
    labels: _Labels,
    *,
    unread: Literal["zero", "unscored"],
    findings: tuple[str, ...] = (),
) -> Score | Unscored:
    wanted = [None if item is None else labels.form(str(item)) for item in _alternatives(expected)]
    got = None if choice.label is None else labels.form(choice.label)
    is_silent = choice.finding in {"", "unparsed"}
    if got in wanted and (got is not None or is_silent):
        return Score("choice", 1.0, choice.rationale, findings)
    if choice.finding and unread == "unscored":
        return Unscored("choice", choice.finding, choice.rationale)
    found = (*findings, choice.finding) if choice.finding else findings
    rationale = choice.rationale or f"{quoted(choice.label)} is not {quoted(expected)}"
    return Score("choice", 0.0, rationale, found)
