"""Strings that repeat, as small integers: one dictionary for the whole store."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import select

from evalkit.store.connect import insert_ignoring, writing
from evalkit.store.schema import words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sqlalchemy import Connection, Engine

__all__ = ["Words", "slices"]

_Item = TypeVar("_Item")

_SLICE = 500
"""Values in one `IN (…)`: every database takes this many."""
_CACHED = 100_000
"""Words kept in memory: memory stays flat however many cases a store has seen."""


def slices(values: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    """Yield `values` in pieces small enough for one `IN (…)`."""
    for start in range(0, len(values), _SLICE):
        yield values[start : start + _SLICE]


class Words:
    """The dictionary, with what was used lately in memory. Safe from any thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        # Replaced when full, never emptied: a caller may still be reading the old one.
        self._number_of: dict[str, int] = {}
        self._text_of: dict[int, str] = {}

    def numbers(self, texts: Iterable[str]) -> Mapping[str, int]:
        """Return at least these texts with their numbers; new ones are committed first, in a transaction of their own.

        A word without an outcome does no harm; a cached word whose insert was rolled back would.
        """
        wanted = set(texts)
        known = self._number_of
        unknown = sorted(wanted - known.keys())
        if not unknown:
            return known
        with writing(self._engine) as connection:
            found = _find(connection, unknown)
            new = [text for text in unknown if text not in found]
            if new:
                connection.execute(insert_ignoring(connection, words), [{"text": text} for text in new])
                found |= _find(connection, new)
        self._number_of = _merged(known, found, wanted)
        return self._number_of

    def known_numbers(self, connection: Connection, texts: Iterable[str]) -> dict[str, int]:
        """Return those of the texts the store has ever seen; nothing is written."""
        return _find(connection, sorted(set(texts)))

    def texts(self, connection: Connection, numbers: set[int]) -> Mapping[int, str]:
        """Return at least these numbers with their texts."""
        known = self._text_of
        unknown = sorted(numbers - known.keys())
        if not unknown:
            return known
        found: dict[int, str] = {}
        for some in slices(unknown):
            rows = connection.execute(select(words.c.word_id, words.c.text).where(words.c.word_id.in_(some)))
            found |= {row.word_id: row.text for row in rows}
        self._text_of = _merged(known, found, numbers)
        return self._text_of


def _find(connection: Connection, texts: Sequence[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for some in slices(texts):
        rows = connection.execute(select(words.c.text, words.c.word_id).where(words.c.text.in_(some)))
        found |= {row.text: row.word_id for row in rows}
    return found


_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


def _merged(known: dict[_Key, _Value], found: dict[_Key, _Value], wanted: set[_Key]) -> dict[_Key, _Value]:
    """Add what was found; when the cache is full, start again from what is wanted now."""
    if len(known) + len(found) <= _CACHED:
        known.update(found)
        return known
    return found | {key: known[key] for key in wanted if key in known}
