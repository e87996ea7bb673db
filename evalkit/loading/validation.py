"""Pydantic's findings as InputErrors: file, line, pointer, value, and what to write instead."""

from __future__ import annotations

import re
from datetime import date
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from evalkit.domain.policy import DURATION_PATTERN
from evalkit.domain.shape import NAME_PATTERN
from evalkit.errors import InputError, Place
from evalkit.loading.problems import ProjectErrors, closest
from evalkit.loading.source import node_at, plain, pointer_from

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pydantic_core import ErrorDetails

    from evalkit.loading.source import Node

__all__ = ["input_error_from", "mapping_in", "shown", "validated"]

T = TypeVar("T")

_NOTHING: Mapping[str, str] = MappingProxyType({})
_MAX_SHOWN_CHARACTERS = 120
_UNKNOWN_KEY = {"extra_forbidden", "unexpected_keyword_argument"}
_RULES = {
    NAME_PATTERN: "use letters a to z, digits and . _ : @ + - only, at most 128, beginning with a letter or digit",
    DURATION_PATTERN: "write a whole number and s, m, h or d, such as 30s, 15m, 50h or 14d",
}
"""Pattern to what it asks for."""
_SECRET = re.compile(r"key|token|secret|passw|authorization|credential", re.IGNORECASE)
_NAMES_A_SECRET = ("_env", "_file", "_command", "_id", "_tokens")


def mapping_in(document: Node, *, what: str) -> Node:
    """Return the document, which must be a mapping.

    Raises:
        InputError: when it is a list, a single value or empty.
    """
    if not isinstance(document.value, dict):
        raise InputError(
            f"{what} is a mapping of keys to values, not {shown(plain(document))}",
            place=document.place,
            next_step="start with `version: 1`",
        )
    return document


def validated(adapter: TypeAdapter[T], node: Node, *, read_before: Mapping[str, str] = _NOTHING) -> T:
    """Return the domain object a document holds.

    Args:
        adapter: of the object.
        node: the document.
        read_before: keys the file may hold that loading has taken out by now: pointer, `*` for any position, to key.

    Raises:
        ProjectErrors: with one error for each thing that is wrong in the document.
    """
    try:
        return adapter.validate_python(plain(node))
    except ValidationError as error:
        raise ProjectErrors(_errors_from(error, adapter, node, read_before=read_before)) from error


def _errors_from(
    error: ValidationError, adapter: TypeAdapter[Any], node: Node, *, read_before: Mapping[str, str]
) -> Iterator[InputError]:
    told: set[str] = set()
    for detail in error.errors(include_url=False):
        found, n_keys = node_at(node, *detail["loc"])
        rest = _rest_of(detail, detail["loc"][n_keys:])
        pointer = (found.place.pointer or "") + pointer_from(rest)
        place = Place(file=found.place.file, line=found.place.line, pointer=pointer)
        problem = input_error_from(detail, place=place, adapter=adapter, read_before=read_before)
        # A union fails once for each of its members; one sentence about a place is enough.
        if f"{place}" not in told:
            yield problem
        told.add(f"{place}")


def _rest_of(detail: ErrorDetails, rest: Sequence[int | str]) -> Sequence[int | str]:
    """Keep only keys a person could have written: pydantic adds names of union members and `[key]`."""
    if detail["type"] == "missing":
        return rest[-1:]
    return () if rest[-1:] == ("[key]",) or detail["type"] not in _UNKNOWN_KEY else rest[-1:]


def input_error_from(
    detail: ErrorDetails, *, place: Place, adapter: TypeAdapter[Any], read_before: Mapping[str, str] = _NOTHING
) -> InputError:
    """Return one of pydantic's findings in our words; values under secret-looking keys are not shown."""
    *above, last = detail["loc"] or ("",)
    if detail["type"] in _UNKNOWN_KEY:
        early = read_before.get(pointer_from(["*" if isinstance(key, int) else key for key in above]))
        allowed = (*_allowed_keys(adapter, tuple(above)), *([early] if early else []))
        value = shown(detail["input"], key=str(last))
        return InputError(
            f"unknown key {last!r} with value {value}", place=place, next_step=_unknown_key_step(str(last), allowed)
        )
    if detail["type"] == "missing":
        return InputError(f"the required key {last!r} is missing", place=place, next_step=f"add {last}: …")
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "value_error":
        return InputError(message, place=place, next_step="change one of the values it names")
    return InputError(
        f"{shown(detail['input'], key=str(last))} is not allowed: {message[:1].lower()}{message[1:]}",
        place=place,
        next_step=_rule(detail),
    )


def _rule(detail: ErrorDetails) -> str:
    """Return in words what is wanted, where pydantic's own do not say what to write."""
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "string_pattern_mismatch" and context.get("pattern") in _RULES:
        return _RULES[context["pattern"]]
    if kind == "string_type" and isinstance(detail["input"], (int, float, date)):
        return "a text is wanted: put it in quotes"
    if kind == "too_short":
        return f"write at least {context['min_length']}"
    is_object = kind in {"model_type", "dataclass_type"}
    return "write a mapping of keys to values" if is_object else "write a value of the kind it asks for"


def _unknown_key_step(key: str, allowed: tuple[str, ...]) -> str:
    if _is_secret(key) and "api_key_env" in allowed:
        return "never write a key into a file: put it into an environment variable and name that in api_key_env"
    return closest(key, allowed, what="allowed keys")


def shown(value: Any, *, key: str = "") -> str:
    """Return a value for a message: at most 120 characters, and nothing of a value whose key smells of a secret."""
    if _is_secret(key):
        return "(not shown)"
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN_CHARACTERS else f"{text[: _MAX_SHOWN_CHARACTERS - 1]}…"


def _is_secret(key: str) -> bool:
    return _SECRET.search(key) is not None and not key.endswith(_NAMES_A_SECRET)


def _allowed_keys(adapter: TypeAdapter[Any], keys: tuple[int | str, ...]) -> tuple[str, ...]:
    """Return the keys an object takes, read off the JSON Schema along the path that leads to it."""
    schema = _schema_of(adapter)
    here: Any = schema
    for key in keys:
        here = _step(_resolved(here, schema), key)
    return tuple(_resolved(here, schema).get("properties", ()))


@lru_cache(maxsize=32)
def _schema_of(adapter: TypeAdapter[Any]) -> dict[str, Any]:
    return adapter.json_schema()


def _resolved(here: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Follow references and the one branch of `X | None` that has structure."""
    while "$ref" in here or "anyOf" in here:
        if "$ref" in here:
            here = schema["$defs"][here["$ref"].rsplit("/", 1)[-1]]
        elif "properties" in here or "items" in here:
            break
        else:
            structured = [branch for branch in here["anyOf"] if branch.keys() - {"type", "title"}]
            here = structured[0] if structured else {}
    return here


def _step(here: dict[str, Any], key: int | str) -> dict[str, Any]:
    if isinstance(key, int):
        inner: Any = here.get("items", {})
    elif key in here.get("properties", {}):
        inner = here["properties"][key]
    else:
        inner = here.get("additionalProperties") or next(iter(here.get("patternProperties", {}).values()), {})
    return inner if isinstance(inner, dict) else {}
