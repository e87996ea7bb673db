"""Every must-simulate row of the quirk catalogue, on demand: ask for the model `scenario/<name>`.

Personas show quirks at their natural rates; a scenario shows one of them every time, whatever the prompt. `QUIRKS n.m`
names section n.m of docs/explanation/outcomes.md, here and in the whole package.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from evalkit.domain.outcome import Kind
from evalkit.simulator.answers import fault_answer
from evalkit.simulator.dialects import DIALECTS, CalledTool, Completion, completion_body, completion_stream
from evalkit.simulator.faults import FAULTS
from evalkit.simulator.order import Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["PREFIX", "SCENARIOS", "Scenario", "scenario_answer"]

PREFIX = "scenario/"

_IDENT = "5ca1ab1e5ca1ab1e5ca1ab1e"
_JSON_TEXT = '{"label": "billing"}'
_SERVICE_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One thing that happens on the wire."""

    name: str
    source: str
    kind: Kind
    """What a reader of the wire must call it."""
    make: Callable[[str, float], Answer] = field(repr=False)
    """From the served model's name and the factor on retry hints."""
    flags: tuple[str, ...] = ()
    """Observations a reader should add, where the catalogue names one."""


def scenario_answer(name: str, *, route: str, hint_scale: float) -> Answer | None:
    """Return the answer of a scenario; None when there is none of that name."""
    scenario = SCENARIOS.get(name)
    return None if scenario is None else scenario.make(route, hint_scale)


def _completion(dialect: str, *, streamed: bool = False, **said: Any) -> Callable[[str, float], Answer]:
    whole: dict[str, Any] = {"text": _JSON_TEXT, "ident": _IDENT, "prompt_tokens": 40, "completion_tokens": 8} | said

    def make(route: str, _hint_scale: float) -> Answer:
        completion = Completion(**({"served_model": route} | whole))
        if streamed:
            return _sse(completion_stream(DIALECTS[dialect], completion))
        return _json(completion_body(DIALECTS[dialect], completion), dialect=dialect)

    return make


def _json(body: bytes, *, dialect: str = "plain", status: int = 200) -> Answer:
    headers = {"content-type": "application/json", **dict(DIALECTS[dialect].headers)}
    return Answer(pieces=(body,), status=status, headers=headers, service_s=_SERVICE_S)


def _sse(pieces: tuple[bytes, ...]) -> Answer:
    return Answer(pieces=pieces, headers={"content-type": "text/event-stream"}, service_s=_SERVICE_S)


def _edited(dialect: str, edit: Callable[[dict[str, Any]], None], **said: Any) -> Callable[[str, float], Answer]:
    """Return a completion with its body changed by hand, for shapes no dialect has a switch for."""
    plain = _completion(dialect, **said)

    def make(route: str, hint_scale: float) -> Answer:
        body = json.loads(plain(route, hint_scale).pieces[0])
        edit(body)
        return _json(json.dumps(body).encode(), dialect=dialect)

    return make


def _restreamed(
    dialect: str, edit: Callable[[tuple[bytes, ...]], tuple[bytes, ...]], **said: Any
) -> Callable[[str, float], Answer]:
    """Return a stream with its pieces changed by hand."""
    plain = _completion(dialect, streamed=True, **said)

    def make(route: str, hint_scale: float) -> Answer:
        answer = plain(route, hint_scale)
        return replace(answer, pieces=edit(answer.pieces))

    return make


def _faults() -> Iterator[Scenario]:
    for spec in FAULTS.values():

        def make(route: str, hint_scale: float, name: str = spec.name) -> Answer:
            return fault_answer(FAULTS[name], route, service_s=_SERVICE_S, hint_scale=hint_scale)

        yield Scenario(name=spec.name, source=spec.source, kind=spec.kind, make=make)


