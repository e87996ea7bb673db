"""Values to bytes and back, without loss: payloads, attempts, identities, notes of scores, run manifests.

A payload is one line of JSON (the small facts of every turn, and lengths) followed by the texts and bodies as they
are. Bodies need not be UTF-8 and text may hold lone surrogates: both come from the outside and both survive.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import asdict
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from evalkit.canonical import canonical_json
from evalkit.domain.outcome import (
    Attempt,
    Identity,
    IdentityClass,
    Kind,
    Reading,
    ToolCall,
    Turn,
    Usage,
)
from evalkit.domain.run import Cell, Look, Run, RunStatus
from evalkit.domain.score import Score, Unscored

if TYPE_CHECKING:
    from evalkit.domain.outcome import Outcome

__all__ = [
    "Shared",
    "attempts_bytes",
    "attempts_from_bytes",
    "flags_from_text",
    "flags_text",
    "identity_from_text",
    "identity_text",
    "note_bytes",
    "note_from_bytes",
    "payload_bytes",
    "run_from_text",
    "run_text",
    "turns_from_payload",
]

# Made once: `json.dumps` makes an encoder a call when it is given separators.
_ENCODER = json.JSONEncoder(separators=(",", ":"))
_AS_OUTCOME = 0
"""Stands for a value the outcome itself has: true of nearly every one-turn call."""
_OK_STATUS = 200
_SHORT = 160
"""Bytes below which deflate gains nothing on a note or a list of attempts."""


class Shared(NamedTuple):
    """What turns and attempts have in common with their outcome."""

    kind: Kind
    flags: tuple[str, ...]
    usage: Usage
    identity: Identity
    latency_s: float | None
    cost_usd: float | None


def _dump(value: Any) -> bytes:
    return _ENCODER.encode(value).encode("ascii")


def _encode(text: str | None) -> bytes:
    return b"" if text is None else text.encode("utf-8", "surrogatepass")


def _length(text: str | None, encoded: bytes) -> int | None:
    return None if text is None else len(encoded)


def _usage_list(usage: Usage) -> list[int | None]:
    return [
        usage.prompt_tokens,
        usage.completion_tokens,
        usage.total_tokens,
        usage.reasoning_tokens,
        usage.cached_tokens,
    ]


def _usage_from_list(values: list[int | None]) -> Usage:
    prompt, completion, total, reasoning, cached = values
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=total,
        reasoning_tokens=reasoning,
        cached_tokens=cached,
    )


def payload_bytes(outcome: Outcome) -> bytes:
    """Return all turns of an outcome, uncompressed; empty when it has none."""
    if not outcome.turns:
        return b""
    heads: list[list[Any]] = []
    segments: list[bytes] = []
    for turn in outcome.turns:
        reading = turn.reading
        texts = (reading.text, reading.reasoning, reading.refusal)
        encoded = [_encode(text) for text in texts]
        lengths = [*map(_length, texts, encoded), len(turn.request_body), len(turn.response_body)]
        # Last, and only where it says something: payloads without it are of the first user turn.
        user_turn = [turn.user_turn] if turn.user_turn else []
        heads.append([lengths, *_reading_head(reading, outcome), *user_turn])
        segments += [*encoded, turn.request_body, turn.response_body]
    return b"\n".join((_dump(heads), b"".join(segments)))


def _reading_head(reading: Reading, outcome: Outcome) -> list[Any]:
    return [
        _AS_OUTCOME if reading.kind is outcome.kind else reading.kind,
        _AS_OUTCOME if reading.flags == outcome.flags else reading.flags,
        [[call.name, call.arguments, call.call_id] for call in reading.tool_calls],
        reading.finish_reason,
        _AS_OUTCOME if reading.usage == outcome.usage else _usage_list(reading.usage),
        _AS_OUTCOME if reading.identity == outcome.identity else _identity_list(reading.identity),
        reading.cost_usd,
        reading.status,
        reading.error_code,
        reading.detail,
        reading.retry_after_s,
    ]


def turns_from_payload(payload: bytes, shared: Shared) -> tuple[Turn, ...]:
    """Return the turns `payload_bytes` wrote.

    Raises:
        ValueError: when the payload is damaged.
    """
    if not payload:
        return ()
    head, _, rest = payload.partition(b"\n")
    turns: list[Turn] = []
    start = 0
    for lengths, *facts in json.loads(head):
        pieces: list[bytes | None] = []
        for length in lengths:
            pieces.append(None if length is None else rest[start : start + length])
            start += length or 0
        turns.append(_turn(pieces, facts, shared))
    if start != len(rest):
        raise ValueError(f"the payload has {len(rest)} bytes of text instead of {start}")
    return tuple(turns)


def _turn(pieces: list[bytes | None], facts: list[Any], shared: Shared) -> Turn:
    kind, flags, calls, finish, usage, identity, cost_usd, status, error_code, detail, retry_after_s, *later = facts
    text, reasoning, refusal, request_body, response_body = pieces
    reading = Reading(
        kind=shared.kind if kind == _AS_OUTCOME else Kind(kind),
        flags=shared.flags if flags == _AS_OUTCOME else tuple(flags),
        text=_decode(text),
        reasoning=_decode(reasoning),
        refusal=_decode(refusal),
        tool_calls=tuple(ToolCall(name=name, arguments=text_, call_id=call_id) for name, text_, call_id in calls),
        finish_reason=finish,
        usage=shared.usage if usage == _AS_OUTCOME else _usage_from_list(usage),
        identity=shared.identity if identity == _AS_OUTCOME else _identity_from_list(identity),
        cost_usd=cost_usd,
        status=status,
        error_code=error_code,
        detail=detail,
        retry_after_s=retry_after_s,
    )
    return Turn(
        reading=reading,
        request_body=request_body or b"",
        response_body=response_body or b"",
        user_turn=later[0] if later else 0,
    )


def _decode(piece: bytes | None) -> str | None:
    return None if piece is None else piece.decode("utf-8", "surrogatepass")


def _identity_list(identity: Identity) -> list[str | None]:
    return [
        identity.identity_class.value,
        identity.served_model,
        identity.provider,
        identity.system_fingerprint,
    ]


def _identity_from_list(values: list[Any]) -> Identity:
    identity_class, served_model, provider, fingerprint = values
    return Identity(
        identity_class=IdentityClass(identity_class),
        served_model=served_model,
        provider=provider,
        system_fingerprint=fingerprint,
    )


@lru_cache(maxsize=4096)
def identity_text(identity: Identity) -> str:
    """Return an identity as one word of the store."""
    return _dump(_identity_list(identity)).decode()


@lru_cache(maxsize=4096)
def identity_from_text(text: str) -> Identity:
    """Return the identity `identity_text` wrote; equal texts share one value."""
    return _identity_from_list(json.loads(text))


@lru_cache(maxsize=4096)
def flags_text(flags: tuple[str, ...]) -> str:
    """Return flags as one word of the store."""
    return _dump(flags).decode()


@lru_cache(maxsize=4096)
def flags_from_text(text: str) -> tuple[str, ...]:
    """Return the flags `flags_text` wrote."""
    return tuple(json.loads(text))


def _plain_attempt(kind: Kind, *, latency_s: float | None, cost_usd: float | None) -> Attempt:
    """Return the one attempt of a call that went right the first time: the row tells all of it."""
    return Attempt(kind=kind, status=_OK_STATUS, latency_s=latency_s or 0.0, cost_usd=cost_usd)


def attempts_bytes(outcome: Outcome) -> bytes | None:
    """Return the attempts, or None when there is one and the rest of the outcome tells it."""
    plain = _plain_attempt(outcome.kind, latency_s=outcome.timings.latency_s, cost_usd=outcome.cost.usd)
    if outcome.attempts == (plain,):
        return None
    rows = [[a.kind, a.status, a.latency_s, a.pause_s, a.cost_usd, a.detail] for a in outcome.attempts]
    return _squeezed(_dump(rows))


def attempts_from_bytes(stored: bytes | None, shared: Shared) -> tuple[Attempt, ...]:
    """Return the attempts `attempts_bytes` wrote."""
    if stored is None:
        return (_plain_attempt(shared.kind, latency_s=shared.latency_s, cost_usd=shared.cost_usd),)
    return tuple(
        Attempt(kind=Kind(kind), status=status, latency_s=latency_s, pause_s=pause_s, cost_usd=cost_usd, detail=detail)
        for kind, status, latency_s, pause_s, cost_usd, detail in json.loads(_unsqueezed(stored))
    )


def note_bytes(entry: Score | Unscored) -> bytes | None:
    """Return rationale and findings of a score; None when it has neither."""
    findings = entry.findings if isinstance(entry, Score) else ()
    if not entry.rationale and not findings:
        return None
    return _squeezed(_dump([entry.rationale, *findings]))


def note_from_bytes(stored: bytes | None) -> tuple[str, tuple[str, ...]]:
    """Return the (rationale, findings) `note_bytes` wrote."""
    if stored is None:
        return "", ()
    rationale, *findings = json.loads(_unsqueezed(stored))
    return rationale, tuple(findings)


def _squeezed(data: bytes) -> bytes:
    """Deflate what is long; JSON starts with `[` and a zlib stream never does, so no mark is needed."""
    if len(data) <= _SHORT:
        return data
    # A small window: notes are short, and setting up the full one costs more than compressing them.
    squeezer = zlib.compressobj(3, zlib.DEFLATED, 12, 5)
    return squeezer.compress(data) + squeezer.flush()


def _unsqueezed(data: bytes) -> bytes:
    return data if data.startswith(b"[") else zlib.decompress(data)


def run_text(run: Run) -> str:
    """Return the whole run as canonical JSON."""
    # A note may quote a server: what UTF-8 cannot say becomes `?`.
    note = run.note.encode("utf-8", "replace").decode()
    return canonical_json({**asdict(run), "status": run.status.value, "note": note}).decode()


def run_from_text(text: str) -> Run:
    """Return the run `run_text` wrote."""
    fields = json.loads(text)
    fields["status"] = RunStatus(fields["status"])
    fields["cells"] = tuple(_cell(cell) for cell in fields["cells"])
    fields["suite_digests"] = tuple((suite, digest) for suite, digest in fields["suite_digests"])
    # The canonical form of 12.0 is 12.
    fields["started_at"] = float(fields["started_at"])
    if fields["finished_at"] is not None:
        fields["finished_at"] = float(fields["finished_at"])
    return Run(**fields)


def _cell(fields: dict[str, Any]) -> Cell:
    looks = tuple(Look(**look) for look in fields.pop("looks", ()))
    return Cell(**fields, looks=looks)
