"""Errors of thirty providers, servers and proxies, in our own words: what each means, and when to come back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evalkit.domain.outcome import Kind
from evalkit.wire.error_codes import BY_CODE, squeezed
from evalkit.wire.response import Asked, read_response

FIXTURE = Path(__file__).parents[2] / "data_fixtures" / "wire" / "provider_errors.jsonl"
ROWS = [json.loads(line) for line in FIXTURE.read_text(encoding="utf-8").splitlines()]


def read(status, body, *, headers=None):
    """Read an error; a body that is text is sent as it is."""
    raw = body if isinstance(body, str) else json.dumps(body)
    return read_response(status, headers or {}, raw.encode(), asked=Asked(route="m"))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['provider']}-{row['status']}-{row['kind']}")
def test_meaning_of_an_error(row):
    """Each body of each provider comes out as one kind, with the delay it names."""
    reading = read(row["status"], row["body"])
    assert reading.kind == row["kind"]
    if "retry_after_s" in row:
        assert reading.retry_after_s == row["retry_after_s"]


@pytest.mark.parametrize(
    "spelling", ["RateLimitReached", "rate_limit_reached", "rate-limit-reached", "Rate Limit Reached"]
)
def test_spelling_of_a_code_does_not_matter(spelling):
    """Camel case, snake case and kebab case are one code."""
    assert BY_CODE[squeezed("permission_denied")] is Kind.AUTH_ERROR
    assert read(400, {"error": {"code": spelling, "message": "no"}}).kind is Kind.RATE_LIMITED


def test_the_code_is_shown_as_it_was_sent():
    """Only the look-up is without separators; the reading keeps the code's own spelling."""
    assert read(403, {"code": "permission-denied", "error": "no"}).error_code == "permission-denied"


def test_a_list_of_errors_is_told_by_its_first():
    """Cloudflare lists its errors under `error` or `errors`."""
    assert read(401, {"error": [{"code": 2009, "message": "not you"}]}).detail == "not you"
    assert read(400, {"errors": [{"code": 5007, "message": "no such model"}]}).detail == "no such model"


def test_an_upstream_body_behind_an_exception_name_is_unpacked():
    """LiteLLM prints the upstream's body after the name of its exception: the code inside decides."""
    inner = json.dumps({"error": {"message": "It is no JSON.", "code": "json_validate_failed"}})
    body = {"error": {"message": f"litellm.BadRequestError: GroqException - {inner}", "code": "400", "type": None}}
    assert read(400, body).kind is Kind.SCHEMA_VIOLATION


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"detail": "broken"}, Kind.PROVIDER_ERROR),
        ({"code": 50505, "message": "Model overloaded", "data": None}, Kind.PROVIDER_OVERLOADED),
        ({"base_resp": {"status_code": 1039, "status_msg": "rate limit (TPM)"}}, Kind.RATE_LIMITED),
        ({"base_resp": {"status_code": 0, "status_msg": ""}}, Kind.PROVIDER_ERROR),
        ({"choices": [], "errors": [{"message": "insufficient balance"}]}, Kind.QUOTA_EXHAUSTED),
    ],
)
def test_a_failure_under_status_200_without_an_error_object(body, kind):
    """No choices and a message are an error by the message's words."""
    assert read(200, body).kind is kind


def test_a_message_object_is_no_error():
    """A native answer that is no chat completion is a provider error without invented words."""
    reading = read(200, {"model": "m", "message": {"role": "assistant", "content": "rate limit"}, "done": True})
    assert (reading.kind, reading.detail) == (Kind.PROVIDER_ERROR, "the answer has no choices")


def test_a_bare_status_object_beside_choices_is_ignored():
    """MiniMax puts its own status into every answer, good ones too."""
    choice = {"index": 0, "finish_reason": "stop", "message": {"content": "Paris."}}
    body = {"model": "m", "choices": [choice], "base_resp": {"status_code": 0, "status_msg": ""}}
    assert read(200, body).kind is Kind.OK


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        ({"error": "loading", "estimated_time": 12.5}, 12.5),
        ({"error": "Please wait 7 seconds before retrying."}, 7),
        ({"detail": "try again in 3 seconds"}, 3),
        ({"error": {"code": 429, "message": "x", "metadata": {"raw": "Please retry after 4 seconds"}}}, 4),
        ("Too many requests, try again in 2s", 2),
    ],
)
def test_delay_in_every_place_of_a_body(body, seconds):
    """Text errors, `detail`, the wrapped upstream and plain text carry hints too."""
    assert read(429, body).retry_after_s == seconds
