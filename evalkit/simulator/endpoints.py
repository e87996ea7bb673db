"""The other APIs a gateway may turn a chat call into, each as a translation to and from chat.

Minimal on purpose: enough that a gateway which translates accepts what comes back. Errors pass as they are.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from evalkit.simulator.events import completion_events, message_events, response_events
from evalkit.simulator.order import OrderError, order_from_object

if TYPE_CHECKING:
    from collections.abc import Callable

    from evalkit.simulator.order import Answer, Order

__all__ = ["ENDPOINTS", "Endpoint", "answer_at", "order_at"]

_N_DIMENSIONS = 8
_MAX_DIMENSIONS = 4096
_BYTES_PER_NUMBER = 4
_STOP_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One API: how it asks, and how it is told."""

    messages: Callable[[dict[str, Any]], Any]
    """From the request: chat messages."""
    body: Callable[[Any, dict[str, Any]], dict[str, Any]]
    """From the chat answer and the request: the answer."""
    events: Callable[[dict[str, Any]], tuple[bytes, ...]] | None = None
    """From the answer: its event stream; None where there is none."""


@dataclass(frozen=True, slots=True)
class _Said:
    """What the other APIs need of a chat answer."""

    ident: str
    model: str
    created: int
    text: str
    finish: str
    tools: tuple[dict[str, Any], ...]
    n_prompt: int
    n_answer: int


def order_at(path: str, raw: dict[str, Any]) -> Order:
    """Return what a request to a path of `ENDPOINTS` asks for, never as a stream of chat chunks.

    Raises:
        OrderError: when it is no request of that API.
    """
    if not isinstance(raw.get("model"), str):
        raise OrderError("you must provide a model parameter")
    limit = raw.get("max_output_tokens") or raw.get("max_tokens")
    chat = {
        "model": raw["model"],
        "messages": ENDPOINTS[path].messages(raw),
        "response_format": _format(raw),
        "tools": _tools(raw.get("tools")),
        **({} if limit is None else {"max_completion_tokens": limit}),
    }
    return order_from_object(chat)


def answer_at(path: str, raw: dict[str, Any], answer: Answer) -> Answer:
    """Return a chat answer in the words of a path of `ENDPOINTS`; one that is no completion is passed on."""
    said = _said(answer)
    if said is None:
        return answer
    endpoint = ENDPOINTS[path]
    body = endpoint.body(said, raw)
    if raw.get("stream") is True and endpoint.events is not None:
        headers = {**answer.headers, "content-type": "text/event-stream"}
        return replace(answer, pieces=endpoint.events(body), headers=headers)
    return replace(answer, pieces=(json.dumps(body).encode(),))


def _said(answer: Answer) -> _Said | None:
    if answer.status != HTTPStatus.OK or len(answer.pieces) != 1:
        return None
    try:
        body = json.loads(answer.pieces[0])
        choice = body["choices"][0]
        message, usage = choice["message"], body.get("usage") or {}
        return _Said(
            ident=str(body.get("id", "")),
            model=str(body.get("model", "")),
            created=int(body.get("created", 0)),
            text=_text(message.get("content")) or message.get("refusal") or "",
            finish=choice.get("finish_reason") or "stop",
            tools=tuple(message.get("tool_calls") or ()),
            n_prompt=int(usage.get("prompt_tokens", 0)),
            n_answer=int(usage.get("completion_tokens", 0)),
        )
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        # A page, or a body made to be malformed: what it is in chat it is everywhere.
        return None


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    blocks = content if isinstance(content, list) else []
    return "".join(str(block.get("text") or "") for block in blocks if isinstance(block, dict))


def _format(raw: dict[str, Any]) -> Any:
    """Return the response format, which the responses API keeps under `text` and one level flatter."""
    text = raw.get("text")
    wanted = text.get("format") if isinstance(text, dict) else raw.get("response_format")
    if isinstance(wanted, dict) and "schema" in wanted:
        return {"type": wanted.get("type"), "json_schema": {"schema": wanted["schema"]}}
    return wanted


def _tools(tools: Any) -> list[Any]:
    """Return tools as chat has them: below `function`."""
    flat = [tool for tool in tools if isinstance(tool, dict)] if isinstance(tools, list) else []
    return [tool if "function" in tool else {"type": "function", "function": tool} for tool in flat]


def _response_messages(raw: dict[str, Any]) -> list[Any]:
    given = raw.get("input")
    turns = [{"role": "user", "content": given}] if isinstance(given, str) else given
    return [*_system(raw.get("instructions")), *_list(turns)]


def _anthropic_messages(raw: dict[str, Any]) -> list[Any]:
    return [*_system(raw.get("system")), *_list(raw.get("messages"))]


def _prompt_messages(raw: dict[str, Any]) -> list[Any]:
    prompt = raw.get("prompt")
    text = prompt if isinstance(prompt, str) else "".join(str(part) for part in _list(prompt))
    return [{"role": "user", "content": text}]


