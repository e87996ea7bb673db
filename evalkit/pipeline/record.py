"""Record: the only stage that touches a network or spends money.

Every planned call ends as exactly one outcome, or stays unsent because the run was stopped: then resuming sends it.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING

from evalkit.domain.outcome import MISSING, Kind
from evalkit.domain.roster import ModelLimits
from evalkit.domain.run import RunStatus
from evalkit.errors import StoreError
from evalkit.pipeline.exchange import Exchange, missing_outcome
from evalkit.pipeline.pacing import Breaker, Lane, RetryPolicy
from evalkit.pipeline.pairing import Pairing
from evalkit.pipeline.spending import Budget, most_usd, settled_usd
from evalkit.pipeline.threads import run_to_end
from evalkit.pipeline.writer import BatchWriter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from evalkit.domain.call import Call, Plan
    from evalkit.domain.outcome import Outcome
    from evalkit.domain.project import Limits
    from evalkit.domain.roster import Model, Roster
    from evalkit.domain.score import Scored
    from evalkit.plugins import Gateway
    from evalkit.ports import Clock, Ledger

__all__ = ["Progress", "Recorder", "Recording", "Session", "StopReason", "open_session", "record"]


_UNREACHABLE = MISSING - {Kind.REQUEST_REJECTED, Kind.SUBSTITUTED_MODEL}
"""Faults that say nothing about any model: the gateway, the account, the way there."""


class StopReason(StrEnum):
    """Why a run ended before its plan was done."""

    BUDGET = "budget"
    DEADLINE = "deadline"
    GIVEN_UP = "given_up"
    """At least one model was given up: its remaining calls are missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Something happened; for whoever shows it."""

    model_id: str
    kind: Kind
    cost_usd: float | None
    latency_s: float | None
    n_attempts: int
    direct_usd: float | None = 0.0
    """Of the request to the baseline gateway, beside `cost_usd`."""


@dataclass(slots=True)
class Recording:
    """What record did, counted."""

    n_planned: int = 0
    n_held: int = 0
    """Already answered earlier in this run: not sent again."""
    n_sent: int = 0
    n_answered: int = 0
    """Sent now and answered by a model, well or badly."""
    n_missing: int = 0
    """Sent now or left unsent because the model was given up, and nobody knows the answer."""
    stopped_by: set[StopReason] = field(default_factory=set)
    given_up: dict[str, Kind] = field(default_factory=dict)
    """Model id to what it kept answering when it was given up."""
    last_missing: dict[str, Kind] = field(default_factory=dict)
    """Model id to how its latest missing call ended."""
    spent_usd: float = 0.0
    """Known costs of the whole run, those of earlier sittings and of the baseline gateway included."""
    n_unknown_cost: int = 0
    n_pairs: int = 0
    """Answered now by the gateway and by the baseline gateway, at the first attempt."""
    unpaired: dict[str, Kind] = field(default_factory=dict)
    """Model id to what the baseline gateway kept answering until it was asked no more."""

    @property
    def found_nobody(self) -> bool:
        """Whether calls were sent and not one was answered, for reasons that are not the models' own."""
        return self.n_sent > 0 and not self.n_answered and set(self.last_missing.values()) <= _UNREACHABLE


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorder:
    """What record needs from the outside."""

    ledger: Ledger
    gateway: Gateway
    roster: Roster
    limits: Limits
    clock: Clock
    retry: RetryPolicy
    prepare: Callable[[Outcome], tuple[Outcome, Scored | None]]
    """Applied off the event loop just before an outcome is kept: payload mode, and scores that must go with it."""
    observe: Callable[[Progress], None] = lambda _progress: None
    deadline_s: float | None = None
    """Stop sending this many seconds after the start."""
    probe_pause_s: float = 1.0
    baseline: Gateway | None = None
    """Where the first `limits.baseline_calls` calls of each suite × model are sent too."""
    is_asking: bool = False
    """What is sent are questions of scorers: what is held is looked for among those."""
    is_followed: bool = False
    """Scorers will ask afterwards: a run whose plan is done stays open until they have."""
    is_replay: bool = False
    """Answers come from recordings: no budget, no rate limit, and a row of holes in them gives nothing up."""


