"""jsonschema's keywords and formats, made safe against values written by models.

Patterns run in `regex` with a time limit (`re` has none), and uniqueness is found by hashing instead of by comparing
every pair. Formats that jsonschema checks only with further packages installed are checked here by their RFC's grammar.
"""

from __future__ import annotations

import re
from datetime import date
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import regex
from jsonschema import FormatChecker, validators
from jsonschema.exceptions import ValidationError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["FORMATS", "PATTERN_LIMIT_S", "checking", "shorten"]

PATTERN_LIMIT_S = 0.2
"""A string that needs longer to match than this is reported as a violation."""
_MAX_QUOTED = 200


def shorten(text: str) -> str:
    """Return at most 200 characters of what may quote a model, without the surrogates UTF-8 cannot write."""
    text = text if len(text) <= _MAX_QUOTED else text[: _MAX_QUOTED - 1] + "…"
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


@lru_cache(maxsize=16)
def checking(cls: Any) -> Any:
    """Return the draft's validator with the keywords a hostile value could use against us replaced."""
    ours = {
        "additionalProperties": _additional_properties,
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "uniqueItems": _unique_items,
    }
    return validators.extend(cls, {name: rule for name, rule in ours.items() if name in cls.VALIDATORS})


def _matches(pattern: str, text: str) -> bool:
    return regex.compile(pattern).search(text, timeout=PATTERN_LIMIT_S) is not None


def _pattern(validator: Any, pattern: str, value: Any, _schema: Any) -> Iterator[ValidationError]:
    if validator.is_type(value, "string") and not _matches(pattern, value):
        yield ValidationError(f"{shorten(repr(value))} does not match {shorten(repr(pattern))}")


def _pattern_properties(validator: Any, patterns: Any, value: Any, _schema: Any) -> Iterator[ValidationError]:
    if not validator.is_type(value, "object"):
        return
    for pattern, schema in patterns.items():
        for name in [name for name in value if _matches(pattern, name)]:
            yield from validator.descend(value[name], schema, path=name, schema_path=pattern)


def _additional_properties(validator: Any, allowed: Any, *subject: Any) -> Iterator[ValidationError]:
    value, schema = subject  # jsonschema hands a keyword four things by position
    if not validator.is_type(value, "object"):
        return
    known = schema.get("properties", {})
    patterns = schema.get("patternProperties", {})
    extra = [name for name in value if name not in known and not any(_matches(p, name) for p in patterns)]
    if validator.is_type(allowed, "object"):
        for name in extra:
            yield from validator.descend(value[name], allowed, path=name)
    elif not allowed and extra:
        shown = ", ".join(shorten(repr(name)) for name in extra[:5])
        yield ValidationError(f"additional properties are not allowed: {shown}")


def _unique_items(validator: Any, unique: Any, value: Any, _schema: Any) -> Iterator[ValidationError]:
    if not (unique and validator.is_type(value, "array")):
        return
    keys = [_identity(item) for item in value]
    if len(set(keys)) < len(keys):
        yield ValidationError(f"{len(keys)} items, some of them equal")


def _identity(value: Any) -> Any:
    """Return something hashable that is equal exactly for equal JSON: 1 is 1.0, true is not 1."""
    if isinstance(value, dict):
        return frozenset((name, _identity(item)) for name, item in value.items())
    if isinstance(value, list):
        return tuple(map(_identity, value))
    return (type(value), value) if isinstance(value, bool) else value


_TIME = re.compile(
    r"(?:[01]\d|2[0-3]):[0-5]\d:(?:[0-5]\d|60)(?:\.\d+)?(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)", re.ASCII
)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_SHAPES = {
    "duration": re.compile(
        r"P(?:\d+W|(?=.)(?:\d+Y)?(?:\d+M)?(?:\d+D)?(?:T(?=.)(?:\d+H)?(?:\d+M)?(?:\d+S)?)?)", re.ASCII
    ),
    "hostname": re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9-]+)*", re.ASCII),
    "time": _TIME,
    "uri": re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s<>\"{}|\\^`]*"),
}


def _is_date_time(value: object) -> bool:
    """RFC 3339; jsonschema alone checks it only with a further package installed."""
    if not isinstance(value, str):
        return True
    day, _, hour = value.partition(value[10:11] if value[10:11] in {"T", "t"} else "T")
    if not (_DATE.fullmatch(day) and _TIME.fullmatch(hour)):
        return False
    date.fromisoformat(day)  # ValueError means no such day
    return True


def _formats() -> FormatChecker:
    checker = FormatChecker(formats=())
    checker.checkers = dict(validators.Draft202012Validator.FORMAT_CHECKER.checkers)
    checker.checks("date-time", raises=ValueError)(_is_date_time)
    for name, shape in _SHAPES.items():
        checker.checks(name)(lambda value, shape=shape: not isinstance(value, str) or bool(shape.fullmatch(value)))
    return checker


FORMATS = _formats()
