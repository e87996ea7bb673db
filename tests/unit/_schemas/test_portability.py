"""Lint: what each provider's strict mode would refuse or drop."""

from __future__ import annotations

import pytest

from evalkit.schemas import portability_findings


def _closed(**properties):
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


PORTABLE = _closed(
    name={"type": "string", "description": "as printed"},
    kind={"type": "string", "enum": ["a", "b"]},
    lines={"type": "array", "items": _closed(total={"type": ["number", "null"]})},
)


def _said(schema):
    return {(finding.provider, finding.pointer): finding.message for finding in portability_findings(schema)}


def test_portable_schema_has_no_findings():
    """Closed objects, everything required, null instead of optional: every provider takes it."""
    assert portability_findings(PORTABLE) == ()


@pytest.mark.parametrize(
    ("schema", "provider", "pointer", "words"),
    [
        ({"type": "array", "items": {"type": "string"}}, "openai", "", "root must be an object"),
        ({**PORTABLE, "anyOf": [PORTABLE]}, "openai", "", "root must be an object"),
        ({**PORTABLE, "additionalProperties": True}, "openai", "", "additionalProperties: false"),
        ({**PORTABLE, "additionalProperties": True}, "anthropic", "", "additionalProperties: false"),
        ({**PORTABLE, "additionalProperties": True}, "mistral", "", "additionalProperties: false"),
        ({**PORTABLE, "required": ["name"]}, "openai", "", "kind, lines"),
        (_closed(a={"oneOf": [{"type": "string"}]}), "openai", "/properties/a/oneOf", "use anyOf"),
        (_closed(a={"allOf": [{"type": "string"}]}), "openai", "/properties/a/allOf", "refused"),
        (_closed(a={"type": "string", "default": "x"}), "openai", "/properties/a/default", "refused"),
        (_closed(a={"type": "string", "minLength": 1}), "openai", "/properties/a/minLength", "description"),
        (_closed(a={"type": "string", "minLength": 1}), "anthropic", "/properties/a/minLength", "description"),
        (_closed(a={"type": "number", "minimum": 0}), "anthropic", "/properties/a/minimum", "not enforced"),
        (_closed(a={"type": "string", "format": "uri"}), "openai", "/properties/a", "'uri'"),
        (_closed(a={"type": "string", "format": "date"}), "gemini", "/properties/a/format", "dropped"),
        (_closed(a={"const": "x"}), "gemini", "/properties/a/const", "enum with one value"),
        (_closed(a={"enum": [1, 2]}), "gemini", "/properties/a", "only strings"),
        (_closed(a={"enum": [{"b": 1}]}), "anthropic", "/properties/a", "plain values"),
        (_closed(a={"additionalProperties": {"type": "string"}}), "gemini", "/properties/a", "free keys"),
        (_closed(a={"type": "string", "pattern": "^(?=x)"}), "openai", "/properties/a", "look-around"),
        (_closed(a={"type": "array"}), "openai", "/properties/a", "typed items"),
        (
            _closed(a={"type": "array", "items": {"type": "string"}, "minItems": 2}),
            "anthropic",
            "/properties/a",
            "0 and 1",
        ),
        (_closed(a={"type": "array", "items": {"$ref": "#"}}), "anthropic", "/properties/a/items", "recursive"),
        (_closed(a={"$ref": "#/$defs/x", "title": "t"}), "openai", "/properties/a", "beside $ref"),
        (
            _closed(a={"anyOf": [_closed(k={"type": "string"}), _closed(k={"type": "null"})]}),
            "openai",
            "/properties/a",
            "same property",
        ),
    ],
)
def test_known_limits(schema, provider, pointer, words):
    """Each limit is found at its place, for the provider that has it."""
    assert words in _said(schema)[provider, pointer]


def test_recursion_through_definitions_is_found():
    """A definition that uses itself is recursive, one used twice is not."""
    recursive = {**PORTABLE, "$defs": {"n": _closed(next={"$ref": "#/$defs/n"})}}
    shared = {**PORTABLE, "$defs": {"n": _closed(), "m": _closed(next={"$ref": "#/$defs/n"})}}
    assert ("anthropic", "/$defs/n/properties/next") in _said(recursive)
    assert _said(shared) == {}


def test_nesting_is_reported_once():
    """Where the schema goes below the limit there is one finding, not one for each level further down."""
    schema = {"type": "string"}
    for _ in range(9):
        schema = _closed(a=schema)
    messages = [finding.message for finding in portability_findings(schema)]
    assert messages == ["nested deeper than 5 levels"]


def test_names_that_look_like_keywords_are_not_keywords():
    """A property called `default` or `oneOf` is a property."""
    assert portability_findings(_closed(default={"type": "string"}, oneOf={"type": "string"})) == ()
