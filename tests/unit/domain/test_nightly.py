"""Which night it is, and what a nightly section may say."""

from __future__ import annotations

from calendar import timegm
from time import strptime

import pytest
from pydantic import ValidationError

from evalkit.domain.nightly import Nightly, night_of


def at(text):
    """Return a moment in Unix seconds."""
    return float(timegm(strptime(text, "%Y-%m-%dT%H:%M")))


@pytest.mark.parametrize(
    ("moment", "starts_at", "night"),
    [
        ("2026-03-01T23:50", "12:00", "2026-03-01"),
        ("2026-03-02T00:10", "12:00", "2026-03-01"),
        ("2026-03-02T11:59", "12:00", "2026-03-01"),
        ("2026-03-02T12:00", "12:00", "2026-03-02"),
        ("2026-03-02T00:10", "00:00", "2026-03-02"),
        ("2026-01-01T03:00", "18:30", "2025-12-31"),
    ],
)
def test_a_night_is_the_date_of_its_evening(moment, starts_at, night):
    """Midnight does not end it; the hour it is told does."""
    assert night_of(at(moment), starts_at=starts_at) == night


@pytest.mark.parametrize(
    "section",
    [
        {"starts_at": "24:00"}, {"starts_at": "noon"}, {"deadline": "soon"}, {"notify": {"url": "https://x"}},
        {"notify": {"url_env": "not a name"}}, {"exports": [{"target": "litellm"}]}, {"unknown": 1},
    ],
)  # fmt: skip
def test_what_it_may_not_say(section):
    """A misspelt key, an address instead of a variable's name, no hour."""
    with pytest.raises(ValidationError):
        Nightly.model_validate(section)
