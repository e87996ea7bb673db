"""Drift: the use case behind `evalkit drift`. It reads the store and writes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.api.project import opened_store
from evalkit.errors import ExitCode
from evalkit.pipeline.drift import MAX_NIGHTS, Drifts, find_drifts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evalkit.domain.project import Project

__all__ = ["drift", "drift_exit_code"]


def drift(
    project: Project, *, suites: Sequence[str] = (), model_ids: Sequence[str] = (), max_nights: int = MAX_NIGHTS
) -> Drifts:
    """Return what the charts over the stored nights say.

    Args:
        project: what was loaded.
        suites: only these; none are all.
        model_ids: only these; none are all.
        max_nights: runs to read, newest first.

    Raises:
        InputError: when a suite or model does not exist, or the store cannot be used.
    """
    with opened_store(project) as store:
        return find_drifts(project, store, suites=suites, model_ids=model_ids, max_nights=max_nights)


def drift_exit_code(found: Drifts) -> int:
    """Return 1 for a drift to the worse, 3 when no chart could be judged, else 0."""
    if found.in_state("worse"):
        return ExitCode.WORSE
    return ExitCode.OK if found.in_state("better", "steady") else ExitCode.UNDECIDED