async def record(plan: Plan, run_id: str, *, recorder: Recorder) -> Recording:
    """Send what the run does not hold yet, and keep every outcome.

    Cancelling it (Ctrl-C) stops sending, gives up the calls in flight, and commits what has come back.

    Raises:
        StoreError: when the store cannot take an outcome.
    """
    async with open_session(plan, run_id, recorder=recorder) as session:
        await session.send()
    return session.recording


@contextlib.asynccontextmanager
async def open_session(plan: Plan, run_id: str, *, recorder: Recorder) -> AsyncIterator[Session]:
    """Open a run for sending, all at once or batch by batch; closing it records how the run ended.

    Budget, deadline, rate limits and given-up models hold for the whole of it.

    Raises:
        StoreError: when the store cannot take an outcome.
    """
    held = await run_to_end(partial(recorder.ledger.held_keys, run_id, is_asked=recorder.is_asking))
    spent = await run_to_end(partial(recorder.ledger.spent_usd, run_id))
    session = Session(plan=plan, run_id=run_id, recorder=recorder, held=held, spent_usd=spent)
    try:
        yield session
    except GeneratorExit:  # nobody runs the loop any more: nothing can be waited for
        raise
    except BaseException as failure:
        first = _first(failure)
        # A store that cannot take outcomes may not take this either: what went wrong first is what counts.
        with contextlib.suppress(StoreError):
            await _set_status(recorder, run_id, status=RunStatus.INTERRUPTED, note=_note_of(first))
        if first is failure:
            raise
        raise first from first.__cause__
    status, note = session.ending()
    if recorder.is_followed and status is RunStatus.FINISHED:
        status = RunStatus.RUNNING
    await _set_status(recorder, run_id, status=status, note=note)


async def _set_status(recorder: Recorder, run_id: str, *, status: RunStatus, note: str) -> None:
    finished_at = recorder.clock.now()
    await run_to_end(partial(recorder.ledger.set_status, run_id, status, finished_at=finished_at, note=note))


