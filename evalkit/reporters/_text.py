"""Text from models is hostile: here it is cut to size and made visible before any format escapes it.

A model can write a terminal escape, a mark that reverses the reading direction, characters that show nothing, a
megabyte without a line break, or half a surrogate pair. None of that reaches a reader as itself. Escaping for HTML,
Markdown or XML comes after this and is not done here, except for Markdown, which has no library to do it.
"""

from __future__ import annotations

import re

__all__ = ["cut", "markdown_text", "visible"]

MAX_CHARS = 20_000
MAX_LINE_CHARS = 2_000
_LATIN_1 = 0xFF

# All but tab and newline of C0 and C1, and what XML 1.0 or UTF-8 cannot carry at all.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
# Direction marks, overrides and isolates; characters without width; separators that break lines unseen; tag letters,
# which spell a hidden message. The joiner U+200D stays: families and flags are written with it.
_UNSEEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200c\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff"
    "\uffa0\ufff9-\ufffb\U000e0000-\U000e007f]"
)
# A colon or a dot means something only where it makes a link or an emoji: `https://`, `:tada:`, `www.`.
_MARKDOWN = re.compile(
    r"[\\`*\[\]<>&|#~@!${}()]|:(?=[/\w])|(?<=www)\.|(?<![0-9A-Za-z])_|_(?![0-9A-Za-z])", re.IGNORECASE
)


def visible(text: str, *, max_chars: int = MAX_CHARS) -> str:
    r"""Return `text` cut to `max_chars`, its long lines cut, and every character without a shape written out.

    Controls become `\x1b`, direction marks and unseen characters `⟦U+202E⟧`. Nothing is removed in silence.
    """
    text = cut(text.replace("\r\n", "\n"), max_chars=max_chars)
    text = "\n".join(_cut_line(line) for line in text.split("\n"))
    text = _CONTROL.sub(_escape, text)
    return _UNSEEN.sub(lambda match: f"⟦U+{ord(match[0]):04X}⟧", text)


def cut(text: str, *, max_chars: int) -> str:
    """Return the beginning of `text`, saying how long the whole was when something is missing."""
    if len(text) <= max_chars:
        return text
    return f"{text[:max_chars]}\n… [cut: {len(text):,} characters in all]"


def markdown_text(text: str, *, max_chars: int = 500) -> str:
    """Return text that stands in one Markdown table cell and means nothing there: no markup, mention or link."""
    one_line = " ".join(visible(text, max_chars=max_chars).split())
    return _MARKDOWN.sub(lambda match: f"&#{ord(match[0])};", one_line)


def _cut_line(line: str) -> str:
    if len(line) <= MAX_LINE_CHARS:
        return line
    return f"{line[:MAX_LINE_CHARS]} … [line cut: {len(line):,} characters]"


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code <= _LATIN_1 else f"\\u{code:04x}"
