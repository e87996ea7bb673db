"""The batch writer: everything handed over is committed, whatever happens, or somebody is told."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import replace

import pytest

from evalkit.domain.score import Score, Scored
from evalkit.errors import StoreError
from evalkit.pipeline.writer import BatchWriter
from evalkit.store.memory import MemoryStore
from evalkit.testing.builders import a_run, an_outcome

RUN = "run-1"


class SlowStore:
    """A memory store that takes its time, and can be full."""

    def __init__(self, clock, *, delay_s=0.0, fails_at=None) -> None:
        self.store = MemoryStore(clock=clock)
        self.store.open_run(a_run(RUN))
        self.batches = []
        self.threads = set()
        self._delay_s = delay_s
        self._fails_at = fails_at

    def append(self, run_id, outcomes, scored=()):
        """Keep a batch, or say that the disk is full."""
        time.sleep(self._delay_s)
        self.threads.add(threading.current_thread())
        if self._fails_at is not None and len(self.batches) >= self._fails_at:
            raise StoreError("the disk is full")
        self.batches.append(len(outcomes))
        self.store.append(run_id, outcomes, scored)

    @property
    def n_kept(self):
        """Return how many outcomes are kept."""
        return len(self.store.held_keys(RUN))


@pytest.fixture
def a_store(stepped_clock):
    """Give the builder of stores."""
    return lambda **how: SlowStore(stepped_clock(), **how)


def kept(outcome):
    """Return an outcome as it is, with no score."""
    return outcome, None


def outcomes(n):
    """Return `n` outcomes of different calls."""
    return [an_outcome(f"case-{index}", sequence=index) for index in range(n)]


def test_everything_is_committed_in_few_batches(a_store):
    """A thousand outcomes are no thousand transactions, and the loop's own thread writes none of them."""
    store = a_store()

    async def write():
        async with BatchWriter(store, RUN, prepare=kept) as writer:
            for outcome in outcomes(1000):
                await writer.put(outcome)

    asyncio.run(write())
    assert store.n_kept == 1000
    assert len(store.batches) <= 10
    assert threading.main_thread() not in store.threads


def test_an_outcome_is_committed_soon(a_store):
    """A kill loses what finished in the last moment, not what finished a second ago."""
    store = a_store()

    async def write():
        async with BatchWriter(store, RUN, prepare=kept) as writer:
            await writer.put(an_outcome())
            await asyncio.sleep(0.5)
            return store.n_kept

    assert asyncio.run(write()) == 1


def test_outcomes_are_prepared_and_scores_go_with_them(a_store):
    """The payload mode and scores on arrival are applied just before an outcome is kept."""
    store = a_store()

    def prepare(outcome):
        scored = Scored(call_key=outcome.call_key, scores=(Score("exact", 1.0),))
        return replace(outcome, turns=()), scored

    async def write():
        async with BatchWriter(store, RUN, prepare=prepare) as writer:
            await writer.put(an_outcome())

    asyncio.run(write())
    (outcome,) = store.store.outcomes(RUN)
    (scored,) = store.store.scores(RUN)
    assert (outcome.turns, scored.scores[0].value) == ((), 1.0)


def test_a_store_far_behind_holds_the_senders_back(a_store):
    """Memory stays flat: who hands over more than a few batches waits."""
    store = a_store(delay_s=0.02)
    waiting = []

    async def write():
        async with BatchWriter(store, RUN, prepare=kept) as writer:
            for outcome in outcomes(6000):
                await writer.put(outcome)
                waiting.append(len(writer._waiting))

    asyncio.run(write())
    assert store.n_kept == 6000
    assert max(waiting) <= 2048


def test_a_full_disk_is_told_to_the_next_sender(a_store):
    """The run stops at the next outcome with the store's own error, and ends at once."""
    store = a_store(fails_at=1)

    async def write():
        async with BatchWriter(store, RUN, prepare=kept) as writer:
            for outcome in outcomes(20_000):
                await writer.put(outcome)

    with pytest.raises(StoreError, match="disk is full"):
        asyncio.run(asyncio.wait_for(write(), 10))


def test_a_full_disk_at_the_end_is_told_too(a_store):
    """When nobody hands over anything any more, leaving raises: the answers are lost and must not pass for kept."""
    store = a_store(fails_at=0)

    async def write():
        async with BatchWriter(store, RUN, prepare=kept) as writer:
            await writer.put(an_outcome())

    with pytest.raises(StoreError, match="disk is full"):
        asyncio.run(asyncio.wait_for(write(), 10))


def test_a_scorer_that_crashes_is_a_bug_that_is_heard_of(a_store):
    """What goes wrong while preparing is raised as it is."""

    def crash(outcome):
        raise ZeroDivisionError(outcome.case_id)

    async def write():
        async with BatchWriter(a_store(), RUN, prepare=crash) as writer:
            await writer.put(an_outcome())

    with pytest.raises(ZeroDivisionError):
        asyncio.run(asyncio.wait_for(write(), 10))


@pytest.mark.parametrize("n_cancels", [1, 2, 5])
def test_cancelling_commits_what_came_back(a_store, n_cancels):
    """Ctrl-C, however often: what was handed over is kept before the writer lets go."""
    store = a_store(delay_s=0.05)

    async def write():
        async with BatchWriter(store, RUN, prepare=kept) as writer:
            for outcome in outcomes(700):
                await writer.put(outcome)
            await asyncio.sleep(60)

    async def interrupted():
        task = asyncio.create_task(write())
        await asyncio.sleep(0.02)
        for _ in range(n_cancels):
            task.cancel()
            await asyncio.sleep(0.01)
        await asyncio.wait([task])
        assert task.cancelled()

    asyncio.run(asyncio.wait_for(interrupted(), 10))
    assert store.n_kept == 700


def test_tearing_the_loop_down_commits_too(a_store):
    """A second Ctrl-C cancels every task of the loop, the writing one included."""
    store = a_store(delay_s=0.05)

    async def write():
        async with BatchWriter(store, RUN, prepare=kept) as writer:
            for outcome in outcomes(700):
                await writer.put(outcome)
            await asyncio.sleep(60)

    async def torn_down():
        task = asyncio.create_task(write())
        await asyncio.sleep(0.02)
        for other in asyncio.all_tasks() - {asyncio.current_task()}:
            other.cancel()
        await asyncio.wait([task])

    asyncio.run(torn_down())
    assert store.n_kept == 700
