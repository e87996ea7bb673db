"""Answers become recordings, each under the digest of the request as a replay will make it.

What the gateway was sent had its own switches and its own route in it. A recording is about the question alone, so it
outlives another gateway, and is missing as soon as prompt, parameters or schema are others.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from evalkit.domain.outcome import Kind
from evalkit.pipeline.conversation import Conversation
from evalkit.wire.request import BodyOptions, opening_messages, request_body

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from evalkit.domain.call import Call, Plan
    from evalkit.domain.outcome import Outcome

__all__ = ["recorded_lines"]


def recorded_lines(plan: Plan, outcomes: Iterable[Outcome]) -> Iterator[dict[str, Any]]:
    """Yield one line of a recordings file for each answered turn of each outcome; missing outcomes give none.

    Args:
        plan: of the replay, which asks by the routes that a replay uses.
        outcomes: with their payloads, answers to calls of this plan.
    """
    calls: dict[str, dict[tuple[str, str, int], Call]] = {}
    for outcome in outcomes:
        model_id = outcome.model_id
        if model_id not in calls:
            planned = plan.calls_of(model_id)
            calls[model_id] = {(call.suite, call.case_id, call.trial): call for call in planned}
        if not outcome.is_missing:
            yield from _lines(calls[model_id][outcome.suite, outcome.case_id, outcome.trial], outcome)


def _lines(call: Call, outcome: Outcome) -> Iterator[dict[str, Any]]:
    messages, _ = opening_messages(call.script, parameters=call.parameters, adapt=call.adapt)
    talk = Conversation(call.script, messages)
    for number, turn in enumerate(outcome.turns):
        options = BodyOptions(tools=call.script.turns[talk.user_turn].tools)
        body = request_body(call.route, talk.messages, parameters=call.parameters, adapt=call.adapt, options=options)
        line = {
            "digest": hashlib.sha256(body).hexdigest(),
            "suite": outcome.suite,
            "case_id": outcome.case_id,
            "trial": outcome.trial,
            "model": outcome.model_id,
            "response": turn.response_body.decode("utf-8", "surrogatepass"),
        }
        yield line | {"turn": number} if number else line
        if turn.reading.kind is not Kind.OK or not talk.goes_on(turn.reading):
            return
