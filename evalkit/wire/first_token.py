"""When an answer begins in an event stream: not with its first byte, which is often a comment or an empty chunk."""

from __future__ import annotations

import json
import re
from typing import Any

__all__ = ["FirstToken"]

_LINE_END = re.compile(rb"\r\n|\n|\r")
_PREFIX = b"data:"
_SPOKEN = (
    "content",
    "reasoning",
    "reasoning_content",
    "reasoning_details",
    "refusal",
    "tool_calls",
    "function_call",
)
"""Parts of a delta that the model said; a role, or what a gateway adds, is no token."""


class FirstToken:
    """Reads a stream as it comes, up to the first piece of an answer."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def is_in(self, data: bytes) -> bool:
        """Take the next bytes; return whether the answer has begun in them."""
        *lines, self._rest = _LINE_END.split(self._rest + data)
        return any(_has_token(line) for line in lines)


def _has_token(line: bytes) -> bool:
    if not line.startswith(_PREFIX):
        return False
    try:
        event: Any = json.loads(line[len(_PREFIX) :])
    except (ValueError, RecursionError):
        return False
    choices = event.get("choices") if isinstance(event, dict) else None
    for choice in choices if isinstance(choices, list) else ():
        delta = choice.get("delta") if isinstance(choice, dict) else None
        if isinstance(delta, dict) and any(delta.get(name) for name in _SPOKEN):
            return True
    return False
