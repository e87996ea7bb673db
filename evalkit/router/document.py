"""Is this eligibility file to be believed? Every check of the contract, in order, on bytes alone.

Standard library only: a gateway's own environment imports this.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from evalkit.canonical import digest_of, parse_timestamp
from evalkit.errors import RefusedError
from evalkit.router.signature import check_signature

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "CLOCK_TOLERANCE_S",
    "FORMAT",
    "MAX_AHEAD_S",
    "MAX_BYTES",
    "Expectations",
    "check_document",
    "seconds_of_timestamp",
]

FORMAT = "evalkit.eligibility/1"
CLOCK_TOLERANCE_S = 120
"""Clocks of two machines may differ by this much before an expiry counts."""
MAX_AHEAD_S = 300
"""A file generated further in the future than this is refused."""
MAX_BYTES = 16 * 1024 * 1024
"""More than any eligibility file has."""

_MAX_EXACT = 2**53 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectations:
    """What a reader holds a file against."""

    audience: str
    public_keys: Mapping[str, str] = field(default_factory=dict)
    """Key id to base64 Ed25519 public key; with any configured, an unsigned file is refused."""
    allow_simulated: bool = False


def check_document(data: bytes, *, expect: Expectations, now: float, newest_accepted: float = 0.0) -> dict[str, Any]:
    """Return the document when nothing speaks against it; expiry is each candidate's own and checked at look-up.

    Args:
        data: the file.
        expect: what it is held against.
        now: Unix seconds.
        newest_accepted: `generated_at` of the newest file accepted before, in Unix seconds.

    Raises:
        RefusedError: with one of the codes truncated, unknown_format, malformed, tampered, unsigned, unknown_key,
            bad_signature, wrong_audience, simulated, from_the_future, rolled_back.
    """
    document = _parse(data)
    _check_digest(document)
    if expect.public_keys:
        check_signature(document, public_keys=expect.public_keys)
    _check_shape(document)
    if document["audience"] != expect.audience:
        raise RefusedError(
            "wrong_audience", f"the file is for {document['audience']!r}, this reader is {expect.audience!r}"
        )
    if document["simulated"] and not expect.allow_simulated:
        raise RefusedError("simulated", "the file was made with the simulator; it must not route real traffic")
    generated_at = seconds_of_timestamp(document["generated_at"])
    if generated_at > now + MAX_AHEAD_S:
        raise RefusedError("from_the_future", f"generated_at {document['generated_at']} is ahead of this clock")
    if generated_at < newest_accepted:
        raise RefusedError("rolled_back", f"a newer file than {document['generated_at']} was accepted before")
    return document


def _parse(data: bytes) -> dict[str, Any]:
    if len(data) > MAX_BYTES:
        raise RefusedError("truncated", f"{len(data)} bytes are more than any eligibility file has")
    try:
        document = json.loads(data, object_pairs_hook=_object, parse_int=_integer)
    except (ValueError, RecursionError) as error:
        raise RefusedError("truncated", f"not a whole JSON document: {error}") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise RefusedError("unknown_format", f"expected format {FORMAT!r}")
    missing = sorted(_REQUIRED.keys() - document.keys())
    if missing:
        raise RefusedError("truncated", f"missing: {', '.join(missing)}")
    return document


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a key given twice: which of the two counts would depend on who reads."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is given twice")
    return found


def _integer(digits: str) -> int | float:
    """Read an integer that is not exact as the double it was written from; the canonical form prints both alike."""
    value = int(digits)
    return value if abs(value) <= _MAX_EXACT else float(digits)


def _check_digest(document: dict[str, Any]) -> None:
    payload = {key: value for key, value in document.items() if key not in {"digest", "signature"}}
    try:
        found = digest_of(payload)
    except (ValueError, TypeError, RecursionError) as error:
        raise RefusedError("tampered", f"the document has no canonical form: {error}") from error
    if found != document["digest"]:
        raise RefusedError("tampered", "the digest does not match the content")


_REQUIRED: dict[str, type] = {
    "audience": str, "generated_at": str, "default": str, "simulated": bool, "models": dict, "tasks": dict,
    "digest": str,
}  # fmt: skip
_TASK: dict[str, type] = {"on_expiry": str, "candidates": list}
_CANDIDATE: dict[str, type] = {"model": str, "valid_until": str, "admitted_by": str, "request": dict}
_MODEL: dict[str, type] = {"route": str}


def _check_shape(document: dict[str, Any]) -> None:
    """Check everything a router acts on. A digest proves that nobody changed the file, not that its writer was sane."""
    _hold(document, _REQUIRED, where="the file")
    if document["default"] != "deny":
        raise _malformed(f"default is {document['default']!r}, not 'deny'")
    for name, task in document["tasks"].items():
        _hold(task, _TASK, where=f"task {name!r}")
        for candidate in task["candidates"]:
            _hold(candidate, _CANDIDATE, where=f"a candidate of {name!r}")
            seconds_of_timestamp(candidate["valid_until"])
            _hold(document["models"].get(candidate["model"]), _MODEL, where=f"model {candidate['model']!r}")
        _check_order(name, task)


def _check_order(name: str, task: dict[str, Any]) -> None:
    offered = [candidate["model"] for candidate in task["candidates"]]
    if len(set(offered)) != len(offered):
        raise _malformed(f"task {name!r} offers a model twice")
    pin = task.get("pin")
    if pin is not None and offered[:1] != [pin]:
        raise _malformed(f"the pin of task {name!r} is not its first candidate")


def _hold(value: Any, wanted: Mapping[str, type], *, where: str) -> None:
    if not isinstance(value, dict):
        raise _malformed(f"{where} is no object")
    wrong = [key for key, kind in wanted.items() if not isinstance(value.get(key), kind)]
    if wrong:
        raise _malformed(f"{where}: {', '.join(wrong)} missing or of a wrong type")


def _malformed(problem: str) -> RefusedError:
    return RefusedError("malformed", problem)


def seconds_of_timestamp(text: Any) -> float:
    """Return an RFC 3339 UTC timestamp of whole seconds as Unix seconds.

    Raises:
        RefusedError: code `malformed`, when it is none.
    """
    try:
        return parse_timestamp(text)
    except (TypeError, ValueError) as error:
        raise _malformed(f"{text!r} is not a timestamp") from error
