"""The event loop of a use case that must end well: Ctrl-C stops it between two steps, never in the middle of one."""

from __future__ import annotations

import asyncio
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

__all__ = ["run_until_stopped"]

T = TypeVar("T")

_PATIENCE = 2
"""Interrupts that ask; one more breaks off wherever it is, as a kill would."""


def run_until_stopped(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` to its end and return what it gives; an interrupt cancels it and waits for what it still commits.

    Python's own runner raises the second interrupt wherever the program happens to be, which may be between an answer
    and its commit. Off the main thread signals cannot be had, and nothing is changed.

    Raises:
        KeyboardInterrupt: when it was interrupted and did not finish all the same.
    """
    interrupts: list[int] = []

    async def watched() -> T:
        task = asyncio.ensure_future(main)
        with _interrupts_cancel(task, interrupts):
            return await task

    try:
        return asyncio.run(watched())
    except asyncio.CancelledError:
        if not interrupts:
            raise
        raise KeyboardInterrupt from None


@contextmanager
def _interrupts_cancel(task: asyncio.Future[Any], interrupts: list[int]) -> Iterator[None]:
    """While open, the first interrupts cancel `task` at its next step."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()

    def interrupted(number: int, _frame: object) -> None:
        interrupts.append(number)
        if len(interrupts) > _PATIENCE:
            raise KeyboardInterrupt
        loop.call_soon_threadsafe(task.cancel)

    before = signal.signal(signal.SIGINT, interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
