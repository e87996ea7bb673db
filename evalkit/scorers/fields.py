"""`fields`: how much of the expected JSON is right, leaf by leaf?

A leaf is a scalar, or an empty object or array. Leaves are paired by their place, and a pair is right when both are
numbers within the tolerance, strings with the same normal form (NFKC, folded case, collapsed space) or the same ISO
date, or equal. Then, over leaves: `fields_recall` = right / expected, `fields_precision` = right / given (a field
nobody asked for costs), `fields` = their harmonic mean, 2 · right / (expected + given).

A missing key is a missing leaf even where null was expected. A null `expected` means the whole answer is null.
An answer without acceptable JSON is wrong (0) with the finding `invalid_json` or `repair:<level>`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from evalkit.domain.score import Score
from evalkit.domain.shape import Shape
from evalkit.scorers.answer import Accept, AnswerScorer, Scores, field_tokens, parsed_answer, quoted
from evalkit.scorers.leaves import ABSENT, Align, Comparing, Pair, leaf_pairs
from evalkit.scorers.params import parse_params
from evalkit.wire.text import storable_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from evalkit.domain.suite import Case
    from evalkit.plugins import Scorer, ScorerContext

__all__ = ["AlignBy", "FieldsParams", "NumberTolerance", "build"]

METRICS = ("fields", "fields_precision", "fields_recall")

_MAX_SHOWN = 5


class NumberTolerance(Shape):
    """How far a number may be off: at most max(abs_tol, rel_tol · |expected|)."""

    abs_tol: Annotated[float, Field(ge=0)] = 0.0
    rel_tol: Annotated[float, Field(ge=0)] = 0.0


class AlignBy(Shape):
    """Array elements belong together when this key of theirs is equal."""

    align: Annotated[str, Field(min_length=1)]


class FieldsParams(Shape):
    """Parameters of `fields`."""

    numbers: NumberTolerance = NumberTolerance()
    strings: Literal["normalised", "exact"] = "normalised"
    arrays: Literal["ordered", "set"] | AlignBy = "ordered"
    """`ordered`: by index. `set`: each expected element with the best unused one. `{align: key}`: by that key."""
    ignore: tuple[Annotated[str, Field(pattern=r"^/")], ...] = ()
    """JSON pointers left out of the count with all below them; `*` stands for any key or index."""
    accept: Accept = "lenient"
    """The most repair the JSON may have needed."""


def build(context: ScorerContext) -> Scorer:
    """Return the scorer `fields`.

    Raises:
        InputError: for an unknown parameter or value.
    """
    params = parse_params(FieldsParams, context, scorer="fields")
    comparing = Comparing(
        abs_tol=params.numbers.abs_tol,
        rel_tol=params.numbers.rel_tol,
        is_exact_text=params.strings == "exact",
        align=Align(
            key=params.arrays.align if isinstance(params.arrays, AlignBy) else "", is_set=params.arrays == "set"
        ),
        ignored=tuple(field_tokens(pointer) for pointer in params.ignore),
    )

    def grade(case: Case, text: str) -> Scores:
        answer = parsed_answer(text, accept=params.accept, wanted=_same_kind_as(case.expected))
        if not answer.is_accepted:
            return tuple(Score(metric, 0.0, answer.problem, answer.findings) for metric in METRICS)
        return _scores(list(leaf_pairs(case.expected, answer.value, comparing)), answer.findings)

    return AnswerScorer(METRICS, grade, needs_expected=True)


def _same_kind_as(expected: Any) -> Callable[[Any], bool] | None:
    """Prose may hold brackets of its own: look for an object where one is expected."""
    for kind in (dict, list):
        if isinstance(expected, kind):
            return lambda value: isinstance(value, kind)
    return None


def _scores(pairs: Sequence[Pair], findings: tuple[str, ...]) -> Scores:
    n_right = sum(pair.is_right for pair in pairs)
    n_expected = sum(pair.expected is not ABSENT for pair in pairs)
    n_given = sum(pair.n_given for pair in pairs)
    rationale = _rationale(pairs)
    return (
        Score("fields", _share(2 * n_right, n_expected + n_given), rationale, findings),
        Score("fields_precision", _share(n_right, n_given), rationale, findings),
        Score("fields_recall", _share(n_right, n_expected), rationale, findings),
    )


def _share(part: int, whole: int) -> float:
    """Return part / whole; 1 of nothing, when everything is ignored on both sides."""
    return part / whole if whole else 1.0


def _rationale(pairs: Sequence[Pair]) -> str:
    wrong = [pair for pair in pairs if not pair.is_right]
    shown = "; ".join(_told(pair) for pair in wrong[:_MAX_SHOWN])
    return f"{shown}; and {len(wrong) - _MAX_SHOWN} more" if len(wrong) > _MAX_SHOWN else shown


def _told(pair: Pair) -> str:
    pointer = storable_text(pair.pointer[:80]) or "/"
    if pair.expected is ABSENT:
        return f"{pointer}: not asked for"
    if pair.given is ABSENT:
        return f"{pointer}: missing, expected {quoted(pair.expected)}"
    return f"{pointer}: {quoted(pair.given)}, expected {quoted(pair.expected)}"
