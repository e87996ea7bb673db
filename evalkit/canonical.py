"""RFC 8785 canonical JSON, digests, timestamps and atomic file replacement.

One canonical form makes digests comparable across machines, languages and key orders: the eligibility
file is signed over it and the router, which has only the standard library, must reproduce it byte for byte.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
import tempfile
from calendar import timegm
from datetime import UTC, datetime
from decimal import Decimal
from json.encoder import encode_basestring
from pathlib import Path
from time import strptime
from typing import Any

__all__ = ["canonical_json", "digest_of", "parse_timestamp", "sha256_hex", "timestamp", "write_atomically"]

_MAX_SAFE_INTEGER = 2**53 - 1
# ECMAScript writes plain notation while the decimal point stands in this range.
_PLAIN_FROM = -6
_PLAIN_TO = 21


_TIMESTAMP = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-5][0-9]Z")
_TIMESTAMP_FORMAT = "%Y-%m-%dT%H:%M:%SZ"

_WORDS = {None: "null", True: "true", False: "false"}


def canonical_json(value: Any) -> bytes:
    """Return the RFC 8785 form of `value`: UTF-8, no spaces, keys sorted by UTF-16 code units.

    Raises:
        ValueError: for NaN, infinities, integers beyond 2**53 - 1, or a lone surrogate.
        TypeError: for anything JSON cannot say.
    """
    return _render(value).encode("utf-8")


def _render(value: Any) -> str:
    if isinstance(value, str):
        return encode_basestring(value)
    if value is None or value is True or value is False:
        return _WORDS[value]
    if isinstance(value, int):
        return _integer(value)
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(_render(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(_member(key, value[key]) for key in _in_order(value)) + "}"
    raise TypeError(f"{value!r} is not JSON")


def _member(key: Any, value: Any) -> str:
    return f"{encode_basestring(key)}:{_render(value)}"


def _in_order(value: dict[Any, Any]) -> list[Any]:
    """Return the keys by UTF-16 code units: for ASCII, and nearly all keys are, that is their own order."""
    try:
        if all(map(str.isascii, value)):
            return sorted(value)
    except TypeError as error:
        raise TypeError(f"an object key among {list(value)!r:.200} is not a string") from error
    return sorted(value, key=_utf16)


def _utf16(key: str) -> bytes:
    return key.encode("utf-16-be")


def _integer(value: int) -> str:
    if abs(value) > _MAX_SAFE_INTEGER:
        raise ValueError(f"{value!r} is beyond 2**53 - 1, where JSON numbers stop being exact")
    return str(value)


def _number(value: float) -> str:
    """Format as ECMAScript does: shortest digits, plain notation between 1e-6 and 1e21."""
    if not math.isfinite(value):
        raise ValueError(f"{value!r} has no JSON form")
    if value == 0:
        return "0"
    sign, numerals, exponent = Decimal(repr(value)).as_tuple()
    point = len(numerals) + int(exponent)
    digits = "".join(map(str, numerals)).rstrip("0")
    return ("-" if sign else "") + _place_point(digits, point=point)


def _place_point(digits: str, *, point: int) -> str:
    count = len(digits)
    if count <= point <= _PLAIN_TO:
        return digits + "0" * (point - count)
    if 0 < point <= _PLAIN_TO:
        return f"{digits[:point]}.{digits[point:]}"
    if _PLAIN_FROM < point <= 0:
        return "0." + "0" * -point + digits
    exponent = point - 1
    sign = "+" if exponent >= 0 else "-"
    head = digits if count == 1 else f"{digits[0]}.{digits[1:]}"
    return f"{head}e{sign}{abs(exponent)}"


def sha256_hex(data: bytes) -> str:
    """Return the SHA-256 of `data` as 64 lower-case hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def digest_of(value: Any) -> str:
    """Return `sha256:<64 hex>` of the canonical form of `value`; key order does not matter."""
    return f"sha256:{sha256_hex(canonical_json(value))}"


def timestamp(seconds: float) -> str:
    """Return Unix seconds as RFC 3339 in UTC, whole seconds, rounded down."""
    return datetime.fromtimestamp(math.floor(seconds), tz=UTC).strftime(_TIMESTAMP_FORMAT)


def parse_timestamp(text: str) -> float:
    """Return an RFC 3339 UTC timestamp of whole seconds as Unix seconds.

    Raises:
        ValueError: when it is none.
    """
    # strptime alone would take one digit where two belong, lower case, and a sixty-second second.
    if _TIMESTAMP.fullmatch(text) is None:
        raise ValueError(f"{text!r} is not a timestamp")
    return float(timegm(strptime(text, _TIMESTAMP_FORMAT)))


def write_atomically(path: Path, data: bytes) -> None:
    """Replace `path` by `data` so that a reader sees the old file or the new one, never a part.

    The bytes reach the disk before the rename does: a crash at any moment leaves one whole file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
