"""Outcomes reach the store in batches, off the event loop: no transaction and no thread per call."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Self

from evalkit.pipeline.threads import run_to_end, wait_out

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from evalkit.domain.outcome import Outcome
    from evalkit.domain.score import Scored
    from evalkit.ports import Ledger

__all__ = ["BatchWriter"]

_BATCH = 256
_MOST_WAITING = 8 * _BATCH
_LINGER_S = 0.05
"""A kill loses at most what finished in this time, besides the calls in flight."""


class BatchWriter:
    """Collects outcomes and commits them; leaving the context commits what is left, however often it is cancelled.

    Args:
        ledger: where they go.
        run_id: of the run they belong to.
        prepare: applied in the writing thread, just before an outcome is kept.
    """

    def __init__(
        self, ledger: Ledger, run_id: str, *, prepare: Callable[[Outcome], tuple[Outcome, Scored | None]]
    ) -> None:
        self._ledger = ledger
        self._run_id = run_id
        self._prepare = prepare
        self._waiting: list[Outcome] = []
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._is_closing = False
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Start the writing task."""
        self._room.set()
        self._task = asyncio.create_task(self._write())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Commit what is left.

        Raises:
            StoreError: when a batch could not be committed: what was in it is lost, and nobody must think otherwise.
        """
        self._is_closing = True
        self._wake.set()
        if self._task is None:
            return
        cancelled = await wait_out(self._task)
        if not self._task.cancelled():
            self._task.result()
        if cancelled is not None and error is None:
            raise cancelled

    async def put(self, outcome: Outcome) -> None:
        """Hand over one outcome; waits only when the store is far behind.

        Raises:
            StoreError: when an earlier batch could not be committed.
        """
        if self._task is not None and self._task.done():
            self._task.result()
        self._waiting.append(outcome)
        self._wake.set()
        # Every batch wakes all who wait: only as many go on as there is room for.
        while len(self._waiting) >= _MOST_WAITING and self._task is not None and not self._task.done():
            self._room.clear()
            await self._room.wait()

    async def _write(self) -> None:
        try:
            while not (self._is_closing and not self._waiting):
                await self._wake.wait()
                self._wake.clear()
                if len(self._waiting) < _BATCH and not self._is_closing:
                    await asyncio.sleep(_LINGER_S)
                await self._commit_waiting()
        except asyncio.CancelledError:
            # The loop is being torn down by a second Ctrl-C: the answers that came back were paid for.
            await self._commit_waiting()
            raise
        finally:
            self._room.set()

    async def _commit_waiting(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:_BATCH], self._waiting[_BATCH:]
            await run_to_end(partial(self._commit, batch))
            self._room.set()

    def _commit(self, batch: list[Outcome]) -> None:
        prepared = [self._prepare(outcome) for outcome in batch]
        outcomes = [outcome for outcome, _ in prepared]
        self._ledger.append(self._run_id, outcomes, [scored for _, scored in prepared if scored is not None])