def _texts() -> Iterator[Scenario]:
    fenced = f"```json\n{_JSON_TEXT}\n```"
    forms = {
        "bare_json": _JSON_TEXT,
        "fenced_json": fenced,
        "fence_with_space": f"``` json\n{_JSON_TEXT}\n```",
        "preamble_and_fence": f"Here is the result:\n\n{fenced}\n\nLet me know!",
        "unclosed_fence": f"```json\n{_JSON_TEXT}",
        "raw_newline": '{"label": "bill\ning"}',
        "bad_escape": '{"label": "\\(x\\)"}',
        "leaked_stop_tokens": f"{fenced}</s></s></s>",
        "leading_newlines": f"\n\n{_JSON_TEXT}",
        "trailing_newline": f"{_JSON_TEXT}\n",
        "plain_refusal": "I'm sorry, but I can't help with that.",
        "think_tags": f"<think>\nLooks like money.\n</think>\n\n{_JSON_TEXT}",
        "call_as_text_llama": '<|python_start|>{"name": "lookup", "parameters": {"city": "Oslo"}}',
        "call_as_text_qwen": '<tool_call>{"name": "lookup", "arguments": {"city": "Oslo"}}',
    }
    rows = {"plain_refusal": "QUIRKS 1.4", "think_tags": "QUIRKS 1.5", "call_as_text_llama": "QUIRKS 1.8",
            "call_as_text_qwen": "QUIRKS 1.8"}  # fmt: skip
    for name, text in forms.items():
        source = rows.get(name, "QUIRKS 1.3")
        yield Scenario(name=name, source=source, kind=Kind.OK, make=_completion("plain", text=text))


def _stops() -> Iterator[Scenario]:
    """Answers that are no answers: cut off, blank, refused or filtered."""

    def row(name: str, source: str, kind: Kind, **said: Any) -> Scenario:
        dialect = said.pop("dialect", "plain")
        return Scenario(name=name, source=f"QUIRKS {source}", kind=kind, make=_completion(dialect, **said))

    cut, blank, refused, blocked = Kind.TRUNCATED, Kind.EMPTY, Kind.REFUSAL, Kind.SAFETY_BLOCK
    yield row("truncated_json", "1.3", cut, text='{"label": "bil', finish="length")
    yield row("whitespace_loop", "1.2", cut, text='{"label":' + " \n" * 800, finish="length")
    yield row("unclosed_think", "1.5", cut, text="<think>\nFirst of all", finish="length")
    yield row("reasoning_budget", "1.6", cut, dialect="gemini", text=None, finish="length", reasoning_tokens=200)
    yield row("context_window_stop", "1.10", cut, text="Half an", finish="model_context_window_exceeded")
    yield row("blank_json_mode", "1.2", blank, dialect="deepseek", text=" " * 60)
    yield row("stop_without_content", "1.6", blank, text=None)
    yield row("answer_in_reasoning", "1.5", blank, dialect="deepseek", text="", reasoning=_JSON_TEXT)
    yield row("refusal_field", "1.4", refused, dialect="openai", text=None, refusal="I'm sorry, I can't do that.")
    yield row("filtered_answer", "1.4", blocked, dialect="azure", text="", finish="content_filter")
    yield row("litellm_refusal_or_block", "1.4", blocked, dialect="anthropic", text="", finish="content_filter")
    yield row("gemini_safety", "1.4", blocked, dialect="gemini", text=None, finish="SAFETY")
    yield row("gemini_recitation", "1.4", blocked, dialect="gemini", text=None, finish="RECITATION")
    yield row("router_native_safety", "1.4", blocked, dialect="router", text=None, native_finish="SAFETY")


