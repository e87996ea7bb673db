"""A budget below the plan: refused, or spent on whole (task, model) pairs, the most needed first.

Spread over everything it would measure nothing to the end, and a measurement that is not complete decides nothing.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

from evalkit.errors import InputError, Place
from evalkit.pipeline.decide import decide
from evalkit.pipeline.record import StopReason, open_session
from evalkit.pipeline.threads import run_to_end

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evalkit.domain.call import Plan
    from evalkit.domain.project import Project
    from evalkit.domain.run import Run
    from evalkit.domain.verdict import Verdict
    from evalkit.pipeline.record import Recorder, Recording
    from evalkit.ports import Store

__all__ = ["is_short_of_money", "record_pairs", "refuse_short"]

_Pair = tuple[str, str]


def is_short_of_money(project: Project, planned: Plan, *, held: int, spent_usd: float) -> bool:
    """Whether the budget is below what the run will have cost at list prices; what has no price is left out.

    Args:
        project: its limits.
        planned: every call.
        held: how many of them are answered already.
        spent_usd: what they cost.
    """
    budget = project.config.limits.budget_usd
    if budget is None or project.config.gateway.recordings is not None:
        return False
    to_do = 1 - held / max(planned.n_calls, 1)
    return spent_usd + _expected_usd(planned) * to_do > budget


def refuse_short(project: Project, planned: Plan) -> None:
    """Refuse to spend a budget on what it cannot pay.

    Raises:
        InputError: always, with what the plan is expected to cost.
    """
    budget = project.config.limits.budget_usd
    raise InputError(
        f"the budget of USD {budget:g} is below the USD {_expected_usd(planned):.4f} the plan is expected to cost",
        place=Place(pointer="/limits/budget_usd"),
        next_step="raise it, choose fewer suites or models, or spend it on whole pairs with --allow-partial",
    )


def _expected_usd(planned: Plan) -> float:
    return math.fsum((one.usd_expected or 0.0) + (one.direct_usd_expected or 0.0) for one in planned.cells)


async def record_pairs(project: Project, planned: Plan, run: Run, *, store: Store, recorder: Recorder) -> Recording:
    """Send task × model after task × model until the money is spent: pins, incumbents, soonest to expire, the rest.

    Raises:
        StoreError: when the store cannot take an outcome.
    """
    found = await run_to_end(partial(decide, project, store))
    task_of = {one.cell.suite: one.cell.task for one in planned.cells}
    async with open_session(planned, run.run_id, recorder=recorder) as session:
        for pair in _in_order(project, planned, found.verdicts):
            await session.send(lambda call, pair=pair: (task_of[call.suite], call.model_id) == pair)  # type: ignore[misc]
            if session.recording.stopped_by & {StopReason.BUDGET, StopReason.DEADLINE}:
                break
    return session.recording


def _in_order(project: Project, planned: Plan, verdicts: tuple[Verdict, ...]) -> Iterator[_Pair]:
    expires = {(one.task, one.model_id): one.valid_until or math.inf for one in verdicts}
    pairs = [*dict.fromkeys((one.cell.task, one.cell.model_id) for one in planned.cells)]

    def need(pair: _Pair) -> tuple[bool, bool, float]:
        policy = project.policy.tasks[pair[0]]
        return pair[1] != policy.pin, pair[1] != policy.incumbent, expires.get(pair, math.inf)

    yield from sorted(pairs, key=need)