def _input_messages(raw: dict[str, Any]) -> list[Any]:
    return [{"role": "user", "content": text} for text in _inputs(raw)]


def _inputs(raw: dict[str, Any]) -> list[str]:
    """Return the texts to embed; a list of tokens is one text."""
    given = raw.get("input")
    if isinstance(given, list) and not all(isinstance(part, int) for part in given):
        return [part if isinstance(part, str) else json.dumps(part) for part in given]
    if isinstance(given, (str, list)):
        return [given if isinstance(given, str) else json.dumps(given)]
    raise OrderError("you must provide an input")


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise OrderError("you must provide an input")
    return value


def _system(text: Any) -> list[dict[str, Any]]:
    return [] if text is None else [{"role": "system", "content": text}]


def _response_body(said: _Said, _raw: dict[str, Any]) -> dict[str, Any]:
    content = [{"type": "output_text", "text": said.text, "annotations": [], "logprobs": []}]
    message = {"id": f"msg_{said.ident}", "type": "message", "role": "assistant", "status": "completed"}
    output: list[dict[str, Any]] = [{**message, "content": content}] if said.text or not said.tools else []
    for number, tool in enumerate(said.tools):
        call = {"id": f"fc_{said.ident}{number}", "type": "function_call", "status": "completed"}
        called = tool["function"]
        output.append({**call, "call_id": tool.get("id") or call["id"], **_picked(called, "name", "arguments")})
    is_cut = said.finish == "length"
    return {
        "id": f"resp_{said.ident}",
        "object": "response",
        "created_at": said.created,
        "status": "incomplete" if is_cut else "completed",
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if is_cut else None,
        "instructions": None,
        "metadata": {},
        "model": said.model,
        "output": output,
        "parallel_tool_calls": True,
        "temperature": None,
        "tool_choice": "auto",
        "tools": [],
        "top_p": None,
        "usage": {
            "input_tokens": said.n_prompt,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": said.n_answer,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": said.n_prompt + said.n_answer,
        },
    }


def _message_body(said: _Said, _raw: dict[str, Any]) -> dict[str, Any]:
    content: list[dict[str, Any]] = [{"type": "text", "text": said.text}] if said.text else []
    for number, tool in enumerate(said.tools):
        call_id = tool.get("id") or f"toolu_{said.ident}{number}"
        called = tool["function"]
        content.append({"type": "tool_use", "id": call_id, "name": called["name"], "input": _parsed(called)})
    return {
        "id": f"msg_{said.ident}",
        "type": "message",
        "role": "assistant",
        "model": said.model,
        "content": content,
        "stop_reason": _STOP_REASONS.get(said.finish, "end_turn"),
        "stop_sequence": None,
        "usage": {"input_tokens": said.n_prompt, "output_tokens": said.n_answer},
    }


def _completion_body(said: _Said, _raw: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": f"cmpl-{said.ident}",
        "object": "text_completion",
        "created": said.created,
        "model": said.model,
        "choices": [{"index": 0, "text": said.text, "logprobs": None, "finish_reason": said.finish}],
        "usage": {
            "prompt_tokens": said.n_prompt,
            "completion_tokens": said.n_answer,
            "total_tokens": said.n_prompt + said.n_answer,
        },
    }


def _embedding_body(said: _Said, raw: dict[str, Any]) -> dict[str, Any]:
    asked = raw.get("dimensions")
    n_dimensions = asked if isinstance(asked, int) and 0 < asked <= _MAX_DIMENSIONS else _N_DIMENSIONS
    vectors = [_vector(text, n_dimensions=n_dimensions) for text in _inputs(raw)]
    is_packed = raw.get("encoding_format") == "base64"
    return {
        "object": "list",
        "model": said.model,
        "data": [
            {"object": "embedding", "index": index, "embedding": _packed(vector) if is_packed else vector}
            for index, vector in enumerate(vectors)
        ],
        "usage": {"prompt_tokens": said.n_prompt, "total_tokens": said.n_prompt},
    }


def _vector(text: str, *, n_dimensions: int) -> list[float]:
    """Return numbers in [-1, 1) that depend on the text alone."""
    digits = hashlib.shake_256(text.encode("utf-8", "replace")).digest(n_dimensions * _BYTES_PER_NUMBER)
    return [number / 2**31 for (number,) in struct.iter_unpack("<i", digits)]


def _packed(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _picked(mapping: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: mapping.get(name) for name in names}


def _parsed(called: dict[str, Any]) -> Any:
    try:
        return json.loads(called.get("arguments") or "{}")
    except ValueError:
        return {}


ENDPOINTS: dict[str, Endpoint] = {
    "/v1/responses": Endpoint(messages=_response_messages, body=_response_body, events=response_events),
    "/v1/messages": Endpoint(messages=_anthropic_messages, body=_message_body, events=message_events),
    "/v1/completions": Endpoint(messages=_prompt_messages, body=_completion_body, events=completion_events),
    "/v1/embeddings": Endpoint(messages=_input_messages, body=_embedding_body),
}
"""By path; chat itself needs no translation."""
