"""Strings as numbers."""

from __future__ import annotations

from contextlib import closing

import pytest

from evalkit.store import words as words_module
from evalkit.store.connect import reading
from evalkit.store.open import open_store
from evalkit.store.words import Words, slices


@pytest.fixture
def engine(tmp_path):
    """Return the engine of an empty store."""
    with closing(open_store("sqlite:///evalkit.db", root=tmp_path)) as store:
        yield store._engine


def _texts(words, engine, numbers):
    with reading(engine) as connection:
        found = words.texts(connection, set(numbers))
        return [found[number] for number in numbers]


def test_numbers_lead_back_to_their_texts(engine):
    """More words than fit in one statement, twice each."""
    texts = [f"word {n}" for n in range(1200)]
    numbers = Words(engine).numbers(texts * 2)
    assert _texts(Words(engine), engine, [numbers[text] for text in texts]) == texts


def test_two_writers_agree(engine):
    """A word has one number, whoever asks first."""
    first, second = Words(engine), Words(engine)
    known = first.numbers(["a", "b"])["b"]
    assert second.numbers(["b", "c"])["b"] == known


def test_full_cache_starts_again(engine, monkeypatch):
    """Memory stays flat, and nothing that is wanted now is missing."""
    monkeypatch.setattr(words_module, "_CACHED", 10)
    words = Words(engine)
    for start in range(0, 100, 5):
        texts = [f"word {n}" for n in range(start, start + 8)]
        numbers = words.numbers(texts)
        assert _texts(words, engine, [numbers[text] for text in texts]) == texts
        assert max(len(words._number_of), len(words._text_of)) <= 18


def test_looking_up_writes_nothing(engine):
    """A filter on an unknown name does not make it known."""
    words = Words(engine)
    with reading(engine) as connection:
        assert words.known_numbers(connection, ["never seen"]) == {}
        assert words.known_numbers(connection, ["never seen"]) == {}


def test_slices_cover_everything():
    """No value is lost between two statements."""
    assert [len(some) for some in slices(range(1201))] == [500, 500, 201]
