"""What a gateway counts about its own doing: flags, because these counters are known to lie and so decide nothing.

LiteLLM and Portkey count the retries of the target that answered only: three tries on the first and one on the
second are reported as none. A cached answer is told by a header that only hits carry.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from evalkit.domain.outcome import CACHED
from evalkit.wire.message import as_dict, as_dicts, as_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

__all__ = ["header_flags", "route_record_flags"]

_RETRIES = ("x-litellm-attempted-retries", "x-portkey-retry-attempt-count")
_EXHAUSTED = -1
"""What Portkey counts when every retry failed."""
_CACHE_STATUS = ("x-portkey-cache-status", "x-openrouter-cache-status")
_HITS = frozenset({"HIT", "SEMANTIC HIT"})
_OTHER_TARGET = re.compile(r"\[0*[1-9]\d*\]")
"""Some target after the first, at any depth: `config.targets[1]`, `config.targets[0].targets[2]`."""


def header_flags(headers: Mapping[str, str]) -> set[str]:
    """Return what the response headers tell of retries, fallbacks and caches.

    Args:
        headers: lower-case names.
    """
    retries = [_count(headers.get(name, "")) for name in _RETRIES]
    fell_back = _count(headers.get("x-litellm-attempted-fallbacks", "")) > 0
    fell_back = fell_back or bool(_OTHER_TARGET.search(headers.get("x-portkey-last-used-option-index", "")[:1000]))
    has_retried = any(count > 0 or count == _EXHAUSTED for count in retries)
    is_hit = any(headers.get(name, "").strip().upper() in _HITS for name in _CACHE_STATUS)
    found = {
        "gateway_retried": has_retried,
        "gateway_fell_back": fell_back,
        "gateway_retries_unknown": fell_back and not has_retried,
        CACHED: is_hit or bool(headers.get("x-litellm-cache-key")),
    }
    return {name for name, is_true in found.items() if is_true}


def route_record_flags(body: Mapping[str, Any]) -> set[str]:
    """Return what OpenRouter's record of an answer's route tells of fallbacks."""
    record = as_dict(body.get("openrouter_metadata"))
    attempt = record.get("attempt")
    is_later = isinstance(attempt, int) and attempt > 1
    fell_back = is_later or len(as_dicts(record.get("attempts"))) > 1 or as_text(record.get("strategy")) == "fallback"
    return {"gateway_fell_back"} if fell_back else set()


def _count(value: str) -> int:
    """Return the counter; 0 for one that is missing or no number."""
    try:
        return int(value[:20])
    except ValueError:
        return 0
