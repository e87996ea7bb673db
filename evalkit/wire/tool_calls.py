"""Tool calls from whole messages and from deltas, in every spelling: `tool_calls`, `function_call`, custom, blocks.

Deltas are keyed by the index the server gives; choices have a reader each, so answers that arrive interleaved do
not run into each other.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from evalkit.domain.outcome import ToolCall
from evalkit.wire.json_text import load_json
from evalkit.wire.text import joined_text, storable_text

__all__ = ["ToolCallReader"]

_MAX_PROBED_CHARACTERS = 65_536
_MAX_PROBES = 64
"""Each probe parses what is there; without a limit a hostile stream makes that quadratic."""


@dataclass(slots=True)
class _Draft:
    call_id: str = ""
    kind: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)
    is_indexed: bool = False

    @property
    def is_complete(self) -> bool:
        """Whether the arguments already are a JSON value: what follows under the same index is another call."""
        text = "".join(self.arguments)
        if not text or len(text) > _MAX_PROBED_CHARACTERS:
            return False
        try:
            load_json(text)
        except ValueError:
            return False
        return True


class ToolCallReader:
    """Collects the calls of one choice."""

    __slots__ = ("_current", "_drafts", "_has_legacy_field", "_is_streamed", "_legacy", "_n_probes", "_notes")

    def __init__(self, *, is_streamed: bool) -> None:
        self._is_streamed = is_streamed
        self._drafts: list[_Draft] = []
        self._current: dict[Any, _Draft] = {}
        self._legacy: _Draft | None = None
        self._has_legacy_field = False
        self._notes: set[str] = set()
        self._n_probes = 0

    def add(self, piece: dict[str, Any]) -> None:
        """Take the calls of a message or of a delta."""
        calls = piece.get("tool_calls")
        if isinstance(calls, list):
            for position, call in enumerate(calls):
                if isinstance(call, dict):
                    self._add_call(call, position=position)
        legacy = piece.get("function_call")
        if isinstance(legacy, dict):
            self._add_legacy(legacy)

    def add_block(self, block: dict[str, Any]) -> None:
        """Take a content block of type `tool_use`."""
        draft = _Draft(call_id=_text(block.get("id")), kind="function", name=_text(block.get("name")), is_indexed=True)
        draft.arguments.append(self._argument_text(block.get("input")))
        self._drafts.append(draft)

    def calls(self) -> tuple[ToolCall, ...]:
        """Return the calls in the order they began."""
        return tuple(
            ToolCall(
                name=storable_text(draft.name),
                arguments=joined_text(draft.arguments),
                call_id=storable_text(draft.call_id),
            )
            for draft in self._all()
        )

    def flags(self) -> set[str]:
        """Return what was odd about them, and how many there are."""
        flags = set(self._notes)
        drafts = self._all()
        if drafts:
            flags.add("tool_calls")
        if len(drafts) > 1:
            flags.add("parallel_tool_calls")
        if any(not "".join(draft.arguments) for draft in drafts):
            flags.add("tool_args_empty")
        if self._is_legacy_used():
            flags.add("legacy_function_call")
        elif self._has_legacy_field:
            flags.add("function_call_placeholder")
        for draft in self._drafts:
            flags.update(self._flags_of(draft))
        return flags

    def _flags_of(self, draft: _Draft) -> set[str]:
        found = {
            "tool_id_empty": not draft.call_id,
            "tool_type_missing": not draft.kind,
            "custom_tool_call": draft.kind == "custom",
            "tool_index_missing": self._is_streamed and not draft.is_indexed,
        }
        return {name for name, is_true in found.items() if is_true}

    def _all(self) -> list[_Draft]:
        return [*self._drafts, self._legacy] if self._legacy and self._is_legacy_used() else self._drafts

    def _is_legacy_used(self) -> bool:
        return self._legacy is not None and bool(self._legacy.name or "".join(self._legacy.arguments))

    def _add_call(self, call: dict[str, Any], *, position: int) -> None:
        is_custom = call.get("type") == "custom"
        body = call.get("custom") if is_custom else call.get("function")
        body = body if isinstance(body, dict) else {}
        call_id, name = _text(call.get("id")), _text(body.get("name"))
        draft = self._draft_for(call, position=position, call_id=call_id, name=name)
        draft.call_id = draft.call_id or call_id
        draft.kind = draft.kind or _text(call.get("type"))
        draft.name = draft.name or name
        draft.arguments.append(self._argument_text(body.get("input" if is_custom else "arguments")))

    def _draft_for(self, call: dict[str, Any], *, position: int, call_id: str, name: str) -> _Draft:
        index = call.get("index")
        is_indexed = isinstance(index, int)
        key = index if is_indexed else ("position", position)
        draft = self._current.get(key)
        if draft is None or not self._is_streamed or self._begins_another(draft, call_id=call_id, name=name):
            draft = _Draft(is_indexed=is_indexed)
            self._drafts.append(draft)
            self._current[key] = draft
        return draft

    def _begins_another(self, draft: _Draft, *, call_id: str, name: str) -> bool:
        """Say whether a delta opens a new call though its index is taken: some servers give every call the index 0.

        A name alone does not: others repeat it in every delta, some with a fresh id each time but no name.
        """
        if not (name and draft.name):
            return False
        if call_id or draft.call_id:
            return bool(call_id and draft.call_id) and call_id != draft.call_id
        self._n_probes += 1
        return self._n_probes <= _MAX_PROBES and draft.is_complete

    def _add_legacy(self, body: dict[str, Any]) -> None:
        self._has_legacy_field = True
        draft = self._legacy = self._legacy or _Draft()
        draft.name = draft.name or _text(body.get("name"))
        draft.arguments.append(self._argument_text(body.get("arguments")))

    def _argument_text(self, value: Any) -> str:
        if value is None or isinstance(value, str):
            return value or ""
        self._notes.add("tool_args_not_text")
        return json.dumps(value, ensure_ascii=False)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
