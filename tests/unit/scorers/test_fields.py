"""`fields`: leaves right, leaves given, leaves expected."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

scalars = st.none() | st.booleans() | st.integers(-1000, 1000) | st.floats(-1e6, 1e6) | st.text(max_size=8)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)
documents = st.dictionaries(st.text(max_size=4), values, min_size=1, max_size=4)
array_modes = st.sampled_from(["ordered", "set", {"align": "k"}])

INVOICE = {"number": "INV-1", "total": 10.5, "lines": [{"sku": "a", "n": 1}, {"sku": "b", "n": 2}]}


def _shares(grade, answer, expected, **params):
    entries = grade("fields", answer if isinstance(answer, str) else json.dumps(answer), expected=expected, **params)
    return tuple(round(entries[name].value, 4) for name in ("fields", "fields_precision", "fields_recall"))


@pytest.mark.parametrize(
    ("answer", "expected", "shares"),
    [
        (INVOICE, INVOICE, (1, 1, 1)),
        ({"a": 1}, {"a": 1, "b": 2}, (0.6667, 1, 0.5)),
        ({"a": 1, "b": 2}, {"a": 1}, (0.6667, 0.5, 1)),
        ({"a": 1, "b": {"c": 1, "d": 2}}, {"a": 1}, (0.5, 0.3333, 1)),
        ({"a": 2}, {"a": 1}, (0, 0, 0)),
        ({"a": {"b": 1, "c": 1}}, {"a": 1}, (0, 0, 0)),
        ({"a": 1}, {"a": {"b": 1, "c": 1}}, (0, 0, 0)),
        ({}, {"a": 1}, (0, 0, 0)),
        ({"a": []}, {"a": []}, (1, 1, 1)),
        ({"a": {}}, {"a": []}, (0, 0, 0)),
        ({"a": None}, {"a": None}, (1, 1, 1)),
        ({"b": 1}, {"a": None, "b": 1}, (0.6667, 1, 0.5)),
        ({"a": True}, {"a": 1}, (0, 0, 0)),
        ({"a": 1.0}, {"a": 1}, (1, 1, 1)),
        ({"a": "1"}, {"a": 1}, (0, 0, 0)),
        ([1, 2], [2, 1], (0, 0, 0)),
        ([1, 2, 3], [1, 2], (0.8, 0.6667, 1)),
        ("null", None, (1, 1, 1)),
        ("not json", {"a": 1}, (0, 0, 0)),
        ("[1]", {"a": 1}, (0, 0, 0)),
    ],
)
def test_known_shares(grade, answer, expected, shares):
    """F1, precision and recall over leaves, by hand."""
    assert _shares(grade, answer, expected) == shares


@pytest.mark.parametrize(
    ("answer", "expected", "params", "is_right"),
    [
        (10.5, 10.51, {"numbers": {"abs_tol": 0.01}}, True),
        (10.5, 10.52, {"numbers": {"abs_tol": 0.01}}, False),
        (99, 100, {"numbers": {"rel_tol": 0.01}}, True),
        (10**400, 1, {"numbers": {"rel_tol": 0.01}}, False),
        ("  ACME\u00a0ltd", "Acme Ltd", {}, True),
        ("acme", "Acme", {"strings": "exact"}, False),
        ("2024-03-01T10:00:00Z", "2024-03-01T10:00:00+00:00", {}, True),
        ("2024-03-01T00:00:00", "2024-03-01", {}, True),
        ("20240301", "2024-03-01", {}, True),
        ("2024-03-02", "2024-03-01", {}, False),
        ("2024-03-01", "2024-03-01T10:00:00Z", {}, False),
        ("1 March 2024", "2024-03-01", {}, False),
        ("2024-99-99", "2024-99-98", {}, False),
        ("2024-03-01", "20240301", {}, False),
    ],
)
def test_leaf_comparison(grade, answer, expected, params, is_right):
    """Numbers within tolerance, text in normal form, ISO dates by the moment they name."""
    assert _shares(grade, {"x": answer}, {"x": expected}, **params)[0] == float(is_right)


@pytest.mark.parametrize(
    ("answer", "expected", "arrays", "share"),
    [
        ([2, 1, 3], [1, 2, 3], "set", 1),
        ([1, 1], [1, 2], "set", 0.5),
        ([{"a": 2, "b": 2}, {"a": 1, "b": 1}], [{"a": 1, "b": 1}, {"a": 2, "b": 2}], "set", 1),
        ([{"a": 2, "b": 9}, {"a": 1, "b": 1}], [{"a": 1, "b": 1}, {"a": 2, "b": 2}], "set", 0.75),
        ([{"k": "b", "n": 2}, {"k": "A", "n": 1}], [{"k": "a", "n": 1}, {"k": "b", "n": 2}], {"align": "k"}, 1),
        ([{"k": "c", "n": 1}], [{"k": "a", "n": 1}], {"align": "k"}, 0),
        ([{"n": 1}], [{"k": "a", "n": 1}], {"align": "k"}, 0),
        ([[2, 1], [4, 3]], [[3, 4], [1, 2]], "set", 1),
    ],
)
def test_arrays(grade, answer, expected, arrays, share):
    """Order counts only where it is said to."""
    assert _shares(grade, {"x": answer}, {"x": expected}, arrays=arrays)[0] == share


def test_ignored_pointers_cost_nothing_on_either_side(grade):
    """What is ignored is neither expected nor extra, with all below it, through any index."""
    answer = {"id": 9, "lines": [{"sku": "a", "note": {"x": 1, "y": 2}}], "more": [1, 2]}
    expected = {"id": 1, "lines": [{"sku": "a", "note": "z"}]}
    ignore = ["/id", "/lines/*/note", "/more"]
    assert _shares(grade, answer, expected, ignore=ignore) == (1, 1, 1)


def test_ignored_leaves_inside_an_extra_object_cost_nothing(grade):
    """An object nobody asked for costs only what of it is not ignored."""
    answer = {"a": 1, "extra": {"note": "x", "n": 1}}
    assert _shares(grade, answer, {"a": 1}, ignore=["/extra/note"]) == (0.6667, 0.5, 1)


def test_everything_ignored_is_right(grade):
    """Nothing compared, nothing wrong."""
    assert _shares(grade, {"a": 1}, {"a": 2}, ignore=["/a"]) == (1, 1, 1)


def test_rationale_names_five_wrong_leaves(grade):
    """A person sees the first wrong leaves, and how many more there are."""
    expected = dict.fromkeys("abcdefg", 1)
    answer = {"a": 1, "b": 2, "z": 0}
    rationale = grade("fields", json.dumps(answer), expected=expected)["fields"].rationale
    assert rationale.startswith("/b: 2, expected 1; /c: missing, expected 1; ")
    assert rationale.endswith("; and 2 more")


def test_hostile_keys_can_be_stored(grade):
    """A key no UTF-8 can write is spelt out in the rationale."""
    rationale = grade("fields", '{"\\ud800": 1}', expected={"a": 1})["fields"].rationale
    assert rationale.encode()


def test_repair_level_is_found_and_limited(grade):
    """Repaired JSON is compared and marked; beyond `accept` it is wrong."""
    answer = 'Sure: {"a": 1}'
    assert grade("fields", answer, expected={"a": 1})["fields"].findings == ("repair:lenient",)
    assert _shares(grade, answer, {"a": 1}, accept="fence") == (0, 0, 0)
    assert grade("fields", "none", expected={"a": 1})["fields"].findings == ("invalid_json",)


def test_prose_with_brackets_does_not_hide_the_object(grade):
    """Where an object is expected, an array in the prose is passed over."""
    assert _shares(grade, 'See [1]: {"a": 1}', {"a": 1}) == (1, 1, 1)


def test_a_million_extra_elements_are_counted_quickly(grade):
    """A long array of things nobody asked for costs precision, not time."""
    answer = json.dumps({"x": [1, *([[0, {}]] * 50_000)]})
    assert _shares(grade, answer, {"x": [1]}, arrays="set")[1] < 0.001


@given(documents, array_modes, st.sampled_from(["normalised", "exact"]))
def test_perfect_answer_is_right(grade, document, arrays, strings):
    """The expected document itself always gets 1, whatever the parameters; aligned arrays need their key."""
    if isinstance(arrays, dict):
        document = {name: _keyed(item) for name, item in document.items()}
    assert _shares(grade, document, document, arrays=arrays, strings=strings) == (1, 1, 1)


def _keyed(value):
    """Return a value whose arrays hold objects with distinct keys only."""
    if isinstance(value, dict):
        return {name: _keyed(item) for name, item in value.items()}
    if isinstance(value, list):
        return [{"k": index, "v": _keyed(item)} for index, item in enumerate(value)]
    return value


@given(documents, documents, array_modes)
def test_shares_are_shares_and_f1_lies_between(grade, expected, answer, arrays):
    """Each value is in [0, 1], and F1 lies between precision and recall."""
    f1, precision, recall = _shares(grade, answer, expected, arrays=arrays)
    assert 0 <= min(precision, recall) <= f1 <= max(precision, recall) <= 1


@given(documents, documents)
def test_key_order_does_not_matter(grade, expected, answer):
    """Objects are unordered on both sides."""
    turned = dict(reversed(answer.items()))
    assert _shares(grade, turned, dict(reversed(expected.items()))) == _shares(grade, answer, expected)


@given(documents, documents)
def test_swapping_sides_swaps_precision_and_recall(grade, expected, answer):
    """What is missing on one side is extra on the other; exact text keeps the comparison symmetric."""
    f1, precision, recall = _shares(grade, answer, expected, strings="exact")
    assert _shares(grade, expected, answer, strings="exact") == (f1, recall, precision)


@given(st.lists(st.integers(0, 5), max_size=6), st.randoms(use_true_random=False))
def test_set_arrays_ignore_order(grade, items, source):
    """Under `set` a shuffled array is the same array."""
    shuffled = list(items)
    source.shuffle(shuffled)
    assert _shares(grade, {"x": shuffled}, {"x": items}, arrays="set") == (1, 1, 1)
