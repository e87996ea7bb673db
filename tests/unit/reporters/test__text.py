"""Hostile text is made harmless before any format sees it."""

from __future__ import annotations

import unicodedata
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.reporters._text import markdown_text, visible

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=300)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred", "\\x1b[31mred"), ("a\x00b", "a\\x00b"), ("a\rb", "a\\x0db"), ("a\r\nb\tc", "a\nb\tc"),
        ("\u202egnp.exe", "⟦U+202E⟧gnp.exe"), ("zero\u200bwidth", "zero⟦U+200B⟧width"), ("\U000e0041", "⟦U+E0041⟧"),
        ("half \ud800", "half \\ud800"), ("\ufffe", "\\ufffe"), ("👩\u200d👩\u200d👧 é 漢", "👩\u200d👩\u200d👧 é 漢"),
    ],
)  # fmt: skip
def test_unseen_characters_become_visible(text, shown):
    """Controls, direction marks, hidden letters and halves of pairs are written out; languages stay as they are."""
    assert visible(text) == shown


@given(ANY_TEXT)
def test_visible_text_is_safe_everywhere(text):
    """What comes out can be encoded, holds no control but tab and newline, and is safe to show twice."""
    shown = visible(text)
    shown.encode("utf-8")
    assert not [c for c in shown if unicodedata.category(c) in {"Cc", "Cs"} and c not in "\n\t"]
    assert visible(shown) == shown


def test_a_megabyte_on_one_line_is_cut_and_says_so():
    """A long text keeps its beginning, and the reader learns how long it was."""
    shown = visible("x" * 1_048_576, max_chars=10_000)
    assert len(shown) < 2_200
    assert "1,048,576 characters in all" in shown


def test_long_lines_are_cut_each():
    """One endless line does not take the others with it."""
    assert visible("y" * 5_000 + "\nnext").endswith("[line cut: 5,000 characters]\nnext")


@pytest.mark.parametrize(
    "text",
    ["a | b", "`code`", "<img src=x>", "@everyone", "#12", "[x](javascript:1)", "https://evil.example",
     "www.evil.example", "**b**", "_i_", "$x$", "~~s~~", "&amp;", ":tada:", "a\nb"],
)  # fmt: skip
def test_markdown_text_means_nothing(text):
    """No markup, mention, link, entity or line break survives; the words do."""
    escaped = markdown_text(text)
    bare = escaped.replace("&#", "").replace(";", "")
    assert not set("|`<>@#[]()*~$&\n\\") & set(bare)
    assert "://" not in bare
    assert "www." not in bare
    assert unescape(escaped) == text.replace("\n", " ")


def test_metric_names_stay_readable_in_markdown():
    """An underscore inside a word is no emphasis and stays."""
    assert markdown_text("json_schema: 0.9") == "json_schema: 0.9"
