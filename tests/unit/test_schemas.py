"""The door to JSON Schema: what is accepted, what is refused, and that two validators agree."""

from __future__ import annotations

import json
import time

import jsonschema
import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.errors import InputError, Place
from evalkit.schemas import Violation, check_schema, compile_schema

INVOICE = {
    "type": "object",
    "properties": {
        "number": {"type": "string", "pattern": "^INV-[0-9]+$"},
        "total": {"type": "number", "minimum": 0},
        "due": {"type": "string", "format": "date"},
        "sent": {"type": "string", "format": "date-time"},
        "lines": {"type": "array", "items": {"$ref": "#/$defs/line"}, "uniqueItems": True},
    },
    "patternProperties": {"^x-": {"type": "string"}},
    "required": ["number", "total"],
    "additionalProperties": False,
    "$defs": {"line": {"type": "object", "properties": {"a/b": {"enum": ["x", "y"]}}}},
}


def test_valid_value_has_no_violations():
    """A value that satisfies every keyword is valid."""
    value = {"number": "INV-7", "total": 1.5, "due": "2024-02-29", "lines": [{"a/b": "x"}], "x-note": "n"}
    assert compile_schema(INVOICE).is_valid(value)
    assert compile_schema(INVOICE).violations(value) == ()


@pytest.mark.parametrize(
    ("change", "pointer", "keyword"),
    [
        ({"number": "7", "sent": "2024-02-29T00:00:00Z"}, "/number", "pattern"),
        ({"total": -1}, "/total", "minimum"),
        ({"total": "1"}, "/total", "type"),
        ({"sent": 3}, "/sent", "type"),
        ({"due": "2023-02-29"}, "/due", "format"),
        ({"sent": "2024-02-30T00:00:00Z"}, "/sent", "format"),
        ({"lines": [{"a/b": "z"}]}, "/lines/0/a~1b", "enum"),
        ({"lines": [{}, {}]}, "/lines", "uniqueItems"),
        ({"x-note": 1}, "/x-note", "type"),
        ({"more": 1}, "", "additionalProperties"),
    ],
)
def test_violation_says_where_and_which_keyword(change, pointer, keyword):
    """Each violation has an RFC 6901 pointer and the keyword that was broken."""
    violations = compile_schema(INVOICE).violations({"number": "INV-7", "total": 1} | change)
    assert [(violation.pointer, violation.keyword) for violation in violations] == [(pointer, keyword)]


def test_violations_are_limited():
    """A value wrong in a thousand places is explained in as many as asked for."""
    schema = compile_schema({"items": {"type": "string"}})
    assert len(schema.violations([1] * 1000)) == 20
    assert len(schema.violations([1] * 1000, limit=3)) == 3


def test_messages_are_short_and_storable():
    """A message quotes at most 200 characters of a model, all of which UTF-8 can write."""
    (violation,) = compile_schema({"type": "object"}).violations("x\ud800" * 100_000)
    assert len(violation.message) == 200
    (violation,) = compile_schema({"additionalProperties": {"type": "string"}}).violations({"\ud800": 1})
    assert violation.pointer.encode() == b"/\\ud800"


def test_equal_schemas_are_compiled_once():
    """The cache looks at content, not at identity or key order, and later changes do not reach it."""
    schema = {"type": "string", "minLength": 2}
    compiled = compile_schema(schema)
    assert compile_schema({"minLength": 2, "type": "string"}) is compiled
    schema["minLength"] = 0
    assert not compiled.is_valid("")
    assert compile_schema(schema).is_valid("")


def test_ordinary_schema_has_the_fast_validator():
    """A change of jsonschema-rs that silently costs the fast path is noticed."""
    assert compile_schema(INVOICE)._fast is not None


def test_reference_alone_will_do():
    """A pattern only the reference can compile, and a value only it can read, are judged by it."""
    schema = compile_schema({"pattern": "(?<=a+)b", "maxProperties": 1})
    assert (schema.is_valid("aab"), schema.is_valid("b")) == (True, False)
    assert compile_schema({"maxProperties": 1}).is_valid({1: "not a JSON key"})


def test_reference_found_only_while_checking_is_a_violation():
    """A dangling reference hidden where no subschema stands is found at the first value, and fetched from nowhere."""
    hidden = {"components": {"a": {"$ref": "https://example.com/b"}}}
    (violation,) = compile_schema({"properties": {"x": {"$ref": "#/components/a"}}, **hidden}).violations({"x": 1})
    assert violation.keyword == "$ref"


def test_draft_is_taken_from_the_schema():
    """`$schema` chooses the draft: in draft 4 exclusiveMinimum is a flag beside minimum."""
    draft_4 = {"$schema": "http://json-schema.org/draft-04/schema#", "minimum": 1, "exclusiveMinimum": True}
    assert not compile_schema(draft_4).is_valid(1)
    assert compile_schema(draft_4).is_valid(2)


