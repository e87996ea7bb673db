"""One answer in every shape a stream can have: line ends, marks, comments, list chunks, and where it may break."""

from __future__ import annotations

import json

import pytest

from evalkit.domain.outcome import Kind, Usage
from evalkit.wire.response import Asked, read_response

USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def chunk(content=None, *, finish=None, top=None, **delta):
    """Return one chunk of choice 0."""
    piece = ({} if content is None else {"content": content}) | delta
    return {"model": "gpt-4o", "choices": [{"index": 0, "delta": piece, "finish_reason": finish}]} | (top or {})


def data(*values):
    """Return events, one a value; text is sent as it is."""
    return "".join(
        f"data: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}\n\n" for value in values
    )


def read(body, *, status=200, kind="text/event-stream"):
    """Read a body of a content type."""
    return read_response(status, {"content-type": kind}, body.encode(), asked=Asked(route="gpt-4o"))


PLAIN = data(chunk("Hel", role="assistant"), chunk("lo é"), chunk(finish="stop"), {"choices": [], "usage": USAGE})
DONE = data("[DONE]")
SHAPES = {
    "plain": PLAIN + DONE,
    "crlf": (PLAIN + DONE).replace("\n", "\r\n"),
    "cr": (PLAIN + DONE).replace("\n", "\r"),
    "mark": "\ufeff" + PLAIN + DONE,
    "no space": (PLAIN + DONE).replace("data: ", "data:"),
    "spaces around done": PLAIN + "data:  [DONE]  \n\n",
    "no done": PLAIN,
    "no last newline": PLAIN + "data: [DONE]",
    "event first": PLAIN.replace("data:", "event: message\ndata:") + DONE,
    "ids": PLAIN.replace("data:", "id: 7\nretry: 300\ndata:") + DONE,
    "comments": ": WORKING\n\n" + PLAIN.replace("\n\n", "\n\n: ping\n\n") + DONE,
    "keep-alive as data": data(": keepalive") + PLAIN + "data:\n\n" + DONE,
    "ping event": 'event: ping\ndata: {"type": "ping"}\n\n' + PLAIN + DONE,
    "torn after the end": PLAIN + 'data: {"id":',
    "done twice": PLAIN + DONE + DONE,
    "no blank lines": PLAIN.replace("\n\n", "\n") + DONE,
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["text/event-stream; charset=utf-8", "application/json", ""])
def test_one_answer_in_every_shape(shape, kind):
    """Text, usage and kind do not depend on how the lines were written, nor on the declared type."""
    reading = read(SHAPES[shape], kind=kind)
    assert (reading.kind, reading.text, reading.finish_reason) == (Kind.OK, "Hello é", "stop")
    assert reading.usage == Usage(prompt_tokens=3, completion_tokens=2, total_tokens=5)
    assert ("no_done" in reading.flags) == (shape in {"no done", "torn after the end"})


def test_pretty_printed_chunks():
    """A chunk over many data lines is one value."""
    events = [
        "".join(f"data: {line}\n" for line in json.dumps(value, indent=1).split("\n"))
        for value in (chunk("Hi"), chunk(finish="stop"))
    ]
    reading = read("\n".join(events) + "\n" + DONE)
    assert (reading.kind, reading.text, "sse_bad_json" in reading.flags) == (Kind.OK, "Hi", False)


def test_chunks_in_lists():
    """A list stands for its first chunk."""
    assert read(data([chunk("Hel")], [chunk("lo", finish="stop")]) + DONE).text == "Hello"


def test_a_plain_body_under_a_streams_type():
    """JSON and pages are read as what they are, behind comments too."""
    choice = {"index": 0, "finish_reason": "stop", "message": {"content": "Hi"}}
    whole = json.dumps({"model": "gpt-4o", "choices": [choice], "usage": USAGE})
    for lead in ("", ": WORKING\n\n: WORKING\n\n", ": w\r\n\r\n"):
        reading = read(lead + whole)
        assert (reading.kind, reading.text, "stream" in reading.flags) == (Kind.OK, "Hi", False)
    page = read("<html><title>502 Bad Gateway</title></html>")
    assert (page.kind, page.detail.startswith("502 Bad Gateway")) == (Kind.PROVIDER_ERROR, True)


