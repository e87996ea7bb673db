"""One call, start to end: its turns, its attempts, its retries, and the one outcome they add up to."""

from __future__ import annotations

import asyncio
import hashlib
import random
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from evalkit.domain.outcome import CACHED, RETRYABLE, Attempt, Cost, Kind, Outcome, Reading, Timings, Turn, Usage
from evalkit.pipeline.conversation import Conversation
from evalkit.pipeline.pairing import Pair
from evalkit.pipeline.spending import listed_usd
from evalkit.plugins import Fault, Request
from evalkit.wire.embeddings import embeddings_body, read_embeddings
from evalkit.wire.request import BodyOptions, opening_messages, request_body
from evalkit.wire.response import Asked, read_response

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any

    from evalkit.domain.call import Call
    from evalkit.domain.roster import Model, Price
    from evalkit.domain.suite import ToolSpec
    from evalkit.pipeline.pacing import Lane, RetryPolicy
    from evalkit.pipeline.pairing import Pairing
    from evalkit.plugins import Gateway, Reply
    from evalkit.ports import Clock

__all__ = ["Exchange", "missing_outcome"]


@dataclass(slots=True)
class _Tally:
    """What a call has used so far, over all turns and attempts."""

    attempts: list[Attempt] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    flags: set[str] = field(default_factory=set)
    latency_s: float | None = 0.0
    """Of the last attempt at each turn; None as soon as one of them is unknown."""
    ttft_s: float | None = None
    queue_s: float = 0.0
    retry_s: float = 0.0
    failed_usd: float = 0.0
    """What the attempts that were tried again are known to have cost."""
    pair: Pair | None = None


_PATHS = {"chat": "/chat/completions", "embeddings": "/embeddings"}


