"""Laws of pacing: a rate is never exceeded, a budget never overspent, a width never out of bounds."""

from __future__ import annotations

import asyncio
from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from evalkit.domain.outcome import MISSING, Kind
from evalkit.domain.roster import ModelLimits
from evalkit.pipeline.pacing import Breaker, BreakerState, Lane, Throttle
from evalkit.pipeline.spending import Budget

gaps_s = st.floats(min_value=0, max_value=30, allow_nan=False)
requests = st.lists(st.tuples(gaps_s, st.integers(1, 5000)), min_size=1, max_size=60)
kinds = st.sampled_from(sorted(Kind))
WINDOW_S = 60.0
ROUNDING_S = 1e-6


def sent_at(book, arrivals):
    """Return (moment of sending, tokens) of each request, in the order of booking."""
    moments = accumulate(gap for gap, _ in arrivals)
    return [(now + book(now, tokens=tokens), tokens) for now, (_, tokens) in zip(moments, arrivals, strict=True)]


@given(requests, st.integers(1, 600), st.integers(1000, 100_000))
def test_the_throttle_never_exceeds_a_rate(arrivals, per_minute, tokens_per_minute):
    """In no minute more requests than allowed, nor more tokens than allowed beside the last request's own."""
    sent = sent_at(Throttle(per_minute, tokens_per_minute).book, arrivals)
    for start, _ in sent:
        inside = [tokens for at, tokens in sent if start <= at < start + WINDOW_S - ROUNDING_S]
        assert len(inside) <= per_minute
        assert sum(inside[:-1]) <= tokens_per_minute


@given(requests, st.integers(1, 600))
def test_the_throttle_keeps_the_order(arrivals, per_minute):
    """Whoever books first is sent first, and nobody before they asked."""
    sent = [at for at, _ in sent_at(Throttle(per_minute, None).book, arrivals)]
    assert sent == sorted(sent)
    assert all(at >= now for at, now in zip(sent, accumulate(gap for gap, _ in arrivals), strict=True))


@given(requests, st.lists(st.tuples(st.integers(0, 59), gaps_s), max_size=10), st.integers(1, 600))
def test_a_hint_never_makes_the_lane_faster(arrivals, hints, per_minute):
    """With hints in between, the declared rate holds as it does without."""
    lane = Lane(max_workers=4, limits=ModelLimits(requests_per_minute=per_minute), breaker=Breaker())
    due = dict(hints)
    now, sent = 0.0, []
    for index, (gap, tokens) in enumerate(arrivals):
        now += gap
        if index in due:
            lane.saw(Kind.RATE_LIMITED, now_s=now, hint_s=due[index])
        sent.append(now + lane.book(now, tokens=tokens))
    for start in sent:
        assert sum(start <= at < start + WINDOW_S - ROUNDING_S for at in sent) <= per_minute


@given(st.lists(st.tuples(kinds, gaps_s), max_size=200), st.integers(1, 64))
def test_the_width_stays_in_bounds(seen, most):
    """Whatever comes back, between one worker and all of them may be busy."""
    lane = Lane(max_workers=most, limits=ModelLimits(), breaker=Breaker())
    now = 0.0
    for kind, gap in seen:
        now += gap
        lane.saw(kind, now_s=now, hint_s=None)
        assert 1 <= lane.width <= most


@given(st.lists(st.tuples(kinds, st.booleans()), max_size=100))
def test_the_breaker_ends_and_stays_ended(seen):
    """Given up only while missing, after at most five probes in a row; and then for good."""
    breaker, probes_in_a_row = Breaker(), 0
    for kind, is_probe in seen:
        before = breaker.state
        is_probe_now = is_probe and before is BreakerState.PROBING
        breaker.saw(kind, is_probe=is_probe_now)
        probes_in_a_row = 0 if kind not in MISSING else probes_in_a_row + is_probe_now
        if before is BreakerState.GIVEN_UP:
            assert breaker.state is BreakerState.GIVEN_UP
        elif breaker.state is BreakerState.GIVEN_UP:
            assert kind in MISSING
            assert breaker.max_hopeless_probes <= probes_in_a_row <= breaker.max_probes
        elif kind not in MISSING:
            assert breaker.state is BreakerState.CLOSED
        assert probes_in_a_row <= breaker.max_probes


calls = st.lists(
    st.tuples(st.floats(0, 1), st.one_of(st.none(), st.floats(0, 1)), st.integers(0, 3)), min_size=1, max_size=40
)


@given(calls, st.floats(0.001, 5), st.integers(1, 8))
def test_the_budget_is_never_overspent(asked, limit_usd, workers):
    """Each call costs at most what was reserved: then spent never passes the limit, and everybody comes to an end."""

    async def work(budget, queue):
        for reserved_usd, share, ticks in queue:
            if not await budget.reserve(reserved_usd):
                return
            for _ in range(ticks):
                await asyncio.sleep(0)
            actual_usd = None if share is None else share * reserved_usd
            budget.settle(reserved_usd=reserved_usd, actual_usd=actual_usd)
            assert budget.spent_usd <= limit_usd * (1 + 1e-9)

    async def run():
        budget, queue = Budget(limit_usd), iter(asked)
        await asyncio.wait_for(asyncio.gather(*(work(budget, queue) for _ in range(workers))), 5)
        return budget

    budget = asyncio.run(run())
    assert budget.reserved_usd == 0
    assert budget.spent_usd + budget.reserved_usd <= limit_usd * (1 + 1e-9)