def _shapes() -> Iterator[Scenario]:
    """Good answers in shapes that break a careless reader."""

    def row(name: str, source: str, make: Callable[[str, float], Answer], *flags: str) -> Scenario:
        return Scenario(name=name, source=f"QUIRKS {source}", kind=Kind.OK, make=make, flags=flags)

    call = CalledTool(name="lookup", arguments='{"city":"Oslo"}')
    no_arguments = CalledTool(name="now", arguments="")
    thinking: dict[str, Any] = {"reasoning": "Looks like money.", "reasoning_tokens": 6}
    yield row("response_format_ignored", "1.2", _completion("anthropic", text=f"Sure:\n```json\n{_JSON_TEXT}\n```"))
    yield row("reasoning_content", "1.5", _completion("deepseek", **thinking))
    yield row("reasoning_field", "1.5", _completion("router", **thinking))
    yield row("content_blocks", "1.5", _completion("mistral", **thinking))
    yield row("usage_total_not_sum", "1.7", _completion("gemini", reasoning_tokens=62), "usage_inconsistent")
    yield row("usage_missing", "1.7", _edited("plain", lambda body: body.pop("usage")))
    yield row("finish_empty_with_calls", "1.6", _completion("plain", text="", tools=(call,), finish=""))
    yield row("finish_stop_with_calls", "1.8", _completion("plain", text=None, tools=(call,)))
    yield row(
        "call_without_arguments", "1.8", _completion("plain", text=None, tools=(no_arguments,), finish="tool_calls")
    )
    yield row("call_without_id", "1.8", _completion("gemini", text=None, tools=(call,), finish="tool_calls"))
    yield row("call_without_type", "1.8", _completion("mistral", text=None, tools=(call,), finish="tool_calls"))
    yield row("retry_after_on_success", "1.11", _completion("anthropic"))
    yield row("blank_lines_before_json", "1.12", _completion("deepseek"))
    yield row("unverifiable_model", "1.13", _completion("plain", served_model=""))


def _swaps() -> Iterator[Scenario]:
    def row(name: str, served: str, **said: Any) -> Scenario:
        make = _completion(said.pop("dialect", "plain"), served_model=served, **said)
        return Scenario(name=name, source="QUIRKS 1.13", kind=Kind.SUBSTITUTED_MODEL, make=make)

    yield row("drifted_alias", "deepseek-v4-flash", dialect="deepseek")
    yield row("other_family", "x-lab/grok-4", dialect="router")
    yield row("smaller_sibling", "gpt-4o-mini-2026-08-06", dialect="openai")


def _malformed_call() -> Iterator[Scenario]:
    def laundered(body: dict[str, Any]) -> None:
        body["choices"][0]["native_finish_reason"] = "MALFORMED_FUNCTION_CALL"

    make = _completion("gemini", text=None, finish="MALFORMED_FUNCTION_CALL")
    row = "QUIRKS 1.8"
    yield Scenario(name="gemini_malformed_call", source=row, kind=Kind.TOOL_CALL_MALFORMED, make=make)
    yield Scenario(name="laundered_malformed_call", source=row, kind=Kind.TOOL_CALL_MALFORMED,
                   make=_edited("router", laundered, text=None))  # fmt: skip


def _error_chunk(body: dict[str, Any], *, event: bytes = b"") -> bytes:
    return event + b"data: " + json.dumps(body).encode() + b"\n\n"


