"""A simulated judge: it knows the right answers, and is wrong about answers as often as its persona says.

It reads the prompt a real judge gets and nothing else. So what is tested with it is the whole way: the fences, the
question inside them, the strict verdict, the errors of a judge whose true error rates are known.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from evalkit.wire.json_text import parse_json_text
from evalkit.wire.judging import CRITERIA_MARK, fenced_parts

if TYPE_CHECKING:
    from evalkit.simulator.book import Question
    from evalkit.simulator.dice import Dice
    from evalkit.simulator.persona import Judging

__all__ = ["is_right", "judged_parts", "task_in", "verdict_on"]

_CRITERION = re.compile(r"^- ([A-Za-z]\w*): ", re.MULTILINE)
_MUMBLED = "Looks fine to me, I would say."


def judged_parts(user_text: str) -> dict[str, str]:
    """Return the fenced texts of a judge's prompt by label; nothing when it is no such prompt."""
    parts = fenced_parts(user_text)
    return parts if "TASK" in parts and ("ANSWER" in parts or "ANSWER_A" in parts) else {}


def task_in(user_text: str) -> str:
    """Return the words of the question: of a judge's prompt those of the task that was judged."""
    return judged_parts(user_text).get("TASK", user_text)


def verdict_on(user_text: str, judging: Judging, *, question: Question | None, dice: Dice) -> Any:
    """Return what a judge says to a prompt: a verdict as an object, or mumbling where it is no good at JSON."""
    parts = judged_parts(user_text)
    if dice.happens("mumbles", judging.unparsable):
        return _MUMBLED
    if "ANSWER_A" in parts:
        return _choice(parts, judging, question=question, dice=dice)
    passes = _seen_as_right(parts["ANSWER"], judging, question, dice=dice)
    names = _CRITERION.findall(user_text.rpartition(f"\n{CRITERIA_MARK}\n")[2])
    why = "it agrees with what is known" if passes else "it does not agree with what is known"
    return {name: {"explanation": why, "met": passes} for name in names}


def is_right(question: Question, text: str) -> bool:
    """Return whether an answer says what the book says, as JSON or in words."""
    right = question.right_answer
    value = parse_json_text(text).value
    if isinstance(right, dict) and isinstance(value, dict):
        names = question.decisive or tuple(right)
        return all(name in value and value[name] == right.get(name) for name in names)
    if isinstance(right, (dict, list)):
        return bool(value == right)
    plain = " ".join(str(right).casefold().split())
    return plain in " ".join(text.casefold().split())


def _seen_as_right(text: str, judging: Judging, question: Question | None, *, dice: Dice, name: str = "sees") -> bool:
    if question is None or not is_right(question, text):
        return not dice.happens(name, judging.specificity)
    return dice.happens(name, judging.sensitivity)


def _choice(parts: dict[str, str], judging: Judging, *, question: Question | None, dice: Dice) -> dict[str, Any]:
    if dice.happens("first", judging.prefers_first):
        return {"explanation": "the first one reads better", "better": "A"}
    # An answer is seen in the same way wherever it stands: only a preference for places makes the order matter.
    first, second = (
        _seen_as_right(parts[label], judging, question, dice=dice, name=f"sees {parts[label]}")
        for label in ("ANSWER_A", "ANSWER_B")
    )
    better = "tie" if first == second else "A" if first else "B"
    return {"explanation": "one of them is wrong" if better != "tie" else "neither is better", "better": better}
