"""Plan and run: the use cases that spend money."""

from __future__ import annotations

from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, cast

from evalkit.api.gateways import build_baseline, build_gateway, pause_scale
from evalkit.api.looking import Savings, cells_of_new_run, measure_in_looks
from evalkit.api.loop import run_until_stopped
from evalkit.api.partial import is_short_of_money, record_pairs, refuse_short
from evalkit.api.project import CLOCK, chosen_run, evalkit_version, leased, opened_store
from evalkit.api.reaching import check_identity, refuse_dead_gateway
from evalkit.canonical import sha256_hex, timestamp
from evalkit.domain.policy import seconds_of
from evalkit.domain.run import STREAM, Run, RunStatus, plain_name
from evalkit.errors import InputError
from evalkit.pipeline.ablation import ablation_of
from evalkit.pipeline.ask import asking_graders, plan_questions, record_questions
from evalkit.pipeline.decide import Decision, decide
from evalkit.pipeline.evidence import failed_triples
from evalkit.pipeline.pacing import RetryPolicy
from evalkit.pipeline.payload import keep_payload
from evalkit.pipeline.plan import Selection
from evalkit.pipeline.plan import plan as make_plan
from evalkit.pipeline.ranking import ranking_of
from evalkit.pipeline.record import Progress, Recorder, Recording, StopReason, record
from evalkit.pipeline.rescore import score_run
from evalkit.pipeline.score import Grader
from evalkit.pipeline.sharding import shard_of
from evalkit.pipeline.threads import run_to_end
from evalkit.pipeline.variants import with_variants

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from evalkit.domain.call import Plan
    from evalkit.domain.outcome import Outcome
    from evalkit.domain.project import Project
    from evalkit.domain.report import ModeResult, Rank
    from evalkit.domain.score import Scored
    from evalkit.pipeline.sharding import Shard
    from evalkit.plugins import Gateway
    from evalkit.ports import Store

__all__ = [
    "Measured",
    "RunOptions",
    "RunResult",
    "arun",
    "leased_store",
    "measure",
    "new_run",
    "plan",
    "recorder_of",
    "run",
    "with_failed_from",
]

_CUT = {StopReason.BUDGET, StopReason.DEADLINE}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How to run."""

    selection: Selection = field(default_factory=Selection)
    seed: int = 0
    """Of the order of calls and of the retry jitter; kept in the run."""
    ablate_modes: bool = False
    """Ask in every mode a model declares as well; only the preferred one decides."""
    is_new: bool = False
    """Start a new run even when an unfinished one could be resumed."""
    asks: bool = True
    """Ask at the end what scorers need; imported answers leave it to `evalkit score --ask`."""
    resume: str | None = None
    """Go on with this run, however old."""
    shard: Shard | None = None
    """Ask for this part only, to be joined with the others by `evalkit merge`."""
    night: str = ""
    """The night whose slot a new run fills; see `evalkit.api.nightly`."""
    allow_partial: bool = False
    """Spend a budget that is below the plan on whole (task, model) pairs, instead of refusing it."""
    observe: Callable[[Progress], None] = field(default=lambda _progress: None)
    """Called for every outcome, on the event loop: return fast."""
    started: Callable[[Plan, Run, int], None] = field(default=lambda _plan, _run, _held: None)
    """Called before anything is sent, with the number of answers already held; and again before judges are asked."""
    warned: Callable[[str], None] = field(default=lambda _warning: None)
    """Called before anything is sent, with what cannot be decided in the end, as a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """What a run did and what follows from it."""

    run: Run
    plan: Plan
    recording: Recording
    decision: Decision
    asked: Recording | None = None
    """What was asked of judges; None when no scorer asks, or the plan itself was not done."""
    ablation: tuple[ModeResult, ...] = ()
    """Mode by mode; empty without `ablate_modes`."""
    ranking: tuple[Rank, ...] = ()
    """Who would be offered for each task, in order, and why."""
    savings: Savings | None = None
    """What looking early saved; None when everything was asked at once."""

    @property
    def stopped_by(self) -> set[StopReason]:
        """Why the plan, or what its scorers ask, was not done."""
        return self.recording.stopped_by | (self.asked.stopped_by if self.asked is not None else set())

    @property
    def is_cut_short(self) -> bool:
        """Whether budget or deadline ended it before all was done."""
        return bool(self.stopped_by & _CUT)


