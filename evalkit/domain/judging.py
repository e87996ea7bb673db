"""Answers graded by a model: who is asked, with which words, and how far people have found it to be right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from evalkit.domain.shape import Identifier, Shape

if TYPE_CHECKING:
    from evalkit.domain.roster import Model, Roster

__all__ = ["MIN_LABELS", "Instrument", "Judges", "Label", "LabelCounts", "Labels", "Qualification", "are_related"]

MIN_LABELS = 200
"""Labels a judge must have been held against before its metric may gate (docs/explanation/statistics.md)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """What a scorer asks: a change of any part of it is another way of measuring."""

    model_ids: tuple[str, ...]
    """Ids of `Roster.judges`, in the order they are written."""
    digest: str
    """Of routes, prompt and parameters; what the rubric says is part of the prompt."""
    is_opinion: bool = True
    """Whether a model says what is good, which people have to confirm; an embedding is a measurement."""
    is_yes_or_no: bool = False
    """Whether the metric is 0 or 1, as a gate on an opinion needs it."""


@dataclass(frozen=True, slots=True)
class Judges:
    """Who may be asked about whose answers through which kind of gateway."""

    roster: Roster
    gateway_kind: str

    def related_to(self, judge: Model, candidate_id: str) -> bool:
        """Return whether a judge is of the family of a candidate; nobody outside the roster is of any."""
        candidate = self.roster.by_id.get(candidate_id)
        return candidate is not None and are_related(judge, candidate)


def are_related(judge: Model, candidate: Model) -> bool:
    """Return whether two models share a family, a provider or a route: a judge favours its own."""
    kin = {judge.family, judge.provider} & {candidate.family, candidate.provider}
    return bool(kin - {None}) or judge.route == candidate.route


class Label(Shape):
    """One answer, and what people said of it: a line of a labels file."""

    case_id: Identifier
    answer: str
    passes: bool
    """Whether people would pass it, by the same rule the judge is told."""
    model: str = ""
    """Who wrote it: a model of the roster, or empty. No judge is asked about its own family."""


@dataclass(frozen=True, slots=True)
class Labels:
    """All labelled answers of one suite."""

    labels: tuple[Label, ...]
    digest: str


class LabelCounts(Shape):
    """Answers by what people and the judge said of each."""

    both_pass: Annotated[int, Field(ge=0)]
    only_judge: Annotated[int, Field(ge=0)]
    """The judge said pass, people did not."""
    only_people: Annotated[int, Field(ge=0)]
    both_fail: Annotated[int, Field(ge=0)]

    @property
    def n(self) -> int:
        """Answers that both judged."""
        return self.both_pass + self.only_judge + self.only_people + self.both_fail


class Qualification(Shape):
    """How a judge did on labelled answers; written by `evalkit judge check`, voided by any change of what it names."""

    format: Literal["evalkit.qualification/1"] = "evalkit.qualification/1"
    suite: Identifier
    metric: Identifier
    instrument: str
    """Digest of routes, prompt and rubric."""
    gateway_kind: str
    served: dict[str, tuple[str, ...]]
    """Judge id to the names its answers carried."""
    labels: str
    """Digest of the labelled answers."""
    counts: LabelCounts
    n_unjudged: Annotated[int, Field(ge=0)] = 0
    """Labelled answers the judge gave no verdict on."""
    n_by_model: dict[str, int] = Field(default_factory=dict)
    """Labelled answers a model; `""` is answers of nobody in particular."""
