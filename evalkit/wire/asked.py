"""What was asked, as far as reading the answer needs to know it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Asked"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The question's side of an exchange."""

    route: str
    """The model name that was sent."""
    served_as: tuple[str, ...] = ()
    """Further names an honest answer may carry."""
    upstream_names: tuple[str, ...] = ()
    """What the provider itself calls the model, where the roster says so: honest too, and what contradicts them is not,
    however much it is like the route."""
    model_field: Literal["upstream", "echo"] = "upstream"
    """Whether the gateway passes on the upstream's own model name or repeats what it was asked for."""
    trusts_record: bool = True
    """Whether this kind of gateway writes records of the model it took; from another they only speak against one."""
    cost_header: str | None = None
    """Response header with the cost in USD."""
    context_tokens: int | None = None
    """Declared window of the model."""
    prompt_tokens_estimate: int | None = None
    wants_tool_call: bool = False
    """Whether an answer without a call is worth a flag."""
