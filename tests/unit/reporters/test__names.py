"""Names of suites become names of files that are safe anywhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.reporters._names import file_names


@given(st.lists(st.text(max_size=200), max_size=8, unique=True))
def test_names_are_safe_and_distinct(names):
    """No name leaves its folder, hides, or falls together with another on a disk that ignores case."""
    files = file_names(names)
    assert len({file.lower() for file in files.values()}) == len(names)
    for file in files.values():
        assert set(file) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
        assert not file.startswith((".", "-"))
        assert len(file) <= 105


@pytest.mark.parametrize("name", ["../../etc/passwd", "/abs", "a\\b", "..", "", "CON", "nul.x", "a b", "x" * 200])
def test_dangerous_names_get_a_digest(name):
    """A name that had to change cannot take the place of one that did not."""
    file = file_names([name])[name]
    assert file not in {name, "CON"}
    assert "/" not in file


def test_plain_names_stay():
    """A suite is found under its own name."""
    assert file_names(["invoice-extraction"]) == {"invoice-extraction": "invoice-extraction"}


def test_names_that_differ_in_case_stay_apart():
    """Two suites do not overwrite each other on macOS and Windows."""
    files = file_names(["Qa", "qa"])
    assert files["Qa"] == "Qa"
    assert files["qa"].startswith("qa-")
