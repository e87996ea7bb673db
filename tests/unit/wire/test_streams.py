"""Streams: put together piece by piece, with the noise, the cuts and the late errors of real ones."""

from __future__ import annotations

import json

import pytest

from evalkit.domain.outcome import Kind
from evalkit.wire.response import Asked, read_response


def read(body, *, status=200, headers=None, **asked):
    """Read a plain answer: a value is sent as JSON, text and bytes as they are."""
    raw = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
    return read_response(status, headers or {}, raw, asked=Asked(**{"route": "gpt-4o", **asked}))


def delta(content=None, *, finish=None, index=0, **fields):
    """Return one chunk of a stream."""
    piece = {} if content is None else {"content": content}
    return {"model": "gpt-4o", "choices": [{"index": index, "delta": piece | fields, "finish_reason": finish}]}


def stream(*events, done=True, end="\n\n"):
    """Return an event stream; text is a raw line, a value a data line."""
    lines = [event if isinstance(event, str) else f"data: {json.dumps(event)}" for event in events]
    return end.join([*lines, *(["data: [DONE]"] if done else [])]) + end


def read_stream(*events, done=True, end="\n\n", **asked):
    """Read a stream of events."""
    return read(stream(*events, done=done, end=end), headers={"content-type": "text/event-stream"}, **asked)


def test_half_characters_can_be_stored():
    """A lone surrogate in JSON becomes U+FFFD; a pair split over two deltas becomes its character."""
    read_stream(delta("\ud83d!", finish="stop")).text.encode()
    reading = read_stream(delta("\ud83d"), delta("\ude00", finish="stop"))
    assert reading.text == "\U0001f600"


def test_content_type_does_not_decide_alone():
    """JSON sent as an event stream, and a stream sent as JSON or as bytes, are read for what they are."""
    plain = {"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]}
    assert read(plain, headers={"content-type": "text/event-stream"}).kind is Kind.OK
    for content_type in ("application/json", "application/octet-stream", ""):
        assert read(stream(delta("hi", finish="stop")), headers={"Content-Type": content_type}).text == "hi"


def test_a_stream_is_put_together():
    """Deltas are joined, the last usage counts, the finish reason stays."""
    reading = read_stream(
        delta("", role="assistant"),
        delta("Par"),
        delta("is."),
        delta(finish="stop"),
        {"model": "gpt-4o", "choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}},
    )
    assert (reading.kind, reading.text, reading.finish_reason) == (Kind.OK, "Paris.", "stop")
    assert reading.usage.total_tokens == 7
    assert reading.flags == ("stream", "usage_only_chunk")


def test_usage_on_every_chunk_is_not_summed():
    """Perplexity reports usage with each chunk: the last one is the total."""
    chunks = [delta("a", finish="stop" if n == 3 else None) | {"usage": {"completion_tokens": n}} for n in (1, 2, 3)]
    reading = read_stream(*chunks, done=False)
    assert (reading.kind, reading.usage.completion_tokens) == (Kind.OK, 3)
    assert {"usage_many_chunks", "no_done"} <= set(reading.flags)


def test_a_stream_without_an_end_is_cut():
    """No finish reason and no end mark: the connection died, and the text is not an answer."""
    reading = read_stream(delta("Par"), done=False)
    assert (reading.kind, reading.text) == (Kind.STREAM_CUT, "Par")
    assert read("", headers={"content-type": "text/event-stream"}).kind is Kind.STREAM_CUT
    assert read_stream(delta("Par"), 'data: {"choices": [{"del', done=False).kind is Kind.STREAM_CUT


def test_a_stream_needs_only_one_of_end_mark_and_finish_reason():
    """Snowflake never sends a finish reason, Perplexity never the mark."""
    marked = read_stream(delta("Paris."))
    assert (marked.kind, "finish_missing" in marked.flags) == (Kind.OK, True)
    assert read_stream(delta("Paris.", finish="stop"), done=False).kind is Kind.OK


def test_a_lost_piece_is_an_error_even_when_the_stream_ends_well():
    """A chunk that cannot be read took a piece of the answer with it; after the finish reason nothing is lost."""
    torn = 'data: {"choices": [{"index": 0, "delta": {"content": "ri'
    assert read_stream(delta("Pa"), torn, delta("s.", finish="stop")).kind is Kind.STREAM_ERROR
    assert read_stream(delta("Paris.", finish="stop"), torn, done=False).kind is Kind.OK


@pytest.mark.parametrize(
    "line",
    [": OPENROUTER PROCESSING", ": ping - 17", "data:", "data: : keepalive", "data: ping", "id: 4", "retry: 100"],
)
def test_keep_alive_lines_are_harmless(line):
    """Comments, empty data and heartbeats change nothing."""
    reading = read_stream(line, delta("Pa"), line, delta("ris.", finish="stop"))
    assert (reading.kind, reading.text) == (Kind.OK, "Paris.")


@pytest.mark.parametrize("end", ["\n\n", "\r\n\r\n", "\r\r", "\n"])
def test_line_ends(end):
    """CRLF, CR and a forgotten blank line are read alike."""
    assert read_stream(delta("Pa"), delta("ris.", finish="stop"), end=end).text == "Paris."


def test_text_may_hold_line_separators():
    """U+2028 and U+0085 inside JSON end no line of the stream."""
    body = "data: " + json.dumps(delta("a\u2028b\x85c", finish="stop"), ensure_ascii=False) + "\n\ndata: [DONE]\n\n"
    assert read(body).text == "a\u2028b\x85c"


ERROR_EVENTS = [
    (
        {"error": {"code": 400, "message": "Token limit reached"}, "choices": [{"index": 0, "delta": {"content": ""}}]},
        True,
    ),
    ('event: error\ndata: {"error": {"message": "Tool call validation failed", "code": "tool_use_failed"}}', False),
    ('event: error\ndata: {"type": "overloaded_error", "message": "Overloaded"}', False),
    ("event: error\ndata: upstream died", False),
    ('error: {"detail": "failed to decode the batch"}', False),
    ("error: broken", False),
    ({"error": {"message": "x", "type": None, "code": "500"}}, False),
]


@pytest.mark.parametrize(("event", "done"), ERROR_EVENTS)
def test_an_error_in_the_middle_of_a_stream(event, done):
    """However it is spelt, it is a stream error; the text before it is kept and is not an answer."""
    reading = read_stream(delta("Par"), event, done=done)
    assert (reading.kind, reading.text) == (Kind.STREAM_ERROR, "Par")
    assert "error_in_body" in reading.flags
    assert reading.detail


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"type": "overloaded_error", "message": "Overloaded"}, Kind.PROVIDER_OVERLOADED),
        ({"code": 402, "message": "no credits"}, Kind.QUOTA_EXHAUSTED),
        ({"code": "context_length_exceeded", "message": "x"}, Kind.CONTEXT_OVERFLOW),
        ({"code": "content_filter", "message": "x"}, Kind.SAFETY_BLOCK),
        ({"code": 500, "message": "x"}, Kind.STREAM_ERROR),
    ],
)
def test_an_error_before_anything_was_streamed_keeps_its_kind(error, kind):
    """A stream that opens with an error is that error, sent late."""
    assert read_stream({"error": error}, done=False).kind is kind


