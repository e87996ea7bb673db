"""What of an exchange is kept."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.domain.outcome import Attempt, Kind, Reading, ToolCall, Turn
from evalkit.pipeline.payload import keep_payload, redacted_text
from evalkit.testing.builders import an_outcome

_JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
_PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA7bq\nq8Zw==\n-----END RSA PRIVATE KEY-----"

_SECRETS = {
    "jane.doe+x@mail.example.co.uk": "[email]",
    "jörg@büro.example": "[email]",
    "+49 (0) 30 901820-12": "[phone]",
    "+1 415 555 2671": "[phone]",
    "0044 20 7946 0958": "[phone]",
    "020 7946 0958": "[phone]",
    "0171/1234567": "[phone]",
    "(415) 555-2671": "[phone]",
    "4111 1111 1111 1111": "[card]",
    "4111111111111111": "[card]",
    "5500-0000-0000-0004": "[card]",
    "3782 822463 10005": "[card]",
    "6011.1111.1111.1117": "[card]",
    "DE89 3704 0044 0532 0130 00": "[iban]",
    "GB82WEST12345698765432": "[iban]",
    "nl91 abna 0417 1643 00": "[iban]",
    "sk-proj-abcDEF123456_7890-xyz": "[key]",
    "sk-ant-api03-abcdefghijklmnop": "[key]",
    "sk_live_4eC39HqLyjWDarjtT1": "[key]",
    "ghp_16C7e42F292c6912E7710c838347Ae178B4a": "[key]",
    "github_pat_11ABCDEFG0abcdefghijkl": "[key]",
    "AKIAIOSFODNN7EXAMPLE": "[key]",
    "AIzaSyA1234567890abcdefghijklmnopqrstuv": "[key]",
    "xoxb-123456789012-abcdefGHIJKL": "[key]",
    "Bearer abcdef1234567890": "Bearer [key]",
    _JWT: "[key]",
    _PEM: "[key]",
}

_INNOCENT = [
    "The total is 1,234,567.89 EUR for 12 items.",
    "On 2026-09-14 at 10:30 and on 06.09.2026 12:00 nothing happened.",
    "Order 4111 1111 1111 1112 fails the card check.",
    "GB83WEST12345698765432 fails the account check.",
    "gpt-4o-2024-08-06 costs 0.0000025 a token",
    "3.14159265358979323846 and 0.4111111111111111",
    "The bearer certificates of an ask-me-anything-about-it task.",
    "sha256:0000000000000000000000000000000000000000000000000000000000000000",
    '{"created":1780000000,"id":"chatcmpl-9f8e7d6c5b4a39281706f5e4d3c2b1a0"}',
]


@pytest.mark.parametrize(("secret", "mask"), _SECRETS.items())
def test_secret_in_prose_is_masked(secret, mask):
    """Only the secret goes; the words around it stay."""
    assert redacted_text(f"see {secret}, thanks") == f"see {mask}, thanks"


@pytest.mark.parametrize("secret", _SECRETS)
@pytest.mark.parametrize("ensure_ascii", [True, False])
def test_secret_in_a_json_body_is_masked(secret, ensure_ascii):
    """Escapes of JSON hide nothing, and the body stays JSON."""
    body = json.dumps({"messages": [{"content": f"line\n{secret}\tend"}]}, ensure_ascii=ensure_ascii).encode()
    kept = _redacted_bodies(body)
    assert json.loads(kept)["messages"][0]["content"] == f"line\n{_SECRETS[secret]}\tend"


@pytest.mark.parametrize("secret", _SECRETS)
def test_secret_in_arguments_inside_a_body_is_masked(secret):
    """Arguments of a tool call are JSON inside a string of JSON."""
    arguments = json.dumps({"to": f"\n{secret}"})
    kept = json.loads(_redacted_bodies(json.dumps({"arguments": arguments}).encode()))
    assert json.loads(kept["arguments"]) == {"to": f"\n{_SECRETS[secret]}"}


@pytest.mark.parametrize("secret", [secret for secret in _SECRETS if secret.isascii()])
def test_secret_spelt_in_unicode_escapes_is_masked(secret):
    """Every character of a string may be written as an escape."""
    spelt = "".join(f"\\u{ord(letter):04x}" for letter in secret)
    assert json.loads(_redacted_bodies(f'["{spelt}"]'.encode())) == [_SECRETS[secret]]


@pytest.mark.parametrize("secret", [secret for secret in _SECRETS if secret.isascii() and "\n" not in secret])
def test_secret_in_a_body_that_was_cut_is_masked(secret):
    """A body that is no JSON is masked as text, also right after an escape."""
    kept = _redacted_bodies(f'{{"content": "line\\n{secret}, and then the line was cu'.encode())
    assert secret.encode() not in kept
    assert kept.startswith(b'{"content": "line')


@pytest.mark.parametrize("text", _INNOCENT)
def test_innocent_text_is_kept(text):
    """Amounts, dates, ids and failed checksums are not personal."""
    assert redacted_text(text) == text


def test_card_among_other_digits_is_masked():
    """What stands before and after a card number does not hide it."""
    text = "qty 1 4111 1111 1111 1111 12/27 and 5500 0000 0000 0004 4111 1111 1111 1111"
    assert redacted_text(text) == "qty 1 [card] 12/27 and [card] [card]"


def test_card_as_a_json_number_leaves_json():
    """A number outside quotes becomes a string; other numbers keep their bytes."""
    kept = _redacted_bodies(b'{"card": 4111111111111111, "created": 1780000000, "p": -0.41111111111111112}')
    assert kept == b'{"card": "[card]", "created": 1780000000, "p": -0.41111111111111112}'


def test_body_without_secrets_keeps_its_bytes():
    """Nothing is reformatted that need not be masked, UTF-8 or not."""
    for body in (b'{"a" : "\\u00e9 \xc3\xa9",\n "b": [1.50]}', b"\xff\xfe not text", b""):
        assert _redacted_bodies(body) == body


def test_event_stream_is_dropped():
    """One address may be spread over many chunks of a stream, so none of it is kept."""
    assert _redacted_bodies(b'data: {"delta": "jane@"}\n\ndata: {"delta": "mail.example"}\n\n') == b""


def test_deeply_nested_body_is_still_masked():
    """A hostile body breaks neither the parser nor the masking."""
    kept = _redacted_bodies(b"[" * 100_000 + b'"jane@mail.example')
    assert kept.endswith(b'"[email]')


def test_redacted_masks_every_text():
    """No text of an outcome escapes."""
    outcome = keep_payload(_outcome_full_of("jane@mail.example"), "redacted")
    assert "jane" not in repr(asdict(outcome))
    assert outcome.text == "[email]"
    assert outcome.turns[0].reading.tool_calls == (ToolCall(name="[email]", arguments="[email]", call_id="[email]"),)


def test_redacted_keeps_the_facts():
    """Kind, usage, cost and timings do not change."""
    outcome = _outcome_full_of("jane@mail.example")
    assert _facts(keep_payload(outcome, "redacted")) == _facts(outcome)


def test_digest_keeps_no_text():
    """Nothing of what was said is left anywhere, details of attempts included."""
    outcome = keep_payload(_outcome_full_of("Secret words"), "digest")
    assert "Secret" not in repr(asdict(outcome))
    assert outcome.turns[0].request_body == outcome.turns[0].response_body == b""


def test_digest_tells_request_and_answer_apart():
    """The digests are those of the bodies as they were on the wire."""
    request, answer = (hashlib.sha256(body).hexdigest() for body in (b"request: Secret", b"answer: Secret"))
    outcome = keep_payload(_outcome_full_of("Secret"), "digest")
    assert outcome.turns[0].reading.detail == f"request sha256:{request} answer sha256:{answer}"


def test_digest_keeps_the_facts():
    """Kind, usage, cost, timings and the finish reason stay."""
    outcome = an_outcome()
    kept = keep_payload(outcome, "digest")
    assert _facts(kept) == _facts(outcome)
    assert kept.turns[0].reading.finish_reason == "stop"


def test_full_keeps_everything():
    """The plain mode changes nothing."""
    outcome = _outcome_full_of("jane@mail.example")
    assert keep_payload(outcome, "full") is outcome


def test_outcome_without_turns_stays_without():
    """What never reached a model has nothing to mask but its attempts."""
    attempt = Attempt(kind=Kind.CONNECTION, detail="cannot reach jane@mail.example")
    outcome = an_outcome(kind=Kind.CONNECTION, turns=(), attempts=(attempt,))
    assert keep_payload(outcome, "redacted").attempts[0].detail == "cannot reach [email]"
    assert keep_payload(outcome, "digest").attempts[0].detail == ""


@given(st.text())
def test_masking_twice_is_masking_once(text):
    """Masks are not masked again."""
    once = redacted_text(text)
    assert redacted_text(once) == once


@given(st.recursive(st.none() | st.text() | st.integers() | st.floats(allow_nan=False), st.lists))
def test_json_stays_json(value):
    """Whatever a JSON body holds, its masked form parses."""
    json.loads(_redacted_bodies(json.dumps(value).encode()))


@given(st.text(max_size=20), st.text(max_size=20), st.sampled_from(["AKIAIOSFODNN7EXAMPLE", "4111111111111111"]))
def test_secret_is_masked_wherever_it_stands(before, after, secret):
    """Text around a secret, quotes and backslashes included, does not bring it through."""
    assert secret not in redacted_text(f"{before} {secret} {after}")


def _redacted_bodies(body: bytes) -> bytes:
    """Return what is kept of a body, the same for requests and responses."""
    turn = Turn(reading=Reading(kind=Kind.OK), request_body=body, response_body=body)
    (kept,) = keep_payload(an_outcome(turns=(turn,)), "redacted").turns
    assert kept.request_body == kept.response_body
    return kept.request_body


def _outcome_full_of(text: str):
    reading = Reading(
        kind=Kind.OK,
        text=text,
        reasoning=text,
        refusal=text,
        tool_calls=(ToolCall(name=text, arguments=text, call_id=text),),
        finish_reason=text,
        error_code=text,
        detail=text,
    )
    turn = Turn(reading=reading, request_body=f"request: {text}".encode(), response_body=f"answer: {text}".encode())
    return an_outcome(turns=(turn,), attempts=(Attempt(kind=Kind.TIMEOUT, detail=text), Attempt(kind=Kind.OK)))


def _facts(outcome):
    return replace(outcome, turns=(), attempts=tuple(replace(attempt, detail="") for attempt in outcome.attempts))
