"""What was said of a call: the answer's text, its scores, and both streams of a run side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.domain.score import Score
from evalkit.reporters._text import cut

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evalkit.domain.outcome import Outcome
    from evalkit.domain.score import Unscored
    from evalkit.ports import RunReader

__all__ = ["MOST_CHARS", "primary_of", "said_text", "with_scores"]


MOST_CHARS = 20_000
"""Of one text a page shows: a megabyte is said to be one, and not carried."""


def with_scores(
    reader: RunReader, run_id: str, *, suite: str
) -> Iterator[tuple[Outcome, tuple[Score | Unscored, ...]]]:
    """Yield the answers of a suite with what was said of each.

    Both streams come in scheduled order, so at most the scores since the last unscored answer are held.
    """
    stream = iter(reader.scores(run_id, suite=suite))
    ahead: dict[str, tuple[Score | Unscored, ...]] = {}
    for outcome in reader.outcomes(run_id, suite=suite):
        while outcome.call_key not in ahead and (scored := next(stream, None)) is not None:
            ahead[scored.call_key] = scored.scores
        yield outcome, ahead.pop(outcome.call_key, ())


def primary_of(scores: tuple[Score | Unscored, ...], primary: str) -> float | None:
    """Return the value of the primary metric; None when there is none."""
    return next((s.value for s in scores if isinstance(s, Score) and s.metric == primary), None)


def said_text(outcome: Outcome) -> str:
    """Return what the model said, in the fields it used; of a call nobody answered, what the wire said. Cut."""
    reading = outcome.reading
    parts: list[str] = []
    if reading is not None:
        parts += [part for part in (reading.text, reading.refusal and f"refusal: {reading.refusal}") if part]
        parts += [f"tool call: {call.name}({call.arguments})" for call in reading.tool_calls]
    detail = (reading.detail if reading is not None else "") or (
        outcome.attempts[-1].detail if outcome.attempts else ""
    )
    if not parts and detail:
        parts.append(f"no answer: {detail}")
    return cut("\n\n".join(parts), max_chars=MOST_CHARS)
