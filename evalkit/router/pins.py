"""Which model served a conversation last: kept where a gateway's workers share a store, else in the one that served."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MAX_CONVERSATIONS", "Pins", "SharedStore"]

MAX_CONVERSATIONS = 20_000
"""Of one process without a shared store. Beyond that the one not heard of for longest starts anew."""


class SharedStore(Protocol):
    """The gateway's own store, as LiteLLM's Redis cache offers it."""

    async def async_get_cache(self, key: str) -> Any:
        """Return what was set, or None."""
        ...

    async def async_set_cache(self, key: str, value: Any, *, ttl: int) -> Any:
        """Set it for so many seconds."""
        ...


class Pins:
    """Conversation to model, each forgotten after a silence. For one event loop.

    Args:
        now: seconds of a clock that only goes forward.
    """

    def __init__(self, *, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._own: OrderedDict[str, tuple[str, float]] = OrderedDict()

    async def find(self, key: str, *, shared: SharedStore | None) -> str | None:
        """Return the model; None when the conversation is new, or was silent for too long."""
        if shared is not None:
            found = await shared.async_get_cache(key)
            model = found.get("model") if isinstance(found, dict) else None
            return model if isinstance(model, str) else None
        model, until = self._own.get(key, ("", 0.0))
        return model if model and self._now() < until else None

    async def keep(self, key: str, model: str, *, shared: SharedStore | None, for_s: float) -> None:
        """Remember the model for so many seconds from now."""
        if shared is not None:
            await shared.async_set_cache(key, {"model": model}, ttl=int(for_s))
            return
        self._own[key] = (model, self._now() + for_s)
        self._own.move_to_end(key)
        while len(self._own) > MAX_CONVERSATIONS:
            self._own.popitem(last=False)
