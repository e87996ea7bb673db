"""`instructions`: how many of a case's verifiable instructions the answer follows, strictly and loosely.

Strict: the answer as it is. Loose: any of eight variants of it, with or without its first line, its last line and its
asterisks, because many models open with "Sure, here is" and close with a remark. A blank text follows nothing.

- `instructions_strict`, `instructions_loose`: share of the case's instructions that are followed.
- `prompt_strict`, `prompt_loose`: 1 when all are.

`expected` is a list of `{"id", "kwargs"?}` with the ids and arguments of IFEval.
"""

from __future__ import annotations

from difflib import get_close_matches
from itertools import product
from typing import TYPE_CHECKING, Any

from pydantic import Field, JsonValue, TypeAdapter, ValidationError

from evalkit.domain.score import Score
from evalkit.domain.shape import Shape
from evalkit.scorers.answer import AnswerScorer, Scores, unscored
from evalkit.scorers.instruction_checks import CHECKS, argument_problem
from evalkit.scorers.params import cases_scored_by, parse_params, refuse_case
from evalkit.wire.text import storable_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evalkit.domain.suite import Case
    from evalkit.plugins import Scorer, ScorerContext

__all__ = ["Instruction", "InstructionsParams", "build", "follows_loosely", "follows_strictly", "variants"]

METRICS = ("instructions_strict", "instructions_loose", "prompt_strict", "prompt_loose")

_MAX_SHOWN = 5


class InstructionsParams(Shape):
    """`instructions` has no parameters: all it needs is in the case."""


class Instruction(Shape):
    """One instruction of a case."""

    id: str
    """Of the field's list, such as `length_constraints:number_words`."""
    kwargs: dict[str, JsonValue] = Field(default_factory=dict)


_EXPECTED = TypeAdapter(tuple[Instruction, ...])


def build(context: ScorerContext) -> Scorer:
    """Return the scorer `instructions`.

    Raises:
        InputError: for any parameter, or a case with an unknown instruction or wrong arguments for one.
    """
    parse_params(InstructionsParams, context, scorer="instructions")
    for case in cases_scored_by("instructions", context):
        problem = _problem_with(case.expected)
        if problem:
            step = 'give a list of {"id": …, "kwargs": {…}}; the ids are in docs/reference/metrics.md'
            raise refuse_case(case, context, problem=f"'instructions': {problem}", next_step=step)
    return AnswerScorer(METRICS, _grade)


def _problem_with(expected: Any) -> str:
    instructions = _instructions_of(expected)
    if not instructions:
        return "`expected` is no list of instructions"
    for instruction in instructions:
        check = CHECKS.get(instruction.id)
        problem = _unknown(instruction.id) if check is None else argument_problem(check, instruction.kwargs)
        if problem:
            return f"{instruction.id!r} {problem}"
    return ""


def _unknown(name: str) -> str:
    close = get_close_matches(name, CHECKS, n=1)
    return f"is unknown; did you mean {close[0]!r}?" if close else "is unknown"


def _instructions_of(expected: Any) -> tuple[Instruction, ...]:
    try:
        return _EXPECTED.validate_python(expected)
    except ValidationError:
        return ()


def _grade(case: Case, text: str) -> Scores:
    problem = _problem_with(case.expected)
    if problem:
        return unscored(METRICS, "no_instructions", problem)
    instructions = _instructions_of(case.expected)
    looser = variants(text)
    strict = [follows_strictly(instruction, text) for instruction in instructions]
    loose = [follows_loosely(instruction, looser) for instruction in instructions]
    return (
        _share("instructions_strict", strict, instructions),
        _share("instructions_loose", loose, instructions),
        _all("prompt_strict", strict, instructions),
        _all("prompt_loose", loose, instructions),
    )


def follows_strictly(instruction: Instruction, text: str) -> bool:
    """Return whether the text as it is follows the instruction; a blank one follows none."""
    return bool(text.strip()) and CHECKS[instruction.id].follows(text, instruction.kwargs)


def follows_loosely(instruction: Instruction, texts: Sequence[str]) -> bool:
    """Return whether any of these variants of a text follows the instruction."""
    return any(follows_strictly(instruction, text) for text in texts)


def variants(text: str) -> tuple[str, ...]:
    """Return the distinct ones of the eight variants: without first line, last line and asterisks, or with them."""
    lines = text.split("\n")
    found: dict[str, None] = {}
    for without_first, without_last in product((False, True), repeat=2):
        kept = lines[1 if without_first else 0 : -1 if without_last else None]
        part = "\n".join(kept).strip() if without_first or without_last else text
        found |= {part: None, part.replace("*", ""): None}
    return tuple(found)


def _share(metric: str, followed: Sequence[bool], instructions: Sequence[Instruction]) -> Score:
    return Score(metric, sum(followed) / len(followed), *_said(followed, instructions))


def _all(metric: str, followed: Sequence[bool], instructions: Sequence[Instruction]) -> Score:
    return Score(metric, float(all(followed)), *_said(followed, instructions))


def _said(followed: Sequence[bool], instructions: Sequence[Instruction]) -> tuple[str, tuple[str, ...]]:
    ignored = [one.id for one, is_followed in zip(instructions, followed, strict=True) if not is_followed]
    why = f"not followed: {', '.join(ignored[:_MAX_SHOWN])}" if ignored else ""
    return storable_text(why), tuple(f"ignored:{name}" for name in dict.fromkeys(ignored))
