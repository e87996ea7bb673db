"""Seeded damage to bytes and values: input number i of a seed is always the same, on any machine."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

_TOKENS = (
    b"data: ", b"data:", b"\n\n", b"\r", b"[DONE]", b"event: error\n", b"error:", b"{", b"}", b"[", b"]", b'"', b"\\",
    b"\\u0000", b"\\ud83d", b"null", b"NaN", b"1e999", b"-0", b"9" * 400, b"\xff", b"\xef\xbb\xbf", b"\x00", b"```",
    b"```json\n", b"<think>", b"</think>", b"&a [*a]", b"*a", b"<<: ", b"!!python/object/apply:os.system [x]", b"---\n",
    b"{{ x.__class__ }}", b"{% include 'a' %}", b"file:../../etc/passwd", b"\t", b": ", b"- ", b"? ", b"| \n", b"#",
    b"\xe2\x80\xa8", b"\xe2\x80\x9c", b"</s>", b'"error":{"code":429}', b'"choices":[', b"choices", b"content",
)  # fmt: skip
_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 1.5, -0.0, 1e308, 10**18, 10**400, 2**53, "", " ", "a" * 300, "\x00", "\ud83d", "NaN",
    "stop", "length", "{{ x }}", "{{ x", "file:/etc/passwd", "../../x", "=1+1", "2026-13-45", "1d", "∞", [], {}, [[]],
    [None], {"": None}, {"a": {"b": []}}, "^(a+)+$", "[", {"$ref": "http://127.0.0.1:9/x"}, ["a", "a"], "sha256:00",
)  # fmt: skip
_NAMES = ("", "extends", "a/b~c", "__proto__", "id", "name", "x\u0000")
_MAX_BYTES = 65_536
_WHOLE_SHARE = 0.2
"""Of the inner parts that are reached, how many are replaced whole."""
_MAX_CUT = 64


def mutated_bytes(source: bytes, *, others: Sequence[bytes], rng: Random) -> bytes:
    """Return the bytes with one to three pieces cut, doubled, replaced, overwritten or taken from another input."""
    data = source
    for _ in range(rng.choice((1, 1, 2, 3))):
        start = rng.randint(0, len(data))
        end = min(len(data), start + rng.randint(0, _MAX_CUT))
        match rng.randrange(7):
            case 0:
                piece = b""
            case 1:
                piece = data[start:end] * rng.randint(2, 5)
            case 2 | 3:
                piece = rng.choice(_TOKENS) * rng.choice((1, 1, 1, 2, 200))
            case 4:
                other = rng.choice(others)
                at = rng.randint(0, len(other))
                piece = other[at : at + rng.randint(0, 400)]
            case 5:
                piece = rng.randbytes(rng.randint(1, 8))
            case _:
                piece, end = b"", len(data)
        data = (data[:start] + piece + data[end:])[:_MAX_BYTES]
    return data


def mutated_value(value: Any, *, rng: Random) -> Any:
    """Return the JSON value with one or two of its parts replaced, dropped, doubled or renamed."""
    for _ in range(rng.choice((1, 1, 2))):
        value = _changed(value, rng=rng, depth=0)
    return value


def _changed(value: Any, *, rng: Random, depth: int) -> Any:
    is_leaf = not isinstance(value, (dict, list)) or not value
    if is_leaf or (depth and rng.random() < _WHOLE_SHARE):
        return rng.choice(_VALUES)
    change = _changed_list if isinstance(value, list) else _changed_object
    return change(value, rng=rng, depth=depth)


def _changed_list(value: list[Any], *, rng: Random, depth: int) -> list[Any]:
    at = rng.randrange(len(value))
    match rng.randrange(4):
        case 0:
            return value[:at] + value[at + 1 :]
        case 1:
            return [*value, value[at]]
        case _:
            return [*value[:at], _changed(value[at], rng=rng, depth=depth + 1), *value[at + 1 :]]


def _changed_object(value: dict[str, Any], *, rng: Random, depth: int) -> dict[str, Any]:
    key = rng.choice(list(value))
    rest = {name: item for name, item in value.items() if name != key}
    match rng.randrange(6):
        case 0:
            return rest
        case 1:
            return {**rest, rng.choice(_NAMES): value[key]}
        case _:
            return {**value, key: _changed(value[key], rng=rng, depth=depth + 1)}


def json_bytes(value: Any) -> bytes:
    """Return a value as JSON; one whose keys or numbers JSON cannot say comes out as its nearest text."""
    return json.dumps(value).encode("utf-8", "surrogatepass")
