"""What is sent: messages and body of a chat completion, bent for the model as the roster says, and nothing else.

The last user message stays the case's prompt, byte for byte: recorded answers are found again by it. What the mode
needs said in words goes into the system text.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from evalkit.wire.text import answer_text, storable_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from evalkit.domain.call import Parameters, Script, ScriptTurn
    from evalkit.domain.outcome import Reading, ToolCall
    from evalkit.domain.roster import Adapt
    from evalkit.domain.suite import ToolSpec

__all__ = ["BodyOptions", "continue_messages", "opening_messages", "request_body"]

_MODES_TOLD_IN_WORDS = frozenset({"json_object", "prompted"})
_PARAGRAPH = "\n\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyOptions:
    """The parts of a body most calls do without."""

    tools: Sequence[ToolSpec] = ()
    extra_body: Mapping[str, Any] = field(default_factory=dict)
    """The gateway's clean-room switches; the model's own extras are laid over them, objects key by key."""
    stream: bool = False


def opening_messages(
    script: Script, *, parameters: Parameters, adapt: Adapt
) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """Return the messages of the system text and the first turn, and flags for what had to be bent."""
    system = [script.system] if script.system else []
    turn = [(message.role, message.content) for message in script.turns[0].messages]
    # Several backends take one leading system message and no more.
    while turn and turn[0][0] == "system":
        system.append(turn.pop(0)[1])
    if parameters.mode in _MODES_TOLD_IN_WORDS:
        system.append(_told_in_words(parameters.schema))
    if adapt.system_role == "user":
        return _demoted(_PARAGRAPH.join(system), turn)
    messages = [(adapt.system_role, _PARAGRAPH.join(system))] if system else []
    rest = [(adapt.system_role if role == "system" else role, content) for role, content in turn]
    return [{"role": role, "content": content} for role, content in messages + rest], ()


def request_body(
    route: str,
    messages: Sequence[Mapping[str, Any]],
    *,
    parameters: Parameters,
    adapt: Adapt,
    options: BodyOptions | None = None,
) -> bytes:
    """Return the body as it goes on the wire. `n` is never sent: repeating the call is the only portable way."""
    options = options or BodyOptions()
    body: dict[str, Any] = {"model": route, "messages": list(messages)}
    if parameters.temperature is not None:
        body["temperature"] = parameters.temperature
    body[adapt.max_tokens_field] = parameters.max_output_tokens
    response_format = _response_format(parameters)
    if response_format is not None:
        body["response_format"] = response_format
    if options.tools:
        body["tools"] = [_tool(tool) for tool in options.tools]
    if options.stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    body |= _merged(options.extra_body, adapt.extra_body)
    body.pop("n", None)
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return storable_text(text).encode()


def continue_messages(
    messages: Sequence[Mapping[str, Any]],
    reading: Reading,
    *,
    results: Mapping[str, Any] | None = None,
    then: ScriptTurn | None = None,
) -> list[dict[str, Any]]:
    """Return the conversation with the answer, results for its tool calls, and the next turn.

    Args:
        messages: what was sent.
        reading: the answer to it; reasoning is not sent back.
        results: tool name to what its calls are answered with.
        then: what comes next; None when the tools were the model's turn, and it has to answer now.
    """
    named = list(_with_ids(reading.tool_calls))
    assistant: dict[str, Any] = {"role": "assistant", "content": _sent_back(reading)}
    if named:
        assistant["tool_calls"] = [_call_sent_back(call_id, call) for call_id, call in named]
    return [
        *(dict(message) for message in messages),
        assistant,
        *(
            {"role": "tool", "tool_call_id": call_id, "content": _result(call, results or {})}
            for call_id, call in named
        ),
        *({"role": message.role, "content": message.content} for message in (then.messages if then else ())),
    ]


def _merged(switches: Mapping[str, Any], extras: Mapping[str, Any]) -> dict[str, Any]:
    """Return switches and extras in one: a preference of the model's own does not take the others away."""
    merged = dict(switches)
    for name, value in extras.items():
        ours = merged.get(name)
        merged[name] = {**ours, **value} if isinstance(ours, dict) and isinstance(value, dict) else value
    return merged


def _told_in_words(schema: Mapping[str, Any] | None) -> str:
    """Return the instruction; it has the word JSON in it, without which several providers refuse their JSON mode."""
    if schema is None:
        return "Answer with one JSON object and nothing else."
    shape = json.dumps(schema, ensure_ascii=False, separators=(",", ":"))
    return f"Answer with one JSON object and nothing else. It must match this JSON Schema:\n{shape}"


def _demoted(system: str, turn: list[tuple[str, str]]) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """Put the system text in front of the first user message, for models that take no system role."""
    messages = [{"role": "user" if role == "system" else role, "content": content} for role, content in turn]
    is_demoted = bool(system) or any(role == "system" for role, _ in turn)
    if system:
        first = next((message for message in messages if message["role"] == "user"), None)
        if first is None:
            messages.insert(0, {"role": "user", "content": system})
        else:
            first["content"] = f"{system}{_PARAGRAPH}{first['content']}"
    return [dict(message) for message in messages], ("system_prompt_demoted",) if is_demoted else ()


def _response_format(parameters: Parameters) -> dict[str, Any] | None:
    if parameters.mode == "json_object":
        return {"type": "json_object"}
    if parameters.mode == "json_schema" and parameters.schema is not None:
        shape = {"name": parameters.schema_name, "strict": True, "schema": parameters.schema}
        return {"type": "json_schema", "json_schema": shape}
    return None


def _tool(tool: ToolSpec) -> dict[str, Any]:
    """Return a tool that is not strict: what a model does with optional arguments is what is being measured."""
    function: dict[str, Any] = {"name": tool.name, "parameters": tool.parameters, "strict": False}
    if tool.description:
        function["description"] = tool.description
    return {"type": "function", "function": function}


def _with_ids(calls: tuple[ToolCall, ...]) -> Iterator[tuple[str, ToolCall]]:
    """Give every call an id of its own: some servers send none, or one for all."""
    seen: set[str] = set()
    for position, call in enumerate(calls, start=1):
        call_id = call.call_id if call.call_id and call.call_id not in seen else f"call_{position}"
        seen.add(call_id)
        yield call_id, call


def _sent_back(reading: Reading) -> str | None:
    text = answer_text(reading.text or "")
    return text if text or not reading.tool_calls else None


def _call_sent_back(call_id: str, call: ToolCall) -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": call.name, "arguments": call.arguments or "{}"}}


def _result(call: ToolCall, results: Mapping[str, Any]) -> str:
    """Return the scripted result; a call nobody foresaw is answered with an error, as an application would."""
    if call.name not in results:
        return json.dumps({"error": f"no tool named {call.name!r} is available"}, ensure_ascii=False)
    value = results[call.name]
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
