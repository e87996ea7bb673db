"""One HTTP exchange → one reading. Pure, and total: whatever bytes a server sends, a kind comes out and nothing raises.

The first that holds decides: the HTTP status, an error inside the body, a stream that was cut, another model than
the one asked for, a refusal or a block, truncation, emptiness; what remains is `ok`. Whether the *answer* is any
good, or even parses, is the score stage's business.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from evalkit.domain.outcome import CACHED, Kind, Reading, Usage
from evalkit.wire.asked import Asked
from evalkit.wire.completion import Completion, completion_from_body, completion_from_stream
from evalkit.wire.counters import header_flags, route_record_flags
from evalkit.wire.error_bodies import ErrorRecord, error_from_body, error_from_text, error_of, shown_detail
from evalkit.wire.errors import classify_error
from evalkit.wire.hints import read_retry_hint
from evalkit.wire.identity import identify, identity_flags
from evalkit.wire.json_text import load_json
from evalkit.wire.judgement import Answer, judge_completion
from evalkit.wire.sse import is_event_stream, read_event_stream, without_comments
from evalkit.wire.text import inline_reasoning, storable_text
from evalkit.wire.usage import cost_from_report, usage_flags, usage_from_report

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MAX_BODY_BYTES", "Asked", "read_response"]

MAX_BODY_BYTES = 32 * 2**20
"""A larger body is not read: no chat answer is near it."""

_OK = 200
_SUCCESSES = range(200, 300)
_GUARDRAIL_PASSED = 246
_GUARDRAIL_DENIED = 446
_MAX_EVIDENCE = 8000
_BODY_SILENT = frozenset({"no_retry_hint", "should_not_retry"})
"""Not said of a success: what its headers hint at is not meant for this answer."""
_STREAM_SILENT = _BODY_SILENT | {"error_code_numeric", "error_is_string", "error_detail", "body_json_array"}
"""The shape of an error is a fact about bodies; in a stream it is enough that there was one."""


def read_response(status: int, headers: Mapping[str, str], body: bytes, *, asked: Asked) -> Reading:
    """Return what an exchange said.

    Args:
        status: HTTP status, of any value.
        headers: any case.
        body: decompressed bytes, plain JSON or an event stream, told apart by type and by content.
        asked: the question's side.
    """
    headers = {name.lower(): value for name, value in headers.items()}
    if len(body) > MAX_BODY_BYTES:
        return Reading(kind=Kind.PROVIDER_ERROR, status=status, detail=f"body of {len(body)} bytes is not read")
    flags = {"retry_after"} if "retry-after" in headers else set[str]()
    if status == _GUARDRAIL_PASSED:
        flags.add("guardrail_failed")
    flags |= header_flags(headers)
    exchange = _Exchange(status, headers, asked, flags)
    text = body.decode("utf-8", "replace")
    if is_event_stream(headers.get("content-type", ""), text):
        return _read_stream(exchange, text)
    return _read_plain(exchange, text)


class _Exchange(NamedTuple):
    status: int
    headers: dict[str, str]
    asked: Asked
    flags: set[str]
    """What has been seen so far; every reading starts from it."""

    @property
    def is_success(self) -> bool:
        return self.status in _SUCCESSES


def _read_plain(exchange: _Exchange, text: str) -> Reading:
    source = without_comments(text.removeprefix("\ufeff"))
    try:
        body = load_json(source)
    except ValueError:
        return _unreadable(exchange, text)
    flags = exchange.flags
    if source[:1].isspace():
        flags.add("body_lead_ws")
    whole = body
    if isinstance(body, list):
        flags.add("body_json_array")
        whole = next((item for item in body if isinstance(item, dict)), {})
    if not isinstance(whole, dict):
        return _unreadable(exchange, text)
    has_choices = isinstance(whole.get("choices"), list)
    if not exchange.is_success:
        if not has_choices:
            flags.add("no_choices")
        return _error_reading(exchange, body)
    completion = completion_from_body(whole)
    if exchange.status == _OK and completion.usage is None and (has_choices or error_of(whole)):
        flags.add("usage_missing")
    return _completion_reading(exchange, completion)


def _read_stream(exchange: _Exchange, text: str) -> Reading:
    completion = completion_from_stream(read_event_stream(text))
    exchange.flags.add("stream")
    if not exchange.is_success:
        exchange.flags.update(completion.flags)
        return _error_reading(exchange, completion.error)
    if exchange.status == _OK and completion.usage is None:
        exchange.flags.add("usage_missing")
    return _completion_reading(exchange, completion)


def _unreadable(exchange: _Exchange, text: str) -> Reading:
    """Read a body that is no JSON object: a proxy's page, plain text, nothing at all, or half a body."""
    exchange.flags.add("body_not_json")
    reading = _error_reading(exchange, error_from_text(text))
    if exchange.is_success:
        return replace(reading, kind=Kind.PROVIDER_ERROR, retry_after_s=None)
    return reading