def test_interleaved_choices_do_not_mix():
    """With n > 1 the same tool index comes in several choices: only choice 0 is read."""

    def piece(choice, text, **extra):
        call = {"index": 0, "function": {"arguments": text}, **extra}
        return {"choices": [{"index": choice, "delta": {"tool_calls": [call]}}]}

    name = {"id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}
    events = [piece(1, "", **name), piece(0, "", **name)]
    for text in ('{"', "city", '":1}'):
        events += [piece(0, text), piece(1, text)]
    reading = read_stream(*events, delta(finish="tool_calls"))
    assert [call.arguments for call in reading.tool_calls] == ['{"city":1}']
    assert "multi_choice" in reading.flags


def test_tool_deltas_in_every_dialect():
    """Split arguments, whole calls without index, an index from 1, and one index for all come out right."""

    def calls(*pieces):
        reading = read_stream(*(delta(tool_calls=[piece]) for piece in pieces), delta(finish="tool_calls"))
        return [(call.name, call.arguments) for call in reading.tool_calls]

    def piece(name=None, arguments=None, **extra):
        function = {} if name is None else {"name": name}
        return {"function": function | ({} if arguments is None else {"arguments": arguments}), **extra}

    assert calls(piece("f", "", index=1, id="a"), piece(None, '{"x"', index=1), piece(None, ":1}", index=1)) == [
        ("f", '{"x":1}')
    ]
    assert calls(piece("f", "{}", id="a"), piece("g", "{}", id="b")) == [("f", "{}"), ("g", "{}")]
    assert calls(piece("f", "{}", index=0, id="a"), piece("g", "{}", index=0, id="b")) == [("f", "{}"), ("g", "{}")]
    assert calls(piece("f", "{}", index=0, id=""), piece("f", "{}", index=0, id="")) == [("f", "{}"), ("f", "{}")]
    assert calls(piece("f", '{"x', index=0), piece("f", '":1}', index=0)) == [("f", '{"x":1}')]


def test_legacy_function_call_and_its_placeholder():
    """The old field is a call; with an empty name it means nothing."""
    used = read_stream(
        delta(function_call={"name": "f", "arguments": ""}),
        delta(function_call={"arguments": "{}"}),
        delta(finish="function_call"),
    )
    assert [(call.name, call.arguments) for call in used.tool_calls] == [("f", "{}")]
    assert "legacy_function_call" in used.flags
    idle = read_stream(delta("hi", finish="stop", function_call={"name": "", "arguments": ""}))
    assert (idle.tool_calls, "function_call_placeholder" in idle.flags) == ((), True)


def test_reasoning_comes_before_content():
    """`content: null` during the reasoning phase is no content."""
    opening = {"choices": [{"index": 0, "delta": {"content": None, "reasoning_content": "hm"}}]}
    reading = read_stream(opening, delta("4", finish="stop"))
    assert (reading.text, reading.reasoning) == ("4", "hm")


def test_azure_opens_with_an_empty_chunk():
    """The first chunk has filter results, no choices and an empty model name."""
    opening = {"choices": [], "model": "", "prompt_filter_results": [{"prompt_index": 0}]}
    reading = read_stream(opening, delta("Paris.", finish="stop"))
    assert reading.identity.served_model == "gpt-4o"
    assert {"empty_choices_first", "azure_filter_results"} <= set(reading.flags)


def test_one_event_may_span_several_data_lines():
    """The standard joins data lines of one event; a chunk printed over several lines is one chunk."""
    lines = json.dumps(delta("Paris.", finish="stop"), indent=1).splitlines()
    reading = read_stream("\n".join(f"data: {line}" for line in lines))
    assert (reading.kind, reading.text) == (Kind.OK, "Paris.")
    assert "sse_bad_json" not in reading.flags
