"""Pacing: retries, rate limits, the circuit breaker and adaptive width, as state machines."""

from __future__ import annotations

import asyncio
import random

import pytest

from evalkit.domain.outcome import Kind
from evalkit.domain.roster import ModelLimits
from evalkit.pipeline.pacing import Breaker, BreakerState, Lane, RetryPolicy, Throttle


def a_lane(width=4, **limits):
    """Return a lane of so many workers."""
    return Lane(max_workers=width, limits=ModelLimits(**limits), breaker=Breaker())


def after(breaker, *kinds, is_probe=False):
    """Return the breaker's state after these calls."""
    for kind in kinds:
        breaker.saw(kind, is_probe=is_probe)
    return breaker.state


class TestRetryPolicy:
    """When the same call is tried again."""

    def test_the_pause_grows_up_to_a_cap(self):
        """Full jitter: anything from 0 to the doubled base, and never past the cap."""
        policy = RetryPolicy(base_s=0.5, cap_s=2.0)
        rng = random.Random(0)
        most = [max(policy.pause_s(attempt, hint_s=None, rng=rng) for _ in range(200)) for attempt in range(5)]
        assert [limit - 0.1 < found <= limit for found, limit in zip(most, (0.5, 1, 2, 2, 2), strict=True)] == [
            True
        ] * 5

    def test_a_hint_is_waited_for(self):
        """What the server asks for is the least that is waited."""
        pause_s = RetryPolicy(base_s=0.5).pause_s(0, hint_s=7.0, rng=random.Random(0))
        assert 7.0 <= pause_s <= 7.5

    def test_a_hint_is_honoured_up_to_a_cap(self):
        """A server that says `come back tomorrow` does not stop the run until tomorrow."""
        policy = RetryPolicy(base_s=0.5, hint_cap_s=30.0)
        assert policy.pause_s(0, hint_s=86_400.0, rng=random.Random(0)) <= 30.5
        assert [policy.capped_s(hint) for hint in (None, 5.0, 86_400.0)] == [None, 5.0, 30.0]


class TestThrottle:
    """Requests and tokens per minute."""

    def test_without_limits_nothing_waits(self):
        """No declared limit is no limit of ours."""
        throttle = Throttle(None, None)
        assert [throttle.book(5.0, tokens=10**9) for _ in range(3)] == [0, 0, 0]

    def test_requests_are_spaced(self):
        """Sixty a minute is one a second, whoever asks at once."""
        throttle = Throttle(60, None)
        assert [throttle.book(100.0, tokens=1) for _ in range(3)] == [0, 1, 2]

    def test_tokens_are_spaced(self):
        """A request waits for the tokens of those before it."""
        throttle = Throttle(None, 600)
        assert [throttle.book(0.0, tokens=tokens) for tokens in (100, 50, 1)] == [0, 10, 15]

    def test_both_limits_hold_together(self):
        """A request held up by tokens still keeps its distance to the next one."""
        throttle = Throttle(60, 600)
        assert [throttle.book(0.0, tokens=tokens) for tokens in (100, 1, 1)] == [0, 10, 11]

    def test_idle_time_is_not_saved_up(self):
        """After a pause the first request goes at once, and no burst follows."""
        throttle = Throttle(60, None)
        throttle.book(0.0, tokens=1)
        assert [throttle.book(1000.0, tokens=1) for _ in range(2)] == [0, 1]