def plan(project: Project, selection: Selection | None = None, *, seed: int = 0, ablate_modes: bool = False) -> Plan:
    """Return every call a run would make, with tokens and USD per suite × model. Spends nothing."""
    return with_variants(make_plan(project, selection, seed=seed), project, ablate_modes=ablate_modes)


def with_failed_from(project: Project, selection: Selection, *, run_id: str) -> Selection:
    """Return the selection narrowed to the cases on which some model got less than full marks in a run.

    Raises:
        InputError: when there is no such run, or nothing failed in it.
    """
    with opened_store(project) as store:
        found = chosen_run(project, store, run_id)
        failed = failed_triples(store, found)
    if not failed:
        raise InputError(f"nothing failed in run {found.run_id}", next_step="run without --failed-from")
    return replace(selection, only=failed)


def run(project: Project, options: RunOptions | None = None) -> RunResult:
    """Measure and decide: plan, record, score, decide. See `arun`."""
    return run_until_stopped(arun(project, options))


async def arun(project: Project, options: RunOptions | None = None) -> RunResult:
    """Measure and decide. Resumes the newest unfinished run with the same plan, else starts a new one.

    Cancelling keeps every answer that came back; the next call goes on from there.

    Raises:
        InputError: nothing to run, another process is running this project, the budget is below the plan, or the
            gateway cannot prove enough of who answers for any task of the selection.
        GatewayUnusableError: no model could be reached.
    """
    chosen = options or RunOptions()
    planned = plan(project, chosen.selection, seed=chosen.seed, ablate_modes=chosen.ablate_modes)
    if chosen.shard is not None:
        if chosen.selection.is_sequential:
            problem = "a part of a run sees a part of the answers, and cannot tell when all of them are enough"
            raise InputError(problem, next_step="leave out --sequential or --shard")
        planned = shard_of(planned, chosen.shard)
    if not planned.n_calls:
        problem = "the selection leaves nothing to run"
        if planned.unsupported:
            problem += f": {planned.unsupported[0].model_id}: {planned.unsupported[0].detail}"
        raise InputError(problem, next_step="see `evalkit plan`")
    with leased_store(project, planned) as store:
        measured = await measure(project, planned, chosen, store=store)
        decision = await run_to_end(partial(decide, project, store))
        return RunResult(
            run=measured.run,
            plan=planned,
            recording=measured.recording,
            decision=decision,
            asked=measured.asked,
            ranking=ranking_of(project.policy, decision.verdicts),
            savings=measured.savings,
            ablation=await run_to_end(partial(ablation_of, store, measured.run, project.suites)),
        )


