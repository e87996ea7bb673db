"""The answer inside what was sent: reasoning that came inline is taken out before anything is scored."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["answer_text", "has_open_reasoning", "inline_reasoning", "is_blank", "joined_text", "storable_text"]

_OPEN, _CLOSE = "<think>", "</think>"
_INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff"


def answer_text(reading_text: str) -> str:
    """Return the text to be scored: `<think>…</think>` removed, and the white space that followed leading reasoning.

    Everything else stays as sent, special tokens too: what to forgive is a scorer's decision.
    """
    return "".join(_split(reading_text)[0]) if _CLOSE in reading_text or _OPEN in reading_text else reading_text


def inline_reasoning(reading_text: str) -> str:
    """Return the reasoning inside the text; empty when there is none."""
    if _CLOSE not in reading_text and _OPEN not in reading_text:
        return ""
    return "".join(_split(reading_text)[1]).strip()


def has_open_reasoning(text: str) -> bool:
    """Return whether the text starts to reason and never comes to an answer."""
    if _OPEN not in text:
        return False
    start = text.rfind(_CLOSE)
    rest = text[start + len(_CLOSE) :] if start >= 0 else text
    return rest.lstrip().startswith(_OPEN)


def is_blank(text: str | None) -> bool:
    """Return whether nothing in the text can be seen; zero-width characters count as nothing."""
    visible = "" if text is None else text.strip()
    if not visible or visible[0] not in _INVISIBLE:
        return not visible
    return all(character.isspace() or character in _INVISIBLE for character in visible)


def joined_text(parts: Iterable[str]) -> str:
    """Join pieces; half characters that meet across pieces become whole, others U+FFFD."""
    text = "".join(parts)
    return storable_text(text) if text else text


def storable_text(text: str) -> str:
    """Return the text with lone surrogates replaced: JSON can spell them, but UTF-8 cannot store them."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def _split(text: str) -> tuple[list[str], list[str]]:
    """Return (answer parts, reasoning parts)."""
    answer: list[str] = []
    reasoning: list[str] = []
    at = 0
    first_close = text.find(_CLOSE)
    # A chat template may have opened the reasoning already: then only its end is in the text.
    if first_close >= 0 and _OPEN not in text[:first_close]:
        reasoning.append(text[:first_close])
        at = first_close + len(_CLOSE)
    while (start := text.find(_OPEN, at)) >= 0:
        end = text.find(_CLOSE, start)
        if end < 0:
            break
        answer.append(text[at:start])
        reasoning.append(text[start + len(_OPEN) : end])
        at = end + len(_CLOSE)
    rest = text[at:]
    if has_open_reasoning(rest):
        reasoning.append(rest.lstrip().removeprefix(_OPEN))
        rest = ""
    if reasoning and is_blank("".join(answer)):
        answer, rest = [], rest.lstrip()
    answer.append(rest)
    return answer, reasoning
