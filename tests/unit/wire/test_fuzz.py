"""Whatever bytes a server sends, a reading comes out: no exception, bounded text, a kind that fits."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.domain.outcome import Kind
from evalkit.wire.response import Asked, read_response

OWN = Path(__file__).parents[2] / "data_fixtures" / "wire" / "exchanges.jsonl"
ROWS = [json.loads(line) for line in OWN.read_text(encoding="utf-8").splitlines()]
ASKED = Asked(route="gpt-4o", cost_header="x-cost", context_tokens=10, prompt_tokens_estimate=11, wants_tool_call=True)
STATUSES = st.sampled_from([0, 100, 200, 201, 204, 246, 301, 400, 401, 413, 429, 446, 500, 503, 529, 999])
HEADERS = st.dictionaries(
    st.sampled_from(
        ["Content-Type", "retry-after", "date", "x-cost", "x-litellm-model-id", "x-evalkit-raw-model", "x-should-retry"]
    ),
    st.sampled_from(["text/event-stream", "application/json", "1", "x", "", "Wed, 04 Nov 2026 10:00:00 GMT", "nan"]),
)

NAMES = [
    "choices",
    "delta",
    "message",
    "content",
    "text",
    "type",
    "thinking",
    "reasoning",
    "reasoning_content",
    "reasoning_details",
    "refusal",
    "tool_calls",
    "function",
    "name",
    "arguments",
    "index",
    "id",
    "function_call",
    "custom",
    "input",
    "finish_reason",
    "native_finish_reason",
    "error",
    "code",
    "status",
    "metadata",
    "raw",
    "details",
    "detail",
    "innererror",
    "usage",
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "cost",
    "model",
    "x_groq",
    "prompt_tokens_details",
    "cached_tokens",
    "openrouter_metadata",
    "endpoints",
    "available",
    "attempts",
    "provider_specific_fields",
]
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(
        ["stop", "length", "text", "thinking", "tool_use", "\ud83d", "<think>", "{", '{"error":{"code":1}}', 10**400]
    )
)
PIECES = [
    b"data:",
    b" ",
    b"{",
    b"}",
    b"[DONE]",
    b"\n",
    b"\r",
    b"error:",
    b"event: error",
    b'{"choices":[',
    b'"',
    b":",
    b"null",
]
BODIES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5),
    max_leaves=25,
)
CHOICES = st.fixed_dictionaries(
    {"choices": st.lists(st.fixed_dictionaries({"delta": BODIES, "message": BODIES}), max_size=3) | BODIES}
)


def check(status, headers, body):
    """Read and hold what is promised of every reading."""
    reading = read_response(status, headers, body, asked=ASKED)
    assert reading.kind in set(Kind)
    assert len(reading.detail) <= 500
    assert reading.flags == tuple(sorted(set(reading.flags)))
    texts = [
        reading.text,
        reading.reasoning,
        reading.refusal,
        reading.finish_reason,
        reading.error_code,
        reading.detail,
    ]
    texts += [text for call in reading.tool_calls for text in (call.name, call.arguments, call.call_id)]
    texts += [reading.identity.served_model, reading.identity.provider, reading.identity.system_fingerprint]
    for text in texts:
        (text or "").encode()
    assert reading.cost_usd is None or reading.cost_usd >= 0
    assert not (200 <= status < 300 and reading.retry_after_s is not None)
    if reading.kind is Kind.OK:
        assert 200 <= status < 300
        assert reading.text or reading.tool_calls


@given(STATUSES, HEADERS, st.binary(max_size=300))
def test_arbitrary_bytes(status, headers, body):
    """Noise is read."""
    check(status, headers, body)


@given(STATUSES, HEADERS, st.lists(st.sampled_from(PIECES), max_size=30))
def test_noise_that_looks_like_a_protocol(status, headers, parts):
    """Pieces of event streams and JSON in any order are read."""
    check(status, headers, b"".join(parts))


@given(STATUSES, HEADERS, BODIES | CHOICES)
def test_any_json(status, headers, body):
    """Known names with values of any type, anywhere, are read."""
    check(status, headers, json.dumps(body).encode())


@given(HEADERS, st.lists(BODIES | CHOICES, max_size=4), st.booleans())
def test_any_stream(headers, chunks, is_done):
    """Streams of any JSON are read."""
    lines = [f"data: {json.dumps(chunk)}" for chunk in chunks] + ["data: [DONE]"] * is_done
    check(200, headers, "\n\n".join([*lines, ""]).encode())


@given(st.sampled_from(ROWS), st.data())
def test_damaged_exchanges(row, data):
    """Real shapes with a piece cut out, doubled, or overwritten are read."""
    body = row["body"].encode()
    start = data.draw(st.integers(0, len(body)))
    end = data.draw(st.integers(start, min(len(body), start + 40)))
    piece = data.draw(st.sampled_from([b"", b"null", b"[]", b'"', b"}", b"\xff", b"\n\n", body[start:end] * 2]))
    check(row["status"], row["headers"], body[:start] + piece + body[end:])


@given(st.sampled_from([row for row in ROWS if "stream" in row["expect"]["flags"]]), st.data())
def test_a_stream_cut_anywhere_is_never_ok_with_less_text(row, data):
    """Cutting a stream loses text only together with the kind `ok`."""
    body = row["body"].encode()
    cut = body[: data.draw(st.integers(0, len(body)))]
    asked = Asked(**row["asked"])
    whole = read_response(200, row["headers"], body, asked=asked)
    reading = read_response(200, row["headers"], cut, asked=asked)
    assert reading.kind is not Kind.OK or reading.text == whole.text


@pytest.mark.parametrize(
    "body",
    [b"[" * 5_000_000, b":\n" * 5_000_000, b"data: {\n" * 1_000_000, b"data: {}\n\n" * 1_000_000, b"<" * 5_000_000],
    ids=["nesting", "comments", "torn", "chunks", "markup"],
)
def test_bodies_made_to_stall_the_reader(body):
    """Megabytes of the worst case of each step are read in seconds, as failures."""
    began = time.perf_counter()
    assert read_response(200, {}, body, asked=ASKED).kind in {Kind.PROVIDER_ERROR, Kind.STREAM_CUT, Kind.STREAM_ERROR}
    assert time.perf_counter() - began < 20