@contextmanager
def leased_store(project: Project, planned: Plan) -> Iterator[Store]:
    """Open the project's store for a plan, and keep other processes from running the project meanwhile.

    Raises:
        InputError: another process is running this project.
    """
    with ExitStack() as stack:
        store = stack.enter_context(opened_store(project))
        stack.enter_context(leased(project, store, "run", holder=f"run of {planned.digest[7:19]}"))
        yield store


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A plan that was recorded and graded."""

    run: Run
    """As it ended."""
    recording: Recording
    savings: Savings | None
    """What looking early saved; None when everything was asked at once."""
    asked: Recording | None
    """What was asked of judges; None when no scorer asks, or the plan itself was not done."""


async def measure(project: Project, planned: Plan, options: RunOptions, *, store: Store) -> Measured:
    """Record a plan, in a new run or the unfinished one of the same plan, ask what its scorers need, and grade it.

    Raises:
        InputError: as `arun`.
        GatewayUnusableError: no model could be reached.
    """
    async with AsyncExitStack() as opened:
        gateway = await opened.enter_async_context(build_gateway(project))
        baseline = await opened.enter_async_context(build_baseline(project))
        await check_identity(project, planned, gateway=gateway, warned=options.warned)
        current, is_short, finished = _open_run(project, planned, options, store=store, gateway=gateway)
        options.started(planned, current, len(store.held_keys(current.run_id)))
        asks = options.asks and bool(asking_graders(project))
        recorder = recorder_of(project, options, store=store, gateway=gateway)
        measuring = replace(recorder, baseline=baseline, is_followed=asks)
        began_s = CLOCK.monotonic()
        send = _send_pairs if is_short else _send
        recording, savings = await send(project, planned, current, store=store, recorder=measuring)
        asked = None
        if asks and not recording.found_nobody and not recording.stopped_by & _CUT:
            spent_s = CLOCK.monotonic() - began_s
            asked = await _ask(project, store.run(current.run_id), recorder, options=options, spent_s=spent_s)
    if finished is not None and recording.found_nobody:
        store.open_run(finished)  # what was missing in it still is, and the rest was measured
    else:
        refuse_dead_gateway(project, recording)
    await run_to_end(partial(score_run, store, store.run(current.run_id), project))
    return Measured(run=store.run(current.run_id), recording=recording, savings=savings, asked=asked)


async def _ask(project: Project, run: Run, recorder: Recorder, *, options: RunOptions, spent_s: float) -> Recording:
    """Ask what scorers need, in what is left of the time."""
    store = cast("Store", recorder.ledger)
    plan = await run_to_end(partial(plan_questions, store, run, project))
    if plan.n_calls:
        options.started(plan, run, 0)
    left_s = None if recorder.deadline_s is None else max(0.0, recorder.deadline_s - spent_s)
    asking = replace(recorder, deadline_s=left_s)
    return await record_questions(plan, run, recorder=asking, project=project, store=store)


async def _send_pairs(
    project: Project, planned: Plan, run: Run, *, store: Store, recorder: Recorder
) -> tuple[Recording, None]:
    return await record_pairs(project, planned, run, store=store, recorder=recorder), None


async def _send(
    project: Project, planned: Plan, run: Run, *, store: Store, recorder: Recorder
) -> tuple[Recording, Savings | None]:
    """Send everything at once or, when some of it may be decided early, look by look."""
    if any(cell.looks for cell in run.cells):
        return await measure_in_looks(project, planned, run, store=store, recorder=recorder)
    return await record(planned, run.run_id, recorder=recorder), None


def _open_run(
    project: Project, planned: Plan, options: RunOptions, *, store: Store, gateway: Gateway
) -> tuple[Run, bool, Run | None]:
    """Return the run to write to, open; whether its budget is too small for the plan; the run as it had finished.

    Raises:
        InputError: when the budget is too small and nobody said that a part will do; nothing is opened then.
    """
    found = _run_to_resume(project, planned, options, store=store, gateway=gateway)
    held = 0 if found is None else len(store.held_keys(found.run_id))
    spent_usd = 0.0 if found is None else store.spent_usd(found.run_id)
    # Looks at a known plan stay valid when the money runs out, and need less of it.
    is_looked_at = any(one.cell.looks for one in planned.cells)
    is_short = not is_looked_at and is_short_of_money(project, planned, held=held, spent_usd=spent_usd)
    if is_short and not options.allow_partial:
        refuse_short(project, planned)
    if found is not None:
        current = replace(found, status=RunStatus.RUNNING, finished_at=None, note="")
    else:
        whole = planned.whole or planned
        of = "" if planned.whole is None else planned.whole.digest
        current = replace(
            new_run(project, whole, gateway=gateway, now=CLOCK.now()),
            cells=cells_of_new_run(project, store, whole),
            plan_digest=planned.digest,
            night=options.night,
            shard=planned.shard,
            shard_of=of,
        )
    store.open_run(current)
    return current, is_short, found if found is not None and not found.status.is_resumable else None


def _run_to_resume(
    project: Project, planned: Plan, options: RunOptions, *, store: Store, gateway: Gateway
) -> Run | None:
    """Return the run asked for, or the newest unfinished one of the same plan; None for a new one."""
    now = CLOCK.now()
    if options.resume is not None:
        found = chosen_run(project, store, options.resume)
        if found.plan_digest != planned.digest:
            problem = f"run {found.run_id} was made with other files, another gateway or another selection"
            raise InputError(problem, next_step="give the same suites, roster and flags, or start with --new")
        return found
    if not options.is_new:
        within_s = seconds_of(project.config.limits.resume_within)
        for found in store.runs(project=project.name, environment=project.config.environment):
            is_same = found.plan_digest == planned.digest and found.gateway_kind == gateway.profile.kind
            if is_same and found.status.is_resumable and found.has_texts and now - found.started_at <= within_s:
                return found
    return None


def new_run(project: Project, planned: Plan, *, gateway: Gateway, now: float) -> Run:
    """Return a run of a plan that begins now."""
    stamp = timestamp(now).replace("-", "").replace(":", "").removesuffix("Z")
    unique = sha256_hex(f"{now!r} {planned.digest} {CLOCK.monotonic()!r}".encode())[:6]
    graded_on_arrival = tuple((suite.name, suite.digest) for suite in project.suites if suite.payloads != "full")
    return Run(
        run_id=f"{stamp}-{unique}",
        project=project.name,
        environment=project.config.environment,
        plan_digest=planned.digest,
        status=RunStatus.RUNNING,
        started_at=now,
        seed=planned.seed,
        is_simulated=gateway.profile.is_simulated,
        gateway_kind=gateway.profile.kind,
        vantage=project.config.gateway.vantage,
        evalkit_version=evalkit_version(),
        roster_digest=project.roster.digest,
        policy_digest=project.policy.digest,
        cells=tuple(cell.cell for cell in planned.cells),
        suite_digests=graded_on_arrival,
        is_partial=_is_partial(project, planned),
    )


def _is_partial(project: Project, planned: Plan) -> bool:
    pairs = sum(not cell.cell.variant for cell in planned.cells) + len(planned.unsupported)
    is_filtered = pairs < len(project.suites) * len(project.roster.models)
    return is_filtered or any(cell.cell.is_partial for cell in planned.cells)


def recorder_of(project: Project, options: RunOptions, *, store: Store, gateway: Gateway) -> Recorder:
    """Return what recording needs for this project, its budget and its gateway."""
    limits = project.config.limits
    scale = pause_scale(project, gateway)
    return Recorder(
        ledger=store,
        gateway=gateway,
        roster=project.roster,
        limits=limits,
        clock=CLOCK,
        retry=RetryPolicy(max_attempts=limits.max_attempts, base_s=0.5 * scale, cap_s=8 * scale),
        prepare=_preparation(project),
        observe=options.observe,
        deadline_s=None if limits.deadline is None else float(seconds_of(limits.deadline)),
        probe_pause_s=1.0 * scale,
        is_replay=project.config.gateway.recordings is not None,
    )


def _preparation(project: Project) -> Callable[[Outcome], tuple[Outcome, Scored | None]]:
    """Return what happens to an outcome before it is kept: full payloads wait for `score`, others are graded now."""
    own = project.config.scorers
    graders = {
        suite.name: (Grader(suite, project_scorers=own, judges=project.judges), suite.payloads)
        for suite in project.suites
        if suite.payloads != "full"
    }

    def prepare(outcome: Outcome) -> tuple[Outcome, Scored | None]:
        suite, variant = plain_name(outcome.suite)
        if suite not in graders:
            return outcome, None
        grader, payloads = graders[suite]
        return keep_payload(outcome, payloads), None if variant == STREAM else grader.grade(outcome)

    return prepare
