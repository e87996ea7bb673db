"""API keys in memory only: read when first needed, read again once after each key the gateway rejects."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from evalkit.errors import EvalkitError, InputError

if TYPE_CHECKING:
    from evalkit.plugins import GatewayContext

__all__ = ["KeyRing"]


class KeyRing:
    """The key each model is asked with: its own, else the gateway's, else none."""

    def __init__(self, context: GatewayContext) -> None:
        self._context = context
        self._own: dict[str, str | None] = {}
        self._shared: str | None = None
        self._is_shared_read = False
        self._rejected: set[str] = set()
        self._lock = asyncio.Lock()

    def __repr__(self) -> str:
        """Return how many keys are held, never one of them."""
        return f"KeyRing(n_models={len(self._own)})"

    async def key_for(self, model_id: str) -> str | None:
        """Return the key to ask a model with; None sends none.

        Raises:
            InputError: when the key that is named cannot be read, or no header can carry it.
        """
        if model_id not in self._own:
            async with self._lock:
                if model_id not in self._own:
                    await self._read(model_id, is_again=False)
        return self._current(model_id)

    async def key_after_rejection(self, model_id: str, *, rejected: str | None) -> str | None:
        """Return another key than the rejected one, or None when there is none.

        A source is read again once per rejected key, however many calls were under way with it: a command
        that prints a key may take seconds, and a wrong key is answered with a 401 ten thousand times.
        """
        if rejected is None:
            return None
        async with self._lock:
            if self._current(model_id) == rejected and rejected not in self._rejected:
                self._rejected.add(rejected)
                try:
                    await self._read(model_id, is_again=True)
                except EvalkitError:
                    # The key was there before: what the gateway said, a 401, is the better evidence.
                    return None
            fresh = self._current(model_id)
            return None if fresh == rejected else fresh

    def _current(self, model_id: str) -> str | None:
        own = self._own.get(model_id)
        return self._shared if own is None else own

    async def _read(self, model_id: str, *, is_again: bool) -> None:
        # In a thread: a command that fetches a key must not stop the clock of calls under way.
        own = await asyncio.to_thread(self._context.read_model_key, model_id)
        if own is None and (is_again or not self._is_shared_read):
            self._shared = _checked(await asyncio.to_thread(self._context.read_key), owner="the gateway")
            self._is_shared_read = True
        self._own[model_id] = _checked(own, owner=f"model {model_id!r}")


def _checked(key: str | None, *, owner: str) -> str | None:
    """Return the key when a header can carry it; the message never shows any of it."""
    if key is None:
        return None
    if not key:
        raise InputError(f"the API key of {owner} is empty", next_step="set it where the configuration says it is")
    if not (key.isascii() and key.isprintable()) or key != key.strip():
        problem = f"the API key of {owner} holds a blank at an end, a line break or a character no header can carry"
        raise InputError(problem, next_step="store the key alone, on one line")
    return key
