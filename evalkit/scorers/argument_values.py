"""When a value a model passed to a tool is the one that was meant: by declared type, and by the field's own rules.

Source: the checks of the Berkeley Function Calling Leaderboard, as described in its documentation.
"""

from __future__ import annotations

import unicodedata
from typing import Any

from evalkit.scorers.calls_in_text import Untyped
from evalkit.wire.json_text import load_json

__all__ = ["has_type", "is_same"]

_UNHEARD = str.maketrans({**dict.fromkeys(" ,./-_*^"), "'": '"'})
"""Marks that do not tell two texts apart."""


def has_type(value: Any, declared: Any) -> bool:
    """Return whether a value has the type its JSON Schema declares; anything has a type that is not declared.

    A whole number passes for `number`; a decimal one never passes for `integer`, nor true and false for a number.
    """
    names = declared.get("type") if isinstance(declared, dict) else None
    if names is None:
        return True
    return any(_is_a(value, name) for name in (names if isinstance(names, list) else [names]))


def is_same(given: Any, wanted: Any, declared: Any = None) -> bool:
    """Return whether two values mean the same; `declared` is the JSON Schema of the wanted one, where there is one."""
    if isinstance(given, Untyped) and not isinstance(wanted, str):
        given = _typed(given)
    if isinstance(wanted, str):
        return isinstance(given, str) and _heard(given) == _heard(wanted)
    if isinstance(wanted, bool) or wanted is None:
        return given is wanted
    if isinstance(wanted, (int, float)):
        return _is_same_number(given, wanted, is_decimal=isinstance(wanted, float) or _declares(declared, "number"))
    if isinstance(wanted, list):
        items = declared.get("items") if isinstance(declared, dict) else None
        return (
            isinstance(given, list)
            and len(given) == len(wanted)
            and all(is_same(left, right, items) for left, right in zip(given, wanted, strict=True))
        )
    return _is_same_object(given, wanted, declared)


def _is_same_object(given: Any, wanted: dict[str, Any], declared: Any) -> bool:
    if not isinstance(given, dict) or given.keys() != wanted.keys():
        return False
    properties = declared.get("properties") if isinstance(declared, dict) else None
    known = properties if isinstance(properties, dict) else {}
    return all(is_same(given[key], value, known.get(key)) for key, value in wanted.items())


def _is_same_number(given: Any, wanted: float, *, is_decimal: bool) -> bool:
    if isinstance(given, bool) or not isinstance(given, (int, float)):
        return False
    return bool(given == wanted) and (is_decimal or isinstance(given, int))


def _declares(declared: Any, name: str) -> bool:
    names = declared.get("type") if isinstance(declared, dict) else None
    return name in (names if isinstance(names, list) else [names])


def _is_a(value: Any, name: Any) -> bool:
    if isinstance(value, Untyped) and name != "string":
        value = _typed(value)
    if isinstance(value, bool):
        return bool(name == "boolean")
    kinds: dict[str, type | tuple[type, ...]] = {
        "string": str,
        "integer": int,
        "number": (int, float),
        "array": list,
        "object": dict,
        "null": type(None),
    }
    return isinstance(name, str) and name in kinds and isinstance(value, kinds[name])


def _typed(text: Untyped) -> Any:
    try:
        return load_json(text)
    except ValueError:
        return str(text)


def _heard(text: str) -> str:
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return text.translate(_UNHEARD).lower()
