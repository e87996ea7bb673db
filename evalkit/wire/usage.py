"""Tokens and cost as reported. Missing is unknown, never zero; a stream's last report counts, never the sum."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from evalkit.domain.outcome import Usage
from evalkit.wire.message import as_dict

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["cost_from_report", "usage_flags", "usage_from_report", "usage_of_body"]

_MAX_TOKENS = 2**53
_MAX_USD = 1e9


def usage_of_body(body: Mapping[str, Any]) -> tuple[dict[str, Any] | None, bool]:
    """Return the usage object of a completion or chunk, and whether it came inside `x_groq`."""
    usage = as_dict(body.get("usage"))
    if usage:
        return usage, False
    groq = as_dict(as_dict(body.get("x_groq")).get("usage"))
    if groq:
        return groq, True
    # Moonshot's streams report inside the last choice.
    choices = body.get("choices")
    inner = as_dict(as_dict(choices[0]).get("usage")) if isinstance(choices, list) and choices else None
    return inner or None, False


def usage_from_report(report: Mapping[str, Any] | None) -> Usage:
    """Return the tokens a usage object names."""
    if report is None:
        return Usage()
    completion = as_dict(report.get("completion_tokens_details")) or as_dict(report.get("output_tokens_details"))
    prompt = as_dict(report.get("prompt_tokens_details")) or as_dict(report.get("input_tokens_details"))
    return Usage(
        prompt_tokens=_first(report.get("prompt_tokens"), report.get("input_tokens")),
        completion_tokens=_first(report.get("completion_tokens"), report.get("output_tokens")),
        total_tokens=_first(report.get("total_tokens")),
        reasoning_tokens=_first(completion.get("reasoning_tokens"), report.get("reasoning_tokens")),
        cached_tokens=_first(
            prompt.get("cached_tokens"),
            report.get("cached_tokens"),
            report.get("num_cached_tokens"),
            report.get("prompt_cache_hit_tokens"),
            report.get("cache_read_input_tokens"),
        ),
    )


def usage_flags(usage: Usage) -> set[str]:
    """Return what does not add up."""
    flags = set()
    parts = (usage.prompt_tokens, usage.completion_tokens)
    if usage.total_tokens is not None and None not in parts and usage.total_tokens != sum(filter(None, parts)):
        flags.add("usage_inconsistent")
    if usage.completion_tokens is not None and (usage.reasoning_tokens or 0) > usage.completion_tokens:
        flags.add("usage_reasoning_exceeds")
    return flags


def cost_from_report(
    report: Mapping[str, Any] | None, headers: Mapping[str, str], *, header: str | None
) -> float | None:
    """Return what the gateway says the call cost in USD, from its header or the usage object; None is unknown."""
    told = _usd(headers.get(header.lower())) if header else None
    if told is not None or report is None:
        return told
    stated = report.get("cost")
    cost = _usd(stated["total_cost"] if isinstance(stated, dict) and "total_cost" in stated else stated)
    if cost is None:
        return None
    if report.get("is_byok") is True:
        # With a key of one's own `cost` is the gateway's fee alone; the provider bills the rest.
        upstream = _usd(as_dict(report.get("cost_details")).get("upstream_inference_cost"))
        return None if upstream is None else cost + upstream
    return cost


def _first(*values: Any) -> int | None:
    for value in values:
        tokens = _tokens(value)
        if tokens is not None:
            return tokens
    return None


def _tokens(value: Any) -> int | None:
    """Return a count of tokens; some servers write them as 12.0."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if not 0 <= value <= _MAX_TOKENS or value != int(value):
        return None
    return int(value)


def _usd(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        usd = float(value)
    except (ValueError, OverflowError):
        return None
    return usd if math.isfinite(usd) and 0 <= usd <= _MAX_USD else None
