"""Status and error body → kind: by code first, then by phrase, then by status alone.

The status is the weakest witness: quota comes as 429, a bad key as 400, an overflow as 429 or 500, and a fault of
the model as 400.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from evalkit.domain.outcome import Kind
from evalkit.wire.error_codes import BY_CODE, is_quota_code, squeezed
from evalkit.wire.error_rules import BY_STATUS, MESSAGES, MODEL_GONE, ORIGINS

if TYPE_CHECKING:
    from evalkit.wire.asked import Asked
    from evalkit.wire.error_bodies import ErrorRecord

__all__ = ["Classified", "classify_error"]

_SUCCESSES = range(200, 300)
_CLIENT_ERRORS = range(400, 500)
_ERRORS = range(400, 600)
_REDIRECTS = range(300, 400)
"""The address in the configuration is wrong, or somebody in between wants a login: no model is there."""
_UNCLAIMED = 0
_TOO_MANY = 429
_FORBIDDEN = 403
_UNAUTHORISED = 401
_TOO_LARGE = 413
_PAYMENT = 402
_GUARDRAIL = 446
_MODEL_FAULTS = frozenset({Kind.SCHEMA_VIOLATION, Kind.TOOL_CALL_MALFORMED})
_HARD_STATUS = frozenset({503, 504, 524, 529, 408, 498})
"""The status says more than a vague code such as `api_error` beside it."""


class Classified(NamedTuple):
    """What an error is."""

    kind: Kind
    flags: frozenset[str]


def classify_error(status: int, error: ErrorRecord, *, asked: Asked) -> Classified:
    """Return the kind of an error answer and what is known of its origin.

    Args:
        status: HTTP status; a 2xx takes the number the body claims instead.
        error: what the body said; empty when it was not readable.
        asked: for the prompt's size against the model's window.
    """
    effective = _claimed_status(error) if status in _SUCCESSES else status
    for flag, kind, phrases in ORIGINS:
        if any(phrase in error.text or phrase in error.codes for phrase in phrases):
            return Classified(kind, frozenset({flag}))
    kind = _kind(effective, error)
    flags = set()
    if kind is Kind.RATE_LIMITED and _is_beyond_window(asked):
        # Some servers answer a prompt that can never fit with a rate limit: coming back would never help.
        kind = Kind.CONTEXT_OVERFLOW
        flags.add("overflow_by_estimate")
    if effective == _GUARDRAIL and kind is Kind.SAFETY_BLOCK:
        flags.add("origin:gateway_guardrail")
    if kind in _MODEL_FAULTS:
        flags.add("hidden_model_failure")
    return Classified(kind, frozenset(flags))


def _claimed_status(error: ErrorRecord) -> int:
    """Return the status that the body of a success claims, or 0: then nothing but its words can decide."""
    number = error.number or _UNCLAIMED
    return number if number in _ERRORS else _UNCLAIMED


def _kind(status: int, error: ErrorRecord) -> Kind:
    if status == _TOO_MANY:
        return _too_many(error)
    by_code = _by_code(error)
    by_message = _by_message(status, error)
    if status in {_UNAUTHORISED, _PAYMENT}:
        return _refused_at_the_door(status, by_message)
    if by_code in _MODEL_FAULTS:
        # Groq has one code for both: only the message says whether arguments missed their schema.
        return by_message if by_message in _MODEL_FAULTS else by_code
    vague = {Kind.PROVIDER_ERROR, Kind.REQUEST_REJECTED, Kind.MODEL_UNAVAILABLE, Kind.AUTH_ERROR, None}
    if by_code in vague and by_message is not None:
        return _sharper(status, by_code, by_message)
    if by_code is not None and not (by_code is Kind.PROVIDER_ERROR and status in _HARD_STATUS):
        return by_code
    return _by_status(status, error)


def _sharper(status: int, by_code: Kind | None, by_message: Kind) -> Kind:
    """Return what a message adds to a vague code; a 5xx is never the caller's request or key."""
    if by_code in {Kind.AUTH_ERROR, Kind.MODEL_UNAVAILABLE} and by_message is not Kind.SAFETY_BLOCK:
        return by_message if by_message is Kind.QUOTA_EXHAUSTED else by_code
    if by_code is Kind.REQUEST_REJECTED and by_message is not Kind.CONTEXT_OVERFLOW:
        return by_code
    if status >= _CLIENT_ERRORS.stop and by_message is Kind.REQUEST_REJECTED:
        return Kind.PROVIDER_ERROR
    return by_message