def _error_reading(exchange: _Exchange, body: Any) -> Reading:
    """Read an answer that is an error; `body` is parsed JSON, or the record of one that is not."""
    status = exchange.status
    record = body if isinstance(body, ErrorRecord) else error_from_body(body)
    if status == _GUARDRAIL_DENIED and isinstance(body, dict):
        # Which guardrail said no stands in its own list of results, not in the message.
        record = replace(record, text=f"{record.text}\n{str(body)[:_MAX_EVIDENCE].lower()}")
    found = classify_error(status, record, asked=exchange.asked)
    hint = read_retry_hint(exchange.headers, body if not isinstance(body, ErrorRecord) else body.message)
    flags = exchange.flags | record.flags | found.flags
    if hint.should_retry is False:
        flags.add("should_not_retry")
    if found.kind is Kind.RATE_LIMITED and hint.after_s is None:
        flags.add("no_retry_hint")
    return Reading(
        kind=found.kind,
        status=status,
        flags=tuple(sorted(flags)),
        error_code=None if record.code is None else storable_text(record.code),
        detail=shown_detail(record.message) or f"HTTP {status}",
        retry_after_s=hint.after_s,
    )


def _completion_reading(exchange: _Exchange, completion: Completion) -> Reading:
    """Read an answer whose status is a success, whatever is in it."""
    asked, headers = exchange.asked, exchange.headers
    answer = _answer(exchange, completion)
    flags = exchange.flags
    flags.update(completion.flags, completion.message.flags, completion.message.calls.flags())
    flags.update(route_record_flags(completion.top))
    if completion.has_choice or completion.model:
        flags.update(identity_flags(answer.identity, asked=asked))
    error = None
    if completion.error is not None:
        error = _error_reading(exchange, completion.error)
        silent = _STREAM_SILENT if completion.is_stream else _BODY_SILENT
        flags.update(flag for flag in error.flags if flag not in silent)
        if not completion.is_stream:
            flags.add("error_status_200")
    judged = judge_completion(answer, completion, error_kind=error.kind if error else None, asked=asked)
    return Reading(
        kind=judged.kind,
        status=exchange.status,
        flags=tuple(sorted(flags | judged.flags)),
        text=answer.text,
        reasoning=answer.reasoning,
        refusal=answer.refusal,
        tool_calls=answer.tool_calls,
        finish_reason=answer.finish_reason,
        usage=answer.usage,
        identity=answer.identity,
        # A hit costs nothing, and that is no price of an answer.
        cost_usd=None if CACHED in flags else cost_from_report(completion.usage, headers, header=asked.cost_header),
        error_code=error.error_code if error else None,
        detail=error.detail if error else shown_detail(judged.detail),
    )


def _answer(exchange: _Exchange, completion: Completion) -> Answer:
    """Take the answer out of the completion; what is odd about its usage is flagged on the way."""
    message = completion.message
    text = message.text
    finish = completion.finish_reason
    return Answer(
        text=text,
        reasoning=message.reasoning or inline_reasoning(text or "") or None,
        refusal=message.refusal,
        tool_calls=message.calls.calls(),
        finish_reason=None if finish is None else storable_text(finish),
        usage=_usage(exchange, completion),
        identity=identify(completion.model, asked=exchange.asked, body=completion.top, headers=exchange.headers),
    )


def _usage(exchange: _Exchange, completion: Completion) -> Usage:
    usage = usage_from_report(completion.usage)
    if usage.prompt_tokens == usage.completion_tokens == usage.total_tokens == 0 and any(
        name.startswith("x-litellm-") for name in exchange.headers
    ):
        # LiteLLM writes zeros where the upstream reported nothing; no prompt has no tokens.
        exchange.flags.add("usage_zeros")
        return Usage()
    exchange.flags.update(usage_flags(usage))
    return usage