def _always(_pause_s: float) -> bool:
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """Everything a call needs besides itself; one per model."""

    gateway: Gateway
    model: Model
    retry: RetryPolicy
    timeout_s: float
    clock: Clock
    lane: Lane
    slots: asyncio.Semaphore
    """Requests that may be under way in the whole run. Held while one is, never through a pause."""
    seed: int = 0
    sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep
    pairing: Pairing | None = None
    """Which calls are sent to the baseline gateway too; None when there is none."""

    async def make(
        self,
        call: Call,
        *,
        queue_s: float = 0.0,
        may_retry: Callable[[float], bool] = _always,
        is_paired: bool = False,
    ) -> Outcome:
        """Return the outcome of a call. Never raises for the outside world; retries only infrastructure faults.

        Args:
            call: what to send.
            queue_s: how long it has waited for its turn, which its first request has booked.
            may_retry: whether another attempt may still be made after a pause of so many seconds.
            is_paired: whether its first request is sent to the baseline gateway too.
        """
        started_at = self.clock.now()
        tally = _Tally(queue_s=queue_s)
        messages, flags = opening_messages(call.script, parameters=call.parameters, adapt=call.adapt)
        tally.flags.update(flags)
        if is_paired and self.pairing is not None:
            tally.pair = self.pairing.pair_of(call, messages)
        reading = await self._talk(call, Conversation(call.script, messages), tally=tally, may_retry=may_retry)
        timings = Timings(
            started_at=started_at,
            latency_s=tally.latency_s,
            ttft_s=tally.ttft_s,
            queue_s=tally.queue_s,
            retry_s=tally.retry_s,
        )
        outcome = self._outcome(call, reading, tally=tally, timings=timings)
        return outcome if tally.pair is None or self.pairing is None else self.pairing.noted(outcome, tally.pair)

    def other_half(self, call: Call, messages: list[dict[str, Any]]) -> Pair:
        """Return the first request of a call of another gateway as this one is asked for it, by the route it has here.

        Args:
            call: the call as the other gateway is asked.
            messages: its opening messages.
        """
        here = replace(call, route=self.model.route_for(self.gateway.profile.kind))
        request = self._request(here, messages, turn=0, tools=call.script.turns[0].tools)
        is_first = int(call.key[-1], 16) % 2 == 1  # a key is a digest: as good as a coin, and the same on every resume
        return Pair(send=partial(self.gateway.send, request), read=partial(self._read, here), is_first=is_first)

    async def _talk(
        self, call: Call, talk: Conversation, *, tally: _Tally, may_retry: Callable[[float], bool]
    ) -> Reading:
        """Ask one request after the other; return the last answer, which is what the whole is worth."""
        while True:
            reading = await self._turn(call, talk, tally=tally, may_retry=may_retry)
            if _model_changed(tally):
                return _voided(tally)
            if reading.kind is not Kind.OK or not talk.goes_on(reading):
                tally.flags.update([talk.ended_by] if talk.ended_by else ())
                return reading

    async def _turn(
        self, call: Call, talk: Conversation, *, tally: _Tally, may_retry: Callable[[float], bool]
    ) -> Reading:
        """Send the next request until it is answered, is not worth another try, or has had all its attempts."""
        tools = call.script.turns[talk.user_turn].tools
        request = self._request(call, talk.messages, turn=len(tally.turns), tools=tools)
        while True:
            answer = await self._send(request, tally=tally, tokens=_booked_tokens(call))
            reading = self._read(call, answer)
            hint_s = self.retry.capped_s(reading.retry_after_s)
            self.lane.saw(reading.kind, now_s=self.clock.monotonic(), hint_s=hint_s)
            pause_s = self._pause_s(reading, request, call_key=call.key)
            if pause_s is None or not may_retry(pause_s):
                _close_turn(tally, reading, answer, request=request, user_turn=talk.user_turn)
                return reading
            tally.attempts.append(_attempt(reading, answer, pause_s=pause_s))
            tally.retry_s += (answer.latency_s or 0.0) + pause_s
            tally.failed_usd += reading.cost_usd or 0.0
            await self.sleep(pause_s)
            request = replace(request, attempt=request.attempt + 1)

    def _request(
        self, call: Call, messages: list[dict[str, Any]], *, turn: int, tools: tuple[ToolSpec, ...]
    ) -> Request:
        profile = self.gateway.profile
        switches = {**profile.extra_body, **profile.body_for(self.model)}
        if call.endpoint == "embeddings":
            # The switches are about completions; what the roster adds for this model is meant for it.
            body = embeddings_body(call.route, _texts_of(call), extra_body=call.adapt.extra_body)
        else:
            options = BodyOptions(tools=tools, extra_body=switches, stream=call.parameters.is_streamed)
            body = request_body(call.route, messages, parameters=call.parameters, adapt=call.adapt, options=options)
        return Request(
            body=body,
            digest=hashlib.sha256(body).hexdigest(),
            timeout_s=self.timeout_s,
            suite=call.suite,
            case_id=call.case_id,
            model_id=call.model_id,
            trial=call.trial,
            turn=turn,
            headers=profile.headers_for(self.model),
            path=_PATHS[call.endpoint],
        )

    async def _send(self, request: Request, *, tally: _Tally, tokens: int) -> Reply | Fault:
        """Send one request when it is its turn; all waiting of our own is kept out of the latency."""
        since_s = self.clock.monotonic()
        is_first = not tally.attempts
        wait_s = 0.0 if is_first else self.lane.book(since_s, tokens=tokens)
        if wait_s > 0:
            await self.sleep(wait_s)
        async with self.slots:
            waited_s = self.clock.monotonic() - since_s
            if request.attempt:
                tally.retry_s += waited_s
            else:
                tally.queue_s += waited_s
            if tally.pair is None or request.attempt:
                return await self.gateway.send(request)
            return await tally.pair.around(partial(self.gateway.send, request))

    def _pause_s(self, reading: Reading, request: Request, *, call_key: str) -> float | None:
        """Return how long to wait before the next attempt; None when there is to be none."""
        # The server itself may say that another try is useless (`x-should-retry: false`).
        is_told_not_to = "should_not_retry" in reading.flags
        if reading.kind not in RETRYABLE or request.attempt + 1 >= self.retry.max_attempts or is_told_not_to:
            return None
        rng = random.Random(f"{self.seed}:{call_key}:{request.turn}:{request.attempt}")
        return self.retry.pause_s(request.attempt, hint_s=reading.retry_after_s, rng=rng)

    def _read(self, call: Call, answer: Reply | Fault) -> Reading:
        if isinstance(answer, Fault):
            return Reading(kind=answer.kind, detail=answer.detail)
        asked = Asked(
            route=call.route,
            served_as=self.model.served_as,
            upstream_names=self.model.upstream_names,
            model_field=self.gateway.profile.model_field,
            trusts_record=self.gateway.profile.writes_records,
            cost_header=self.gateway.profile.cost_header,
            context_tokens=self.model.context_tokens,
            prompt_tokens_estimate=call.script.n_prompt_tokens,
        )
        if call.endpoint == "embeddings":
            n_texts = len(_texts_of(call))
            return read_embeddings(answer.status, answer.headers, answer.body, asked=asked, n_texts=n_texts)
        return read_response(answer.status, answer.headers, answer.body, asked=asked)

    def _outcome(self, call: Call, reading: Reading, *, tally: _Tally, timings: Timings) -> Outcome:
        usage = _total_usage(tally.turns)
        return Outcome(
            **_coordinates(call),
            kind=reading.kind,
            flags=tuple(sorted(tally.flags)),
            turns=tuple(tally.turns),
            attempts=tuple(tally.attempts),
            usage=usage,
            cost=_total_cost(tally, usage, price=self.model.price),
            timings=timings,
            identity=reading.identity,
        )


