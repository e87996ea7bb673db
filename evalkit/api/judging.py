"""Judge check: a judge held against answers that people have judged, before any of its metrics may gate."""

from __future__ import annotations

from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from evalkit.api.asking import refuse_silent_judges
from evalkit.api.gateways import build_gateway
from evalkit.api.loop import run_until_stopped
from evalkit.api.measuring import RunOptions, recorder_of
from evalkit.api.project import CLOCK, LEASE_S, evalkit_version, opened_store
from evalkit.api.writing import write_file
from evalkit.canonical import canonical_json, digest_of
from evalkit.domain.judging import MIN_LABELS
from evalkit.domain.run import Run, RunStatus
from evalkit.errors import ExitCode, InputError, NotFoundError
from evalkit.loading.qualifications import load_labels, qualification_name
from evalkit.pipeline.ask import plan_of, record_questions
from evalkit.pipeline.instruments import instruments_of
from evalkit.pipeline.judged_gates import shortfall_of
from evalkit.pipeline.qualify import Held, held_against, only_metric, question_keys, questions_of
from evalkit.pipeline.record import Recording
from evalkit.pipeline.score import Grader
from evalkit.pipeline.threads import run_to_end
from evalkit.stats.judged import agreement_of

if TYPE_CHECKING:
    from pathlib import Path

    from evalkit.domain.judging import Instrument, Labels, Qualification
    from evalkit.domain.project import Project
    from evalkit.domain.suite import Suite
    from evalkit.ports import Store
    from evalkit.stats.judged import Agreement

__all__ = ["JudgeChecked", "check_exit_code", "check_judge"]
_AUDIENCE = "judge-check"


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeChecked:
    """How a judge did on labelled answers, and the file that says so."""

    suite: str
    metric: str
    judges: tuple[str, ...]
    path: Path
    shortfall: str
    """Why it may not gate; empty when it may."""
    agreement: Agreement
    by_model: tuple[tuple[str, Agreement], ...]
    """Model id (`""`: nobody in particular) to agreement on its answers alone."""
    kappa_of_panel: float | None
    """Fleiss' kappa of the judges among themselves; None for one judge."""
    n_unjudged: int
    recording: Recording
    is_simulated: bool
    qualification: Qualification = field(repr=False)


def check_judge(
    project: Project, suite_name: str, labels: Path, *, metric: str | None = None, options: RunOptions | None = None
) -> JudgeChecked:
    """Ask a judge about every labelled answer, write how it did, and return that.

    What was asked before, of the same judge with the same words, is not paid for again.

    Args:
        project: what was loaded.
        suite_name: the suite whose judge is checked; its cases are what the labels are about.
        labels: a JSON Lines file.
        metric: needed when the suite has several judge metrics.
        options: who watches.

    Raises:
        InputError: for an unknown suite, one without a judge, a metric that is no yes or no, or labels that are wrong.
        GatewayUnusableError: when not one judge could be reached.
    """
    suite = project.suite_by_name.get(suite_name)
    if suite is None:
        known = ", ".join(project.suite_by_name)
        raise NotFoundError(f"no suite is named {suite_name!r}", next_step=f"one of: {known}")
    chosen = _chosen_metric(project, suite, metric)
    instrument = instruments_of(project, suite)[chosen]
    if not instrument.is_yes_or_no:
        problem = f"{chosen!r} of {suite.name!r} is a share, and people confirm a yes or no"
        raise InputError(problem, next_step="give the scorer pass_at, from which value on an answer passes")
    checking = _Checking(
        project=project,
        suite=suite,
        metric=chosen,
        instrument=instrument,
        labels=load_labels(labels, suite),
        options=options or RunOptions(),
    )
    return run_until_stopped(checking.check())


def check_exit_code(checked: JudgeChecked) -> int:
    """Return 0 for a judge that may gate, 1 for one no better than a coin, 3 for too few labels or verdicts."""
    if not checked.shortfall:
        return ExitCode.OK
    is_thin = checked.agreement.informs or checked.agreement.n < MIN_LABELS
    return ExitCode.UNDECIDED if is_thin else ExitCode.WORSE