def _streams() -> Iterator[Scenario]:
    """Event streams that end well."""

    def row(name: str, source: str, make: Callable[[str, float], Answer]) -> Scenario:
        return Scenario(name=name, source=f"QUIRKS {source}", kind=Kind.OK, make=make)

    call = CalledTool(name="lookup", arguments='{"city":"Oslo"}')
    calling: dict[str, Any] = {"text": None, "tools": (call,), "finish": "tool_calls", "streamed": True}
    yield row("stream_plain", "1.12", _completion("openai", streamed=True))
    yield row("stream_comments", "1.12", _completion("router", streamed=True))
    yield row("stream_keep_alive", "1.12", _completion("deepseek", streamed=True, reasoning="Looks like money."))
    yield row("stream_blocks", "1.5", _completion("mistral", streamed=True, reasoning="Looks like money."))
    yield row("stream_usage_everywhere", "1.7", _completion("perplexity", streamed=True))
    yield row("stream_empty_first_chunk", "1.12", _completion("azure", streamed=True))
    yield row("stream_without_done", "1.12", _completion("llama", streamed=True))
    yield row("stream_call_in_parts", "1.8", _completion("openai", **calling))
    yield row("stream_call_from_one", "1.8", _completion("anthropic", **calling))
    yield row("stream_call_without_index", "1.8", _completion("mistral", **calling))
    odd = (b"data:\n\n", b"data: : keepalive\n\n", b": comment\n\n")
    yield row("stream_odd_data", "1.12", _restreamed("plain", lambda pieces: (pieces[0], *odd, *pieces[1:])))
    yield row("stream_doubled_start", "1.12", _restreamed("plain", lambda pieces: (pieces[0], *pieces)))
    yield row("stream_interleaved", "1.8", _restreamed("plain", _second_choice, **_without(calling, "streamed")))


def _without(mapping: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in mapping.items() if name != key}


def _second_choice(pieces: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """Send every chunk twice, once for each of two choices, as `n: 2` does."""
    twin = [piece.replace(b'"choices":[{"index":0', b'"choices":[{"index":1') for piece in pieces]
    pairs = zip(pieces, twin, strict=True)
    return tuple(part for one, other in pairs for part in ((one,) if one == other else (one, other)))


def _broken_streams() -> Iterator[Scenario]:
    limit = {
        "error": {"code": 400, "message": "Token limit reached"},
        "choices": [{"index": 0, "delta": {"content": ""}}],
    }
    groq = {"error": {"message": "Failed to call a function.", "type": "invalid_request_error",
                      "code": "tool_use_failed", "failed_generation": "<function=lookup>"}}  # fmt: skip
    overloaded = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    line = b'error: {"detail":"failed to decode the batch"}\n\n'
    done = b"data: [DONE]\n\n"

    def row(name: str, kind: Kind, *ending: bytes) -> Scenario:
        make = _restreamed("plain", lambda pieces: (*pieces[:2], *ending))
        return Scenario(name=name, source="QUIRKS 1.12", kind=kind, make=make)

    yield row("stream_error_then_done", Kind.STREAM_ERROR, _error_chunk(limit), done)
    yield row("stream_error_line", Kind.STREAM_ERROR, line)
    yield row("stream_error_event", Kind.STREAM_ERROR, _error_chunk(overloaded, event=b"event: error\n"))
    # A model failure, yet only the start of it was sent: section 1.12 calls every error inside a stream a stream_error.
    yield row("stream_tool_use_failed", Kind.STREAM_ERROR, _error_chunk(groq, event=b"event: error\n"))
    yield row("stream_without_end", Kind.STREAM_CUT)


def _transport() -> Iterator[Scenario]:
    """What only a connection can show; the kind is what a client must make of it."""

    def row(name: str, kind: Kind, make: Callable[[str, float], Answer], **changes: Any) -> Scenario:
        def changed(route: str, hint_scale: float) -> Answer:
            return replace(make(route, hint_scale), **changes)

        return Scenario(name=name, source="QUIRKS 2, transport", kind=kind, make=changed)

    yield row("reset", Kind.CONNECTION, _completion("plain"), ending="reset")
    yield row("half_body", Kind.CONNECTION, _completion("plain"), ending="cut")
    yield row("half_stream", Kind.STREAM_CUT, _completion("plain", streamed=True), ending="cut")
    yield row("stall", Kind.TIMEOUT, _completion("plain"), ending="stall")


def _by_name() -> dict[str, Scenario]:
    groups = (_faults, _texts, _stops, _shapes, _swaps, _malformed_call, _streams, _broken_streams, _transport)
    return {scenario.name: scenario for group in groups for scenario in group()}


SCENARIOS: dict[str, Scenario] = _by_name()
"""By name."""
