"""How an answer ended: every spelling of a finish reason, and the native one behind it where a gateway keeps it.

Gateways launder failures into `stop` (LiteLLM maps errors, malformed calls and unknown values to it), so the native
reason is heard wherever it says something worse.
"""

from __future__ import annotations

from enum import Enum

__all__ = ["Ending", "ending_of"]


class Ending(Enum):
    """What a finish reason means."""

    STOP = "stop"
    TOOLS = "tools"
    LENGTH = "length"
    PAUSED = "paused"
    """The server expects to be asked to go on."""
    BLOCK = "block"
    REFUSAL = "refusal"
    MALFORMED = "malformed"
    """The model's tool call could not be read by its own server."""
    FAILED = "failed"
    OVERLOADED = "overloaded"
    UNKNOWN = "unknown"
    NONE = "none"


def _spellings(ending: Ending, names: str) -> dict[str, Ending]:
    return dict.fromkeys(names.split(), ending)


_ENDINGS = {
    **_spellings(
        Ending.STOP, "stop end_turn stop_sequence eos eos_token end complete completed finished 1 finish_reason_stop"
    ),
    **_spellings(Ending.TOOLS, "tool_calls tool_call function_call tool_use tool"),
    **_spellings(
        Ending.LENGTH,
        "length max_tokens max_output_tokens model_length model_context_window_exceeded context_length max_length 2 "
        "token_limit incomplete max_completion_tokens",
    ),
    **_spellings(Ending.PAUSED, "pause_turn compaction"),
    **_spellings(
        Ending.BLOCK,
        "content_filter content_filtered safety recitation blocklist prohibited_content spii language model_armor "
        "image_safety image_prohibited_content image_recitation image_other guardrail_intervened error_toxic sensitive "
        "moderation blocked 3 4",
    ),
    **_spellings(Ending.REFUSAL, "refusal refused"),
    **_spellings(
        Ending.MALFORMED,
        "malformed_function_call malformed_response unexpected_tool_call too_many_tool_calls malformed_tool_call "
        "malformed_tool_use malformed_model_output function_call_filter",
    ),
    **_spellings(Ending.FAILED, "error network_error abort aborted cancelled failed error_limit"),
    **_spellings(Ending.OVERLOADED, "insufficient_system_resource"),
}
_HARMLESS = frozenset({Ending.STOP, Ending.TOOLS, Ending.UNKNOWN, Ending.NONE})
_EXACT = frozenset({Ending.BLOCK, Ending.REFUSAL, Ending.MALFORMED})
_VAGUE = frozenset({Ending.FAILED, Ending.BLOCK})
"""What gateways turn several native reasons into: there the exact native one tells more."""


def ending_of(finish_reason: str | None, native: str | None = None) -> Ending:
    """Return how the answer ended; the native reason counts where it is worse, or more exact."""
    ending = _ending(finish_reason)
    if not native:
        return ending
    behind = _ending(native)
    if ending in _HARMLESS and behind not in _HARMLESS:
        return behind
    return behind if ending in _VAGUE and behind in _EXACT else ending


def _ending(reason: str | None) -> Ending:
    if not reason:
        return Ending.NONE
    # Gemini's compatible endpoint writes the native reason behind a colon: `content_filter: RECITATION`.
    spelling = reason[:60].partition(":")[0].strip().lower().replace("-", "_").rsplit(".", 1)[-1]
    if spelling.startswith("content_filter"):
        return Ending.BLOCK
    return _ENDINGS.get(spelling, Ending.UNKNOWN)
