"""Chance without state: every draw is a hash of the seed, what is drawn for, and the draw's own name.

A random generator hands out numbers in the order of asking, so under concurrency, or after a resumed run, the same
call would get another answer. Here it cannot: no draw knows of any other.
"""

from __future__ import annotations

import hashlib
from statistics import NormalDist
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Dice"]

_T = TypeVar("_T")
_NORMAL = NormalDist()
_BITS = 53
_RANGE = 1 << _BITS


class Dice:
    """Draws that belong to one thing, such as one (seed, model, case, trial)."""

    __slots__ = ("_root",)

    def __init__(self, *parts: object) -> None:
        self._root = hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=16)

    def _bits(self, name: str) -> int:
        state = self._root.copy()
        state.update(f"\x1e{name}".encode())
        return int.from_bytes(state.digest()[:8], "big") >> (64 - _BITS)

    def share(self, name: str) -> float:
        """Return a number in [0, 1), uniform."""
        return self._bits(name) / _RANGE

    def happens(self, name: str, share: float) -> bool:
        """Return True with the given probability."""
        return self.share(name) < share

    def whole(self, name: str, low: int, high: int) -> int:
        """Return a whole number from `low` to `high`, both included."""
        return low + self._bits(name) % (high - low + 1)

    def pick(self, name: str, options: Sequence[_T]) -> _T:
        """Return one of the options.

        Raises:
            ValueError: when there are none.
        """
        if not options:
            raise ValueError(f"nothing to pick from for {name!r}")
        return options[self._bits(name) % len(options)]

    def normal(self, name: str) -> float:
        """Return a standard normal number."""
        return _NORMAL.inv_cdf(min(max(self.share(name), 1e-12), 1 - 1e-12))

    def hexadecimal(self, name: str, n_digits: int) -> str:
        """Return hexadecimal digits, at most 32."""
        state = self._root.copy()
        state.update(f"\x1d{name}".encode())
        return state.hexdigest()[:n_digits]
