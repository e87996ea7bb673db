"""Blocking work beside the loop is seen to its end."""

from __future__ import annotations

import asyncio
import time

import pytest

from evalkit.pipeline.threads import run_to_end


def test_the_result_comes_back():
    """What the work returns is returned."""
    assert asyncio.run(run_to_end(lambda: 42)) == 42


def test_an_error_comes_back():
    """What the work raises is raised."""
    with pytest.raises(ZeroDivisionError):
        asyncio.run(run_to_end(lambda: 1 / 0))


@pytest.mark.parametrize("n_cancels", [1, 3])
def test_a_cancellation_waits_for_the_end(n_cancels):
    """Cancelled however often, it lets go only when the work is done; then the cancellation is raised."""
    done = []

    def work():
        time.sleep(0.1)
        done.append(True)

    async def cancelled():
        task = asyncio.create_task(run_to_end(work))
        await asyncio.sleep(0.01)
        for _ in range(n_cancels):
            task.cancel()
            await asyncio.sleep(0.01)
        assert not done
        await asyncio.wait([task])
        assert task.cancelled()

    asyncio.run(cancelled())
    assert done == [True]


def test_an_error_wins_over_a_cancellation():
    """Work that failed while it was cancelled says so: a lost commit is worse news than a Ctrl-C."""

    def work():
        time.sleep(0.05)
        raise ZeroDivisionError

    async def cancelled():
        task = asyncio.create_task(run_to_end(work))
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait([task])
        return task.exception()

    assert isinstance(asyncio.run(cancelled()), ZeroDivisionError)
