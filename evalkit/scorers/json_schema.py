"""`json_schema`: is the answer JSON, was it JSON as it stood, and does it have the shape that was asked for?

Three metrics, because a model that fences its JSON and one that cannot write any are different problems:

- `json_parse`: the whole text is JSON, nothing forgiven.
- `json_tolerant`: JSON was found after at most lenient repair.
- `json_schema`: the value satisfies the schema, and needed no more repair than the parameter `accept` allows
  (default `fence`: one fence around the whole answer, which any client strips).

Findings: `repair:fence`, `repair:lenient` or `invalid_json`; `schema_violation`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evalkit.domain.score import Score
from evalkit.domain.shape import Shape
from evalkit.errors import InputError, Place
from evalkit.schemas import check_schema, compile_schema
from evalkit.scorers.answer import Accept, AnswerScorer, ParsedAnswer, Scores, parsed_answer
from evalkit.scorers.params import cases_scored_by, parse_params

if TYPE_CHECKING:
    from evalkit.domain.suite import Case
    from evalkit.plugins import Scorer, ScorerContext
    from evalkit.schemas import CompiledSchema

__all__ = ["JsonSchemaParams", "build"]

METRICS = ("json_parse", "json_tolerant", "json_schema")

_ALL_RIGHT: Scores = tuple(Score(metric, 1.0) for metric in METRICS)
_MAX_SHOWN = 3


class JsonSchemaParams(Shape):
    """Parameters of `json_schema`."""

    accept: Accept = "fence"
    """The most repair after which a valid value still counts for the metric `json_schema`."""


def build(context: ScorerContext) -> Scorer:
    """Return the scorer; the schema is the case's own, else the suite's.

    Raises:
        InputError: for an unknown parameter, a schema that does not compile, or a case without any schema.
    """
    params = parse_params(JsonSchemaParams, context, scorer="json_schema")
    response = context.suite.request.response
    shared = None if response is None or response.schema_ is None else _compiled(response.schema_, context)
    if shared is None:
        _check_every_case_has_one(context)

    def grade(case: Case, text: str) -> Scores:
        schema = shared if case.schema is None else compile_schema(case.schema)
        answer = parsed_answer(text, accept=params.accept)
        if answer.is_strict and schema is not None and schema.is_valid(answer.value):
            return _ALL_RIGHT
        return _scores(answer, schema)

    return AnswerScorer(METRICS, grade)


def _compiled(schema: dict[str, Any], context: ScorerContext) -> CompiledSchema:
    check_schema(schema, place=Place(file=context.suite.name, pointer="/request/response/schema"))
    return compile_schema(schema)


def _check_every_case_has_one(context: ScorerContext) -> None:
    for case in cases_scored_by("json_schema", context):
        if case.schema is None:
            place = Place(file=context.suite.name, pointer="/request/response/schema")
            problem = f"the scorer 'json_schema' has no schema to check case {case.id!r} against"
            raise InputError(problem, place=place, next_step="give request.response.schema, or a schema in the case")


def _scores(answer: ParsedAnswer, schema: CompiledSchema | None) -> Scores:
    found = "invalid_json" not in answer.findings
    why = "" if answer.is_strict else answer.problem
    return (
        Score("json_parse", float(answer.is_strict), why, answer.findings),
        Score("json_tolerant", float(found), "" if found else answer.problem, answer.findings),
        _shape_score(answer, schema),
    )


def _shape_score(answer: ParsedAnswer, schema: CompiledSchema | None) -> Score:
    if not answer.is_accepted:
        return Score("json_schema", 0.0, answer.problem, answer.findings)
    if schema is None:
        return Score("json_schema", 0.0, "the case has no schema", (*answer.findings, "no_schema"))
    violations = schema.violations(answer.value, limit=_MAX_SHOWN + 1)
    if not violations:
        return Score("json_schema", 1.0, "", answer.findings)
    shown = "; ".join(f"{violation.pointer or '/'}: {violation.message}" for violation in violations[:_MAX_SHOWN])
    more = "; and more" if len(violations) > _MAX_SHOWN else ""
    return Score("json_schema", 0.0, shown + more, (*answer.findings, "schema_violation"))
