"""Reference texts a case gives, for scorers that say how near an answer comes to one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evalkit.scorers.params import cases_scored_by, refuse_case

if TYPE_CHECKING:
    from evalkit.domain.suite import Case
    from evalkit.plugins import ScorerContext

__all__ = ["check_references", "references_of"]


def references_of(case: Case) -> tuple[str, ...]:
    """Return the reference texts in `expected`: one, or a list of them; none when it is something else."""
    expected: Any = case.expected
    items = expected if isinstance(expected, list) else [expected]
    return tuple(items) if items and all(isinstance(item, str) and item.strip() for item in items) else ()


def check_references(scorer: str, context: ScorerContext) -> None:
    """Refuse cases without reference texts.

    Raises:
        InputError: naming the first case whose `expected` is no text and no list of texts.
    """
    for case in cases_scored_by(scorer, context):
        if not references_of(case):
            step = "give a text, or a list of texts any of which will do"
            raise refuse_case(case, context, problem=f"{scorer!r} compares with reference texts", next_step=step)
