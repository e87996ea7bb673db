"""What of an exchange may be kept: everything, everything with personal data and secrets masked, or digests only.

Masking finds what has a shape: addresses, phone and card numbers, account numbers, keys. It cannot find a name or a
story; a suite whose text must not be stored at all says `digest`. Masking errs towards masking too much.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, assert_never

from evalkit.domain.outcome import ToolCall

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from evalkit.domain.outcome import Outcome, Reading, Turn
    from evalkit.domain.suite import Payloads

__all__ = ["keep_payload", "redacted_text"]

_CODE = re.compile(r"[a-z_]{0,24}")

# A word starts here: also right after an escape such as `\\n` in JSON that could not be parsed.
_START = r"(?:(?<![A-Za-z0-9])|(?<=\\[bfnrt]))"
_END = r"(?![A-Za-z0-9])"

_KEY_SIGNS = ("-----BEGIN", "eyJ", "sk-", "k_live_", "k_test_", "gh", "AKIA", "ASIA", "AIza", "xox")
"""Every key has one of these in it: looking for them first spares nearly every text the slow pattern."""
_KEY = re.compile(
    r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----(?:(?!-----END)[\s\S])*(?:-----END [A-Z ]{0,30}PRIVATE KEY-----)?|"
    + _START
    + "(?:"
    + "|".join(
        (
            r"eyJ[\w-]{5,}\.[\w-]{5,}\.[\w-]*",
            r"sk-[\w-]{16,}",
            r"[rs]k_(?:live|test)_\w{10,}",
            r"gh[opsru]_\w{20,}",
            r"github_pat_\w{20,}",
            r"A[KS]IA[A-Z0-9]{16}" + _END,
            r"AIza[\w-]{30,}",
            r"xox[a-z]-[\w-]{10,}",
        )
    )
    + ")"
)
_BEARER = re.compile(_START + r"(bearer\s+)(?=\S*\d|\S{16})[\w.~+/=-]{8,}", re.IGNORECASE)
_EMAIL = re.compile(r"[\w.%+'-]{1,64}(?:@|\\u0040|%40)[\w-]{1,63}(?:\.[\w-]{1,63})+")
_IBAN_START = re.compile(_START + r"[A-Za-z]{2}\d{2}")
_IBAN_REST = re.compile(r"(?:[ -]?[A-Za-z0-9]){11,30}")
_DIGIT_GROUPS = re.compile(r"(?<!\d)(?<!\d\.)\d{1,19}(?:[\s.–-]{1,3}\d{1,19})*(?!\d)")
_DECIMAL = re.compile(r"\d+\.\d+")
_NUMBER = re.compile(r"(?<![\w.+-])\d{13,19}(?![\w.])")
_PHONE = re.compile(
    "|".join(
        (
            _START + r"(?:\+|00)[1-9](?:[\s().–/-]{0,3}\d){7,14}" + _END,
            _START + r"(?<!\d\.)\(?0[1-9]\d{0,4}\)?(?:[\s.–/-]{0,2}\d){6,10}" + _END,
            _START + r"(?<!\d\.)(?:1[\s.-])?\(?[2-9]\d{2}\)?[\s.–-]{1,2}\d{3}[\s.–-]\d{4}" + _END,
        )
    )
)
# `06.09.2026 12` has as many digits as a telephone number.
_DATE = re.compile(r"^\d\d[./-]\d\d[./-]\d{4}(?!\d)")
# One that never ends reaches to the end of the text: failing at every quote instead would take quadratic time.
_LITERAL = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_EVENT_STREAM = re.compile(rb"^(?:data|event|id|retry)?:", re.MULTILINE)

# Eight digits, however far apart: less is no telephone, card or account number.
_MANY_DIGITS = re.compile(r"(?:\d\D*+){8}")
_CARD_DIGITS = range(13, 20)
_CARD_STARTS = "23456"
_IBAN_LENGTHS = range(15, 35)
_DEPTH = 6
"""How deep JSON inside a string of JSON is followed: arguments of tool calls are one deep."""


def keep_payload(outcome: Outcome, mode: Payloads) -> Outcome:
    """Return the outcome with as much of its texts as `mode` keeps; kinds, usage, cost and timings stay.

    `full` keeps it unchanged. `redacted` masks e-mail addresses, phone numbers, payment cards, IBANs and API keys in
    every text, and drops event streams, where one number may be spread over many chunks. `digest` keeps no text; each
    turn's `detail` becomes `request sha256:… answer sha256:…`, of the bodies as they were.
    """
    match mode:
        case "full":
            return outcome
        case "redacted":
            return _rewritten(outcome, turn=_redacted_turn, detail=redacted_text)
        case "digest":
            return _rewritten(outcome, turn=_digested_turn, detail=_nothing)
        case _:
            assert_never(mode)


def _rewritten(outcome: Outcome, *, turn: Callable[[Turn], Turn], detail: Callable[[str], str]) -> Outcome:
    attempts = tuple(replace(attempt, detail=detail(attempt.detail)) for attempt in outcome.attempts)
    return replace(outcome, turns=tuple(map(turn, outcome.turns)), attempts=attempts)


def _nothing(_text: str) -> str:
    return ""


def _digested_turn(turn: Turn) -> Turn:
    request, answer = (hashlib.sha256(body).hexdigest() for body in (turn.request_body, turn.response_body))
    reading = replace(
        turn.reading,
        text=None,
        reasoning=None,
        refusal=None,
        tool_calls=(),
        finish_reason=_code_or_none(turn.reading.finish_reason),
        error_code=None,
        detail=f"request sha256:{request} answer sha256:{answer}",
    )
    return replace(turn, reading=reading, request_body=b"", response_body=b"")


def _code_or_none(finish_reason: str | None) -> str | None:
    """Keep a word of the protocol; a server that puts an answer there does not get it stored."""
    return finish_reason if finish_reason is not None and _CODE.fullmatch(finish_reason) else None


def _redacted_turn(turn: Turn) -> Turn:
    return replace(
        turn,
        reading=_redacted_reading(turn.reading),
        request_body=_redacted_body(turn.request_body),
        response_body=_redacted_body(turn.response_body),
    )


def _redacted_reading(reading: Reading) -> Reading:
    return replace(
        reading,
        text=_redacted_if_any(reading.text),
        reasoning=_redacted_if_any(reading.reasoning),
        refusal=_redacted_if_any(reading.refusal),
        tool_calls=tuple(map(_redacted_call, reading.tool_calls)),
        finish_reason=_redacted_if_any(reading.finish_reason),
        error_code=_redacted_if_any(reading.error_code),
        detail=redacted_text(reading.detail),
    )


def _redacted_call(call: ToolCall) -> ToolCall:
    return ToolCall(
        name=redacted_text(call.name), arguments=redacted_text(call.arguments), call_id=redacted_text(call.call_id)
    )


def _redacted_if_any(text: str | None) -> str | None:
    return None if text is None else redacted_text(text)


def _redacted_body(body: bytes) -> bytes:
    """Mask inside the strings of a JSON body, so that it stays JSON; anything else is masked as text."""
    text = body.decode("utf-8", "surrogateescape")
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        masked = "" if _EVENT_STREAM.search(body) else redacted_text(text)
    else:
        masked = _redacted_json(text)
    return masked.encode("utf-8", "surrogateescape")


def _redacted_json(text: str) -> str:
    pieces: list[str] = []
    end = 0
    for literal in _LITERAL.finditer(text):
        pieces += [_NUMBER.sub(_quoted_card, text[end : literal.start()]), _redacted_literal(literal[0], depth=0)]
        end = literal.end()
    return "".join((*pieces, _NUMBER.sub(_quoted_card, text[end:])))


def _quoted_card(number: re.Match[str]) -> str:
    return '"[card]"' if _is_card(number[0]) else number[0]


def _redacted_literal(literal: str, *, depth: int) -> str:
    try:
        text = json.loads(literal, strict=False)
    except ValueError:
        return literal
    masked = redacted_text(text, depth=depth)
    return literal if masked == text else json.dumps(masked)


def redacted_text(text: str, *, depth: int = 0) -> str:
    """Return `text` with what looks personal or secret replaced by `[email] [phone] [card] [iban] [key]`.

    Strings of JSON inside the text are unescaped first, `depth` levels of them being behind us already.
    """
    if "\\" in text and depth < _DEPTH:
        text = _LITERAL.sub(lambda found: _unescaped(found[0], depth=depth + 1), text)
    if any(sign in text for sign in _KEY_SIGNS):
        text = _KEY.sub("[key]", text)
    text = _BEARER.sub(r"\1[key]", text)
    if any(sign in text for sign in ("@", "\\u0040", "%40")):
        text = _EMAIL.sub("[email]", text)
    return _without_numbers(text) if _MANY_DIGITS.search(text) else text


def _without_numbers(text: str) -> str:
    text = _masked(text, _ibans(text), label="[iban]")
    text = _masked(text, _cards(text), label="[card]")
    return _PHONE.sub(_phone_or_date, text)


def _unescaped(literal: str, *, depth: int) -> str:
    return _redacted_literal(literal, depth=depth) if "\\" in literal else literal


def _masked(text: str, spans: Iterator[tuple[int, int]], *, label: str) -> str:
    pieces: list[str] = []
    end = 0
    for start, stop in spans:
        pieces += [text[end:start], label]
        end = stop
    return "".join((*pieces, text[end:]))


def _ibans(text: str) -> Iterator[tuple[int, int]]:
    """Yield the spans of account numbers, left to right: the longest beginning whose checksum holds."""
    end = 0
    for head in _IBAN_START.finditer(text):
        rest = _IBAN_REST.match(text, head.end())
        if rest is None or head.start() < end:
            continue
        for stop in range(rest.end(), head.end(), -1):
            is_word_end = not text[stop : stop + 1].isalnum() and text[stop - 1].isalnum()
            if is_word_end and _is_iban(text[head.start() : stop]):
                yield head.start(), stop
                end = stop
                break


def _is_iban(text: str) -> bool:
    """Check ISO 13616: moved round and read in base 36, the number is 1 modulo 97."""
    compact = text.replace(" ", "").replace("-", "")
    if len(compact) not in _IBAN_LENGTHS or not compact.isascii():
        return False
    return int("".join(str(int(letter, 36)) for letter in compact[4:] + compact[:4])) % 97 == 1


def _cards(text: str) -> Iterator[tuple[int, int]]:
    """Yield the spans of card numbers, left to right: whole groups of digits that together pass the check."""
    for run in _DIGIT_GROUPS.finditer(text):
        if _DECIMAL.fullmatch(run[0]):
            continue
        groups = [group.span() for group in re.finditer(r"\d+", run[0])]
        first = 0
        while first < len(groups):
            # No card has more than 19 digits, so none has more groups either.
            n_groups = _n_card_groups(run[0], groups[first : first + _CARD_DIGITS.stop])
            if n_groups:
                yield run.start() + groups[first][0], run.start() + groups[first + n_groups - 1][1]
            first += n_groups or 1


def _n_card_groups(text: str, groups: list[tuple[int, int]]) -> int:
    """Return how many groups from the first make a card number; 0 when none do."""
    digits = ""
    for count, (start, stop) in enumerate(groups, 1):
        digits += text[start:stop]
        if len(digits) >= _CARD_DIGITS.stop:
            return 0
        if _is_card(digits):
            return count
    return 0


def _is_card(digits: str) -> bool:
    """Check length, first digit and the Luhn sum (ISO/IEC 7812)."""
    if len(digits) not in _CARD_DIGITS or digits[0] not in _CARD_STARTS or not digits.isascii():
        return False
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (sum(map(int, digits[::-2])) + sum(doubled)) % 10 == 0


def _phone_or_date(found: re.Match[str]) -> str:
    return found[0] if _DATE.search(found[0]) else "[phone]"
