"""`rubric` and `groundedness`: a judge says of each criterion whether an answer meets it.

The score is the points of the met criteria over all positive points, cut to [0, 1]; a criterion with negative points is
something an answer should not do. One strict JSON verdict for the whole set, yes or no to each; anything else is no
verdict, and then there is no score.

Source: the scoring rule is that of HealthBench (openai/simple-evals, healthbench_eval.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError, field_validator

from evalkit.domain.shape import Shape
from evalkit.errors import InputError, Place
from evalkit.rendering import render_prompt
from evalkit.scorers.answer import text_form
from evalkit.scorers.judging import JudgedScorer, JudgeParams, Opinion, Prompt, panel_from
from evalkit.scorers.params import cases_scored_by, parse_params, refuse_case
from evalkit.wire.judging import CRITERIA_MARK, FENCE_RULE, fenced, parse_rubric, rubric_schema

if TYPE_CHECKING:
    from collections.abc import Callable

    from evalkit.domain.suite import Case, Suite
    from evalkit.plugins import ScorerContext

__all__ = [
    "Criterion",
    "GroundednessParams",
    "RubricParams",
    "build",
    "build_groundedness",
    "points_share",
    "task_text",
]

_SYSTEM = (
    "You judge an answer that somebody gave to a task. Decide for each criterion, by itself, whether the answer meets "
    "it. Judge only what the answer says; do not solve the task for it, and do not reward length or style.\n\n"
    + FENCE_RULE
)
_ORDER = (
    'Answer with one JSON object and nothing else: every criterion\'s name with {"explanation": "one sentence", '
    '"met": true or false}.'
)


class Criterion(Shape):
    """One thing an answer should do; or should not, with negative points."""

    id: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,63}$")]
    text: Annotated[str, Field(min_length=1)]
    points: float = 1.0

    @field_validator("points")
    @classmethod
    def _counts(cls, value: float) -> float:
        if value == 0:
            raise ValueError("a criterion with 0 points says nothing")
        return value


class RubricParams(JudgeParams):
    """Parameters of `rubric`."""

    criteria: tuple[Criterion, ...] = ()
    """The same for every case; without them each case's `expected` is its list of criteria."""
    reference: bool = False
    """Show the judge the case's `expected` as an answer known to be right."""


class GroundednessParams(JudgeParams):
    """Parameters of `groundedness`."""

    context: Annotated[str, Field(min_length=1)] = "context"
    """The variable of the case that holds the text an answer must rest on."""


_GROUNDED = (
    Criterion(
        id="supported",
        text="Every factual claim of the answer is stated in the context or follows directly from it. Saying that the "
        "context does not tell is no claim.",
    ),
    Criterion(id="uncontradicted", text="No claim of the answer contradicts the context."),
)
_CRITERIA = TypeAdapter(tuple[Criterion, ...])


def build(context: ScorerContext) -> JudgedScorer:
    """Return the scorer `rubric`.

    Raises:
        InputError: for an unknown parameter, a judge that may not judge, or a case without criteria.
    """
    params = parse_params(RubricParams, context, scorer="rubric")
    place = Place(file=context.suite.name, pointer="/scorers/rubric/criteria")
    own = params.criteria
    if own:
        _check(own, place=place)
        if params.reference:
            _check_references(context)
    elif params.reference:
        step = "write the criteria into the parameters, or leave reference out"
        raise InputError("`expected` cannot be both criteria and reference", place=place, next_step=step)
    by_case = {} if own else {case.id: _criteria_of(case, context) for case in cases_scored_by("rubric", context)}

    def criteria_of(case: Case) -> tuple[Criterion, ...]:
        return own or by_case.get(case.id) or _criteria_of(case, context)

    def extra(case: Case) -> dict[str, str]:
        return {"REFERENCE": text_form(case.expected)} if params.reference else {}

    words = [sorted((case_id, _dump(found)) for case_id, found in by_case.items()), _dump(own), params.reference]
    panel = panel_from(params, context, scorer="rubric")
    prompts = _prompts(context.suite, criteria_of, extra)
    return JudgedScorer("rubric", panel, prompts=prompts, read=_reader(criteria_of), words=[_SYSTEM, _ORDER, words])


def build_groundedness(context: ScorerContext) -> JudgedScorer:
    """Return the scorer `groundedness`: a rubric whose criteria are about a text the case brings along.

    Raises:
        InputError: for an unknown parameter, a judge that may not judge, or a case without that text.
    """
    params = parse_params(GroundednessParams, context, scorer="groundedness")
    for case in cases_scored_by("groundedness", context):
        if not isinstance(case.vars.get(params.context), str):
            place = Place(file=context.suite.name, pointer=f"case {case.id}")
            problem = f"'groundedness' needs the text {params.context!r} in `vars`"
            raise InputError(problem, place=place, next_step="add it, or name another variable by context: NAME")

    def criteria_of(_case: Case) -> tuple[Criterion, ...]:
        return _GROUNDED

    def extra(case: Case) -> dict[str, str]:
        return {"CONTEXT": text_form(case.vars.get(params.context))}

    panel = panel_from(params, context, scorer="groundedness")
    prompts = _prompts(context.suite, criteria_of, extra)
    words = [_SYSTEM, _ORDER, _dump(_GROUNDED), params.context]
    return JudgedScorer("groundedness", panel, prompts=prompts, read=_reader(criteria_of), words=words)


