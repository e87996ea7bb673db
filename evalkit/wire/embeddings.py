"""Embeddings over the OpenAI protocol: texts to a body, a body to vectors.

Everything that can go wrong with an answer that is no embedding is what can go wrong with any other, so errors are read
where all errors are read.
"""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from evalkit.domain.outcome import Kind, Reading
from evalkit.wire.identity import identify
from evalkit.wire.json_text import load_json
from evalkit.wire.response import read_response
from evalkit.wire.text import storable_text
from evalkit.wire.usage import usage_from_report

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from evalkit.wire.asked import Asked

__all__ = ["embeddings_body", "read_embeddings", "vectors_in"]

_SUCCESSES = range(200, 300)


def embeddings_body(route: str, texts: Sequence[str], *, extra_body: Mapping[str, Any]) -> bytes:
    """Return the request body for vectors of these texts, in their order."""
    body = {"model": route, "input": list(texts), "encoding_format": "float", **extra_body}
    return storable_text(json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False)).encode()


def read_embeddings(status: int, headers: Mapping[str, str], body: bytes, *, asked: Asked, n_texts: int) -> Reading:
    """Return what an exchange said; the text of an `ok` reading is the vectors as JSON, see `vectors_in`."""
    whole = _object_in(body)
    vectors = None if whole is None or status not in _SUCCESSES else _vectors(whole.get("data"), n_texts=n_texts)
    if whole is None or vectors is None:
        reading = read_response(status, headers, body, asked=asked)
        # A body with no vectors and no error in it is the gateway's fault, whatever a chat client would make of it.
        is_error = status not in _SUCCESSES or (whole is not None and "error" in whole)
        return reading if is_error else replace(reading, kind=Kind.PROVIDER_ERROR, text=None)
    lower = {name.lower(): value for name, value in headers.items()}
    model = whole.get("model")
    identity = identify(model if isinstance(model, str) else None, asked=asked, body=whole, headers=lower)
    usage = usage_from_report(whole.get("usage"))
    # There is no completion: its tokens are none, and not unknown.
    usage = replace(usage, completion_tokens=0) if usage.completion_tokens is None else usage
    is_swapped = identity.identity_class.value == "substituted"
    return Reading(
        kind=Kind.SUBSTITUTED_MODEL if is_swapped else Kind.OK,
        text=None if is_swapped else json.dumps(vectors, separators=(",", ":")),
        usage=usage,
        identity=identity,
        status=status,
    )


def vectors_in(text: str | None) -> list[list[float]] | None:
    """Return the vectors that an `ok` reading carries; None when they are not all there."""
    try:
        value = json.loads(text or "")
    except ValueError:
        return None
    return value if isinstance(value, list) and all(map(_is_vector, value)) else None


def _object_in(body: bytes) -> dict[str, Any] | None:
    try:
        value = load_json(body.decode("utf-8", "replace"))
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _vectors(data: Any, *, n_texts: int) -> list[list[float]] | None:
    """Return one vector a text, in the order of the texts whatever the order of the answer."""
    items = data if isinstance(data, list) else []
    found = {
        item.get("index", place): item.get("embedding") for place, item in enumerate(items) if isinstance(item, dict)
    }
    vectors = [found.get(place) for place in range(n_texts)]
    return [vector for vector in vectors if vector is not None] if all(map(_is_vector, vectors)) else None


def _is_vector(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(_is_finite(part) for part in value)


def _is_finite(part: Any) -> bool:
    return isinstance(part, (int, float)) and not isinstance(part, bool) and math.isfinite(part)