def _coordinates(call: Call) -> dict[str, Any]:
    """Return the fields of an outcome that say which call it answers."""
    return {
        "call_key": call.key,
        "suite": call.suite,
        "case_id": call.case_id,
        "cluster_id": call.cluster_id,
        "model_id": call.model_id,
        "trial": call.trial,
        "sequence": call.sequence,
        "mode": call.parameters.mode,
        "asked_about": call.asked_about,
    }


def _texts_of(call: Call) -> list[str]:
    return [message.content for message in call.script.turns[0].messages]


def missing_outcome(call: Call, *, kind: Kind, now_s: float, why: str) -> Outcome:
    """Return the outcome of a call that was not sent because its model had been given up."""
    return Outcome(
        **_coordinates(call),
        kind=kind,
        flags=("not_sent",),
        cost=Cost(usd=0.0, source="roster"),
        attempts=(Attempt(kind=kind, detail=why),),
        timings=Timings(started_at=now_s),
    )


def _attempt(reading: Reading, answer: Reply | Fault, *, pause_s: float) -> Attempt:
    return Attempt(
        kind=reading.kind,
        status=None if isinstance(answer, Fault) else answer.status,
        latency_s=answer.latency_s or 0.0,
        pause_s=pause_s,
        cost_usd=reading.cost_usd,
        detail=reading.detail,
    )


def _close_turn(tally: _Tally, reading: Reading, answer: Reply | Fault, *, request: Request, user_turn: int) -> None:
    """Take note of the last attempt at a request, the one that counts."""
    tally.attempts.append(_attempt(reading, answer, pause_s=0.0))
    # A cache's answer came from no model: how fast it was says nothing of one.
    is_cached = CACHED in reading.flags
    is_known = tally.latency_s is not None and answer.latency_s is not None and not is_cached
    tally.latency_s = (tally.latency_s or 0.0) + (answer.latency_s or 0.0) if is_known else None
    response_body = b""
    if not isinstance(answer, Fault):
        response_body = answer.body
        tally.ttft_s = answer.ttft_s if tally.ttft_s is None and not is_cached else tally.ttft_s
    turn = Turn(reading=reading, request_body=request.body, response_body=response_body, user_turn=user_turn)
    tally.turns.append(turn)
    tally.flags.update(reading.flags)


def _booked_tokens(call: Call) -> int:
    return call.script.n_prompt_tokens + call.parameters.max_output_tokens


def _model_changed(tally: _Tally) -> bool:
    """Whether the last answer carries another name than one before it; an answer without a name says nothing."""
    names = dict.fromkeys(turn.reading.identity.served_model for turn in tally.turns)
    return len(names.keys() - {None}) > 1


def _voided(tally: _Tally) -> Reading:
    """Void a conversation that two models answered, and say in which turn the second one came."""
    before = next(turn for turn in tally.turns if turn.reading.identity.served_model is not None)
    last = tally.turns[-1]
    names = (last.reading.identity.served_model, before.reading.identity.served_model)
    detail = f"turn {last.user_turn + 1} was answered by {names[0]}, turn {before.user_turn + 1} by {names[1]}"[:500]
    reading = replace(last.reading, kind=Kind.SUBSTITUTED_MODEL, detail=detail)
    tally.flags.add("model_changed_in_conversation")
    tally.turns[-1] = replace(last, reading=reading)
    tally.attempts[-1] = replace(tally.attempts[-1], kind=reading.kind, detail=detail)
    return reading


def _total_usage(turns: list[Turn]) -> Usage:
    """Add up the turns; a part that one turn did not report is unknown for the whole."""

    def total(name: str) -> int | None:
        parts = [getattr(turn.reading.usage, name) for turn in turns]
        return None if not parts or None in parts else sum(parts)

    return Usage(
        prompt_tokens=total("prompt_tokens"),
        completion_tokens=total("completion_tokens"),
        total_tokens=total("total_tokens"),
        reasoning_tokens=total("reasoning_tokens"),
        cached_tokens=total("cached_tokens"),
    )


def _total_cost(tally: _Tally, usage: Usage, *, price: Price | None) -> Cost:
    """Return what the gateway said it cost, else list price times tokens, else unknown. Never zero for want of data."""
    reported = [turn.reading.cost_usd for turn in tally.turns]
    known = [usd for usd in reported if usd is not None]
    if len(known) == len(reported):
        return Cost(usd=sum(known) + tally.failed_usd, source="gateway")
    usd = listed_usd(usage, price)
    return Cost() if usd is None else Cost(usd=usd + tally.failed_usd, source="roster")
