"""Every shape of error body → one record. What a body means is decided in `evalkit.wire.errors`."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field
from typing import Any

from evalkit.wire.json_text import load_json
from evalkit.wire.message import as_dict, as_dicts, as_text
from evalkit.wire.text import storable_text

__all__ = [
    "MAX_DETAIL",
    "ErrorRecord",
    "error_from_body",
    "error_from_text",
    "error_of",
    "is_bare_error",
    "shown_detail",
]

MAX_DETAIL = 500
"""Characters of a server's message that are kept."""
_MAX_MATCHED = 8000
_NOT_THERE = 2
"""`find` gave -1, and 3 were added."""
_MAX_UNPACKED = 2
"""Gateways wrap the upstream's error as text inside their own, sometimes twice."""

_CODE_FIELDS = ("code", "type", "status", "error_type", "error_code", "reason", "__type", "@type")
_MESSAGE_FIELDS = (
    "message",
    "Message",
    "msg",
    "detail",
    "error_message",
    "error_msg",
    "status_msg",
    "faultstring",
    "title",
)
_BARE_FIELDS = ("message", "msg", "detail", "errors", "error_message", "error_msg")
"""What an error without `error` is told by, where no choices are."""
_SECRET = re.compile(
    r"(?i:bearer )[\w.~+/=-]{8,}|\beyJ[\w-]{10,}\.[\w.-]+|\bAIza[\w-]{20,}"
    r"|\b(?:sk|pk|rk|gsk|xai|hf|key|pplx|csk|r8)[-_](?=[\w*-]{12})[\w*-]+"
)
_TAG = re.compile(r"<(?:script|style)\b[^<]{0,20000}|<[^<>]{0,2000}>", re.IGNORECASE)
_TITLE = re.compile(r"<title[^<>]{0,200}>([^<]{0,500})", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorRecord:
    """An error as the server put it."""

    message: str = ""
    codes: tuple[str, ...] = ()
    """Codes, types and statuses, lower-case, most telling first; numbers are not among them."""
    number: int | None = None
    """A numeric code, or the HTTP status the body claims."""
    text: str = ""
    """Everything a rule may match: message, wrapped upstream message; lower-case."""
    flags: frozenset[str] = field(default_factory=frozenset)

    @property
    def code(self) -> str | None:
        """The first code, or the number."""
        if self.codes:
            return self.codes[0][:100]
        return None if self.number is None else str(self.number)


def error_of(body: Any) -> Any:
    """Return what stands in the place of an error in a parsed body or chunk; None when nothing does."""
    if isinstance(body, list):
        body = next((item for item in body if isinstance(item, dict)), {})
    whole = as_dict(body)
    error = whole.get("error")
    if error:
        # Cloudflare's gateway lists its errors.
        return next(iter(as_dicts(error)), error) if isinstance(error, list) else error
    choices = whole.get("choices")
    if isinstance(choices, list):
        return next((item["error"] for item in choices if isinstance(item, dict) and item.get("error")), None)
    return None


def is_bare_error(body: dict[str, Any]) -> bool:
    """Return whether a body without choices tells of a failure in its own fields, as MiniMax does under status 200."""
    told = any(body.get(name) and isinstance(body[name], (str, list)) for name in _BARE_FIELDS)
    return told or bool(as_dict(body.get("base_resp")).get("status_code"))


def error_from_body(body: Any) -> ErrorRecord:
    """Return the error of a parsed body, in whatever shape; an empty record when it holds none."""
    whole = body
    if isinstance(body, list):
        whole = next((item for item in body if isinstance(item, dict)), {})
    whole = as_dict(whole)
    flags = {"body_json_array"} if isinstance(body, list) else set()
    inner = error_of(whole)
    if inner:
        flags.add("error_in_body")
    if isinstance(inner, str):
        flags.add("error_is_string")
    if not inner and "detail" in whole:
        flags.add("error_detail")
    record = _record(inner, whole)
    if record.number is not None and isinstance(inner, dict) and _is_number(inner.get("code")):
        flags.add("error_code_numeric")
    failed = as_dict(inner).get("failed_generation")
    if isinstance(failed, str):
        flags.add("failed_generation")
    return ErrorRecord(
        message=record.message, codes=record.codes, number=record.number, text=record.text, flags=frozenset(flags)
    )


def error_from_text(text: str) -> ErrorRecord:
    """Return the error a body that is no JSON tells of: the title of a page, or the text itself."""
    head = text[:20_000]
    title = _TITLE.search(head)
    plain = " ".join(html.unescape(_TAG.sub(" ", head)).split()) if "<" in head else " ".join(head.split())
    message = f"{' '.join(html.unescape(title[1]).split())}: {plain}" if title else plain
    return ErrorRecord(message=message[:_MAX_MATCHED], text=message[:_MAX_MATCHED].lower())


def shown_detail(message: str) -> str:
    """Return the message as it may be kept and shown: one paragraph, short, with what looks like a key masked."""
    if not message:
        return ""
    masked = _SECRET.sub("[masked]", storable_text(message[: 4 * MAX_DETAIL]).replace("\x00", ""))
    return masked if len(masked) <= MAX_DETAIL else masked[: MAX_DETAIL - 1] + "…"


def _record(inner: Any, whole: dict[str, Any]) -> ErrorRecord:
    """Gather codes and messages from the error and from around it."""
    own = as_dict(inner)
    holders = [own, as_dict(own.get("innererror")), as_dict(own.get("inner_error"))]
    # LiteLLM keeps what a callback raised one level down.
    holders.append(as_dict(as_dict(own.get("provider_specific_fields")).get("error")))
    holders += _upstream(inner)
    holders.append({key: value for key, value in whole.items() if key != "error"})
    holders += [*as_dicts(whole.get("errors"))[:20], as_dict(whole.get("base_resp")), as_dict(whole.get("fault"))]
    holders += _details(inner)
    # Whose limit it is, which OpenRouter says under any status.
    holders.append({"reason": as_dict(own.get("metadata")).get("limit_source")})
    codes = [code for holder in holders for code in _codes(holder)]
    numbers = [holder[name] for holder in holders for name in ("code", "status") if _is_number(holder.get(name))]
    messages = [inner] if isinstance(inner, str) else []
    messages += [text for holder in holders for text in _messages(holder)]
    messages += [text for text in (as_text(item) for item in _raw_texts(inner)) if text]
    message = next(iter(messages), "")
    return ErrorRecord(
        message=message,
        codes=tuple(dict.fromkeys(codes)),
        number=next((int(number) for number in numbers if 0 <= number <= 10**6), None),
        text="\n".join(messages)[:_MAX_MATCHED].lower(),
    )


def _codes(holder: dict[str, Any]) -> list[str]:
    found = (as_text(holder.get(name)).strip().lower()[:100] for name in _CODE_FIELDS)
    return [code for code in found if code and code not in {"error", "none", "null"} and not code.isdigit()]


def _messages(holder: dict[str, Any]) -> list[str]:
    found = []
    for name in _MESSAGE_FIELDS:
        value = holder.get(name)
        if isinstance(value, list):
            # FastAPI's 422: a list of what is wrong, each with its own message.
            found += [as_text(as_dict(item).get("msg")) or as_text(item) for item in value[:20]]
        elif isinstance(value, dict):
            found += [as_text(value.get("message")) or as_text(value.get("error"))]
        else:
            found.append(as_text(value))
    return [text[:_MAX_MATCHED] for text in found if text]


def _details(inner: Any) -> list[dict[str, Any]]:
    details = as_dict(inner).get("details")
    return [item for item in details[:20] if isinstance(item, dict)] if isinstance(details, list) else []


def _raw_texts(inner: Any) -> list[Any]:
    metadata = as_dict(as_dict(inner).get("metadata"))
    reasons = metadata.get("reasons")
    return [metadata.get("raw"), *(reasons[:20] if isinstance(reasons, list) else [])]


def _upstream(inner: Any) -> list[dict[str, Any]]:
    """Unpack the upstream's own error from where a gateway put it as text or object."""
    found: list[dict[str, Any]] = []
    current: Any = as_dict(as_dict(inner).get("metadata")).get("raw") or as_dict(inner).get("message")
    for _ in range(_MAX_UNPACKED):
        if isinstance(current, str):
            # LiteLLM puts its exception's name before the upstream's body.
            start = 0 if current.lstrip()[:1] in {"{", "["} else current.find(" - {") + 3
            if start == _NOT_THERE:
                break
            try:
                current = load_json(current[start:])
            except ValueError:
                break
        if isinstance(current, list):
            current = next(iter(current), None)
        if not isinstance(current, dict):
            break
        error = current.get("error")
        holder = error if isinstance(error, dict) else current
        found.append(holder)
        current = holder.get("message")
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