def _too_many(error: ErrorRecord) -> Kind:
    """Tell the meanings of a 429 apart: too fast, too much money, or a prompt too long."""
    by_code = _by_code(error)
    if by_code in {Kind.QUOTA_EXHAUSTED, Kind.CONTEXT_OVERFLOW, Kind.PROVIDER_OVERLOADED}:
        return by_code
    if any("retryinfo" in code or code == "resource_exhausted" for code in error.codes):
        # Google writes "exceeded your current quota" for every limit; a quota of zero never comes back.
        is_for_good = "limit: 0" in error.text or "credits are depleted" in error.text
        return Kind.QUOTA_EXHAUSTED if is_for_good else Kind.RATE_LIMITED
    by_message = _by_message(_TOO_MANY, error)
    if by_message is Kind.CONTEXT_OVERFLOW and by_code is not None:
        return Kind.RATE_LIMITED
    wanted = {Kind.QUOTA_EXHAUSTED, Kind.CONTEXT_OVERFLOW, Kind.PROVIDER_OVERLOADED}
    return by_message if by_message in wanted else Kind.RATE_LIMITED


def _refused_at_the_door(status: int, by_message: Kind | None) -> Kind:
    if status == _PAYMENT:
        return Kind.QUOTA_EXHAUSTED
    return by_message if by_message in {Kind.QUOTA_EXHAUSTED, Kind.MODEL_UNAVAILABLE} else Kind.AUTH_ERROR


def _by_code(error: ErrorRecord) -> Kind | None:
    known = [BY_CODE[short] for short in map(squeezed, error.codes) if short in BY_CODE]
    if any(is_quota_code(code) for code in error.codes):
        known.insert(0, Kind.QUOTA_EXHAUSTED)
    # A filter may stand in the inner error only, beside an outer code that says "bad request".
    return Kind.SAFETY_BLOCK if Kind.SAFETY_BLOCK in known else next(iter(known), None)


def _by_message(status: int, error: ErrorRecord) -> Kind | None:
    for kind, phrases in MESSAGES:
        if any(phrase in error.text for phrase in phrases):
            return kind
    is_about_a_model = "model" in error.text and "parameter" not in error.text and status < _CLIENT_ERRORS.stop
    if is_about_a_model and any(phrase in error.text for phrase in MODEL_GONE):
        return Kind.MODEL_UNAVAILABLE
    return None


def _by_status(status: int, error: ErrorRecord) -> Kind:
    if status == _FORBIDDEN and ("moderation" in error.text or "flagged" in error.text):
        return Kind.SAFETY_BLOCK
    if status == _TOO_LARGE:
        return (
            Kind.CONTEXT_OVERFLOW
            if "token" in error.text or "request_too_large" in error.codes
            else Kind.REQUEST_REJECTED
        )
    if status in BY_STATUS:
        return BY_STATUS[status]
    if status in _REDIRECTS:
        return Kind.MODEL_UNAVAILABLE
    return Kind.REQUEST_REJECTED if status in _CLIENT_ERRORS else Kind.PROVIDER_ERROR


def _is_beyond_window(asked: Asked) -> bool:
    window, estimate = asked.context_tokens, asked.prompt_tokens_estimate
    return window is not None and estimate is not None and estimate > window
