"""Any bytes are either a request or an OrderError."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.simulator.order import OrderError, order_from_object, parse_object

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)
KEYS = ("messages", "stream", "stream_options", "response_format", "tools", "max_tokens", "max_completion_tokens")


def _body(**changes):
    return json.dumps({"model": "sim/gpt", "messages": [{"role": "user", "content": "Hello"}], **changes}).encode()


def parse_order(body):
    """The request in a body, read as the server reads it."""
    return order_from_object(parse_object(body))


@given(st.binary(max_size=300))
def test_arbitrary_bytes_never_crash(body):
    """What is no request is refused by name."""
    with pytest.raises(OrderError):
        parse_order(body)


@given(st.dictionaries(st.sampled_from(KEYS), JSON))
def test_any_value_in_any_field_is_survived(fields):
    """Fields of a wrong type are ignored, as most servers do."""
    body = json.dumps(
        {"model": "m", "messages": []} | {key: value for key, value in fields.items() if key != "messages"}
    )
    assert parse_order(body.encode()).route == "m"


def test_the_last_user_message_is_what_is_asked():
    """Roles before and after it do not matter."""
    messages = [
        {"role": "system", "content": "S"},
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "x"},
        {"role": "user", "content": [{"type": "text", "text": "two"}]},
    ]
    order = parse_order(_body(messages=messages))
    assert (order.user_text, order.roles[0], order.n_characters) == ("two", "system", 8)


@pytest.mark.parametrize(
    ("response_format", "wanted"),
    [
        (None, ("text", None)),
        ({"type": "json_object"}, ("json_object", None)),
        (
            {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}},
            ("json_schema", {"type": "object"}),
        ),
        ({"type": "json_schema"}, ("json_schema", None)),
    ],
)
def test_the_response_format_is_read(response_format, wanted):
    """All three modes, and a schema that is not there."""
    order = parse_order(_body(response_format=response_format))
    assert (order.format, order.schema) == wanted


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_both_names_of_the_limit_are_read(name):
    """Models disagree on what to call it."""
    assert parse_order(_body(**{name: 7})).max_tokens == 7


def test_json_mode_wants_the_word():
    """Only JSON mode cares whether the prompt says JSON."""
    mode = {"response_format": {"type": "json_object"}}
    assert not parse_order(_body(**mode)).says_json
    assert parse_order(_body(messages=[{"role": "user", "content": "As JSON"}], **mode)).says_json


@pytest.mark.parametrize("text", [{"a": 1}, 1.5, ["x"], True])
def test_a_part_whose_text_is_no_text_says_nothing(text):
    """Found by fuzzing: such a part ended the connection with a crash of ours instead of an answer."""
    content = [{"type": "text", "text": text}, {"type": "text", "text": "hi"}]
    assert order_from_object({"model": "m", "messages": [{"role": "user", "content": content}]}).user_text == "hi"
