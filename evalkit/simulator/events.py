"""The event streams of the APIs beside chat, made from their whole answers.

The fewest events a client needs to put the answer together again.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["completion_events", "message_events", "response_events"]


def completion_events(body: dict[str, Any]) -> tuple[bytes, ...]:
    """Return the stream of a text completion: one chunk with everything, then the end mark."""
    return b"data: " + json.dumps(body).encode() + b"\n\n", b"data: [DONE]\n\n"


def message_events(body: dict[str, Any]) -> tuple[bytes, ...]:
    """Return the stream of a message: its head, each block in one piece, its end."""
    return tuple(_event(event) for event in _message_events(body))


def response_events(body: dict[str, Any]) -> tuple[bytes, ...]:
    """Return the stream of a response: its head, each item in one piece, the whole."""
    numbered = enumerate(_response_events(body))
    return tuple(_event({**event, "sequence_number": number}) for number, event in numbered)


def _event(event: dict[str, Any]) -> bytes:
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


def _message_events(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    n_input = body["usage"]["input_tokens"]
    head = {**body, "content": [], "stop_reason": None, "usage": {"input_tokens": n_input, "output_tokens": 0}}
    yield {"type": "message_start", "message": head}
    for index, block in enumerate(body["content"]):
        opening, delta = _opened(block)
        yield {"type": "content_block_start", "index": index, "content_block": opening}
        yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    stop = {"stop_reason": body["stop_reason"], "stop_sequence": None}
    yield {"type": "message_delta", "delta": stop, "usage": {"output_tokens": body["usage"]["output_tokens"]}}
    yield {"type": "message_stop"}


def _opened(block: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a block without its content, and its content."""
    if block["type"] == "text":
        return {"type": "text", "text": ""}, {"type": "text_delta", "text": block["text"]}
    return {**block, "input": {}}, {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}


def _response_events(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield {"type": "response.created", "response": {**body, "status": "in_progress", "output": [], "usage": None}}
    for index, item in enumerate(body["output"]):
        at = {"item_id": item["id"], "output_index": index}
        is_call = item["type"] == "function_call"
        empty = {**item, "status": "in_progress", **({"arguments": ""} if is_call else {"content": []})}
        yield {"type": "response.output_item.added", "output_index": index, "item": empty}
        yield from _call_events(item, at) if is_call else _text_events(item, at)
        yield {"type": "response.output_item.done", "output_index": index, "item": item}
    yield {"type": f"response.{body['status']}", "response": body}


def _call_events(item: dict[str, Any], at: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield {"type": "response.function_call_arguments.delta", **at, "delta": item["arguments"]}
    yield {"type": "response.function_call_arguments.done", **at, "arguments": item["arguments"]}


def _text_events(item: dict[str, Any], at: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for number, part in enumerate(item["content"]):
        here = {**at, "content_index": number}
        yield {"type": "response.content_part.added", **here, "part": {**part, "text": ""}}
        yield {"type": "response.output_text.delta", **here, "delta": part["text"], "logprobs": []}
        yield {"type": "response.output_text.done", **here, "text": part["text"], "logprobs": []}
        yield {"type": "response.content_part.done", **here, "part": part}
