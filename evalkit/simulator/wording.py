"""The text around and inside an answer: fences, prose before and after, line breaks in strings, thinking aloud.

Nothing here changes what is meant. A tolerant reader gets the same value from every form; a strict one does not.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evalkit.simulator.dice import Dice
    from evalkit.simulator.persona import Habits

__all__ = ["dressed", "thought", "with_thinking"]

_BEFORE = (
    "Here is the result:",
    "Sure! I looked at what you sent and this is what I found.",
    "Based on the text above, the answer is as follows:",
    "Certainly. Below you will find the JSON you asked for.",
)
_AFTER = (
    "Let me know if you need anything else.",
    "Note that I kept to what the text says.",
    "I hope this helps!",
)
_THOUGHTS = (
    "Let me read this carefully. The rest of the text does not matter here.",
    "The user wants one thing only. I check each part against the text.",
    "There is something that looks similar, but it belongs elsewhere.",
)
_MIN_BROKEN_WORDS = 6
_LONG_STRING = re.compile(r'"(?:[^"\\]|\\.){40,}"(?!\s*:)')


def dressed(answer: Any, habits: Habits, dice: Dice) -> str:
    """Return the answer in the form this model gives it when nothing forces another."""
    is_json = not isinstance(answer, str)
    text = json.dumps(answer, ensure_ascii=False, indent=2) if is_json else answer
    if is_json:
        text = _spoilt(text, habits, dice)
        if dice.happens("fence", habits.fence):
            end = "" if dice.happens("unclosed", habits.unclosed_fence) else "\n```"
            text = f"```json\n{text}{end}"
        if dice.happens("preamble", habits.preamble):
            text = f"{dice.pick('before', _BEFORE)}\n\n{text}"
        if dice.happens("postamble", habits.postamble):
            text = f"{text}\n\n{dice.pick('after', _AFTER)}"
    if dice.happens("stop tokens", habits.stop_tokens):
        text += "</s>" * dice.whole("how many", 1, 9)
    return text


def with_thinking(text: str, habits: Habits, dice: Dice) -> str:
    """Return the text with what this model always puts in front of it, forced form or not."""
    if dice.happens("think", habits.think):
        text = f"<think>\n{dice.pick('thought', _THOUGHTS)}\n</think>\n\n{text}"
    if dice.happens("lead", habits.lead_newlines):
        text = f"\n\n{text}"
    return text


def thought(dice: Dice) -> str:
    """Return a line of reasoning."""
    return dice.pick("thought", _THOUGHTS)


def _spoilt(text: str, habits: Habits, dice: Dice) -> str:
    """Break a line inside the longest prose string, or escape what needs none. Names and numbers are left alone."""
    if dice.happens("raw newline", habits.raw_newline):
        text = _with_raw_newline(text)
    if "'" in text and dice.happens("bad escape", habits.bad_escape):
        text = text.replace("'", "\\'", 1)
    return text


def _with_raw_newline(text: str) -> str:
    strings = list(_LONG_STRING.finditer(text))
    if not strings:
        return text
    longest = max(strings, key=lambda match: len(match[0]))
    if longest[0].count(" ") < _MIN_BROKEN_WORDS:
        return text
    at = text.index(" ", longest.start() + (longest.end() - longest.start()) // 2)
    return f"{text[:at]}\n{text[at + 1 :]}" if at < longest.end() else text