class TestBreaker:
    """When a model is given up."""

    def test_failures_in_a_row_open_it(self):
        """Eight calls that stayed missing: from now on one at a time."""
        assert after(Breaker(), *[Kind.TIMEOUT] * 7) is BreakerState.CLOSED
        assert after(Breaker(), *[Kind.TIMEOUT] * 8) is BreakerState.PROBING

    def test_an_answer_begins_a_new_row(self):
        """A model that answers now and then is asked on; a refusal is an answer too."""
        assert after(Breaker(), *[Kind.TIMEOUT] * 7, Kind.REFUSAL, *[Kind.TIMEOUT] * 7) is BreakerState.CLOSED

    @pytest.mark.parametrize("kind", [Kind.AUTH_ERROR, Kind.QUOTA_EXHAUSTED, Kind.MODEL_UNAVAILABLE])
    def test_account_faults_open_it_sooner(self, kind):
        """A wrong key needs no eight calls to show."""
        assert after(Breaker(), kind, kind) is BreakerState.CLOSED
        assert after(Breaker(), kind, kind, kind) is BreakerState.PROBING

    def test_a_burst_is_one_event(self):
        """Sixty-four failures at once open the breaker, and no more: what was in flight is no probe."""
        breaker = Breaker()
        assert after(breaker, Kind.OK, *[Kind.CONNECTION] * 64) is BreakerState.PROBING
        assert breaker.pause_s == breaker.first_pause_s

    def test_quick_refusals_that_overtake_slow_answers_do_no_harm(self):
        """An answer that was on its way closes it again, before any probe."""
        assert after(Breaker(), *[Kind.REQUEST_REJECTED] * 20, Kind.OK) is BreakerState.CLOSED

    def test_a_probe_that_is_answered_closes_it(self):
        """The model is back: everybody may ask again, and pauses begin anew."""
        breaker = Breaker()
        after(breaker, Kind.OK, *[Kind.TIMEOUT] * 8)
        after(breaker, Kind.TIMEOUT, Kind.TIMEOUT, is_probe=True)
        assert after(breaker, Kind.OK, is_probe=True) is BreakerState.CLOSED
        after(breaker, *[Kind.TIMEOUT] * 8)
        assert breaker.pause_s == breaker.first_pause_s

    def test_pauses_between_probes_double(self):
        """Each probe waits twice as long as the one before; a closed breaker never waits."""
        breaker = Breaker(first_pause_s=0.5)
        assert breaker.pause_s == 0
        after(breaker, Kind.OK, *[Kind.TIMEOUT] * 8)
        pauses = []
        while breaker.state is BreakerState.PROBING:
            pauses.append(breaker.pause_s)
            breaker.saw(Kind.TIMEOUT, is_probe=True)
        assert pauses == [0.5, 1, 2, 4, 8]
        assert breaker.state is BreakerState.GIVEN_UP

    @pytest.mark.parametrize(
        ("answered", "kind"),
        [
            ((), Kind.TIMEOUT),
            ((), Kind.RATE_LIMITED),
            ((Kind.OK,), Kind.AUTH_ERROR),
            ((Kind.OK,), Kind.REQUEST_REJECTED),
        ],
    )
    def test_the_hopeless_are_probed_twice(self, answered, kind):
        """What never answered, or what waiting does not mend, is given up sooner."""
        breaker = Breaker()
        assert after(breaker, *answered, *[kind] * 8) is BreakerState.PROBING
        assert after(breaker, kind, is_probe=True) is BreakerState.PROBING
        assert after(breaker, kind, is_probe=True) is BreakerState.GIVEN_UP

    def test_given_up_is_for_good(self):
        """A late answer does not take it back: half the calls have been left unsent by then."""
        breaker = Breaker()
        after(breaker, *[Kind.AUTH_ERROR] * 3)
        after(breaker, *[Kind.AUTH_ERROR] * 2, is_probe=True)
        assert after(breaker, Kind.OK, Kind.TIMEOUT) is BreakerState.GIVEN_UP
        assert breaker.last_kind is Kind.AUTH_ERROR


class TestLane:
    """Adaptive width, hints and who may pass."""

    def test_a_429_narrows_it_and_a_burst_is_one_event(self):
        """Multiplicative decrease, once a second however many come."""
        lane = a_lane(64)
        for _ in range(64):
            lane.saw(Kind.RATE_LIMITED, now_s=10.0, hint_s=None)
        assert lane.width == 44
        lane.saw(Kind.RATE_LIMITED, now_s=11.1, hint_s=None)
        assert lane.width == 31

    def test_answers_widen_it_again(self):
        """Additive increase, and never wider than it began."""
        lane = a_lane(4)
        lane.saw(Kind.RATE_LIMITED, now_s=0.0, hint_s=None)
        assert lane.width == 2
        for _ in range(50):
            lane.saw(Kind.OK, now_s=1.0, hint_s=None)
        assert lane.width == 4

    def test_it_is_never_closed_by_narrowing(self):
        """One worker always passes: it is the one that finds the end."""
        lane = a_lane(2)
        for second in range(0, 100, 2):
            lane.saw(Kind.RATE_LIMITED, now_s=float(second), hint_s=None)
        assert lane.width == 1
        asyncio.run(asyncio.wait_for(lane.admit(0), 1))

    def test_other_faults_do_not_narrow_it(self):
        """Only the server's own `too many` says that there were too many."""
        lane = a_lane(4)
        for kind in (Kind.TIMEOUT, Kind.CONNECTION, Kind.PROVIDER_ERROR):
            lane.saw(kind, now_s=5.0, hint_s=None)
        assert lane.width == 4

    def test_a_hint_holds_the_whole_lane(self):
        """After `come back in 5 s` nobody asks before; the longest hint counts, and the rate holds after it."""
        lane = a_lane(4, requests_per_minute=60)
        lane.saw(Kind.RATE_LIMITED, now_s=100.0, hint_s=5.0)
        lane.saw(Kind.RATE_LIMITED, now_s=101.0, hint_s=1.0)
        assert [lane.book(102.0, tokens=1) for _ in range(3)] == [3.0, 4.0, 5.0]

    def test_whoever_waits_for_width_gets_it(self):
        """A narrowed worker waits until answers have made room."""

        async def waited():
            lane = a_lane(2)
            lane.saw(Kind.RATE_LIMITED, now_s=0.0, hint_s=None)
            waiting = asyncio.create_task(lane.admit(1))
            await asyncio.sleep(0)
            assert not waiting.done()
            lane.saw(Kind.OK, now_s=0.1, hint_s=None)
            await asyncio.wait_for(waiting, 1)

        asyncio.run(waited())

    def test_the_end_lets_everybody_through_for_good(self):
        """A 429 that comes in after the end must not hold the others again: nobody would ever wake them."""

        async def ended():
            lane = a_lane(64)
            waiting = [asyncio.create_task(lane.admit(worker)) for worker in range(64)]
            lane.saw(Kind.RATE_LIMITED, now_s=0.0, hint_s=None)
            await asyncio.sleep(0)
            lane.end()
            lane.saw(Kind.RATE_LIMITED, now_s=10.0, hint_s=None)
            await asyncio.wait_for(asyncio.gather(*waiting), 1)
            await asyncio.wait_for(lane.admit(63), 1)

        asyncio.run(ended())
