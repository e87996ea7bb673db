"""How fast a model may be asked: adaptive concurrency, rate limits, a circuit breaker.

State machines without I/O: they are told what happened and say what may happen next. One `Lane` per model.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from evalkit.domain.outcome import MISSING, Kind

if TYPE_CHECKING:
    import random

    from evalkit.domain.roster import ModelLimits

__all__ = ["Breaker", "BreakerState", "Lane", "RetryPolicy", "Throttle"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """When and how long to wait before the same call is tried again. Full jitter; hints honoured up to a cap."""

    max_attempts: int = 3
    base_s: float = 0.5
    cap_s: float = 8.0
    hint_cap_s: float = 30.0
    """The longest a server may make us wait; one that asks for more is asked again too early, and says so again."""

    def pause_s(self, attempt: int, *, hint_s: float | None, rng: random.Random) -> float:
        """Return seconds to wait after the attempt numbered from 0.

        Source: full jitter as in M. Brooker, "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015).
        """
        jitter = rng.uniform(0, min(self.cap_s, self.base_s * 2**attempt))
        return (self.capped_s(hint_s) or 0.0) + jitter

    def capped_s(self, hint_s: float | None) -> float | None:
        """Return a server's hint as far as it is honoured."""
        return None if hint_s is None else min(hint_s, self.hint_cap_s)


@dataclass(slots=True)
class Throttle:
    """Requests and tokens per minute as one schedule: every request books the next free moment."""

    requests_per_minute: int | None
    tokens_per_minute: int | None
    _next_request_s: float = float("-inf")
    _next_tokens_s: float = float("-inf")

    @classmethod
    def from_limits(cls, limits: ModelLimits) -> Throttle:
        """Return the throttle a model's declared limits ask for."""
        return cls(limits.requests_per_minute, limits.tokens_per_minute)

    def book(self, now_s: float, *, tokens: int) -> float:
        """Book one request of `tokens` and return how long it has to wait, in seconds."""
        at_s = max(now_s, self._next_request_s, self._next_tokens_s)
        if self.requests_per_minute is not None:
            self._next_request_s = at_s + 60 / self.requests_per_minute
        if self.tokens_per_minute is not None:
            self._next_tokens_s = at_s + tokens * 60 / self.tokens_per_minute
        return at_s - now_s


class BreakerState(StrEnum):
    """Whether a model is asked at all."""

    CLOSED = "closed"
    PROBING = "probing"
    """One call at a time, after a growing pause."""
    GIVEN_UP = "given_up"
    """For the rest of the run."""


_ACCOUNT = frozenset({Kind.AUTH_ERROR, Kind.QUOTA_EXHAUSTED, Kind.MODEL_UNAVAILABLE})
_LASTING = _ACCOUNT | {Kind.REQUEST_REJECTED, Kind.SUBSTITUTED_MODEL}
"""Waiting does not mend these."""


@dataclass(slots=True)
class Breaker:
    """Stops asking a model that does not answer, so that a run ends in bounded time and money.

    A row of failures only opens it: what gives a model up is calls sent alone, after pauses in which everything that
    was in flight could come back. So sixty-four failures at once are one event, and quick refusals that overtake slow
    answers do no harm.
    """

    trip_after: int = 8
    """Calls in a row that stayed missing."""
    trip_account_after: int = 3
    """The same for a wrong key, an empty account or an unknown model."""
    max_probes: int = 5
    max_hopeless_probes: int = 2
    """The same for what waiting does not mend, and for a model that never answered at all."""
    first_pause_s: float = 1.0
    state: BreakerState = BreakerState.CLOSED
    last_kind: Kind | None = None
    _in_a_row: int = 0
    _probes: int = 0
    _ever_answered: bool = False

    def saw(self, kind: Kind, *, is_probe: bool = False) -> None:
        """Take note of the terminal kind of one call; once given up, nothing changes any more."""
        if self.state is BreakerState.GIVEN_UP:
            return
        if kind not in MISSING:
            self._ever_answered = True
            self._in_a_row = self._probes = 0
            self.state = BreakerState.CLOSED
            return
        self.last_kind = kind
        self._in_a_row += 1
        if self.state is BreakerState.PROBING:
            self._probes += is_probe
            is_hopeless = kind in _LASTING or not self._ever_answered
            if self._probes >= (self.max_hopeless_probes if is_hopeless else self.max_probes):
                self.state = BreakerState.GIVEN_UP
        elif self._in_a_row >= (self.trip_account_after if kind in _ACCOUNT else self.trip_after):
            self.state = BreakerState.PROBING

    @property
    def pause_s(self) -> float:
        """Seconds to wait before the next probe; 0 when none is called for."""
        return self.first_pause_s * 2.0**self._probes if self.state is BreakerState.PROBING else 0.0


class Lane:
    """One model's share of the run: how many of its workers may be busy, and not before when."""

    def __init__(self, *, max_workers: int, limits: ModelLimits, breaker: Breaker) -> None:
        self.max_workers = max_workers
        self.breaker = breaker
        self.probe = asyncio.Lock()
        """Held by the one worker that probes while the breaker is not closed."""
        self.largest_cost_usd = 0.0
        self._throttle = Throttle.from_limits(limits)
        self._width = float(max_workers)
        self._wider = asyncio.Event()
        self._is_over = False
        self._not_before_s = float("-inf")
        self._narrowed_at_s = float("-inf")

    @property
    def width(self) -> int:
        """Workers that may be busy now; at least 1, so worker 0 never waits and always finds the end."""
        return max(1, int(self._width))

    def is_given_up(self) -> bool:
        """Whether nothing is sent to this model any more."""
        return self.breaker.state is BreakerState.GIVEN_UP

    def is_probing(self) -> bool:
        """Whether calls are sent one at a time, each after a pause."""
        return self.breaker.state is BreakerState.PROBING

    def begin(self) -> None:
        """Open the lane, anew after `end`: there is something to send again."""
        self._is_over = False

    async def admit(self, worker: int) -> None:
        """Wait until the worker numbered from 0 is within the width, or nothing is left to do."""
        while worker >= self.width and not self._is_over:
            self._wider.clear()
            await self._wider.wait()

    def end(self) -> None:
        """Let every waiting worker through for good: nothing is left to do, and narrowing must not hold them again."""
        self._is_over = True
        self._wider.set()

    def saw(self, kind: Kind, *, now_s: float, hint_s: float | None) -> None:
        """Narrow after a 429, widen by one for every `width` answers: additive increase, multiplicative decrease."""
        if kind is Kind.RATE_LIMITED:
            # A burst of 429s is one event: the answers to what was already in flight must not narrow it again.
            if now_s - self._narrowed_at_s > 1:
                self._width = max(1.0, self._width * 0.7)
                self._narrowed_at_s = now_s
            if hint_s is not None:
                self._not_before_s = max(self._not_before_s, now_s + hint_s)
        elif kind not in MISSING and self._width < self.max_workers:
            self._width = min(float(self.max_workers), self._width + 1 / self._width)
            self._wider.set()

    def book(self, now_s: float, *, tokens: int) -> float:
        """Book one request of `tokens`; return how long rate limits and the last hint make it wait, in seconds."""
        earliest_s = max(now_s, self._not_before_s)
        return earliest_s - now_s + self._throttle.book(earliest_s, tokens=tokens)