def points_share(criteria: tuple[Criterion, ...], met: dict[str, bool]) -> float:
    """Return the points of the met criteria over all positive points, in [0, 1]."""
    most = sum(criterion.points for criterion in criteria if criterion.points > 0)
    got = sum(criterion.points for criterion in criteria if met[criterion.id])
    return min(max(got / most, 0.0), 1.0)


def task_text(suite: Suite, case: Case) -> str:
    """Return what the model was asked, as a judge is shown it: the system text and every user message."""
    request = suite.request
    place = Place(file=suite.name, pointer=f"case {case.id}")
    written = [request.system, request.prompt]
    written += [message.content for message in request.messages if message.role != "assistant"]
    written += [turn.user for turn in request.turns]
    return "\n\n".join(render_prompt(text, case.vars, place=place) for text in written if text)


def _prompts(
    suite: Suite,
    criteria_of: Callable[[Case], tuple[Criterion, ...]],
    extra: Callable[[Case], dict[str, str]],
) -> Callable[[Case, str], tuple[Prompt, ...]]:
    def prompts(case: Case, text: str) -> tuple[Prompt, ...]:
        parts = fenced({"TASK": task_text(suite, case), **extra(case), "ANSWER": text})
        criteria = criteria_of(case)
        listed = "\n".join(f"- {criterion.id}: {' '.join(criterion.text.split())}" for criterion in criteria)
        user = "\n\n".join((*parts.values(), f"{CRITERIA_MARK}\n{listed}", _ORDER))
        return (Prompt(system=_SYSTEM, user=user, schema=rubric_schema([one.id for one in criteria])),)

    return prompts


def _reader(
    criteria_of: Callable[[Case], tuple[Criterion, ...]],
) -> Callable[[Case, tuple[str | None, ...]], Opinion | None]:
    def read(case: Case, texts: tuple[str | None, ...]) -> Opinion | None:
        criteria = criteria_of(case)
        verdict = parse_rubric(texts[0], [criterion.id for criterion in criteria])
        if verdict is None:
            return None
        wrong = [one.id for one in criteria if verdict.met[one.id] != (one.points > 0)]
        why = "; ".join(f"{name}: {verdict.explanations[name]}" for name in wrong)
        return Opinion(
            value=points_share(criteria, dict(verdict.met)),
            why=why,
            findings=tuple(f"criterion:{name}" for name in wrong),
        )

    return read


def _criteria_of(case: Case, context: ScorerContext) -> tuple[Criterion, ...]:
    """Return the criteria a case brings in `expected`: texts, or objects with id, text and points."""
    given = case.expected if isinstance(case.expected, list) else []
    named = [
        {"id": f"c{place}", "text": item} if isinstance(item, str) else {"id": f"c{place}", **item}
        for place, item in enumerate(given, 1)
        if isinstance(item, (str, dict))
    ]
    step = "give a list of texts, or of {id, text, points}; or criteria in the scorer's parameters"
    if not named or len(named) < len(given):
        raise refuse_case(case, context, problem="'rubric' needs criteria in `expected`", next_step=step)
    try:
        criteria = _CRITERIA.validate_python(named)
    except ValidationError as error:
        problem = f"a criterion of 'rubric' is wrong: {error.errors(include_url=False)[0]['msg']}"
        raise refuse_case(case, context, problem=problem, next_step=step) from error
    _check(criteria, place=Place(file=context.suite.name, pointer=f"case {case.id}"))
    return criteria


def _check(criteria: tuple[Criterion, ...], *, place: Place) -> None:
    names = [criterion.id for criterion in criteria]
    if len(set(names)) < len(names):
        raise InputError("a criterion's id is given twice", place=place, next_step="give each its own")
    if not any(criterion.points > 0 for criterion in criteria):
        raise InputError("no criterion has positive points", place=place, next_step="say what an answer should do")


def _check_references(context: ScorerContext) -> None:
    for case in cases_scored_by("rubric", context):
        if case.expected is None:
            step = "give the right answer, or leave reference out"
            raise refuse_case(case, context, problem="`reference` shows the judge `expected`", next_step=step)


def _dump(criteria: tuple[Criterion, ...]) -> list[Any]:
    return [[one.id, one.text, one.points] for one in criteria]
