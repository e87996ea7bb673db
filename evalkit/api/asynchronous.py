"""The same use cases for callers that have an event loop of their own: the work runs in a thread, nothing blocks."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from evalkit.api.deciding import compare, decide, score

if TYPE_CHECKING:
    from evalkit.api.deciding import Comparing
    from evalkit.domain.project import Project
    from evalkit.pipeline.decide import Decision

__all__ = ["acompare", "adecide", "ascore"]


async def ascore(project: Project, run_id: str | None = None) -> dict[str, int]:
    """See `evalkit.api.deciding.score`."""
    return await asyncio.to_thread(score, project, run_id)


async def adecide(project: Project, *, as_of: float | None = None) -> Decision:
    """See `evalkit.api.deciding.decide`."""
    return await asyncio.to_thread(decide, project, as_of=as_of)


async def acompare(project: Project, run_id: str | None = None, baseline_id: str | None = None) -> Comparing:
    """See `evalkit.api.deciding.compare`."""
    return await asyncio.to_thread(compare, project, run_id, baseline_id)
