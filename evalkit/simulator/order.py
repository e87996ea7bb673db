"""A request as the simulator understands it, and what it sends back, both without any HTTP library."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Answer", "Order", "OrderError", "order_from_object", "parse_object"]

_CHARACTERS_PER_TOKEN = 4


class OrderError(Exception):
    """The body is not a chat completion request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One request for a chat completion."""

    route: str
    user_text: str
    """The last user message."""
    user_texts: tuple[str, ...] = ()
    """All of them, the last one last."""
    has_tool_results: bool = False
    """Whether a tool was called, and has answered, since then."""
    roles: tuple[str, ...] = ()
    n_characters: int = 0
    is_stream: bool = False
    wants_usage: bool = False
    format: Literal["json_schema", "json_object", "text"] = "text"
    schema: dict[str, Any] | None = None
    tool_names: tuple[str, ...] = ()
    max_tokens: int | None = None
    parameters: frozenset[str] = frozenset()
    """Top-level keys of the body."""
    says_json: bool = True
    """Whether the word is anywhere in the messages."""

    @property
    def prompt_tokens(self) -> int:
        """Tokens of all messages, estimated."""
        return 1 + self.n_characters // _CHARACTERS_PER_TOKEN


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What goes back over HTTP."""

    pieces: tuple[bytes, ...]
    """The body; more than one piece is a stream."""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    service_s: float = 0.0
    """Simulated seconds the upstream took."""
    first_s: float | None = None
    """Simulated seconds until the first token of a stream; None for what is no stream."""
    ending: Literal["whole", "reset", "cut", "stall"] = "whole"
    """`reset`: the connection dies before the answer; `cut`: in the middle of it; `stall`: nothing ever comes."""


def parse_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object in a body.

    Raises:
        OrderError: when there is none.
    """
    try:
        raw = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise OrderError("We could not parse the JSON body of your request.") from error
    if not isinstance(raw, dict):
        raise OrderError("the body of a request is a JSON object")
    return raw


def order_from_object(raw: dict[str, Any]) -> Order:
    """Return the request an object is.

    Raises:
        OrderError: when it has no model or no messages.
    """
    if not isinstance(raw.get("model"), str) or not isinstance(raw.get("messages"), list):
        raise OrderError("you must provide a model parameter and a list of messages")
    messages = [message for message in raw["messages"] if isinstance(message, dict)]
    texts = [_text(message.get("content")) for message in messages]
    users = [text for message, text in zip(messages, texts, strict=True) if message.get("role") == "user"]
    kind, schema = _format(raw.get("response_format"))
    return Order(
        route=raw["model"],
        user_text=users[-1] if users else "",
        user_texts=tuple(users),
        has_tool_results=_has_tool_results(messages),
        roles=tuple(str(message.get("role")) for message in messages),
        n_characters=sum(map(len, texts)),
        is_stream=raw.get("stream") is True,
        wants_usage=_wants_usage(raw.get("stream_options")),
        format=kind,
        schema=schema,
        tool_names=_tool_names(raw.get("tools")),
        max_tokens=_whole(raw.get("max_completion_tokens")) or _whole(raw.get("max_tokens")),
        parameters=frozenset(raw),
        says_json=kind != "json_object" or any("json" in text.lower() for text in texts),
    )


def _has_tool_results(messages: list[dict[str, Any]]) -> bool:
    for message in reversed(messages):
        role = message.get("role")
        if role in ("user", "tool"):  # a tuple: a role may be anything, also what has no hash
            return bool(role == "tool")
    return False


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        texts = (block.get("text") for block in content if isinstance(block, dict))
        return "".join(text for text in texts if isinstance(text, str))
    return ""


def _format(value: Any) -> tuple[Literal["json_schema", "json_object", "text"], dict[str, Any] | None]:
    if not isinstance(value, dict):
        return "text", None
    if value.get("type") == "json_schema":
        inner = value.get("json_schema")
        schema = inner.get("schema") if isinstance(inner, dict) else None
        return "json_schema", schema if isinstance(schema, dict) else None
    return ("json_object" if value.get("type") == "json_object" else "text"), None


def _wants_usage(value: Any) -> bool:
    return isinstance(value, dict) and value.get("include_usage") is True


def _tool_names(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        return ()
    functions = [tool.get("function") for tool in value if isinstance(tool, dict)]
    return tuple(str(function.get("name")) for function in functions if isinstance(function, dict))


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
