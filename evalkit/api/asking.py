"""Asking what scorers need answered: at the end of a run, or later, for what is still missing."""

from __future__ import annotations

from contextlib import AsyncExitStack, ExitStack
from functools import partial
from typing import TYPE_CHECKING

from evalkit.api.gateways import build_gateway
from evalkit.api.loop import run_until_stopped
from evalkit.api.measuring import RunOptions, recorder_of
from evalkit.api.project import chosen_run, leased, opened_store
from evalkit.api.reaching import next_step_after
from evalkit.errors import GatewayUnusableError, InputError
from evalkit.pipeline.ask import asking_graders, plan_questions, record_questions
from evalkit.pipeline.record import Recording
from evalkit.pipeline.rescore import score_run
from evalkit.pipeline.threads import run_to_end

if TYPE_CHECKING:
    from evalkit.domain.project import Project
    from evalkit.domain.run import Run

__all__ = ["ask_and_score", "refuse_silent_judges"]


def ask_and_score(
    project: Project, run_id: str | None = None, options: RunOptions | None = None
) -> tuple[Recording, dict[str, int]]:
    """Ask what a run's scorers still need, then grade its answers; what was done, and the number graded per suite.

    Raises:
        InputError: when there is no such run, no scorer asks anybody, or another gateway answered that run.
        GatewayUnusableError: when not one judge could be reached.
    """
    return run_until_stopped(_ask_and_score(project, run_id, options or RunOptions()))


async def _ask_and_score(project: Project, run_id: str | None, options: RunOptions) -> tuple[Recording, dict[str, int]]:
    with ExitStack() as stack:
        store = stack.enter_context(opened_store(project))
        run = chosen_run(project, store, run_id)
        if not asking_graders(project):
            raise InputError("no scorer of this project asks anybody", next_step="evalkit score, without --ask")
        _refuse_other_gateway(project, run)
        stack.enter_context(leased(project, store, "run", holder=f"score --ask of {run.run_id}"))
        plan = await run_to_end(partial(plan_questions, store, run, project))
        recording = Recording()
        if plan.n_calls:
            async with AsyncExitStack() as opened:
                gateway = await opened.enter_async_context(build_gateway(project))
                options.started(plan, run, 0)
                recorder = recorder_of(project, options, store=store, gateway=gateway)
                recording = await record_questions(plan, run, recorder=recorder, project=project, store=store)
            # Asking later does not finish a run that was stopped, nor make its evidence any newer.
            kept = partial(store.set_status, run.run_id, run.status, finished_at=run.finished_at, note=run.note)
            await run_to_end(kept)
        graded = await run_to_end(partial(score_run, store, store.run(run.run_id), project))
        refuse_silent_judges(project, recording)
        return recording, graded


def _refuse_other_gateway(project: Project, run: Run) -> None:
    """What was measured through one gateway is not judged through another; imported answers were never measured."""
    kind = project.config.gateway.kind
    is_imported = run.gateway_kind == "replay" and kind != "simulator"
    if run.gateway_kind != kind and not is_imported:
        problem = f"run {run.run_id} was answered through {run.gateway_kind!r}, the project asks {kind!r}"
        raise InputError(problem, next_step="ask through the gateway that was measured")


def refuse_silent_judges(project: Project, recording: Recording) -> None:
    """Say that not one judge could be reached.

    Raises:
        GatewayUnusableError: when that is so.
    """
    if recording.found_nobody:
        kinds = ", ".join(sorted(set(recording.last_missing.values())))
        step = next_step_after(project, next(iter(recording.last_missing.values())))
        raise GatewayUnusableError(f"no judge answered a single call ({kinds})\n  next: {step}, then ask again")
