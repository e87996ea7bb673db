"""When a server says to come back, in all the ways servers say it. Nothing here reads a clock."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from evalkit.wire.message import as_dict, as_dicts, as_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["RetryHint", "parse_delay_s", "read_retry_hint"]

_GO_DURATION = re.compile(r"(?:\d{1,12}(?:\.\d{1,12})?(?:ms|us|\u00b5s|ns|h|m|s))+")
_GO_PART = re.compile(r"(\d{1,12}(?:\.\d{1,12})?)(ms|us|\u00b5s|ns|h|m|s)")
_GO_UNIT_S = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "\u00b5s": 1e-6, "ns": 1e-9}
_PROSE = re.compile(
    r"(?:try|retry)(?: again| your request)? (?:in|after) (\d{1,9}(?:\.\d{1,9})?) ?"
    r"(ms|millisecond|second|sec|s|minute|min|m)s?\b"
    r"|(?:try|retry)(?: again)? (?:in|after) ((?:\d{1,9}(?:\.\d{1,9})?(?:ms|h|m|s)){1,4})"
    r"|wait (\d{1,9})(?: more)? seconds?\b"
)
_PROSE_UNIT_S = {
    "ms": 1e-3, "millisecond": 1e-3, "s": 1.0, "sec": 1.0, "second": 1.0, "m": 60.0, "min": 60.0, "minute": 60.0,
}  # fmt: skip
_SECONDS_HEADERS = ("retry-after", "llm_provider-retry-after")
_MILLISECONDS_HEADERS = ("retry-after-ms", "x-ms-retry-after-ms", "llm_provider-retry-after-ms")
_EPOCH_S, _EPOCH_MS = 1e9, 1e12
"""Above these a number is no delay but a moment, in Unix seconds or milliseconds."""
_PROSE_FIELDS = ("message", "error", "detail")
_MAX_VALUE = 64
_MAX_DELAY_S = 31 * 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryHint:
    """What the server says of another try."""

    after_s: float | None = None
    """Seconds to wait, at least 0; None when it does not say."""
    should_retry: bool | None = None


def read_retry_hint(headers: Mapping[str, str], body: Any = None) -> RetryHint:
    """Return the longest wait that headers or body ask for.

    Where two spellings disagree the longer one is taken: coming back too early costs an attempt.

    Args:
        headers: lower-case names; moments are counted from their own `date`.
        body: the parsed error body.
    """
    now = _moment(headers.get("date", ""))
    delays = [parse_delay_s(headers[name], now=now) for name in _SECONDS_HEADERS if name in headers]
    delays += [_milliseconds(headers[name]) for name in _MILLISECONDS_HEADERS if name in headers]
    delays += list(_body_delays(body, now=now))
    told = [delay for delay in delays if delay is not None]
    if not told:
        told = [delay for delay in _window_delays(headers, now=now) if delay is not None]
    verdict = headers.get("x-should-retry", "").strip().lower()
    return RetryHint(after_s=max(told, default=None), should_retry={"true": True, "false": False}.get(verdict))


def parse_delay_s(value: str, *, now: datetime | None = None) -> float | None:
    """Return seconds from a number, a Go duration (`1m2.5s`), an HTTP date or an RFC 3339 moment; None if neither.

    Args:
        value: as sent.
        now: the moment the response was made; without it a date cannot be turned into a delay.
    """
    value = value[:_MAX_VALUE]
    text = value.strip().lower()
    if _GO_DURATION.fullmatch(text):
        return _bounded(sum(float(number) * _GO_UNIT_S[unit] for number, unit in _GO_PART.findall(text)))
    try:
        number = float(text)
    except ValueError:
        moment = _moment(value)
        return _bounded((moment - now).total_seconds()) if moment is not None and now is not None else None
    return _from_number(number, now=now)


def _from_number(number: float, *, now: datetime | None) -> float | None:
    if not math.isfinite(number):
        return None
    if number < _EPOCH_S:
        return _bounded(number)
    moment_s = number / 1000 if number >= _EPOCH_MS else number
    return None if now is None else _bounded(moment_s - now.timestamp())


def _bounded(delay_s: float) -> float | None:
    """Return the delay, 0 for one that is over, None for one nobody can mean."""
    return max(0.0, delay_s) if delay_s <= _MAX_DELAY_S else None


def _milliseconds(value: str) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return parse_delay_s(value)
    return _bounded(number / 1000) if math.isfinite(number) else None


def _moment(value: str) -> datetime | None:
    """Return an HTTP date or an RFC 3339 moment, in UTC where it names no zone."""
    text = value[:_MAX_VALUE].strip()
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        try:
            moment = parsedate_to_datetime(text)
        except (ValueError, TypeError, IndexError, OverflowError):
            return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _window_delays(headers: Mapping[str, str], *, now: datetime | None) -> Iterator[float | None]:
    """Yield when the exhausted windows reset, from `x-ratelimit-*` and `anthropic-ratelimit-*`."""
    for name, value in headers.items():
        if "ratelimit-reset" not in name and not (name.startswith("anthropic-ratelimit-") and name.endswith("-reset")):
            continue
        if name.startswith("anthropic-"):
            left = headers.get(f"{name.removesuffix('-reset')}-remaining")
        else:
            left = headers.get(name.replace("-reset", "-remaining"))
        if left is None or left.strip() == "0":
            yield parse_delay_s(value, now=now)


def _body_delays(body: Any, *, now: datetime | None) -> Iterator[float | None]:
    """Yield delays from Google's RetryInfo, OpenRouter's copied headers, `retry_after` fields and the message."""
    if isinstance(body, str):
        yield _prose_delay(body)
    for whole in body[:1] if isinstance(body, list) else [body]:
        error = as_dict(as_dict(whole).get("error")) or as_dict(whole)
        for detail in as_dicts(error.get("details")):
            if as_text(detail.get("@type")).endswith("RetryInfo"):
                yield parse_delay_s(as_text(detail.get("retryDelay")), now=now)
        metadata = as_dict(error.get("metadata"))
        for holder in (error, metadata):
            yield _field_delay(holder.get("retry_after", holder.get("retry_after_seconds")), now=now)
        # Hugging Face: how long the model still takes to load.
        yield _field_delay(as_dict(whole).get("estimated_time"), now=now)
        for name, value in as_dict(metadata.get("headers")).items():
            if name.lower() in {"x-ratelimit-reset", "retry-after"}:
                yield _field_delay(value, now=now)
        for text in (error.get("message"), *(as_dict(whole).get(name) for name in _PROSE_FIELDS), metadata.get("raw")):
            yield _prose_delay(as_text(text))


def _field_delay(value: Any, *, now: datetime | None) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    return parse_delay_s(str(value)[:40], now=now)


def _prose_delay(message: str) -> float | None:
    found = _PROSE.search(message[:2000].lower())
    if not found:
        return None
    if found[3] or found[4]:
        return parse_delay_s(found[3] or found[4])
    return _bounded(float(found[1]) * _PROSE_UNIT_S[found[2]])
