"""Every spelling of "come back later", and no clock of our own."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.wire.hints import parse_delay_s, read_retry_hint

NOW = "Wed, 04 Nov 2026 10:00:00 GMT"
FIELDS = ["error", "details", "message", "metadata", "headers", "retry_after"]
MOMENT = datetime(2026, 11, 4, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("30", 30),
        ("0.5", 0.5),
        (" 7 ", 7),
        ("20ms", 0.02),
        ("17.399999999s", 17.399999999),
        ("1m2s", 62),
        ("1h0m0.5s", 3600.5),
        ("6m0s", 360),
        ("250us", 0.00025),
        ("250\u00b5s", 0.00025),
        ("Wed, 04 Nov 2026 10:00:20 GMT", 20),
        ("2026-11-04T10:01:00Z", 60),
        ("2026-11-04T10:00:00.250Z", 0.25),
        ("2026-11-04T12:00:05+02:00", 5),
        ("1793786410", 10),
        ("1793786410000", 10),
        ("-5", 0),
        ("Wed, 04 Nov 2026 09:00:00 GMT", 0),
    ],
)
def test_delay_of_a_spelling(value, seconds):
    """Numbers, Go durations, HTTP dates, RFC 3339 and Unix moments all become seconds, never below zero."""
    assert parse_delay_s(value, now=MOMENT) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "value", ["", "soon", "nan", "inf", "1e400", "9" * 60, "1m2", "s", "Wed, 99 Nov 2026 10:00:00 GMT"]
)
def test_what_is_no_delay_is_none(value):
    """A spelling nobody can mean is no hint, not an error and not zero."""
    assert parse_delay_s(value, now=MOMENT) is None


def test_a_moment_needs_the_servers_own_date():
    """Without a `date` header a date cannot be turned into a delay."""
    assert parse_delay_s("2026-11-04T10:01:00Z") is None
    assert read_retry_hint({"retry-after": "Wed, 04 Nov 2026 10:00:20 GMT", "date": NOW}).after_s == 20


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "12"}, 12),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"x-ms-retry-after-ms": "800"}, 0.8),
        ({"llm_provider-retry-after": "9"}, 9),
        ({"retry-after": "1", "retry-after-ms": "0"}, 1),
        ({"retry-after": "5", "llm_provider-retry-after": "60"}, 60),
        (
            {
                "x-ratelimit-remaining-tokens": "0",
                "x-ratelimit-reset-tokens": "6m0s",
                "x-ratelimit-reset-requests": "1s",
                "x-ratelimit-remaining-requests": "10",
            },
            360,
        ),
        (
            {
                "anthropic-ratelimit-tokens-remaining": "0",
                "anthropic-ratelimit-tokens-reset": "2026-11-04T10:00:30Z",
                "date": NOW,
            },
            30,
        ),
        ({"x-ratelimit-reset": "3"}, 3),
        ({"retry-after": "2", "x-ratelimit-reset": "300"}, 2),
    ],
)
def test_hint_of_headers(headers, seconds):
    """Explicit headers win over rate-limit windows; of two that disagree the longer wait is taken."""
    assert read_retry_hint(headers).after_s == pytest.approx(seconds)


def test_a_window_that_is_not_used_up_is_no_hint():
    """A reset time of a window with room left says nothing about this failure."""
    assert read_retry_hint({"x-ratelimit-remaining-tokens": "50", "x-ratelimit-reset-tokens": "1h"}).after_s is None


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        ({"error": {"details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.4s"}]}}, 34.4),
        ([{"error": {"details": [{"@type": "x/google.rpc.RetryInfo", "retryDelay": "3s"}]}}], 3),
        ({"error": {"message": "Rate limit reached. Please try again in 20s."}}, 20),
        ({"error": {"message": "Please try again in 1m26.4s."}}, 86.4),
        ({"error": {"message": "No deployments available, Try again in 5 seconds. Passed model=x"}}, 5),
        ({"error": {"message": "Please retry after 250 milliseconds."}}, 0.25),
        ({"error": {"message": "try again in 2 minutes"}}, 120),
        ({"error": {"metadata": {"retry_after_seconds": 4}}}, 4),
        ({"error": {"metadata": {"headers": {"Retry-After": "8"}}}}, 8),
        ({"retry_after": 2.5}, 2.5),
    ],
)
def test_hint_of_a_body(body, seconds):
    """Google's RetryInfo, gateway fields and plain prose carry the hint where headers do not."""
    assert read_retry_hint({}, body).after_s == pytest.approx(seconds)


@pytest.mark.parametrize(("value", "verdict"), [("true", True), ("False", False), ("maybe", None), (None, None)])
def test_should_retry_header(value, verdict):
    """`x-should-retry` is a verdict of its own, beside any delay."""
    assert read_retry_hint({} if value is None else {"x-should-retry": value}).should_retry is verdict


@given(st.text(max_size=80))
def test_any_text_is_none_or_a_bounded_delay(value):
    """Whatever a server writes, the hint is None or a number of seconds within a month."""
    delay = parse_delay_s(value, now=MOMENT)
    assert delay is None or 0 <= delay <= 31 * 86_400


@given(
    st.dictionaries(
        st.sampled_from(["retry-after", "retry-after-ms", "x-ratelimit-reset", "date", "x-should-retry"]),
        st.text(max_size=40),
    ),
    st.recursive(
        st.none() | st.integers() | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=3),
    ),
)
def test_no_hint_raises(headers, body):
    """Hostile headers and bodies give a hint or none."""
    assert read_retry_hint(headers, body).after_s is None or read_retry_hint(headers, body).after_s >= 0
