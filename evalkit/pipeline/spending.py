"""What a call can cost at most, and the budget of a run: money is reserved before it is spent."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evalkit.domain.call import Call, ScriptTurn
    from evalkit.domain.outcome import Outcome, Usage
    from evalkit.domain.roster import Price

__all__ = ["FIRST_ERROR_STATUS", "Budget", "billed_usd", "listed_usd", "most_usd", "settled_usd"]

_PER_MESSAGE_TOKENS = 16
"""What a chat template puts around a message."""
_PER_REQUEST_TOKENS = 128
"""What a template, or our own sentence about the format, puts around the whole."""
_PER_TOOLS_TOKENS = 512
"""What providers tell a model about tools before the tools themselves."""
FIRST_ERROR_STATUS = 400
"""Nobody bills an answer from this status on."""


def most_usd(call: Call, price: Price) -> float:
    """Return the most one attempt at each turn of a call can cost, by list price.

    No tokeniser makes more tokens than there are bytes, so text counts by its bytes: three or four times too much
    for English, right for scripts that tokenise badly. Only what is left at the end of a budget notices.
    """
    parameters = call.parameters
    schema_tokens = 0 if parameters.schema is None else _n_bytes(json.dumps(parameters.schema, ensure_ascii=False))
    carried = _PER_REQUEST_TOKENS + schema_tokens + _n_bytes(call.script.system or "")
    prompt_tokens = 0
    for turn in call.script.turns:
        carried += _turn_tokens(turn)
        results = _result_tokens(turn)
        for _ in range(turn.most_requests):
            prompt_tokens += carried
            carried += parameters.max_output_tokens + results  # the answer goes back, with what its calls gave
    output_tokens = call.script.most_requests * parameters.max_output_tokens
    return (prompt_tokens * price.input_usd_per_mtok + output_tokens * price.output_usd_per_mtok) / 1e6


def _turn_tokens(turn: ScriptTurn) -> int:
    tokens = sum(_PER_MESSAGE_TOKENS + _n_bytes(message.content) for message in turn.messages)
    if turn.tools:
        tokens += _PER_TOOLS_TOKENS + sum(_n_bytes(tool.model_dump_json()) for tool in turn.tools)
    return tokens


def _result_tokens(turn: ScriptTurn) -> int:
    """Return what the results of all tools of a turn take, once each."""
    results = turn.tool_results or {}
    return sum(_PER_MESSAGE_TOKENS + _n_bytes(json.dumps(value, ensure_ascii=False)) for value in results.values())


def _n_bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def billed_usd(outcome: Outcome) -> float | None:
    """Return what the answer of an outcome takes out of the budget; None when nobody knows.

    Nobody bills an error status, so a call that met nothing else is free although its cost was never reported.
    """
    if outcome.cost.usd is not None:
        return outcome.cost.usd
    is_refused = all(a.status is not None and a.status >= FIRST_ERROR_STATUS for a in outcome.attempts)
    return sum(attempt.cost_usd or 0.0 for attempt in outcome.attempts) if is_refused else None


def settled_usd(outcome: Outcome, *, most_usd: float) -> float:
    """Return what a call takes out of the budget, its request to the baseline gateway included.

    Args:
        outcome: what came back.
        most_usd: reserved for one request: what one of unknown cost counts as.
    """
    parts = (billed_usd(outcome), outcome.cost.direct_usd)
    return sum(most_usd if usd is None else usd for usd in parts)


def listed_usd(usage: Usage, price: Price | None) -> float | None:
    """Return list price times tokens; None when either is unknown."""
    if price is None or usage.prompt_tokens is None or usage.completion_tokens is None:
        return None
    output = usage.completion_tokens
    if usage.total_tokens is not None:
        # Some providers leave reasoning out of the completion but bill it: the total knows.
        output = max(output, usage.total_tokens - usage.prompt_tokens)
    return (usage.prompt_tokens * price.input_usd_per_mtok + output * price.output_usd_per_mtok) / 1e6


@dataclass(slots=True)
class Budget:
    """USD of a run: reserved before a call is sent, settled when it came back."""

    limit_usd: float | None
    """None is no limit."""
    spent_usd: float = 0.0
    """What is known, plus all that was reserved for calls of unknown cost."""
    reserved_usd: float = 0.0
    is_exhausted: bool = False
    """Whether a call did not fit with nothing in flight: no other is tried after it."""
    _n_reserved: int = 0
    _settled: asyncio.Event = field(default_factory=asyncio.Event)

    async def reserve(self, usd: float) -> bool:
        """Reserve the most a call can cost; wait for calls in flight when it does not fit yet.

        Returns:
            False when it cannot fit any more: the run has to stop.
        """
        while not self.is_exhausted:
            if self.limit_usd is None or self.spent_usd + self.reserved_usd + usd <= self.limit_usd:
                self.reserved_usd += usd
                self._n_reserved += 1
                return True
            if self._n_reserved == 0:
                self.is_exhausted = True
                self._settled.set()
                break
            self._settled.clear()
            await self._settled.wait()
        return False

    def settle(self, *, reserved_usd: float, actual_usd: float | None) -> None:
        """Book what a call really cost; an unknown cost counts as all that was reserved for it."""
        self._n_reserved -= 1
        # Counted, not summed: what floating point leaves of a sum that is zero would be waited for for ever.
        self.reserved_usd = max(0.0, self.reserved_usd - reserved_usd) if self._n_reserved else 0.0
        self.spent_usd += reserved_usd if actual_usd is None else actual_usd
        self._settled.set()
