"""Numbers are written in one way, and never so that rounding changes what they say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.reporters._format import (
    format_count,
    format_duration,
    format_limit,
    format_seconds,
    format_share,
    format_time,
    format_usd,
    format_value,
    format_value_against,
)


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.984, "0.984"), (0.9995, "0.9995"), (0.99999, "0.99999"), (0.0, "0.000"), (1.0, "1.000"),
        (1 - 1e-16, "1.000"), (0.0004, "0.0004"), (-0.062, "-0.062"), (-1e-12, "0.000"), (None, "unknown"),
    ],
)  # fmt: skip
def test_share(share, text):
    """A share has three digits, more when three would say 0 or 1."""
    assert format_share(share) == text


@given(st.floats(min_value=1e-6, max_value=1 - 1e-6))
def test_share_never_says_certainty(share):
    """Nothing strictly between 0 and 1 is written as 0 or 1."""
    assert 0 < float(format_share(share)) < 1


@pytest.mark.parametrize(
    ("usd", "text"),
    [
        (12.3456, "$12.35"), (1234.5, "$1,234.50"), (0.4, "$0.40"), (0.0063, "$0.0063"), (0.00001234, "$0.000012"),
        (0, "$0.00"), (-0.5, "-$0.50"), (None, "unknown"),
    ],
)  # fmt: skip
def test_usd(usd, text):
    """Small prices keep two significant digits instead of becoming $0.00."""
    assert format_usd(usd) == text


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (format_seconds(0.8114), "0.811 s"), (format_seconds(12.345), "12.35 s"), (format_seconds(None), "unknown"),
        (format_duration(59.4), "59 s"), (format_duration(1234), "20 min 34 s"), (format_duration(7_260), "2 h 01 min"),
        (format_duration(None), "unknown"), (format_count(6400), "6,400"), (format_count(None), "unknown"),
        (format_time(0), "1970-01-01 00:00 UTC"), (format_time(1e300), "unknown"), (format_time(None), "unknown"),
    ],
)  # fmt: skip
def test_other_units(written, text):
    """Times, counts and moments read the same everywhere."""
    assert written == text


@pytest.mark.parametrize(
    ("metric", "value", "text"),
    [
        ("fields", 0.5, "0.500"), ("latency_s", 1.5, "1.50 s"), ("suite/cost_usd", 0.25, "$0.25"),
        ("output_tokens", 1234.4, "1,234"), ("output_tokens", None, "unknown"), ("availability", 1.0, "1.000"),
    ],
)  # fmt: skip
def test_value_takes_the_unit_of_its_metric(metric, value, text):
    """A measure is written in its own unit, a scorer's metric as a share."""
    assert format_value(metric, value) == text


def test_a_limit_is_written_as_the_suite_says_it():
    """0.9 is not turned into 0.900, and seconds say that they are seconds."""
    assert [format_limit(m, x) for m, x in (("fields", 0.9), ("latency_s", 4.0), ("cost_usd", 0.01))] == [
        "0.9",
        "4 s",
        "$0.01",
    ]


@pytest.mark.parametrize(
    ("metric", "value", "limit", "text"),
    [
        ("fields", 0.8996, 0.9, "0.8996"), ("fields", 0.9, 0.9, "0.900"), ("fields", 0.95, 0.9, "0.950"),
        ("latency_s", 3.9996, 4.0, "3.9996 s"), ("cost_usd", 0.010004, 0.01, "$0.010004"),
        ("fields", None, 0.9, "unknown"),
        ("fields", 0.90000000001, 0.9, "0.90000000001"),
    ],
)  # fmt: skip
def test_value_shows_its_side_of_the_limit(metric, value, limit, text):
    """A bound that misses its limit by a hair is not rounded onto it."""
    assert format_value_against(metric, value, limit) == text
