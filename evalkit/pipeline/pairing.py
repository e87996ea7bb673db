"""Which calls are also sent straight to the baseline gateway, and what came of it. Nothing here scores or decides."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from evalkit.domain.outcome import CACHED, Kind, Reading
from evalkit.domain.run import plain_name
from evalkit.errors import InputError
from evalkit.pipeline.pacing import Breaker, BreakerState
from evalkit.pipeline.spending import FIRST_ERROR_STATUS, listed_usd
from evalkit.plugins import Fault

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from typing import Any

    from evalkit.domain.call import Call
    from evalkit.domain.outcome import Outcome
    from evalkit.domain.roster import Price
    from evalkit.plugins import Reply

__all__ = ["Pair", "Pairing"]


@dataclass(slots=True)
class Pair:
    """The other half of one call: sent once, whatever comes of it.

    It goes back to back with the call's first request, in the slot that one holds; which of the two goes first follows
    from the call's key, so that caches of the provider and drift favour neither side.
    """

    send: Callable[[], Awaitable[Reply | Fault]]
    """Make the request to the baseline gateway."""
    read: Callable[[Reply | Fault], Reading]
    is_first: bool
    reading: Reading | None = None
    """None until it was sent."""
    latency_s: float | None = None

    async def around(self, send: Callable[[], Awaitable[Reply | Fault]]) -> Reply | Fault:
        """Return what `send` gives, with the other half sent before or after it."""
        if self.is_first:
            await self._send()
        answer = await send()
        # A failed first request makes no pair: the other half would be paid for in vain.
        if not self.is_first and not isinstance(answer, Fault) and answer.status < FIRST_ERROR_STATUS:
            await self._send()
        return answer

    async def _send(self) -> None:
        try:
            answer = await self.send()
        except InputError as error:  # a key that cannot be read any more: the call itself does not need it
            self.reading = Reading(kind=Kind.AUTH_ERROR, detail=str(error), status=FIRST_ERROR_STATUS)
            return
        self.reading, self.latency_s = self.read(answer), answer.latency_s


@dataclass(slots=True, kw_only=True)
class Pairing:
    """One model's calls that are sent to the baseline gateway too: the first of each suite, in scheduled order."""

    n_calls: int
    """At most so many of each suite."""
    price: Price | None
    pair_of: Callable[[Call, list[dict[str, Any]]], Pair]
    """Return the other half of a call with these opening messages."""
    breaker: Breaker = field(default_factory=Breaker)
    """Open once the baseline gateway keeps failing for this model: nothing more is sent there."""
    _n_chosen: Counter[str] = field(default_factory=Counter)
    _keys: set[str] = field(default_factory=set)

    def choosing(self, calls: Iterator[Call]) -> Iterator[Call]:
        """Yield the calls, and take note of those to pair.

        Counted by position in the plan, answered or not, so that a resumed run chooses the same.

        Args:
            calls: all calls of the model in scheduled order, also those that are held already.
        """
        for call in calls:
            if _can_be_paired(call) and self._n_chosen[call.suite] < self.n_calls:
                self._n_chosen[call.suite] += 1
                self._keys.add(call.key)
            yield call

    @property
    def last_fault(self) -> Kind | None:
        """What the baseline gateway kept answering until it was asked no more; None while it is asked."""
        return None if self.breaker.state is BreakerState.CLOSED else self.breaker.last_kind

    def wants(self, call: Call) -> bool:
        """Return whether a call is to be sent to the baseline gateway too."""
        return call.key in self._keys and self.breaker.state is BreakerState.CLOSED

    def noted(self, outcome: Outcome, pair: Pair) -> Outcome:
        """Return the outcome of a call with the time and cost of its other half."""
        reading = pair.reading
        if reading is None:
            return outcome
        self.breaker.saw(reading.kind)
        # A hit on either side came from no model: the call has no latency then, and this half is no measure of one.
        both_ok = outcome.kind is Kind.OK and reading.kind is Kind.OK and CACHED not in reading.flags
        # After a retry the two requests are no longer back to back.
        is_pair = both_ok and len(outcome.attempts) == 1 and outcome.timings.latency_s is not None
        direct_s = pair.latency_s if is_pair else None
        return replace(
            outcome,
            timings=replace(outcome.timings, direct_s=direct_s),
            cost=replace(outcome.cost, direct_usd=_cost_usd(reading, self.price)),
        )


def _can_be_paired(call: Call) -> bool:
    """Later requests carry the answer to the first, which differs between the two; repeated trials may be cached."""
    return call.trial == 0 and call.script.most_requests == 1 and not plain_name(call.suite)[1]


def _cost_usd(reading: Reading, price: Price | None) -> float | None:
    if reading.cost_usd is not None:
        return reading.cost_usd
    if reading.status is not None and reading.status >= FIRST_ERROR_STATUS:
        return 0.0
    return listed_usd(reading.usage, price)
