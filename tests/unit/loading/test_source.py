"""YAML with places: the core schema, lines that are right, and documents that are refused."""

from __future__ import annotations

import json
from contextlib import suppress
from unittest import mock

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from evalkit.errors import InputError
from evalkit.loading.source import merged, node_at, parse_yaml, place_at, plain, pointer_from, with_value

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False, width=32)
    | st.text(st.characters(exclude_categories=["Cs", "Cc"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("ab/~ é", max_size=4), inner, max_size=4),
    max_leaves=12,
)


def parsed(text: str):
    """Return the tree of a text."""
    return parse_yaml(text, file="a.yaml")


@given(json_values)
def test_json_is_read_as_json(value):
    """Every JSON document is YAML with the same value."""
    assert plain(parsed(json.dumps(value))) == value


@given(json_values)
def test_every_pointer_leads_to_its_node(value):
    """A node's pointer is the path of keys that leads to it."""

    def walk(node, keys):
        assert node.place.pointer == pointer_from(keys)
        children = node.value.items() if isinstance(node.value, dict) else ()
        children = enumerate(node.value) if isinstance(node.value, list) else children
        for key, child in children:
            walk(child, (*keys, key))

    walk(parsed(json.dumps(value)), ())


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"), ("yes", "yes"), ("on", "on"), ("NO", "NO"), ("true", True), ("False", False),
        ("2026-01-31", "2026-01-31"), ("12:30", "12:30"), ("1e-3", 0.001), ("1_000", "1_000"), ("0x1F", "0x1F"),
        ("-.5", -0.5), ("3.", 3.0), ("~", None), ("", None), ("'1'", "1"), (".nan", ".nan"), ("!!str 5", "5"),
    ],
)  # fmt: skip
def test_scalars_follow_the_core_schema(text, value):
    """Words and dates stay text, as in editors; numbers are JSON's."""
    got = plain(parsed(f"key: {text}"))["key"]
    assert got == value
    assert type(got) is type(value)


def test_a_block_is_found_by_the_line_of_its_key():
    """People look for the key, not for where its value begins."""
    node = parsed("a: 1\nb:\n  c:\n    - x\n    - y: |\n        text\n")
    assert [place_at(node, *keys).line for keys in (("b",), ("b", "c"), ("b", "c", 0), ("b", "c", 1, "y"))] == [
        2,
        3,
        4,
        5,
    ]


def test_the_deepest_known_node_places_the_unknown():
    """A key that is not there is reported at what should hold it."""
    node, n_found = node_at(parsed("a: {b: 1}"), "a", "zz", "b")
    assert (node.place.pointer, n_found) == ("/a", 1)


@pytest.mark.parametrize(
    ("text", "line", "fragment"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "'a' is given twice (first on line 1)"),
        ("a: 'b\n", None, "not valid YAML"),
        ("a: 1\n---\nb: 2\n", None, "not valid YAML"),
        ("a: \x00", None, "not valid YAML"),
        ("a: *nowhere", 1, "not valid YAML"),
        ("1: a", 1, "'1' is not text"),
        ("? [a]\n: b", 1, "(a list or mapping) is not text"),
        ("a: &x {b: 1}\nc:\n  <<: *x\n", 3, "merge key"),
        ("a: !!python/object/apply:os.system [ls]", 1, "tag"),
        ("a: !!python/name:os.system x", 1, "tag"),
        ("a: !!binary aGk=", 1, "tag"),
        ("a: !!int x", 1, "not a number"),
        ("a: 9007199254740992", 1, "beyond"),
        ("a: 1e999", 1, "beyond"),
        ('a: "\\ud800"', 1, "surrogate"),
        ('"\\ud800": 1', 1, "surrogate"),
        ("a: " + "[" * 100 + "]" * 100, 1, "levels deep"),
        ("[" * 2_000_000, 1, "levels deep"),
        ("- " * 2_000_000, 1, "levels deep"),
        ("a: &a [*a]", 1, "names nothing before it"),
        ("\n".join(["a0: &a0 [x]", *(f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, 70))]), None, "levels deep"),
    ],
)
def test_a_document_that_is_not_plain_json_is_refused(text, line, fragment):
    """Each refusal names the line where there is one."""
    with pytest.raises(InputError, match=r"a\.yaml") as caught:
        parsed(text)
    assert fragment in str(caught.value)
    assert line is None or caught.value.place.line == line


def test_aliases_may_repeat_a_little():
    """An anchor is a fair way not to repeat oneself."""
    assert plain(parsed("a: &x {n: 1}\nb: *x")) == {"a": {"n": 1}, "b": {"n": 1}}


def test_what_an_alias_repeats_stands_where_it_is_repeated():
    """The pointer is of the place where the value counts; the lines inside are where it was written."""
    node = parsed("a: &x\n  - {n: 1}\nb:\n  c: *x\n&k d: *k\n")
    inner = place_at(node, "b", "c", 0, "n")
    assert (inner.pointer, inner.line, place_at(node, "b", "c").line) == ("/b/c/0/n", 2, 4)
    assert plain(node)["d"] == "d"


_PIECES = st.sampled_from([
    "a", "b: ", "? ", "- ", "\n", "\n  ", "{", "}", "[", "]", ", ", ": ", "&x ", "*x", "!!str ", "! ", "| \n", "# c\n",
    "---\n", "'", '"', "\\n", "1", "-0.5", "~", "true", "<<", "é", "\u2028", "😀", "\t", "%YAML 1.2\n", "...\n",
])  # fmt: skip


@given(json_values.map(lambda value: yaml.safe_dump(value, allow_unicode=True)) | st.lists(_PIECES).map("".join))
def test_both_parsers_read_the_same(text):
    """Where libyaml was not built in, nothing reads differently: what both take is the same tree."""
    trees = []
    for is_fast in (True, False):
        with suppress(InputError), mock.patch.object(yaml, "__with_libyaml__", is_fast):
            trees.append(parsed(text))
    values = [plain(tree) for tree in trees]
    assert values[:1] * len(values) == values


def test_aliases_that_explode_are_refused():
    """Ten levels of ten would be ten thousand million values."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    with pytest.raises(InputError, match="aliases repeat more than"):
        parsed("\n".join(lines))


def test_merging_keeps_the_place_of_each_value():
    """An inherited value still points at the file that wrote it."""
    under = parse_yaml("a: {x: 1, y: 2}\nl: [1, 2]", file="under.yaml")
    over = parse_yaml("\na: {y: 3}\nl: [9]", file="over.yaml")
    both = merged(under, over)
    assert plain(both) == {"a": {"x": 1, "y": 3}, "l": [9]}
    assert (place_at(both, "a", "x").file, place_at(both, "a", "y").file) == ("under.yaml", "over.yaml")


@given(json_values)
def test_merging_over_itself_changes_nothing(value):
    """A document laid on itself is itself."""
    node = parsed(json.dumps(value))
    assert plain(merged(node, node)) == value


def test_a_replaced_node_leaves_the_tree_alone():
    """Trees are values."""
    node = parsed("a: {b: 1, c: 2}")
    other = parsed("7")
    assert plain(with_value(node, "a", "b", value=other)) == {"a": {"b": 7, "c": 2}}
    assert plain(node) == {"a": {"b": 1, "c": 2}}
