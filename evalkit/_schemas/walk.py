"""Walking a JSON Schema: every subschema in schema position, with its pointer."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Node", "pointer_to", "subschemas"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One subschema where it stands."""

    pointer: str
    schema: Mapping[str, Any]
    depth: int
    """Levels of `properties` and `items` above it."""


def subschemas(schema: Mapping[str, Any]) -> Iterator[Node]:
    """Yield every subschema in schema position, the root first, in document order."""
    stack = [Node(pointer="", schema=schema, depth=0)]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(reversed([child for child in _children(node) if isinstance(child.schema, dict)]))


def pointer_to(*tokens: str | int) -> str:
    """Return the RFC 6901 pointer made of these tokens."""
    return "".join("/" + str(token).replace("~", "~0").replace("/", "~1") for token in tokens)


_DEEPER = frozenset({"properties", "items", "prefixItems"})
_OF_MAPS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_OF_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems", "items")
_OF_ONE = (
    "items", "additionalItems", "additionalProperties", "contains", "else", "if", "not",
    "propertyNames", "then", "unevaluatedItems", "unevaluatedProperties",
)  # fmt: skip


def _children(node: Node) -> Iterator[Node]:
    for tokens, child in chain(_in_maps(node.schema), _in_lists(node.schema), _single(node.schema)):
        depth = node.depth + (tokens[0] in _DEEPER)
        yield Node(pointer=node.pointer + pointer_to(*tokens), schema=child, depth=depth)


def _in_maps(schema: Mapping[str, Any]) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    for keyword in _OF_MAPS:
        value = schema.get(keyword)
        if isinstance(value, dict):
            yield from (((keyword, name), child) for name, child in value.items())


def _in_lists(schema: Mapping[str, Any]) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    for keyword in _OF_LISTS:
        value = schema.get(keyword)
        if isinstance(value, list):
            yield from (((keyword, index), child) for index, child in enumerate(value))


def _single(schema: Mapping[str, Any]) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    yield from (((keyword,), schema[keyword]) for keyword in _OF_ONE if keyword in schema)
