"""The first token: the first piece of an answer, however the bytes arrive."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.wire.first_token import FirstToken


def event(**delta):
    """Return one event of a stream."""
    return b"data: " + json.dumps({"choices": [{"index": 0, "delta": delta}]}).encode() + b"\n\n"


EMPTY = event(role="assistant", content="") + b": OPENROUTER PROCESSING\n\n" + b'data: {"choices": []}\n\n'


@pytest.mark.parametrize(
    "delta",
    [
        {"content": "Hi"},
        {"content": " "},
        {"content": [{"type": "text", "text": "Hi"}]},
        {"reasoning_content": "Hm"},
        {"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": ""}}]},
        {"refusal": "No"},
    ],
)
def test_what_the_model_said_is_a_token(delta):
    """Text, thought, a call or a refusal: the wait is over."""
    watch = FirstToken()
    assert not watch.is_in(EMPTY)
    assert watch.is_in(event(**delta))


@pytest.mark.parametrize(
    "line",
    [
        b": ping\n",
        b"data: [DONE]\n",
        b"data: {broken\n",
        b"data: 7\n",
        b'data: {"choices": 3}\n',
        b'data: {"choices": [null, {"delta": null}]}\n',
        b'data: {"error": {"message": "busy"}}\n',
        b"event: message\n",
        event(role="assistant"),
        event(content=None, provider="x"),
        b"data: " + b"[" * 100_000 + b"\n",
    ],
)
def test_what_a_server_adds_is_none(line):
    """Comments, marks, errors and nonsense leave the clock running."""
    assert not FirstToken().is_in(line)


@given(st.integers(1, 40), st.sampled_from([b"\n", b"\r\n"]))
def test_pieces_do_not_matter(size, line_end):
    """Cut anywhere, the token is seen once its line is whole."""
    stream = (EMPTY + event(content="Hi")).replace(b"\n", line_end)
    watch = FirstToken()
    seen = [watch.is_in(stream[at : at + size]) for at in range(0, len(stream), size)]
    assert any(seen)
    assert not any(seen[: len(EMPTY) // size])