ERRORS = [
    (data({"error": {"message": "slow", "code": 429}}), Kind.RATE_LIMITED),
    (data({"error": "model overloaded"}), Kind.PROVIDER_OVERLOADED),
    (data({"code": "Throttling.RateQuota", "message": "too fast"}), Kind.RATE_LIMITED),
    (data({"detail": "gone"}), Kind.STREAM_ERROR),
    (data(chunk("Hel"), {"error": {"message": "x", "code": 502}}) + DONE, Kind.STREAM_ERROR),
    (data(chunk("Hel"), {"object": "error", "message": "died", "code": 500}) + DONE, Kind.STREAM_ERROR),
    (data(chunk("Hel"), chunk(finish="error")) + DONE, Kind.STREAM_ERROR),
    (data(chunk("Hel")) + 'error: {"detail": "no decode"}\n\n', Kind.STREAM_ERROR),
    (data(chunk("Hel"), chunk("lo")), Kind.STREAM_CUT),
    (data(chunk("Hel")) + 'data: {"model": "gpt', Kind.STREAM_CUT),
    (data(chunk("Hel"), chunk(finish="content_filter: SAFETY")) + DONE, Kind.SAFETY_BLOCK),
    (data({"choices": [], "usage": USAGE}) + DONE, Kind.PROVIDER_ERROR),
]


@pytest.mark.parametrize(("body", "kind"), ERRORS)
def test_how_a_stream_fails(body, kind):
    """An error before any text keeps its own kind; after it, and in any spelling, the stream failed."""
    assert read(body).kind is kind


def test_an_error_status_with_a_streams_body():
    """The event of a failed request is read like the body of one."""
    body = 'event: error\ndata: {"error": {"message": "slow", "code": "rate_limit_exceeded"}}\n\n'
    assert read(body, status=429).kind is Kind.RATE_LIMITED


def test_a_bare_error_is_no_empty_first_chunk():
    """The flag is for placeholders, not for failures."""
    assert "empty_choices_first" not in read(data({"detail": "gone"})).flags


@pytest.mark.parametrize(
    "last",
    [
        chunk(finish="stop", top={"usage": USAGE}),
        chunk(finish="stop", top={"x_groq": {"usage": USAGE}}),
        {"model": "gpt-4o", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "usage": USAGE}]},
    ],
)
def test_usage_in_every_place(last):
    """The body, `x_groq` and the last choice are where usage comes."""
    reading = read(data(chunk("Hi"), last) + DONE)
    assert reading.usage == Usage(prompt_tokens=3, completion_tokens=2, total_tokens=5)
    assert not {"usage_missing", "usage_many_chunks", "usage_only_chunk"} & set(reading.flags)


def test_a_call_repeated_whole_with_one_id_is_one_call():
    """Name and id may come with every delta, and arguments may be null."""
    call = {"index": 0, "id": "0", "type": "function"}
    pieces = [chunk(tool_calls=[call | {"function": {"name": "f", "arguments": text}}]) for text in (None, "", "{}")]
    reading = read(data(*pieces, chunk(finish="tool_calls")) + DONE)
    assert [(one.name, one.arguments, one.call_id) for one in reading.tool_calls] == [("f", "{}", "0")]


def test_the_message_beside_the_delta_is_not_read_twice():
    """Perplexity sends what there is so far beside each delta."""
    first = chunk("He")
    first["choices"][0]["message"] = {"content": "He"}
    second = chunk("llo", finish="stop")
    second["choices"][0]["message"] = {"content": "Hello"}
    assert read(data(first, second)).text == "Hello"
