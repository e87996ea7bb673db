"""Inline reasoning is taken out before scoring; nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.wire.text import answer_text, has_open_reasoning, inline_reasoning, is_blank, joined_text, storable_text


@pytest.mark.parametrize(
    ("text", "answer", "reasoning"),
    [
        ("Paris.", "Paris.", ""),
        ("<think>hm</think>\n\nParis.", "Paris.", "hm"),
        ("\n<think>a</think>\n<think>b</think>4", "4", "ab"),
        ("hm</think>\nParis.", "Paris.", "hm"),
        ("Paris <think>sure?</think>yes", "Paris yes", "sure?"),
        ("<think>never ends", "", "never ends"),
        ("<think>a</think> <think>b", "", "ab"),
        ("Close it with <think> please", "Close it with <think> please", ""),
        ("  Paris.</s>", "  Paris.</s>", ""),
        ("", "", ""),
    ],
)
def test_answer_and_reasoning(text, answer, reasoning):
    """Closed reasoning goes, open reasoning at the front leaves no answer, special tokens and spaces stay."""
    assert (answer_text(text), inline_reasoning(text)) == (answer, reasoning)


def test_open_reasoning():
    """Only reasoning that starts the rest of the text and never ends is open."""
    assert has_open_reasoning(" <think>hm")
    assert has_open_reasoning("<think>a</think>\n<think>b")
    assert not has_open_reasoning("<think>a</think>b")
    assert not has_open_reasoning("say <think>")


@pytest.mark.parametrize("text", [None, "", " \n\t", "\u200b", " \u200b \ufeff\u2060 ", "\u00a0"])
def test_blank(text):
    """White space and zero-width characters are nothing to see."""
    assert is_blank(text)
    assert not is_blank(f"{text or ''}x")


@given(st.text(alphabet="<>/think ab\n", max_size=60))
def test_text_without_reasoning_is_untouched(text):
    """Where no tag stands nothing changes, and taking reasoning out never adds text."""
    assert len(answer_text(text)) <= len(text)
    if "<think>" not in text and "</think>" not in text:
        assert answer_text(text) == text


@given(st.lists(st.text(st.characters(categories=["L", "Cs"]), max_size=5), max_size=5))
def test_joined_text_can_be_stored(parts):
    """Whatever halves of characters come in, the result has a UTF-8 form; whole text is unchanged."""
    joined_text(parts).encode()
    assert storable_text("Größe 😀") == "Größe 😀"
