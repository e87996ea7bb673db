"""Every number a reader sees is written here, so that two reporters never show one value in two ways.

Shares are written as `0.984`, never as percent: gates are written that way in suite files, and a reader compares them.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime

from evalkit.domain.score import MEASURES

__all__ = [
    "UNKNOWN",
    "format_count",
    "format_duration",
    "format_limit",
    "format_seconds",
    "format_share",
    "format_time",
    "format_usd",
    "format_value",
    "format_value_against",
]

UNKNOWN = "unknown"
"""A number nobody knows; never 0, never an empty cell."""

_SHARE_DIGITS = 3
_MOST_DIGITS = 6
_NOISE = 1e-9
"""What lies closer to 0 or 1 than this is rounding of the arithmetic, not evidence."""
_DRESS = {"USD": ("$", ""), "s": ("", " s")}
_MINUTE_S = 60
_HOUR_S = 3600


def format_count(count: int | None) -> str:
    """Return a count with thousands separators."""
    return UNKNOWN if count is None else f"{count:,}"


def format_share(share: float | None) -> str:
    """Return a share with three digits; more when rounding would say 0 or 1 and it is neither."""
    if share is None:
        return UNKNOWN
    digits = _SHARE_DIGITS
    if abs(share - round(share)) > _NOISE:
        # Differences of shares are written here too, hence the sign.
        while digits < _MOST_DIGITS and abs(float(f"{share:.{digits}f}")) in {0.0, 1.0}:
            digits += 1
    text = f"{share:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def format_usd(usd: float | None) -> str:
    """Return US dollars: cents, and two significant digits of what is less than ten cents."""
    if usd is None:
        return UNKNOWN
    size = abs(usd)
    if size >= 1:
        text = f"{size:,.2f}"
    elif size == 0:
        text = "0.00"
    else:
        text = f"{size:.{max(2, 1 - math.floor(math.log10(size)))}f}"
    return f"{'-' if usd < 0 else ''}${text}"


def format_seconds(seconds: float | None) -> str:
    """Return a latency in seconds, with milliseconds where they matter."""
    if seconds is None:
        return UNKNOWN
    return f"{seconds:.3f} s" if abs(seconds) < 1 else f"{seconds:,.2f} s"


def format_duration(seconds: float | None) -> str:
    """Return how long something took, in the two largest units."""
    if seconds is None:
        return UNKNOWN
    whole = round(seconds)
    if whole < _MINUTE_S:
        return f"{whole} s"
    if whole < _HOUR_S:
        return f"{whole // _MINUTE_S} min {whole % _MINUTE_S:02d} s"
    return f"{whole // _HOUR_S:,} h {whole % _HOUR_S // _MINUTE_S:02d} min"


def format_time(unix_s: float | None) -> str:
    """Return a moment in UTC, to the minute; whole seconds are in the JSON report."""
    if unix_s is None:
        return UNKNOWN
    try:
        return datetime.fromtimestamp(unix_s, tz=UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (OverflowError, OSError, ValueError):
        return UNKNOWN


def format_value(metric: str, value: float | None) -> str:
    """Return a value in the unit of its metric: share unless the metric is a measure with another unit."""
    if value is not None and math.isinf(value):
        # A quantile of calls that timed out, or the cost of a success that never came.
        return "∞" if value > 0 else "-∞"
    unit = _unit(metric)
    if unit == "USD":
        return format_usd(value)
    if unit == "s":
        return format_seconds(value)
    if unit == "tokens":
        return UNKNOWN if value is None else f"{value:,.0f}"
    return format_share(value)


def format_limit(metric: str, limit: float) -> str:
    """Return a gate's limit as its suite file says it, with the unit."""
    prefix, suffix = _DRESS.get(_unit(metric), ("", ""))
    return f"{prefix}{limit:g}{suffix}"


def format_value_against(metric: str, value: float | None, limit: float) -> str:
    """Return a value written long enough to show on which side of `limit` it lies."""
    text = format_value(metric, value)
    if value is None or value == limit or text != format_value(metric, limit):
        return text
    prefix, suffix = _DRESS.get(_unit(metric), ("", ""))
    for digits in range(_SHARE_DIGITS + 1, _MOST_DIGITS + 1):
        longer = f"{value:.{digits}f}"
        if longer != f"{limit:.{digits}f}":
            return f"{prefix}{longer}{suffix}"
    return f"{prefix}{value!r}{suffix}"


def _unit(metric: str) -> str:
    measure = MEASURES.get(metric.rpartition("/")[2])
    return measure.unit if measure is not None else "share"
