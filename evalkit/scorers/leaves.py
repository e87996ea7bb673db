"""Pairing the leaves of two JSON values and comparing each pair; the arithmetic is in `fields`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

from evalkit.scorers.answer import normalised
from evalkit.scorers.tolerance import is_near

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["ABSENT", "Align", "Comparing", "Pair", "leaf_pairs"]

MAX_ALIGNED = 200
"""Elements of a given array looked at when arrays are aligned, or twice as many as expected; the rest are extra."""


class _Absent(Enum):
    """Nothing stands there: not even null."""

    ABSENT = "absent"


ABSENT = _Absent.ABSENT

_ISO_DATE = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d.*)?", re.ASCII | re.DOTALL)
_MAX_DATE_LENGTH = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Align:
    """Which elements of two arrays belong together; by index when neither is set."""

    key: str = ""
    is_set: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparing:
    """When two leaves count as equal, and which do not count at all."""

    abs_tol: float = 0.0
    rel_tol: float = 0.0
    is_exact_text: bool = False
    align: Align = Align()
    ignored: tuple[tuple[str, ...], ...] = ()
    """Steps of the pointers left out; `*` stands for any one step."""


class Pair(NamedTuple):
    """One expected leaf with what was given in its place; either may be `ABSENT`."""

    pointer: str
    expected: Any
    given: Any
    is_right: bool
    n_given: int
    """Leaves given there: more than one when a whole object stands where a scalar was expected."""


def leaf_pairs(expected: Any, given: Any, comparing: Comparing) -> Iterator[Pair]:
    """Yield a pair for each leaf of either side that is not ignored, expected ones in document order."""
    return _pairs(expected, given, (), comparing=comparing)


def _pairs(expected: Any, given: Any, path: tuple[str, ...], *, comparing: Comparing) -> Iterator[Pair]:
    if comparing.ignored and _is_ignored(path, comparing.ignored):
        return
    if _is_inner(expected) and type(expected) is type(given) and given:
        for step, left, right in _matched(expected, given, path, comparing=comparing):
            yield from _pairs(left, right, (*path, step), comparing=comparing)
    elif _is_inner(expected):
        for step, left in _items(expected):
            yield from _pairs(left, ABSENT, (*path, step), comparing=comparing)
        if given is not ABSENT:
            yield _extra(given, path, comparing)
    elif expected is ABSENT:
        yield _extra(given, path, comparing)
    else:
        n_given = 0 if given is ABSENT else _n_leaves(given, path, comparing)
        yield Pair(_pointer(path), expected, given, is_right=_is_equal(expected, given, comparing), n_given=n_given)


def _is_inner(value: Any) -> bool:
    return isinstance(value, (dict, list)) and bool(value)


def _items(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield from value.items()
    else:
        yield from ((str(index), item) for index, item in enumerate(value))


def _extra(given: Any, path: tuple[str, ...], comparing: Comparing) -> Pair:
    """Return one pair for everything given where nothing was expected, however much that is."""
    return Pair(_pointer(path), ABSENT, given, is_right=False, n_given=_n_leaves(given, path, comparing))


def _n_leaves(value: Any, path: tuple[str, ...], comparing: Comparing) -> int:
    """Count leaves that are not ignored, without recursion: the value is a model's."""
    count = 0
    stack = [(path, value)]
    while stack:
        at, node = stack.pop()
        if comparing.ignored and _is_ignored(at, comparing.ignored):
            continue
        if _is_inner(node):
            stack.extend(((*at, step) if comparing.ignored else at, item) for step, item in _items(node))
        else:
            count += 1
    return count


def _is_ignored(path: tuple[str, ...], ignored: tuple[tuple[str, ...], ...]) -> bool:
    return any(
        len(path) >= len(steps) and all(s in {"*", p} for s, p in zip(steps, path, strict=False)) for steps in ignored
    )


def _pointer(path: Sequence[str]) -> str:
    return "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in path)


