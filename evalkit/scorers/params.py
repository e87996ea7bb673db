"""Parameters of the built-in scorers: one frozen shape each, with errors that name key, value and what is allowed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TypeVar

from pydantic import ValidationError

from evalkit.domain.shape import Shape
from evalkit.errors import InputError, Place

if TYPE_CHECKING:
    from collections.abc import Mapping

    from evalkit.domain.suite import Case
    from evalkit.plugins import ScorerContext

__all__ = ["cases_scored_by", "parse_params", "refuse_case"]

ParamsT = TypeVar("ParamsT", bound=Shape)

_MAX_QUOTED = 200


def parse_params(shape: type[ParamsT], context: ScorerContext, *, scorer: str) -> ParamsT:
    """Return the parameters of a scorer, checked strictly: `"1"` is no number and `1` is no flag.

    Raises:
        InputError: naming the first key that is unknown or holds a wrong value, the value, and the allowed keys.
    """
    try:
        # Through JSON: strict, and yet an array may become a tuple.
        return shape.model_validate_json(json.dumps(dict(context.params)), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        keys = [str(token) for token in first["loc"]]
        place = Place(file=context.suite.name, pointer="/".join(("/scorers", scorer, *keys)))
        value = repr(first["input"])[:_MAX_QUOTED]
        if first["type"] == "extra_forbidden":
            problem = f"scorer {scorer!r} has no parameter {'.'.join(keys)!r} (found with value {value})"
        else:
            problem = f"parameter {'.'.join(keys)!r} of scorer {scorer!r}: {first['msg']}, found {value}"
        raise InputError(problem, place=place, next_step=f"allowed: {_allowed(shape)}") from error


def cases_scored_by(scorer: str, context: ScorerContext) -> tuple[Case, ...]:
    """Return the active cases that this scorer, with these very parameters, will grade."""
    suite = context.suite

    def uses(case: Case) -> bool:
        specs = suite.scorers if case.scorers is None else case.scorers
        return any(spec.name == scorer and _same(spec.params, context.params) for spec in specs)

    return tuple(case for case in suite.active_cases if uses(case))


def refuse_case(case: Case, context: ScorerContext, *, problem: str, next_step: str) -> InputError:
    """Return the error for a case this scorer cannot grade."""
    place = Place(file=context.suite.name, pointer=f"case {case.id}")
    return InputError(f"{problem}, found {repr(case.expected)[:_MAX_QUOTED]}", place=place, next_step=next_step)


def _same(left: Mapping[str, object], right: Mapping[str, object]) -> bool:
    return dict(left) == dict(right)


def _allowed(shape: type[Shape]) -> str:
    return ", ".join(sorted(field.alias or name for name, field in shape.model_fields.items())) or "none"
