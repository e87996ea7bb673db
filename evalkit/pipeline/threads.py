"""Blocking work beside the event loop, always seen to its end: a commit half waited for is a commit in doubt."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["run_to_end", "wait_out"]

T = TypeVar("T")


async def run_to_end(work: Callable[[], T]) -> T:
    """Run `work` in a thread and return what it gives; a cancellation meanwhile is raised after its end, not before.

    Raises:
        CancelledError: when the caller was cancelled and the work itself went well.
    """
    future = asyncio.get_running_loop().run_in_executor(None, work)
    cancelled = await wait_out(future)
    result = future.result()
    if cancelled is not None:
        raise cancelled
    return result


async def wait_out(future: asyncio.Future[Any]) -> asyncio.CancelledError | None:
    """Wait until `future` is done, however often the caller is cancelled; return the last cancellation.

    A second Ctrl-C makes the event loop cancel every task it has: waiting once behind a shield is not enough.
    """
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError as error:
            cancelled = error
    return cancelled
