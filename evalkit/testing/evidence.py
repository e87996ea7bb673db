"""Whole projects and whole nights of synthetic answers, so that a test of decisions says only what is special."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.domain.outcome import (
    CACHED,
    MISSING,
    QUALITY_ZERO,
    Attempt,
    Cost,
    Identity,
    IdentityClass,
    Kind,
    Outcome,
    Timings,
    Usage,
)
from evalkit.domain.policy import Policy
from evalkit.domain.project import Project, ProjectConfig
from evalkit.domain.roster import Model, Roster
from evalkit.domain.run import Cell, Run, RunStatus
from evalkit.domain.score import Score, Scored, Unscored
from evalkit.domain.suite import Case, Suite
from evalkit.pipeline.entry import entry_digest
from evalkit.pipeline.evidence import Measurement, Unit
from evalkit.pipeline.instruments import graded_by, instruments_of
from evalkit.pipeline.plan import mode_for
from evalkit.pipeline.score import Grader
from evalkit.testing.builders import STARTED_AT, a_call_key, a_model, a_suite

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from evalkit.domain.policy import Waiver
    from evalkit.ports import Store

__all__ = [
    "DAY_S",
    "Answer",
    "Answers",
    "a_measurement",
    "a_project",
    "a_unit",
    "answers_failing",
    "answers_missing",
    "store_night",
]

DAY_S = 86_400.0
_STEP_S = 0.5
"""Between the starts of two calls of a night."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one call came back as; by default it is right in every respect."""

    kind: Kind = Kind.OK
    flags: tuple[str, ...] = ()
    scores: Mapping[str, float | None] = field(default_factory=dict)
    """Metrics that are not 1; None is unscored. Only for kind `ok`."""
    latency_s: float | None = 0.25
    direct_s: float | None = None
    """Of the same request sent straight to a baseline gateway."""
    cost_usd: float | None = 0.001
    direct_usd: float | None = 0.0
    output_tokens: int | None = 5
    identity_class: IdentityClass = IdentityClass.SELF_REPORTED
    served_model: str | None = None
    """None is the model's own id."""


Answers = Callable[[Suite, Model, Case], Answer | None]
"""How a model answers a case, at every trial; None is a call that was never sent."""


def answers_failing(n: int, *, first: int = 0, metric: str = "exact", **fields: Any) -> Answers:
    """Return answers of which those to the n cases from `first` on, in file order, get 0; `fields` are of `Answer`."""

    def answer(suite: Suite, _model: Model, case: Case) -> Answer:
        is_wrong = first <= suite.active_cases.index(case) < first + n
        return Answer(scores={metric: 0.0 if is_wrong else 1.0}, **fields)

    return answer


def answers_missing(n: int, *, kind: Kind = Kind.PROVIDER_ERROR, then: Answers) -> Answers:
    """Return answers of which those to the first n cases, in file order, are missing."""

    def answer(suite: Suite, model: Model, case: Case) -> Answer | None:
        if suite.active_cases.index(case) < n:
            return Answer(kind=kind)
        return then(suite, model, case)

    return answer


def a_project(
    suites: Sequence[Suite] = (),
    *,
    models: Sequence[Model] = (),
    tasks: Mapping[str, Any] | None = None,
    defaults: Mapping[str, Any] | None = None,
    waivers: Sequence[Waiver] = (),
    **config: Any,
) -> Project:
    """Return a project of one suite and one model unless told otherwise; every suite's task is in the policy.

    `tasks` and `defaults` are as in a policy file, `config` as in a project file. Nothing is checked as loading would.
    """
    suites = tuple(suites) or (a_suite(),)
    models = tuple(models) or (a_model(),)
    named = {suite.task: {} for suite in suites} | dict(tasks or {})
    policy = {"version": 1, "defaults": dict(defaults or {}), "tasks": named}
    settings = {"version": 1, "name": "demo", "environment": "test", "gateway": {"kind": "openai"}}
    return Project(
        root=Path("demo"),
        config=ProjectConfig.model_validate(settings | config),
        roster=Roster(version=1, models=models),
        policy=Policy.model_validate(policy),
        suites=suites,
        waivers=tuple(waivers),
    )


def store_night(
    store: Store,
    project: Project,
    answers: Answers,
    *,
    run_id: str = "night-1",
    started_at: float = STARTED_AT,
    **fields: Any,
) -> Run:
    """Keep a finished, graded run of every suite × model of the project, and return it; `fields` are those of `Run`."""
    planned = [
        (suite, model, cell)
        for suite in project.suites
        for model in project.roster.models
        if (cell := _cell(suite, model)) is not None
    ]
    defaults: dict[str, Any] = {
        "project": project.name,
        "environment": project.config.environment,
        "plan_digest": f"sha256:{64 * '0'}",
        "status": RunStatus.FINISHED,
        "started_at": started_at,
        "finished_at": started_at + 3600,
        "gateway_kind": project.config.gateway.kind,
        "is_simulated": project.config.gateway.kind == "simulator",
        "cells": tuple(cell for _, _, cell in planned),
        "suite_digests": tuple(
            (suite.name, graded_by(suite, instruments_of(project, suite))) for suite in project.suites
        ),
    }
    run = Run(run_id=run_id, **(defaults | fields))
    store.open_run(run)
    outcomes: list[Outcome] = []
    scored: list[Scored] = []
    for suite, model, _ in planned:
        metrics = Grader(suite, project_scorers=project.config.scorers, judges=project.judges).metrics
        for outcome, answer in _outcomes(suite, model, answers, started_at=started_at):
            outcomes.append(outcome)
            if scores := _scores(answer, metrics):
                scored.append(Scored(call_key=outcome.call_key, scores=scores))
    store.append(run.run_id, outcomes, scored)
    return run