def _first(error: BaseException) -> BaseException:
    """Return the first real error of nested task groups: that is the one that stopped the others."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _note_of(failure: BaseException) -> str:
    is_asked_for = isinstance(failure, (asyncio.CancelledError, KeyboardInterrupt))
    return "interrupted" if is_asked_for else f"{type(failure).__name__}: {failure}".partition("\n")[0]


def _paired(exchange: Exchange, baseline: Gateway, *, n_calls: int) -> Exchange:
    """Return an exchange that sends the first `n_calls` calls of each suite to the baseline gateway too."""
    straight = replace(exchange, gateway=baseline)
    pairing = Pairing(n_calls=n_calls, price=exchange.model.price, pair_of=straight.other_half)
    return replace(exchange, pairing=pairing)


class Session:
    """A run while it is sent: what is held, what was spent, and one lane per model. Made by `open_session`."""

    def __init__(self, *, plan: Plan, run_id: str, recorder: Recorder, held: set[str], spent_usd: float) -> None:
        self._plan = plan
        self._run_id = run_id
        self._exchanges: dict[str, Exchange] = {}
        self._recorder = recorder
        self._held = held
        self._is_last = False
        self._slots = asyncio.Semaphore(recorder.limits.concurrency)
        self._budget = Budget(None if recorder.is_replay else recorder.limits.budget_usd, spent_usd=spent_usd)
        self._ends_at_s = float("inf") if recorder.deadline_s is None else self._now_s() + recorder.deadline_s
        self.recording = Recording(n_planned=plan.n_calls, n_held=len(held), spent_usd=spent_usd)

    def _now_s(self) -> float:
        return self._recorder.clock.monotonic()

    def ending(self) -> tuple[RunStatus, str]:
        """Return how the run ended. Given-up models do not keep it open: their calls are missing, and that is known.

        Only when nobody answered at all it stays open: once the gateway is back, the same command goes on with it.
        """
        if self.recording.found_nobody:
            kinds = ", ".join(sorted(set(self.recording.last_missing.values())))
            return RunStatus.INTERRUPTED, f"no model answered: {kinds}"
        unfinished = self.recording.stopped_by - {StopReason.GIVEN_UP}
        note = ", ".join(sorted(self.recording.stopped_by))
        return (RunStatus.STOPPED if unfinished else RunStatus.FINISHED), note

    async def send(self, wants: Callable[[Call], bool] | None = None) -> None:
        """Send the calls of the plan that `wants` says yes to, or all; return when what came back is committed.

        What was asked in this session is not asked again, answered or not. All at once is the last there is to send:
        then nothing has to be remembered, however long the plan.
        """
        self._is_last = wants is None
        chosen = wants or (lambda _call: True)
        async with (
            BatchWriter(self._recorder.ledger, self._run_id, prepare=self._recorder.prepare) as writer,
            asyncio.TaskGroup() as group,
        ):
            for model_id in self._plan.model_ids:
                group.create_task(self._run_lane(model_id, writer, wants=chosen))

    async def _run_lane(self, model_id: str, writer: BatchWriter, *, wants: Callable[[Call], bool]) -> None:
        """Send the wanted calls of one model."""
        exchange = self._exchange(model_id)
        lane, pairing = exchange.lane, exchange.pairing
        planned = self._plan.calls_of(model_id)
        chosen = planned if pairing is None else pairing.choosing(planned)
        calls = (call for call in chosen if wants(call) and call.key not in self._held)
        lane.begin()
        async with asyncio.TaskGroup() as group:
            for worker in range(lane.max_workers):
                group.create_task(self._work(worker, calls, exchange=exchange, writer=writer))
        if lane.is_given_up() and lane.breaker.last_kind is not None:
            self.recording.given_up[model_id] = lane.breaker.last_kind
            self.recording.stopped_by.add(StopReason.GIVEN_UP)
        if pairing is not None and pairing.last_fault is not None:
            self.recording.unpaired[model_id] = pairing.last_fault

    def _exchange(self, model_id: str) -> Exchange:
        """Return the model's exchange, with the lane it keeps for the whole session."""
        if model_id not in self._exchanges:
            self._exchanges[model_id] = self._new_exchange(model_id)
        return self._exchanges[model_id]

    def _new_exchange(self, model_id: str) -> Exchange:
        recorder = self._recorder
        model = recorder.roster.by_id[model_id]
        n_calls = sum(planned.cell.n_planned for planned in self._plan.cells if planned.cell.model_id == model_id)
        most = recorder.limits.concurrency
        exchange = Exchange(
            gateway=recorder.gateway,
            model=model,
            retry=recorder.retry,
            timeout_s=recorder.limits.call_timeout_s,
            clock=recorder.clock,
            lane=self._lane(model, width=min(model.limits.concurrency or most, most, n_calls)),
            slots=self._slots,
            seed=self._plan.seed,
        )
        if recorder.baseline is None:
            return exchange
        return _paired(exchange, recorder.baseline, n_calls=recorder.limits.baseline_calls)

    def _lane(self, model: Model, *, width: int) -> Lane:
        if self._recorder.is_replay:
            never = Breaker(trip_after=sys.maxsize, trip_account_after=sys.maxsize)
            return Lane(max_workers=width, limits=ModelLimits(), breaker=never)
        breaker = Breaker(first_pause_s=self._recorder.probe_pause_s)
        return Lane(max_workers=width, limits=model.limits, breaker=breaker)

    async def _work(self, worker: int, calls: Iterator[Call], *, exchange: Exchange, writer: BatchWriter) -> None:
        """Send one call after the other until none is left, or none may be sent any more."""
        lane = exchange.lane
        try:
            while True:
                await lane.admit(worker)
                if self._budget.is_exhausted or (call := next(calls, None)) is None:
                    return
                outcome = await self._paced(call, exchange=exchange)
                if outcome is None:
                    return
                await writer.put(outcome)
                self._count(outcome)
        finally:
            # Whoever waits for more width would wait for ever: what stopped this worker stops all of the lane.
            lane.end()

    async def _paced(self, call: Call, *, exchange: Exchange) -> Outcome | None:
        """Send a call now or, while the breaker is not closed, as a probe: alone, and after a pause."""
        lane = exchange.lane
        while lane.is_probing():
            async with lane.probe:
                # Another worker's probe, or an answer that was still on its way, may have settled it meanwhile.
                await self._sleep(lane.breaker.pause_s)
                if lane.is_probing():
                    return await self._one(call, exchange=exchange, is_probe=True)
        return await self._one(call, exchange=exchange)

    async def _one(self, call: Call, *, exchange: Exchange, is_probe: bool = False) -> Outcome | None:
        """Return the outcome of a call, or None when budget or deadline do not allow it any more."""
        lane = exchange.lane
        if lane.is_given_up():
            return self._unsent(call, lane)
        is_paired = not is_probe and exchange.pairing is not None and exchange.pairing.wants(call)
        most_usd_each = self._most_usd(call, exchange)
        reserved_usd = most_usd_each * (1 + is_paired)
        if not await self._budget.reserve(reserved_usd):
            self.recording.stopped_by.add(StopReason.BUDGET)
            return None
        actual_usd: float | None = 0.0
        try:
            since_s = self._now_s()
            tokens = call.script.n_prompt_tokens + call.parameters.max_output_tokens
            wait_s = lane.book(since_s, tokens=tokens)
            if is_paired:  # both requests go together, when there is room for the second
                wait_s = lane.book(since_s, tokens=tokens)
            if since_s + wait_s >= self._ends_at_s:
                self.recording.stopped_by.add(StopReason.DEADLINE)
                return None
            await self._sleep(wait_s)
            if lane.is_given_up():
                return self._unsent(call, lane)
            actual_usd = None  # from here on money may have been spent: unknown until the answer is here
            may_retry = partial(self._may_retry, lane, is_probe=is_probe)
            queue_s = self._now_s() - since_s
            outcome = await exchange.make(call, queue_s=queue_s, may_retry=may_retry, is_paired=is_paired)
            actual_usd = settled_usd(outcome, most_usd=most_usd_each)
        finally:
            self._budget.settle(reserved_usd=reserved_usd, actual_usd=actual_usd)
        lane.breaker.saw(outcome.kind, is_probe=is_probe)
        lane.largest_cost_usd = max(lane.largest_cost_usd, outcome.cost.usd or 0.0)
        return outcome

    async def _sleep(self, seconds: float) -> None:
        """Sleep so long, but not past the deadline."""
        if seconds > 0:
            await asyncio.sleep(min(seconds, max(0.0, self._ends_at_s - self._now_s())))

    def _may_retry(self, lane: Lane, pause_s: float, *, is_probe: bool) -> bool:
        """Whether a call may be tried again: not past the deadline, and a model that is being probed is asked once."""
        is_wanted = not is_probe and not lane.is_given_up()
        return is_wanted and self._now_s() + pause_s < self._ends_at_s

    def _unsent(self, call: Call, lane: Lane) -> Outcome:
        kind = lane.breaker.last_kind or Kind.CONNECTION
        why = "not sent: the model had been given up"
        return missing_outcome(call, kind=kind, now_s=self._recorder.clock.now(), why=why)

    def _most_usd(self, call: Call, exchange: Exchange) -> float:
        """Return the most a call can cost: by list price, else the dearest call of this model so far."""
        if self._budget.limit_usd is None:
            return 0.0
        price = exchange.model.price
        return exchange.lane.largest_cost_usd if price is None else most_usd(call, price)

    def _count(self, outcome: Outcome) -> None:
        if not self._is_last:
            self._held.add(outcome.call_key)
        counted = self.recording
        counted.n_sent += "not_sent" not in outcome.flags
        counted.spent_usd += (outcome.cost.usd or 0.0) + (outcome.cost.direct_usd or 0.0)
        counted.n_unknown_cost += (outcome.cost.usd is None) + (outcome.cost.direct_usd is None)
        counted.n_pairs += outcome.timings.direct_s is not None
        if outcome.is_missing:
            counted.n_missing += 1
            counted.last_missing[outcome.model_id] = outcome.kind
        else:
            counted.n_answered += 1
        self._recorder.observe(
            Progress(
                model_id=outcome.model_id,
                kind=outcome.kind,
                cost_usd=outcome.cost.usd,
                latency_s=outcome.timings.latency_s,
                n_attempts=len(outcome.attempts),
                direct_usd=outcome.cost.direct_usd,
            )
        )
