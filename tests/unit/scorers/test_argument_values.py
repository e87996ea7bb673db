"""Types and values of arguments."""

from __future__ import annotations

import pytest

from evalkit.scorers.argument_values import has_type, is_same
from evalkit.scorers.calls_in_text import Untyped


@pytest.mark.parametrize(
    ("value", "declared", "holds"),
    [
        (1, {"type": "integer"}, True),
        (1.0, {"type": "integer"}, False),
        (1, {"type": "number"}, True),
        (True, {"type": "integer"}, False),
        (True, {"type": "boolean"}, True),
        ("1", {"type": "number"}, False),
        (Untyped("1"), {"type": "number"}, True),
        (Untyped("one"), {"type": "number"}, False),
        (Untyped("1"), {"type": "string"}, True),
        (None, {"type": ["string", "null"]}, True),
        ([], {"type": "object"}, False),
        ("x", {"type": "no such type"}, False),
        ("x", {}, True),
        ("x", None, True),
    ],
)
def test_types(value, declared, holds):
    """A whole number passes for a decimal one and never the other way round; text between tags is read as declared."""
    assert has_type(value, declared) is holds


@pytest.mark.parametrize(
    ("given", "wanted", "declared", "same"),
    [
        ("San Francisco, CA", "san-francisco ca", None, True),
        ("it's", 'it"s', None, True),
        ("\u2460", "1", None, True),
        ("1", 1, None, False),
        (Untyped("1"), 1, None, True),
        (Untyped("[1, 2]"), [1, 2], None, True),
        (Untyped("[1"), [1], None, False),
        (2.0, 2, None, False),
        (2.0, 2, {"type": ["number", "null"]}, True),
        (2, 2.0, None, True),
        (10**400, 1.5, None, False),
        (None, None, None, True),
        (False, None, None, False),
        ([1.0], [1], {"items": {"type": "number"}}, True),
        ([1], [1, 2], None, False),
        ({"a": {"b": 1.0}}, {"a": {"b": 1}}, {"properties": {"a": {"properties": {"b": {"type": "number"}}}}}, True),
        ({"a": 1}, {"a": 1, "b": 2}, None, False),
        ("x", {"a": 1}, None, False),
    ],
)
def test_values(given, wanted, declared, same):
    """Text by what is heard, numbers by value and type, lists and objects by their parts."""
    assert is_same(given, wanted, declared) is same
