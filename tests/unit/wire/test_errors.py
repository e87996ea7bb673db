"""Every error shape of the facts pages, as bytes, must come out as its kind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evalkit.domain.outcome import RETRYABLE, Kind
from evalkit.wire.response import Asked, read_response

FIXTURE = Path(__file__).parents[2] / "data_fixtures" / "wire" / "errors.jsonl"
ROWS = [json.loads(line) for line in FIXTURE.read_text(encoding="utf-8").splitlines()]
"""One error body a provider and meaning, in our own words; a body that is text is sent as it is."""


def read(status, body, *, headers=None, **asked):
    """Read an answer whose body is a value (sent as JSON) or text (sent as it is)."""
    raw = body if isinstance(body, str) else json.dumps(body)
    return read_response(status, headers or {}, raw.encode(), asked=Asked(route="gpt-4o", **asked))


def openai(message="nope", **fields):
    """Return OpenAI's error object."""
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None, **fields}}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['status']}-{row['kind']}")
def test_kind_of_an_error(row):
    """A recorded or documented error comes out as the kind the facts page names.

    Cooldown, budget and eligibility of the gateway are flagged besides: they are not the model's doing.
    """
    reading = read(row["status"], row["body"])
    assert reading.kind == row["kind"]
    assert {flag for flag in reading.flags if flag.startswith("origin:")} == set(filter(None, [row.get("flag")]))


def test_a_prompt_beyond_the_window_turns_a_rate_limit_into_an_overflow():
    """Azure and Gemini answer a prompt that can never fit with a 429: retrying it would never help."""
    body = {"error": {"code": "RateLimitReached", "message": "Please retry after 1 second."}}
    beyond = read(429, body, context_tokens=1000, prompt_tokens_estimate=1001)
    within = read(429, body, context_tokens=1000, prompt_tokens_estimate=1000)
    assert (beyond.kind, within.kind) == (Kind.CONTEXT_OVERFLOW, Kind.RATE_LIMITED)
    assert "overflow_by_estimate" in beyond.flags


def test_the_wrapped_error_of_the_upstream_decides():
    """OpenRouter says only "Provider returned error"; what happened is text inside its metadata."""
    raw = json.dumps({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
    body = {
        "error": {
            "code": 400,
            "message": "Provider returned error",
            "metadata": {"provider_name": "Anthropic", "raw": raw},
        }
    }
    assert read(400, body).kind is Kind.PROVIDER_OVERLOADED


def test_a_vague_code_gives_way_to_the_message():
    """`api_error` with an overflow in its message is an overflow."""
    assert read(500, openai("prompt is too long: 9 tokens", type="api_error")).kind is Kind.CONTEXT_OVERFLOW


def test_a_server_error_is_never_the_callers_fault():
    """The same phrase that rejects a request with a 400 is the server's problem with a 500."""
    assert read(500, openai("The compiled grammar is too large", type=None)).kind is Kind.PROVIDER_ERROR


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 413, 422])
def test_errors_of_the_question_are_not_retryable(status):
    """A bare 4xx that another attempt cannot cure is not of a retryable kind."""
    assert read(status, "").kind not in RETRYABLE


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_no_answer_of_a_model(status):
    """The address is wrong, or a login page stands before it: trying again, or bending the request, is no use."""
    assert read(status, "<html>Sign in</html>").kind is Kind.MODEL_UNAVAILABLE


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 520, 524, 529])
def test_infrastructure_errors_are_retryable(status):
    """A bare infrastructure status is of a kind that is tried again."""
    assert read(status, "").kind in RETRYABLE


def test_detail_is_bounded_and_holds_no_key():
    """The server's message is cut at 500 characters and what looks like a key is masked."""
    key = "sk-proj-" + "a1B2" * 10
    detail = read(401, openai(f"Incorrect API key provided: {key}. " + "x" * 900)).detail
    assert len(detail) == 500
    assert key not in detail


def test_detail_of_a_page_is_its_title_first():
    """A proxy's page is told by its title, without markup."""
    detail = read(502, "<html><head><title>502 Bad Gateway</title></head><body><h1>nginx &amp; co</h1></body>").detail
    assert detail.startswith("502 Bad Gateway")
    assert "<" not in detail
    assert "nginx & co" in detail


def test_error_code_is_kept():
    """The first code of the body is the reading's error code; a number stands as text."""
    assert read(404, openai(code="model_not_found")).error_code == "model_not_found"
    assert read(429, {"error": {"code": 429, "message": "x"}}).error_code == "429"


FLAGS = [
    ({"error": {"message": "x", "code": 429}}, {"error_in_body", "error_code_numeric"}),
    ({"error": "x"}, {"error_in_body", "error_is_string"}),
    ({"detail": "x"}, {"error_detail"}),
    ([{"error": {"message": "x", "code": "y"}}], {"error_in_body", "body_json_array"}),
]


@pytest.mark.parametrize(("body", "flags"), FLAGS)
def test_the_shape_of_an_error_is_flagged(body, flags):
    """Each shape of error body has its own flags, beside `no_choices`."""
    assert set(read(400, body).flags) == {*flags, "no_choices"}


@pytest.mark.parametrize("message", ["[" * 100_000, '{"error":' * 50_000, '{"a": 1' + "0" * 10_000 + "}"])
def test_a_hostile_wrapped_error_is_survived(message):
    """An error message that pretends to be JSON is unpacked within bounds."""
    assert read(500, openai(message)).kind is Kind.PROVIDER_ERROR
