"""Lint: which parts of a schema a provider's strict mode refuses or silently drops.

A schema every provider takes makes models comparable; one that a provider rewrites measures the rewriting. The rules
are data where they can be. They come from the providers' documentation of structured outputs (OpenAI, Anthropic,
Gemini) and from what client libraries rewrite before they send; providers widen their subsets without notice, so a
finding is a warning for people, never a reason to refuse a suite.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from evalkit._schemas.walk import Node, pointer_to, subschemas

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["Finding", "Provider", "portability_findings"]

Provider = Literal["anthropic", "gemini", "mistral", "openai"]

MAX_OPENAI_DEPTH = 5
"""Levels of nesting OpenAI's strict mode has refused to go beyond."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One place where a provider's strict mode is narrower than the schema."""

    pointer: str
    """RFC 6901 pointer into the schema."""
    provider: Provider
    message: str


def portability_findings(schema: Mapping[str, Any]) -> tuple[Finding, ...]:
    """Return what stands in the way of sending this schema to every provider, in document order, then by provider."""
    return tuple(finding for node in subschemas(schema) for finding in _of_node(node))


_COMBINING = ("allOf", "if", "then", "else", "not", "dependentRequired", "dependentSchemas")
_OPEN_OBJECTS = ("patternProperties", "propertyNames", "unevaluatedProperties", "minProperties", "maxProperties")
_ITEM_RULES = ("contains", "minContains", "maxContains", "uniqueItems", "unevaluatedItems")
_LENGTHS = ("minLength", "maxLength")
_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")


def _all(keywords: tuple[str, ...], message: str) -> dict[str, str]:
    return dict.fromkeys(keywords, message)


_KEYWORDS: dict[Provider, dict[str, str]] = {
    "anthropic": {
        **_all(_BOUNDS, "bounds on numbers are not enforced; state them in the description"),
        **_all(_LENGTHS, "bounds on lengths are not enforced; state them in the description"),
        "maxItems": "bounds on arrays beyond minItems 0 or 1 are not enforced",
    },
    "gemini": {
        "const": "write an enum with one value",
        "examples": "dropped before the model sees it; move it into the description",
        "exclusiveMaximum": "dropped; use maximum",
        "exclusiveMinimum": "dropped; use minimum",
        "format": "dropped for strings; state it in the description",
    },
    "mistral": {},
    "openai": {
        **_all(_COMBINING, "refused in strict mode"),
        **_all(_OPEN_OBJECTS, "refused in strict mode; list every property"),
        **_all(_ITEM_RULES, "refused in strict mode"),
        **_all(_LENGTHS, "refused or ignored in strict mode; state it in the description"),
        "default": "refused in strict mode; properties are never left out there",
        "oneOf": "refused in strict mode; use anyOf",
    },
}

_OPENAI_FORMATS = frozenset({
    "date", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "time", "uuid",
})  # fmt: skip
_LOOK_AROUND = re.compile(r"\(\?(?:[=!]|<[=!])")


def _of_node(node: Node) -> Iterator[Finding]:
    for provider, keywords in _KEYWORDS.items():
        for keyword in keywords:
            if keyword in node.schema:
                message = f"{keyword}: {keywords[keyword]}"
                yield Finding(pointer=node.pointer + pointer_to(keyword), provider=provider, message=message)
    for providers, rule in _RULES:
        message = rule(node)
        for provider in providers if message else ():
            yield Finding(pointer=node.pointer, provider=provider, message=message)


def _is_object(node: Node) -> bool:
    return "properties" in node.schema or _has_type(node, "object")


def _has_type(node: Node, name: str) -> bool:
    types = node.schema.get("type")
    return types == name or (isinstance(types, list) and name in types)


def _open_object(node: Node) -> str:
    is_open = _is_object(node) and node.schema.get("additionalProperties") is not False
    return "every object needs additionalProperties: false" if is_open else ""


def _dictionary(node: Node) -> str:
    is_dictionary = isinstance(node.schema.get("additionalProperties"), dict)
    return "an object with free keys comes back empty; use an array of {key, value}" if is_dictionary else ""


def _optional(node: Node) -> str:
    properties = node.schema.get("properties")
    required = node.schema.get("required", ())
    left_out = [name for name in properties or () if name not in required]
    return f"every property must be required; make these nullable instead: {', '.join(left_out)}" if left_out else ""


def _root(node: Node) -> str:
    if node.pointer:
        return ""
    if "anyOf" in node.schema or not _is_object(node):
        return "the root must be an object, without anyOf"
    return ""


def _reference_siblings(node: Node) -> str:
    return "nothing may stand beside $ref" if "$ref" in node.schema and len(node.schema) > 1 and node.pointer else ""


def _unknown_format(node: Node) -> str:
    name = node.schema.get("format")
    return f"format {name!r} is not supported" if name is not None and name not in _OPENAI_FORMATS else ""


def _look_around(node: Node) -> str:
    return "look-around in a pattern is not supported" if _LOOK_AROUND.search(str(node.schema.get("pattern"))) else ""


def _untyped_items(node: Node) -> str:
    items = node.schema.get("items")
    is_typed = isinstance(items, dict) and bool(items)
    return "every array needs typed items" if _has_type(node, "array") and not is_typed else ""


def _too_nested(node: Node) -> str:
    return f"nested deeper than {MAX_OPENAI_DEPTH} levels" if node.depth == MAX_OPENAI_DEPTH + 1 else ""


def _same_first_key(node: Node) -> str:
    branches = [branch.get("properties") for branch in node.schema.get("anyOf", ()) if isinstance(branch, dict)]
    firsts = [next(iter(properties)) for properties in branches if properties]
    return "anyOf branches must not start with the same property" if len(set(firsts)) < len(firsts) else ""


def _many_items(node: Node) -> str:
    minimum = node.schema.get("minItems", 0)
    return "minItems is enforced for 0 and 1 only" if minimum not in {0, 1} else ""


def _structured_enum(node: Node) -> str:
    is_structured = any(isinstance(value, (dict, list)) for value in node.schema.get("enum", ()))
    return "an enum may hold only plain values" if is_structured else ""


def _enum_of_others(node: Node) -> str:
    others = [value for value in node.schema.get("enum", ()) if not isinstance(value, str)]
    return "an enum may hold only strings" if others else ""


def _recursive(node: Node) -> str:
    target = node.schema.get("$ref")
    loops = target == "#" or (isinstance(target, str) and f"{node.pointer}/".startswith(f"{target[1:]}/"))
    return "recursive schemas are refused" if loops else ""


_RULES: tuple[tuple[tuple[Provider, ...], Callable[[Node], str]], ...] = (
    (("anthropic", "mistral", "openai"), _open_object),
    (("anthropic",), _many_items),
    (("anthropic",), _structured_enum),
    (("anthropic",), _recursive),
    (("gemini",), _dictionary),
    (("gemini",), _enum_of_others),
    (("openai",), _optional),
    (("openai",), _root),
    (("openai",), _reference_siblings),
    (("openai",), _unknown_format),
    (("openai",), _look_around),
    (("openai",), _untyped_items),
    (("openai",), _too_nested),
    (("openai",), _same_first_key),
)
