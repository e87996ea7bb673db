"""Where a conversation stands: what was said so far, and whether an answer leaves anything to be asked. Pure.

A turn that has results of tools is asked until it is answered in words: call, result, answer. What a model calls is its
own doing: a call nobody scripted, or none where one is needed, ends the conversation and is nobody else's fault.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evalkit.wire.request import continue_messages

if TYPE_CHECKING:
    from evalkit.domain.call import Script
    from evalkit.domain.outcome import Reading

__all__ = ["Conversation"]


class Conversation:
    """One call on its way through its turns."""

    __slots__ = ("_n_asked", "_script", "ended_by", "messages", "user_turn")

    def __init__(self, script: Script, messages: list[dict[str, Any]]) -> None:
        self._script = script
        self._n_asked = 0
        self.messages = messages
        """What is sent next."""
        self.user_turn = 0
        """The turn of the script that is being answered, from 0."""
        self.ended_by = ""
        """The flag of what ended it early (`domain.outcome.ENDED_EARLY`); empty when nothing did."""

    def goes_on(self, reading: Reading) -> bool:
        """Take an answer of kind `ok`; return whether there is something to ask after it."""
        turn = self._script.turns[self.user_turn]
        results = turn.tool_results or {}
        is_last = self.user_turn + 1 == len(self._script.turns)
        self._n_asked += 1
        if reading.tool_calls and (results or not is_last):
            return self._goes_on_after_calls(reading, results, most_requests=turn.most_requests)
        if results and self._n_asked == 1:
            self.ended_by = "missing_tool_call"
            return False
        if is_last:
            return False
        self.user_turn += 1
        self._n_asked = 0
        self.messages = continue_messages(self.messages, reading, then=self._script.turns[self.user_turn])
        return True

    def _goes_on_after_calls(self, reading: Reading, results: Any, *, most_requests: int) -> bool:
        if any(call.name not in results for call in reading.tool_calls):
            self.ended_by = "unexpected_tool_call"
        elif self._n_asked >= most_requests:
            self.ended_by = "endless_tool_calls"
        else:
            self.messages = continue_messages(self.messages, reading, results=results)
        return not self.ended_by