@pytest.mark.parametrize(
    ("schema", "pointer", "words"),
    [
        ({"properties": {"a": {"type": "text"}}}, "/properties/a/type", "'text'"),
        ({"required": "a"}, "/required", "'a'"),
        ({"properties": {"a": {"$ref": "https://example.com/s"}}}, "/properties/a/$ref", "'https://example.com/s'"),
        ({"items": {"$ref": "other.json#/x"}}, "/items/$ref", "not local"),
        ({"$dynamicRef": "http://example.com"}, "/$dynamicRef", "not local"),
        ({"$ref": "#/$defs/gone"}, "", "leads nowhere"),
        ({"properties": {"a": {"$ref": "#anchor"}}}, "", "leads nowhere"),
        ({"$ref": "#/parts/a", "parts": {"a": {"$ref": "https://example.com/b"}}}, "", "leads nowhere"),
        ({"$ref": "#"}, "", "without end"),
        ({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}, "", "without end"),
        ({"$schema": "https://example.com/mine"}, "/$schema", "unknown draft"),
        ({"$schema": 7}, "/$schema", "unknown draft"),
        ({"items": {"pattern": "("}}, "/items/pattern", "does not compile"),
        ({"patternProperties": {"[": {}}}, "/patternProperties/[", "does not compile"),
        ({"properties": {"a": {"pattern": "^(a|aa)+$"}}}, "/properties/a/pattern", "hostile string"),
        ({"patternProperties": {"(.*a){30}$": {}}}, "/patternProperties/(.*a){30}$", "hostile string"),
        ({"patternProperties": {"^(a+)+$": {}}, "unevaluatedProperties": False}, "", "for ever"),
        ({"patternProperties": {"a*b*": {}}, "items": {"unevaluatedProperties": False}}, "", "for ever"),
        ({"unevaluatedProperties": {}, "$ref": "#/x", "x": {"patternProperties": {"a+b": {}}}}, "", "for ever"),
        ({"const": float("nan")}, "", "not JSON"),
        ({"const": {1, 2}}, "", "not JSON"),
        (["type"], "", "is an object"),
    ],
)
def test_schema_nobody_can_use_is_refused(schema, pointer, words):
    """The error has the place in the user's file, the value, and a next step."""
    with pytest.raises(InputError, match=r"s\.yaml") as caught:
        check_schema(schema, place=Place(file="s.yaml", pointer="/request"))
    assert caught.value.place == Place(file="s.yaml", pointer=f"/request{pointer}")
    assert words in caught.value.problem
    assert caught.value.next_step


def test_endlessly_nested_schema_is_refused():
    """A schema nested a thousand deep is an input error, not a crash."""
    schema = {}
    for _ in range(5_000):
        schema = {"items": schema}
    with pytest.raises(InputError, match="too deeply"):
        compile_schema(schema)


@pytest.mark.parametrize(
    "schema",
    [
        INVOICE,
        {},
        {"properties": {"children": {"type": "array", "items": {"$ref": "#"}}}},
        {"$id": "https://example.com/root", "$ref": "#/$defs/a", "$defs": {"a": {"$anchor": "x"}}},
        {"$defs": {"a": {"$anchor": "x"}}, "$ref": "#x"},
        {"properties": {"$ref": {"type": "string"}, "pattern": {"const": "("}}},
        {"pattern": r"^\p{Lu}"},
        {"maximum": 9223372036854775807},
        {"$schema": "http://json-schema.org/draft-07/schema#", "definitions": {"a": True}, "items": [{}, {}]},
        {"additionalProperties": {"type": "string"}, "unevaluatedProperties": False},
        {"patternProperties": {"^x-[a-z]+$": {}, "_id$": {}}, "unevaluatedProperties": False},
    ],
)
def test_usable_schema_is_accepted(schema):
    """References inside the document, recursion through properties, and names that look like keywords are fine."""
    check_schema(schema, place=Place(file="s.yaml"))


def _nested(levels):
    value = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"items": {"$ref": "#"}, "type": "array", "minItems": 1}, _nested(20_000)),
        ({"uniqueItems": True}, [_nested(20_000), _nested(20_000)]),
        ({"multipleOf": 0.3}, 10**400),
        ({"multipleOf": 0.1, "type": "number"}, float("nan")),
    ],
    ids=["recursion", "deep equality", "huge number", "not a number"],
)
def test_value_too_strange_to_check_is_a_violation(schema, value):
    """Depth, huge numbers and NaN break the value, not us."""
    (violation,) = compile_schema(schema).violations(value)
    assert violation.pointer == ""
    assert not compile_schema(schema).is_valid(value)


def test_slow_pattern_ends_in_time():
    """A pattern that is quick on probes but slow on one answer costs at most its limit."""
    schema = compile_schema({"pattern": r"^(\w+\s?)*$"})
    start = time.perf_counter()
    assert schema.violations("ab" * 100_000 + "!")[0].keyword == "pattern"
    assert time.perf_counter() - start < 5


