"""`squad`: the official script's rules, one by one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.domain.score import Unscored
from evalkit.errors import InputError
from evalkit.scorers.squad import f1, squad_form


@pytest.mark.parametrize(
    ("answer", "expected", "em", "f1_"),
    [
        # Known answers of the official script (normalize_answer, compute_exact, compute_f1).
        ("The Eiffel Tower!", "eiffel tower", 1, 1),
        ("a  an the", "", 1, 1),
        ("Denver Broncos", ["Denver Broncos", "The Broncos"], 1, 1),
        ("Broncos", ["Denver Broncos", "the Carolina Panthers"], 0, 2 / 3),
        ("the Denver Broncos of Denver", "Denver Broncos", 0, 2 * 2 / (4 + 2)),
        ("cat cat dog", "cat dog dog", 0, 2 / 3),
        ("1,024", "1024", 1, 1),
        ("well-known", "well known", 0, 0),
        ("Rome", "Paris", 0, 0),
        ("", "", 1, 1),
        ("", "Paris", 0, 0),
        ("Paris", None, 0, 0),
        ("Paris", [], 0, 0),
        ("not in the text", None, 1, 1),
        ("N/A", [], 1, 1),
        ("Not in the text.", "not in the text", 1, 1),
        ("It is unknown to me", None, 0, 0),
        ("3", 3, 1, 1),
    ],
)
def test_known_answers(grade, answer, expected, em, f1_):
    """Exact match and F1, best over golds, empty against empty 1."""
    entries = grade("squad", answer, expected=expected)
    assert entries["squad_em"].value == em
    assert entries["squad_f1"].value == pytest.approx(f1_)


def test_a_field_of_json_is_read(grade):
    """With a field the rest of the answer does not count; null is no answer, no field is wrong."""
    fenced = '```json\n{"answer": "Paris", "quote": "…"}\n```'
    assert grade("squad", fenced, expected="paris", field="answer")["squad_em"].value == 1
    assert "repair:fence" in grade("squad", fenced, expected="paris", field="answer")["squad_f1"].findings
    assert grade("squad", '{"answer": null}', expected=None, field="answer")["squad_f1"].value == 1
    missing = grade("squad", "Paris", expected="Paris", field="answer")
    assert {entry.value for entry in missing.values()} == {0}


def test_own_words_for_no_answer(grade):
    """Phrases can be given; then only those mean no answer."""
    assert grade("squad", "nichts", expected=None, no_answer=["nichts"])["squad_em"].value == 1
    assert grade("squad", "n/a", expected=None, no_answer=["nichts"])["squad_em"].value == 0


def test_objects_are_refused(grade):
    """An expectation that is no short answer is refused."""
    with pytest.raises(InputError, match="short answers"):
        grade("squad", "x", expected={"a": 1})


def test_endless_answers_are_not_scored(grade):
    """Beyond half a million characters nothing is said."""
    assert all(isinstance(entry, Unscored) for entry in grade("squad", "x " * 300_000, expected="x").values())


words = st.lists(st.sampled_from(["rome", "paris", "a", "the", "x.y", "Nice"]), max_size=6).map(" ".join)


@given(words, words)
def test_laws(left, right):
    """F1 is symmetric, in [0, 1], and 1 for equal forms."""
    one, two = squad_form(left), squad_form(right)
    assert 0 <= f1(one, two) <= 1
    assert f1(one, two) == f1(two, one)
    assert f1(one, one) == 1