def _cell(suite: Suite, model: Model) -> Cell | None:
    mode = mode_for(suite, model)
    if mode is None:
        return None
    return Cell(
        suite=suite.name,
        task=suite.task,
        model_id=model.id,
        model_digest=entry_digest(suite, model, is_whole=True),
        prompts_digest=suite.prompts_digest,
        mode=mode,
        n_planned=len(suite.active_cases) * suite.trials,
    )


def _outcomes(suite: Suite, model: Model, answers: Answers, *, started_at: float) -> Iterator[tuple[Outcome, Answer]]:
    mode = mode_for(suite, model) or "text"
    sequence = 0
    for case in suite.active_cases:
        for trial in range(suite.trials):
            answer = answers(suite, model, case)
            if answer is None:
                continue
            sequence += 1
            identity = Identity(
                identity_class=answer.identity_class, served_model=answer.served_model or model.id, provider="test"
            )
            usage = Usage(completion_tokens=answer.output_tokens)
            yield (
                Outcome(
                    call_key=a_call_key(suite.name, case.id, model.id, trial),
                    suite=suite.name,
                    case_id=case.id,
                    cluster_id=case.cluster_id,
                    model_id=model.id,
                    trial=trial,
                    sequence=sequence,
                    mode=mode,
                    kind=answer.kind,
                    flags=answer.flags,
                    attempts=(Attempt(kind=answer.kind, cost_usd=answer.cost_usd),),
                    usage=usage,
                    cost=Cost(
                        usd=answer.cost_usd,
                        source="unknown" if answer.cost_usd is None else "gateway",
                        direct_usd=answer.direct_usd,
                    ),
                    timings=Timings(
                        started_at=started_at + _STEP_S * sequence,
                        latency_s=answer.latency_s,
                        direct_s=answer.direct_s,
                    ),
                    identity=identity,
                ),
                answer,
            )


def _scores(answer: Answer, metrics: Sequence[str]) -> tuple[Score | Unscored, ...]:
    if answer.kind in MISSING or CACHED in answer.flags:
        return ()
    if answer.kind in QUALITY_ZERO:
        return tuple(Score(metric, 0.0) for metric in metrics)
    values = {metric: answer.scores.get(metric, 1.0) for metric in metrics}
    return tuple(
        Unscored(metric, "unparsed") if value is None else Score(metric, value) for metric, value in values.items()
    )


def a_unit(case_id: str = "case-1", **fields: Any) -> Unit:
    """Return a call that was answered and given full marks; `fields` are those of `Unit`, `exact` is its score."""
    score = fields.pop("exact", 1.0)
    kind = fields.get("kind", Kind.OK)
    defaults: dict[str, Any] = {
        "cluster_id": case_id,
        "trial": 0,
        "sequence": 0,
        "mode": "text",
        "kind": Kind.OK,
        "is_missing": kind in MISSING,
        "started_at": STARTED_AT + fields.get("sequence", 0) * _STEP_S,
        "latency_s": 0.25,
        "ttft_s": None,
        "direct_s": None,
        "output_tokens": 5,
        "cost_usd": 0.001,
        "direct_usd": 0.0,
        "identity_class": IdentityClass.SELF_REPORTED,
        "served_model": "gpt-4o",
        "scores": {} if kind in MISSING else {"exact": score},
    }
    return Unit(case_id=case_id, **(defaults | fields))


def a_measurement(units: Sequence[Unit], *, suite: Suite | None = None, **cell: Any) -> Measurement:
    """Return what a finished run holds of one suite × model; `cell` are fields of its `Cell`."""
    of = suite or a_suite()
    defaults: dict[str, Any] = {
        "suite": of.name,
        "task": of.task,
        "model_id": "gpt-4o",
        "model_digest": "sha256:m",
        "prompts_digest": of.prompts_digest,
        "mode": "text",
        "n_planned": len(units),
    }
    run = Run(
        run_id="run-1",
        project="demo",
        environment="test",
        plan_digest="sha256:p",
        status=RunStatus.FINISHED,
        started_at=STARTED_AT,
        finished_at=STARTED_AT + 3600,
    )
    return Measurement(run=run, cell=Cell(**(defaults | cell)), units=list(units))
