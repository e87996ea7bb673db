"""Ctrl-C on the event loop of a run."""

import asyncio
import os
import signal

import pytest

from evalkit.api.loop import run_until_stopped


def press_ctrl_c() -> None:
    """Interrupt this very process; the handler has run when this returns."""
    os.kill(os.getpid(), signal.SIGINT)


async def committing(log: list[str], *, n_signals: int) -> None:
    """Be interrupted while waiting, and again in the middle of what must be committed all the same."""
    try:
        press_ctrl_c()
        await asyncio.sleep(10)
    except asyncio.CancelledError:
        for _ in range(n_signals - 1):
            press_ctrl_c()
        log.append("committed")
        raise


@pytest.mark.parametrize("n_signals", [1, 2])
def test_an_interrupt_never_breaks_into_a_step(n_signals):
    """Pressed once or twice, the work that follows a cancellation is done to its end."""
    log: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        run_until_stopped(committing(log, n_signals=n_signals))
    assert log == ["committed"]


def test_the_third_interrupt_breaks_off():
    """Whoever insists gets out, whatever is left undone."""
    log: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        run_until_stopped(committing(log, n_signals=3))
    assert log == []


def test_work_that_ends_gives_its_value_and_the_handler_back():
    """Without an interrupt nothing is different, and Python's own handler is back in its place."""
    before = signal.getsignal(signal.SIGINT)
    assert run_until_stopped(asyncio.sleep(0, result=7)) == 7
    assert signal.getsignal(signal.SIGINT) is before


def test_a_cancellation_from_within_is_not_an_interrupt():
    """A task that cancels itself is not reported as Ctrl-C."""

    async def gives_up() -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        run_until_stopped(gives_up())
