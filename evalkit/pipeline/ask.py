"""Ask: what scorers need answered before they can score, planned from outcomes and recorded like any other call.

The same machinery sends and keeps it: retries, breaker, budget, every attempt, a key that nothing is paid for twice.
Only what it is for differs, and the store keeps that apart: a judge's call is no trial of anybody, measures no latency
and says nothing of any candidate's availability.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from evalkit.domain.call import Plan, PlannedCell
from evalkit.domain.outcome import Kind, Outcome, Reading, Turn
from evalkit.domain.roster import Roster
from evalkit.domain.run import Cell, RunStatus
from evalkit.pipeline.instruments import instruments_of
from evalkit.pipeline.record import Recording, record
from evalkit.pipeline.score import Grader
from evalkit.pipeline.script import CHARACTERS_PER_TOKEN
from evalkit.pipeline.spending import most_usd
from evalkit.pipeline.threads import run_to_end

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evalkit.domain.call import Call
    from evalkit.domain.project import Project
    from evalkit.domain.roster import Model
    from evalkit.domain.run import Run
    from evalkit.pipeline.record import Recorder
    from evalkit.ports import Store

__all__ = ["Questions", "asking_graders", "plan_questions", "questions_at_most", "record_questions"]

_BATCH = 1000
_EXPECTED_SHARE = 0.5
"""Of the output cap, as `evalkit plan` expects it of candidates too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """What one judge will be asked about one suite, at the most."""

    suite: str
    judge_id: str
    n_calls: int
    prompt_tokens: int
    """Estimated, with every answer at its full length."""
    max_output_tokens: int
    usd_expected: float | None
    """From list prices, with half of every output cap; None when the price is unknown."""
    usd_at_most: float | None


def asking_graders(project: Project) -> dict[str, Grader]:
    """Return by suite the graders that have something to ask; a suite whose scorers ask nobody is left out."""
    return {
        suite.name: Grader(suite, project_scorers=project.config.scorers, judges=project.judges)
        for suite in project.suites
        if instruments_of(project, suite)
    }


def questions_at_most(project: Project, planned: Plan) -> tuple[Questions, ...]:
    """Return what a plan can lead to: every call answered, and every answer as long as it may be."""
    graders = asking_graders(project)
    calls: dict[tuple[str, str], list[Call]] = {}
    for model_id in planned.model_ids if graders else ():
        for call in planned.calls_of(model_id):
            if call.suite in graders:
                for asked in graders[call.suite].ask(_longest_answer(call)):
                    calls.setdefault((call.suite, asked.model_id), []).append(asked)
    known = project.roster.judge_by_id
    return tuple(_questions(suite, known[judge_id], mine) for (suite, judge_id), mine in calls.items())


def plan_questions(store: Store, run: Run, project: Project) -> Plan:
    """Return the calls that scorers need for the answers a run holds, without those whose replies it holds too.

    Blocks: call it off the event loop. Answers to prompts that have changed since are not asked about.
    """
    graders = asking_graders(project)
    held = store.held_keys(run.run_id, is_asked=True) if graders else set()
    asked_with = {cell.suite: cell.prompts_digest for cell in run.cells}
    by_judge: dict[str, dict[str, Call]] = {}
    for suite in project.suites:
        grader = graders.get(suite.name)
        if grader is None or asked_with.get(suite.name) != suite.prompts_digest:
            continue
        outcomes = store.outcomes(run.run_id, suite=suite.name)
        while batch := list(islice(outcomes, _BATCH)):
            for call in _questions_about(batch, grader):
                if call.key not in held:
                    by_judge.setdefault(call.model_id, {}).setdefault(call.key, call)
    return plan_of(by_judge, run)


def plan_of(by_judge: dict[str, dict[str, Call]], run: Run) -> Plan:
    """Return a plan of calls that are known one by one."""
    cells = tuple(_cell(judge_id, len(calls)) for judge_id, calls in by_judge.items())
    return Plan(
        digest=run.plan_digest,
        seed=run.seed,
        cells=cells,
        unsupported=(),
        calls_of=lambda judge_id: iter(by_judge[judge_id].values()),
    )


async def record_questions(plan: Plan, run: Run, *, recorder: Recorder, project: Project, store: Store) -> Recording:
    """Send the questions and keep the replies; the run is finished then, and says so.

    Raises:
        StoreError: when the store cannot take an outcome.
    """
    if not plan.n_calls:
        status = partial(store.set_status, run.run_id, RunStatus.FINISHED, note=run.note)
        await run_to_end(partial(status, finished_at=recorder.clock.now()))
        return Recording()
    judges = Roster(version=1, models=project.roster.judges)
    # Whatever a suite keeps of its own answers, a verdict is scored later: it stays whole.
    asking = replace(
        recorder,
        roster=judges,
        prepare=lambda outcome: (outcome, None),
        baseline=None,
        is_asking=True,
        is_followed=False,
    )
    recording = await record(plan, run.run_id, recorder=asking)
    if run.note:
        ended = await run_to_end(partial(store.run, run.run_id))
        note = ", ".join(dict.fromkeys(part for part in (run.note, ended.note) if part))
        again = partial(store.set_status, run.run_id, ended.status, finished_at=ended.finished_at, note=note)
        await run_to_end(again)
    return recording


def _questions_about(batch: list[Outcome], grader: Grader) -> Iterator[Call]:
    for outcome in batch:
        if grader.knows(outcome.case_id):
            yield from grader.ask(outcome)


def _cell(judge_id: str, n_calls: int) -> PlannedCell:
    cell = Cell(
        suite="",
        task="",
        model_id=judge_id,
        model_digest="",
        prompts_digest="",
        mode="",
        n_planned=n_calls,
    )
    return PlannedCell(
        cell=cell, n_clusters=0, prompt_tokens=0, max_output_tokens=0, usd_expected=None, usd_at_most=None
    )


def _longest_answer(call: Call) -> Outcome:
    """Return an answer that fills its limit: no judge will be shown more."""
    text = "a" * (call.parameters.max_output_tokens * CHARACTERS_PER_TOKEN)
    return Outcome(
        call_key=call.key,
        suite=call.suite,
        case_id=call.case_id,
        cluster_id=call.cluster_id,
        model_id=call.model_id,
        trial=call.trial,
        sequence=call.sequence,
        mode=call.parameters.mode,
        kind=Kind.OK,
        turns=(Turn(reading=Reading(kind=Kind.OK, text=text)),),
    )


def _questions(suite: str, judge: Model, calls: list[Call]) -> Questions:
    price = judge.price
    prompt = sum(call.script.n_prompt_tokens for call in calls)
    output = sum(call.parameters.max_output_tokens for call in calls)
    expected = most = None
    if price is not None:
        written = output * _EXPECTED_SHARE * price.output_usd_per_mtok
        expected = (prompt * price.input_usd_per_mtok + written) / 1e6
        most = sum(most_usd(call, price) for call in calls)
    return Questions(
        suite=suite,
        judge_id=judge.id,
        n_calls=len(calls),
        prompt_tokens=prompt,
        max_output_tokens=output,
        usd_expected=expected,
        usd_at_most=most,
    )
