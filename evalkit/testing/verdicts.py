"""A small project whose verdict is easy to foretell: one suite of a hundred cases, gated at .9."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evalkit.pipeline.decide import decide
from evalkit.testing.builders import STARTED_AT, a_case, a_suite
from evalkit.testing.evidence import DAY_S, a_project, answers_failing

if TYPE_CHECKING:
    from evalkit.domain.project import Project
    from evalkit.domain.suite import Case, Suite
    from evalkit.domain.verdict import ReasonCode, Verdict
    from evalkit.ports import RunReader

__all__ = ["BAD", "GOOD", "NIGHT_2", "POOR", "N", "a_demo", "a_gated_suite", "cases", "codes", "verdict_of"]

N = 100
"""Cases of the suite."""
NIGHT_2 = STARTED_AT + DAY_S

GOOD, POOR, BAD = answers_failing(0), answers_failing(8), answers_failing(40)
"""Answers that make a model eligible, undecided and ineligible."""


def cases(n: int = N, **fields: Any) -> tuple[Case, ...]:
    """Return so many plain cases."""
    return tuple(a_case(f"c{index}", **fields) for index in range(n))


def a_gated_suite(name: str = "qa", **fields: Any) -> Suite:
    """Return a suite of a hundred cases, gated on its score at .9."""
    gates = [{"metric": "exact", "at_least": 0.9}]
    return a_suite(name, **({"cases": cases(), "gates": gates} | fields))


def a_demo(*suites: Suite, **fields: Any) -> Project:
    """Return a project whose one suite is gated at .9."""
    return a_project(suites or (a_gated_suite(),), **fields)


def verdict_of(
    project: Project, store: RunReader, *, model_id: str = "gpt-4o", task: str = "qa", as_of: float | None = None
) -> Verdict:
    """Return the verdict of one task and model."""
    found = decide(project, store, as_of=as_of)
    return next(one for one in found.verdicts if (one.task, one.model_id) == (task, model_id))


def codes(verdict: Verdict) -> list[ReasonCode]:
    """Return the reason codes, in order."""
    return [reason.code for reason in verdict.reasons]