def _chosen_metric(project: Project, suite: Suite, metric: str | None) -> str:
    opinions = [name for name, one in instruments_of(project, suite).items() if one.is_opinion]
    if not opinions:
        step = "add rubric, pairwise or groundedness to its scorers"
        raise InputError(f"no scorer of {suite.name!r} asks a judge", next_step=step)
    if metric is None and len(opinions) > 1:
        raise InputError(
            f"{suite.name!r} has several judge metrics", next_step=f"--metric, one of: {', '.join(opinions)}"
        )
    if metric is not None and metric not in opinions:
        raise NotFoundError(
            f"{metric!r} is no judge metric of {suite.name!r}", next_step=f"one of: {', '.join(opinions)}"
        )
    return metric if metric is not None else opinions[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Checking:
    """One check."""

    project: Project
    suite: Suite
    metric: str
    instrument: Instrument
    labels: Labels
    options: RunOptions

    async def check(self) -> JudgeChecked:
        grader = Grader(
            only_metric(self.suite, self.metric, project=self.project),
            project_scorers=self.project.config.scorers,
            judges=self.project.judges,
        )
        with ExitStack() as stack:
            store = stack.enter_context(opened_store(self.project))
            name = f"judge-check:{self.project.name}:{self.suite.name}"
            stack.enter_context(store.lease(name, holder="judge check", ttl_s=LEASE_S))
            run = self._opened_run(store)
            recording = await self._ask(store, run, grader)
            refuse_silent_judges(self.project, recording)
            held = await run_to_end(partial(self._held, store, run, grader))
        qualification = held.qualification
        path = self.project.root / qualification_name(self.suite.name, self.metric)
        write_file(path, canonical_json(qualification.model_dump()) + b"\n")
        return JudgeChecked(
            suite=self.suite.name,
            metric=self.metric,
            judges=self.instrument.model_ids,
            path=path,
            shortfall=shortfall_of(qualification),
            agreement=agreement_of(qualification.counts),
            by_model=tuple((model_id, agreement_of(counts)) for model_id, counts in held.by_model),
            kappa_of_panel=held.kappa_of_panel,
            n_unjudged=qualification.n_unjudged,
            recording=recording,
            is_simulated=run.is_simulated,
            qualification=qualification,
        )

    def _opened_run(self, store: Store) -> Run:
        """Return the run that keeps what was asked: the same one for the same labels and the same instrument.

        It stands under an audience of its own, where no report, comparison or decision looks.
        """
        kind = self.project.config.gateway.kind
        digest = digest_of([self.suite.name, self.metric, self.instrument.digest, self.labels.digest, kind])
        run = Run(
            run_id=f"judge-{digest[7:19]}",
            project=self.project.name,
            environment=f"{self.project.config.environment}+{_AUDIENCE}",
            plan_digest=digest,
            status=RunStatus.RUNNING,
            started_at=CLOCK.now(),
            is_simulated=kind == "simulator",
            gateway_kind=kind,
            evalkit_version=evalkit_version(),
        )
        store.open_run(run)
        return run

    async def _ask(self, store: Store, run: Run, grader: Grader) -> Recording:
        held = await run_to_end(partial(store.held_keys, run.run_id, is_asked=True))
        questions = questions_of(self.suite, self.labels, grader=grader, held=held)
        plan = plan_of(questions, run)
        if not plan.n_calls:
            return Recording()
        async with AsyncExitStack() as opened:
            gateway = await opened.enter_async_context(build_gateway(self.project))
            self.options.started(plan, run, 0)
            recorder = recorder_of(self.project, self.options, store=store, gateway=gateway)
            return await record_questions(plan, run, recorder=recorder, project=self.project, store=store)

    def _held(self, store: Store, run: Run, grader: Grader) -> Held:
        replies = store.replies(run.run_id, question_keys(self.suite, self.labels, grader=grader))
        return held_against(
            self.suite,
            self.labels,
            grader=grader,
            replies=replies,
            metric=self.metric,
            instrument=self.instrument,
            gateway_kind=run.gateway_kind,
        )
