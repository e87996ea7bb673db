"""What one message says, whole or in pieces: text, reasoning, refusal, tool calls, and how it was put.

A whole message is read as a stream of one piece, so both ways share every dialect. Values are hostile: any field
may have any JSON type, and what cannot be read is left out.
"""

from __future__ import annotations

import json
from typing import Any

from evalkit.wire.text import joined_text
from evalkit.wire.tool_calls import ToolCallReader

__all__ = ["MessageReader", "as_dict", "as_dicts", "as_text"]

_TEXT_BLOCKS = frozenset({"text", "output_text", "input_text"})
_REASONING_BLOCKS = frozenset({"thinking", "reasoning", "reasoning_content", "redacted_thinking"})
_REASONING_FIELDS = ("reasoning_content", "reasoning", "thinking")


class MessageReader:
    """Collects the pieces of choice 0."""

    __slots__ = ("_details", "_reasoning", "_refusal", "_text", "calls", "flags", "is_content_sent")

    def __init__(self, *, is_streamed: bool = False) -> None:
        self.flags: set[str] = set()
        self.is_content_sent = False
        self.calls = ToolCallReader(is_streamed=is_streamed)
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._details: list[str] = []
        self._refusal: list[str] = []

    @property
    def text(self) -> str | None:
        """The answer as sent; None when no content was."""
        return joined_text(self._text) if self.is_content_sent else None

    @property
    def reasoning(self) -> str | None:
        """Reasoning from its own fields or blocks, else from `reasoning_details`; None when there is none."""
        return joined_text(self._reasoning) or joined_text(self._details) or None

    @property
    def refusal(self) -> str | None:
        """The refusal field; None when it is missing or empty."""
        return joined_text(self._refusal) or None

    def add(self, piece: dict[str, Any]) -> None:
        """Take a message, or the next delta of one."""
        self._add_content(piece.get("content"))
        self._add_reasoning(piece)
        extra = as_dict(piece.get("provider_specific_fields"))
        # LiteLLM moves the refusal out of the message.
        refusal = as_text(piece.get("refusal")) or as_text(extra.get("refusal"))
        if refusal:
            self._refusal.append(refusal)
            self.flags.add("refusal_field")
        self.calls.add(piece)

    def _add_content(self, content: Any) -> None:
        if content is None:
            return
        if isinstance(content, str):
            self.is_content_sent = True
            self._text.append(content)
        elif isinstance(content, list):
            self.flags.add("list_content")
            for block in content:
                self._add_block(block)
        elif isinstance(content, dict) and "type" in content:
            self._add_block(content)
        else:
            # A server that parses the answer for us: what the model wrote is gone, its value is not.
            self.flags.add("content_not_text")
            self.is_content_sent = True
            self._text.append(json.dumps(content, ensure_ascii=False))

    def _add_block(self, block: Any) -> None:
        if isinstance(block, str):
            self.is_content_sent = True
            self._text.append(block)
            return
        block = as_dict(block)
        kind = block.get("type")
        if kind in _REASONING_BLOCKS:
            self._note_reasoning(_block_text(block))
        elif kind == "refusal":
            self._refusal.append(_block_text(block))
            self.flags.add("refusal_field")
        elif kind == "tool_use":
            self.calls.add_block(block)
        elif kind == "fallback":
            self.flags.add("fallback_block")
        elif isinstance(block.get("text"), str) and (kind in _TEXT_BLOCKS or kind is None):
            self.is_content_sent = True
            self._text.append(block["text"])

    def _add_reasoning(self, piece: dict[str, Any]) -> None:
        for name in _REASONING_FIELDS:
            value = _flat_text(piece.get(name))
            if value:
                self._note_reasoning(value)
                break
        for block in as_dicts(piece.get("thinking_blocks")):
            self.flags.add("reasoning_field")
            self._details.append(_block_text(block))
        details = as_dicts(piece.get("reasoning_details"))
        if details:
            self.flags.add("reasoning_details")
            self._details.extend(_block_text(block) for block in details)

    def _note_reasoning(self, text: str) -> None:
        self.flags.add("reasoning_field")
        self._reasoning.append(text)


def as_dict(value: Any) -> dict[str, Any]:
    """Return the value if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def as_dicts(value: Any) -> list[dict[str, Any]]:
    """Return the objects of a list; empty for anything else."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def as_text(value: Any) -> str:
    """Return the value if it is text, else empty text."""
    return value if isinstance(value, str) else ""


def _block_text(block: dict[str, Any]) -> str:
    return next((text for name in ("text", "thinking", "reasoning", "refusal", "summary", "content")
                 if (text := _flat_text(block.get(name)))), "")  # fmt: skip


def _flat_text(value: Any) -> str:
    """Return text given as text, as an object holding text, or as a list of either; two levels are all anyone sends."""
    if isinstance(value, list):
        return "".join(as_text(item) or as_text(as_dict(item).get("text")) for item in value)
    if isinstance(value, dict):
        return as_text(value.get("text")) or as_text(value.get("content"))
    return as_text(value)