def test_many_unlike_items_are_compared_quickly():
    """Uniqueness of items that cannot be sorted takes no quadratic time."""
    items = [item for index in range(20_000) for item in (index, str(index), [index])]
    start = time.perf_counter()
    assert compile_schema({"uniqueItems": True, "maxItems": 1}).violations(items)[0].keyword == "maxItems"
    assert compile_schema({"uniqueItems": True}).violations([*items, 1])[0].keyword == "uniqueItems"
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize(
    ("items", "are_unique"),
    [([1, True], True), ([0, False], True), ([1, 1.0], False), ([{"a": 1}, {"a": 1.0}], False), ([[1], [True]], True)],
)
def test_items_are_equal_as_json(items, are_unique):
    """A number is not a truth value, but 1 is 1.0."""
    assert compile_schema({"uniqueItems": True}).is_valid(items) is are_unique


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("date", "2024-02-29", "2023-02-29"),
        ("date-time", "2024-02-29T23:59:60Z", "2024-02-30T00:00:00Z"),
        ("date-time", "2024-01-01t00:00:00.5+05:30", "2024-01-01 00:00:00"),
        ("time", "12:30:00Z", "12:30"),
        ("duration", "P1DT2H", "P"),
        ("duration", "P3W", "PT"),
        ("email", "a@example.com", "example.com"),
        ("hostname", "a.example.com", "-a.example.com"),
        ("ipv4", "10.0.0.1", "10.0.0.256"),
        ("ipv6", "::1", ":::1"),
        ("uri", "https://example.com/a?b#c", "not a uri"),
        ("uuid", "123e4567-e89b-12d3-a456-426614174000", "123e4567"),
        ("regex", "^a+$", "("),
    ],
)
def test_formats_are_checked(name, good, bad):
    """Formats count, also those jsonschema alone would skip; other types than strings have no format."""
    schema = compile_schema({"format": name})
    assert schema.is_valid(good)
    assert not schema.is_valid(bad)
    assert schema.is_valid(3)


def test_unknown_format_is_no_rule():
    """A format nobody knows constrains nothing."""
    assert compile_schema({"format": "colour-name"}).is_valid("anything")


scalars = st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-5, 5) | st.text("ab1", max_size=3)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)
types = st.sampled_from(["null", "boolean", "integer", "number", "string", "array", "object"])
_plain = st.fixed_dictionaries(
    {},
    optional={
        "type": types | st.lists(types, min_size=1, max_size=3, unique=True),
        "enum": st.lists(scalars, min_size=1, max_size=3, unique_by=repr),
        "const": scalars,
        "minimum": st.integers(-3, 3),
        "exclusiveMaximum": st.integers(-3, 3),
        "multipleOf": st.sampled_from([1, 2, 0.5]),
        "minLength": st.integers(0, 2),
        "maxLength": st.integers(0, 2),
        "pattern": st.sampled_from(["^a", "b$", "[0-9]", "^[ab]*$"]),
        "minItems": st.integers(0, 2),
        "uniqueItems": st.booleans(),
        "required": st.lists(st.sampled_from("abc"), max_size=2, unique=True),
        "maxProperties": st.integers(0, 2),
    },
)


def _combined(inner):
    several = st.lists(inner, min_size=1, max_size=2)
    keys = st.sampled_from("abc")
    return st.fixed_dictionaries(
        {},
        optional={
            "properties": st.dictionaries(keys, inner, max_size=2),
            "patternProperties": st.dictionaries(st.sampled_from(["^a", "[bc]"]), inner, max_size=2),
            "additionalProperties": st.booleans() | inner,
            "unevaluatedProperties": st.booleans(),
            "items": inner,
            "prefixItems": several,
            "contains": inner,
            "propertyNames": inner,
            "anyOf": several,
            "oneOf": several,
            "allOf": several,
            "not": inner,
            "if": inner,
            "then": inner,
            "else": inner,
        },
    )


schemas = st.recursive(_plain, lambda inner: _combined(inner) | _plain, max_leaves=6)


@given(schemas, values)
def test_both_validators_agree(schema, value):
    """jsonschema, jsonschema-rs and our own door say the same of generated schemas and values.

    Known differences, all outside what is generated here: Unicode digits and word characters in patterns, `$` before
    a last line break, and the strictness of some formats; see the module's docstring.
    """
    reference = jsonschema.Draft202012Validator(schema).is_valid(value)
    assert jsonschema_rs.validator_for(schema).is_valid(value) is reference
    assert compile_schema(schema).is_valid(value) is reference


@given(schemas, values)
def test_no_violations_exactly_when_valid(schema, value):
    """Whether and why never contradict each other, even without the fast validator."""
    compiled = compile_schema(schema)
    assert (compiled.violations(value) == ()) is compiled.is_valid(value)
    assert (compiled._violations(value, limit=1) == ()) is compiled.is_valid(value)


@given(schemas, values)
def test_violation_points_into_the_value(schema, value):
    """Following the pointer always leads to something that is there."""
    for violation in compile_schema(schema).violations(value):
        assert isinstance(violation, Violation)
        node = value
        for token in violation.pointer.split("/")[1:]:
            node = node[int(token)] if isinstance(node, list) else node[token]


@given(schemas)
def test_generated_schemas_pass_the_check(schema):
    """What JSON Schema allows is allowed here, and survives being written to a file."""
    check_schema(json.loads(json.dumps(schema)), place=Place())
