"""What an eligibility file says of each task × model, and what became different from one file to the next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Said", "VerdictChange", "said_in", "verdict_changes"]

Said = dict[str, dict[str, str]]
"""Task to model id to `eligible`, `ineligible` or `undecided`."""

_WAIVED = "waiver_deny"


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictChange:
    """One task × model of which two files say different things."""

    task: str
    model_id: str
    before: str | None
    """None: the file before did not know the pair."""
    after: str | None
    """None: a person took model or task out."""
    codes: tuple[str, ...] = ()
    """Why, as reason codes; empty for a model that is eligible."""
    is_loss: bool = False
    """Whether a model lost a task by what was measured, or not measured; what a person took away is no loss."""

    def __str__(self) -> str:
        """Return the change as a sentence without an end."""
        why = f" ({', '.join(self.codes)})" if self.codes else ""
        return f"{self.model_id} on {self.task}: {self.before or 'not known'} → {self.after or 'taken out'}{why}"


def said_in(document: Mapping[str, Any]) -> Said:
    """Return what a file says of each task × model. A model beyond `max_candidates` is eligible all the same."""
    return {
        name: {
            **{rejected["model"]: rejected["verdict"] for rejected in task["rejected"]},
            **{candidate["model"]: "eligible" for candidate in task["candidates"]},
        }
        for name, task in document["tasks"].items()
    }


def verdict_changes(before: Said, document: Mapping[str, Any]) -> tuple[VerdictChange, ...]:
    """Return what a file says that is not what was said before, losses first, then by task and model."""
    after = said_in(document)
    codes = _codes(document)
    found = [
        _change(pair, before=was, after=now, codes=codes.get(pair, ()))
        for pair, was, now in _pairs(before, after)
        if was != now
    ]
    return tuple(sorted(found, key=lambda one: (not one.is_loss, one.task, one.model_id)))


def _pairs(before: Said, after: Said) -> Iterator[tuple[tuple[str, str], str | None, str | None]]:
    for task in sorted({*before, *after}):
        mine, theirs = before.get(task, {}), after.get(task, {})
        for model_id in sorted({*mine, *theirs}):
            yield (task, model_id), mine.get(model_id), theirs.get(model_id)


def _change(pair: tuple[str, str], *, before: str | None, after: str | None, codes: tuple[str, ...]) -> VerdictChange:
    task, model_id = pair
    is_loss = before == "eligible" and after is not None and _WAIVED not in codes
    return VerdictChange(task=task, model_id=model_id, before=before, after=after, codes=codes, is_loss=is_loss)


def _codes(document: Mapping[str, Any]) -> dict[tuple[str, str], tuple[str, ...]]:
    return {
        (name, rejected["model"]): tuple(dict.fromkeys(reason["code"] for reason in rejected["reasons"]))
        for name, task in document["tasks"].items()
        for rejected in task["rejected"]
        if rejected["verdict"] != "eligible"
    }
