"""The same answer in every dialect reads the same, whole and streamed."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.domain.outcome import Kind
from evalkit.simulator.dialects import DIALECTS, CalledTool, Completion, completion_body, completion_stream
from evalkit.wire.asked import Asked
from evalkit.wire.response import read_response

ASKED = Asked(route="sim/gpt")


def _said(**changes):
    plain = {"served_model": "gpt", "text": "Hello", "ident": "0" * 24, "prompt_tokens": 10, "completion_tokens": 3}
    return Completion(**(plain | changes))


def _read(dialect, said, *, is_stream):
    if is_stream:
        body, kind = b"".join(completion_stream(dialect, said)), "text/event-stream"
    else:
        body, kind = completion_body(dialect, said), "application/json"
    return read_response(200, {"content-type": kind, **dict(dialect.headers)}, body, asked=ASKED)


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=lambda dialect: dialect.name)
@settings(max_examples=25)
@given(text=st.text(min_size=1).filter(lambda text: text.isprintable() and text.strip() and "<" not in text))
def test_the_text_survives_every_dialect(dialect, is_stream, text):
    """Whatever the packing, the reader gets what was said."""
    reading = _read(dialect, _said(text=text), is_stream=is_stream)
    assert (reading.kind, reading.text, reading.usage.prompt_tokens) == (Kind.OK, text, 10)


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=lambda dialect: dialect.name)
def test_calls_survive_every_dialect(dialect, is_stream):
    """Two calls with and without arguments."""
    calls = (CalledTool(name="lookup", arguments='{"a":1}'), CalledTool(name="now", arguments=""))
    reading = _read(dialect, _said(text=None, tools=calls, finish="tool_calls"), is_stream=is_stream)
    assert [(call.name, call.arguments) for call in reading.tool_calls] == [("lookup", '{"a":1}'), ("now", "")]


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize("name", ["deepseek", "mistral", "llama", "router"])
def test_reasoning_is_kept_apart(name, is_stream):
    """Thinking is never part of the answer."""
    reading = _read(DIALECTS[name], _said(reasoning="Let me think."), is_stream=is_stream)
    assert (reading.text, reading.reasoning) == ("Hello", "Let me think.")


def test_gemini_hides_thinking_in_the_total():
    """QUIRKS 1.7: total is more than the sum."""
    usage = json.loads(completion_body(DIALECTS["gemini"], _said(reasoning_tokens=62)))["usage"]
    assert usage["total_tokens"] - usage["prompt_tokens"] - usage["completion_tokens"] == 62


def test_the_router_reports_cost():
    """QUIRKS 1.7: OpenRouter sends what the call cost."""
    assert _read(DIALECTS["router"], _said(cost_usd=0.0125), is_stream=False).cost_usd == 0.0125


def test_every_dialect_cites_its_rows():
    """No shape is invented."""
    assert all(d.source.startswith("QUIRKS") for d in DIALECTS.values() if d.name != "plain")
