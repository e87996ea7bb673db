"""What a completion is worth on the wire alone: the precedence, once the body has been put together."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from evalkit.domain.outcome import IdentityClass, Kind
from evalkit.wire.finish import Ending, ending_of
from evalkit.wire.json_text import load_json
from evalkit.wire.message import as_dict, as_text
from evalkit.wire.text import answer_text, has_open_reasoning, is_blank

if TYPE_CHECKING:
    from evalkit.domain.outcome import Identity, ToolCall, Usage
    from evalkit.wire.asked import Asked
    from evalkit.wire.completion import Completion

__all__ = ["Answer", "Judgement", "judge_completion", "text_flags"]

_TELLING_ERRORS = frozenset({
    Kind.SAFETY_BLOCK, Kind.CONTEXT_OVERFLOW, Kind.QUOTA_EXHAUSTED, Kind.AUTH_ERROR, Kind.MODEL_UNAVAILABLE,
    Kind.RATE_LIMITED, Kind.PROVIDER_OVERLOADED, Kind.REQUEST_REJECTED,
})  # fmt: skip
"""Errors that keep their own kind inside a stream as long as nothing was streamed before them."""
_SPACE_RUN = 200
_MIN_PROBED = 400
_MAX_SPACE_SHARE = 0.5


class Answer(NamedTuple):
    """What the model sent, dialects removed; the fields are those of a answer."""

    text: str | None
    reasoning: str | None
    refusal: str | None
    tool_calls: tuple[ToolCall, ...]
    finish_reason: str | None
    usage: Usage
    identity: Identity


class Judgement(NamedTuple):
    """The kind, a sentence on why, and further flags."""

    kind: Kind
    detail: str
    flags: set[str]


def judge_completion(answer: Answer, completion: Completion, *, error_kind: Kind | None, asked: Asked) -> Judgement:
    """Return what a completion is; `error_kind` is that of an error found inside the body."""
    ending = ending_of(answer.finish_reason, completion.native_finish)
    flags = text_flags(answer.text) | _shape_flags(answer, completion, ending)
    if error_kind is not None:
        more = {"prompt_block"} if error_kind is Kind.SAFETY_BLOCK else set[str]()
        return Judgement(_error_kind(answer, completion, error_kind), "", flags | more)
    if completion.is_torn or not completion.has_ended:
        return _broken_off(completion, flags)
    if not completion.has_choice:
        return _without_choice(completion, flags)
    if ending is Ending.FAILED or ending is Ending.OVERLOADED:
        return Judgement(_failed_kind(completion, ending), f"finish reason {answer.finish_reason}", flags)
    if answer.identity.identity_class is IdentityClass.SUBSTITUTED:
        return Judgement(
            Kind.SUBSTITUTED_MODEL, f"asked for {asked.route}, answered by {answer.identity.served_model}"[:500], flags
        )
    return _answered(answer, completion, ending, flags=flags, asked=asked)


def text_flags(text: str | None) -> set[str]:
    """Return what can be seen in the answer as sent."""
    if text is None:
        return set()
    found = {
        "content_empty": not text,
        "ws_lead": text[:1].isspace(),
        "ws_trail": text[-1:].isspace(),
        "special_tokens": "<|im_" in text or "</s>" in text,
        "reasoning_in_content": "<think>" in text,
    }
    return {name for name, is_true in found.items() if is_true}


def _shape_flags(answer: Answer, completion: Completion, ending: Ending) -> set[str]:
    if not completion.has_choice:
        return set()
    finish = answer.finish_reason
    has_calls = bool(answer.tool_calls)
    found = {
        "content_null": answer.text is None,
        "finish_empty": finish == "",
        "finish_missing": finish is None and completion.error is None,
        "finish_eos": finish == "eos",
        "finish_unknown": ending is Ending.UNKNOWN,
        "tool_finish_mismatch": has_calls and finish not in {"tool_calls", "function_call"},
        "prose_with_tool_calls": has_calls and not is_blank(answer.text),
    }
    return {name for name, is_true in found.items() if is_true}


def _error_kind(answer: Answer, completion: Completion, error_kind: Kind) -> Kind:
    if not completion.is_stream:
        return error_kind
    has_begun = bool(answer.text or answer.reasoning or answer.tool_calls)
    return error_kind if error_kind in _TELLING_ERRORS and not has_begun else Kind.STREAM_ERROR


def _failed_kind(completion: Completion, ending: Ending) -> Kind:
    if completion.is_stream:
        return Kind.STREAM_ERROR
    return Kind.PROVIDER_OVERLOADED if ending is Ending.OVERLOADED else Kind.PROVIDER_ERROR


def _broken_off(completion: Completion, flags: set[str]) -> Judgement:
    if completion.is_torn:
        return Judgement(Kind.STREAM_ERROR, "a piece of the stream could not be read", flags)
    return Judgement(Kind.STREAM_CUT, "the stream ended without a finish reason", flags)


def _without_choice(completion: Completion, flags: set[str]) -> Judgement:
    """Judge a success without any choice: some servers tell of a blocked prompt that way."""
    feedback = as_dict(completion.top.get("promptFeedback")) or as_dict(completion.top.get("prompt_feedback"))
    reason = as_text(feedback.get("blockReason")) or as_text(feedback.get("block_reason"))
    if reason:
        return Judgement(Kind.SAFETY_BLOCK, f"prompt blocked: {reason[:100]}", flags | {"prompt_block"})
    if completion.top.get("stop_reason") == "refusal":
        return Judgement(Kind.REFUSAL, "", flags)
    return Judgement(Kind.PROVIDER_ERROR, "the answer has no choices", flags)


def _answered(answer: Answer, completion: Completion, ending: Ending, *, flags: set[str], asked: Asked) -> Judgement:
    if answer.refusal or ending is Ending.REFUSAL:
        return Judgement(Kind.REFUSAL, "", flags)
    if ending is Ending.BLOCK:
        return Judgement(Kind.SAFETY_BLOCK, "", flags | _block_flags(answer, completion))
    if ending is Ending.MALFORMED:
        return Judgement(
            Kind.TOOL_CALL_MALFORMED, f"finish reason {completion.native_finish or answer.finish_reason}", flags
        )
    has_calls = any(call.name or call.arguments for call in answer.tool_calls)
    is_open = has_open_reasoning(answer.text or "") and not has_calls
    if is_open or ending is Ending.LENGTH or ending is Ending.PAUSED:
        return Judgement(Kind.TRUNCATED, "", flags | _truncation_flags(answer, ending, is_open=is_open))
    if not has_calls and asked.wants_tool_call:
        flags = flags | {"tool_call_missing"}
    if not has_calls and is_blank(answer_text(answer.text or "")):
        return Judgement(Kind.EMPTY, "", flags | _empty_flags(answer))
    return Judgement(Kind.OK, "", flags)


def _block_flags(answer: Answer, completion: Completion) -> set[str]:
    reasons = f"{answer.finish_reason} {completion.native_finish}".lower()
    flags = {"response_block"}
    if "recitation" in reasons:
        flags.add("safety_block:recitation")
    if "guardrail" in reasons and not is_blank(answer.text):
        # Bedrock's guardrails rewrite an answer rather than withhold it.
        flags.add("safety_block:masked")
    return flags


def _truncation_flags(answer: Answer, ending: Ending, *, is_open: bool) -> set[str]:
    has_reasoned = bool(answer.usage.reasoning_tokens or answer.reasoning)
    found = {
        "in_think": is_open,
        "paused": ending is Ending.PAUSED,
        "reasoning_budget": has_reasoned and not is_open and is_blank(answer_text(answer.text or "")),
        "degenerate_whitespace": _is_whitespace_loop(answer.text or ""),
    }
    return {name for name, is_true in found.items() if is_true}


def _is_whitespace_loop(text: str) -> bool:
    """Say whether a grammar kept the model writing white space: a long run at the end, or most of a long text."""
    if len(text) - len(text.rstrip()) >= _SPACE_RUN:
        return True
    return len(text) >= _MIN_PROBED and sum(map(str.isspace, text)) > _MAX_SPACE_SHARE * len(text)


def _empty_flags(answer: Answer) -> set[str]:
    flags = set()
    if answer.text and not answer.text.strip(" "):
        # DeepSeek's JSON mode replaces text that is no JSON by spaces.
        flags.add("blank_json_mode")
    if _is_json(answer.reasoning or ""):
        flags.add("answer_in_reasoning")
    return flags


def _is_json(text: str) -> bool:
    if not text.lstrip().startswith(("{", "[")):
        return False
    try:
        load_json(text)
    except ValueError:
        return False
    return True