def _matched(
    expected: Any, given: Any, path: tuple[str, ...], *, comparing: Comparing
) -> Iterator[tuple[str, Any, Any]]:
    """Yield (step, expected, given) over both sides; what has no partner stands beside `ABSENT`."""
    if isinstance(expected, dict):
        for key, value in expected.items():
            yield key, value, given.get(key, ABSENT)
        yield from ((key, ABSENT, value) for key, value in given.items() if key not in expected)
        return
    partners = _partners(expected, given, path, comparing=comparing)
    for index, value in enumerate(expected):
        yield str(index), value, given[partners[index]] if index in partners else ABSENT
    used = set(partners.values())
    yield from ((str(index), ABSENT, value) for index, value in enumerate(given) if index not in used)


def _partners(expected: list[Any], given: list[Any], path: tuple[str, ...], *, comparing: Comparing) -> dict[int, int]:
    """Map expected elements to the given ones they belong with, by index."""
    considered = given[: max(MAX_ALIGNED, 2 * len(expected))]
    if comparing.align.key:
        return _by_key(expected, considered, comparing)
    if comparing.align.is_set:
        return _best(expected, considered, path, comparing=comparing)
    return {index: index for index in range(min(len(expected), len(given)))}


def _by_key(expected: list[Any], given: list[Any], comparing: Comparing) -> dict[int, int]:
    key = comparing.align.key
    free = {index: item[key] for index, item in enumerate(given) if isinstance(item, dict) and key in item}
    partners: dict[int, int] = {}
    for row, item in enumerate(expected):
        wanted = item.get(key, ABSENT) if isinstance(item, dict) else ABSENT
        partner = next((column for column, value in free.items() if _is_equal(wanted, value, comparing)), None)
        if partner is not None:
            del free[partner]
            partners[row] = partner
    return partners


def _best(expected: list[Any], given: list[Any], path: tuple[str, ...], *, comparing: Comparing) -> dict[int, int]:
    """Pair greedily, most alike first; ties go to the earlier elements, so the result is always the same."""
    ranked = sorted(
        (-_likeness(left, right, (*path, str(row)), comparing=comparing), row, column)
        for row, left in enumerate(expected)
        for column, right in enumerate(given)
    )
    partners: dict[int, int] = {}
    used: set[int] = set()
    for unlikeness, row, column in ranked:
        if unlikeness < 0 and row not in partners and column not in used:
            partners[row] = column
            used.add(column)
    return partners


def _likeness(expected: Any, given: Any, path: tuple[str, ...], *, comparing: Comparing) -> float:
    """Return the F1 of two elements as if they stood alone."""
    if not _is_inner(expected):
        return float(_is_equal(expected, given, comparing))
    pairs = list(_pairs(expected, given, path, comparing=comparing))
    whole = sum(pair.n_given + (pair.expected is not ABSENT) for pair in pairs)
    return 2 * sum(pair.is_right for pair in pairs) / whole if whole else 0.0


def _is_equal(expected: Any, given: Any, comparing: Comparing) -> bool:
    if expected is ABSENT or given is ABSENT:
        return False
    if isinstance(expected, bool) or isinstance(given, bool):
        return expected is given
    if isinstance(expected, (int, float)) and isinstance(given, (int, float)):
        return is_near(given, expected, abs_tol=comparing.abs_tol, rel_tol=comparing.rel_tol)
    if isinstance(expected, str) and isinstance(given, str):
        return expected == given or (not comparing.is_exact_text and _is_same_text(expected, given))
    return type(expected) is type(given) and bool(expected == given)


def _is_same_text(expected: str, given: str) -> bool:
    if normalised(expected, "casefold") == normalised(given, "casefold"):
        return True
    if not _ISO_DATE.fullmatch(expected.strip()) or len(given) > _MAX_DATE_LENGTH:
        return False
    try:
        return datetime.fromisoformat(expected.strip()) == datetime.fromisoformat(given.strip())
    except ValueError:  # looks like a date and is none
        return False
