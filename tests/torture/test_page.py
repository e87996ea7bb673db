"""The page of what was measured: what was run here is written anew, and nothing else is touched."""

from __future__ import annotations

import pytest
from torture import page


@pytest.fixture
def written(monkeypatch, tmp_path):
    """Return a function that writes a page into a folder of its own and returns its text."""
    monkeypatch.setattr(page, "PATH", tmp_path / "page.md")

    def write(**parts):
        page.write_page(parts)
        return page.PATH.read_text()

    return write


def loads(**changed):
    """Return what the load part keeps of one load."""
    one = {"what": "many", "n_calls": 9, "n_answered": 9, "n_kept": 8, "most_connections": 3, "first_half_mb": 1.0,
           "second_half_mb": 2.0, "peak_mb": 3.0, "wall_s": 4.0, "problems": ["one call was lost"]}  # fmt: skip
    return {"loads": [{**one, **changed}], "day": "2026-01-02", "commit": "abc1234"}


def test_a_part_that_was_never_run_is_said_to_be_missing(written):
    """Nothing measured is not nothing found."""
    text = written()
    assert text.count("Not run.") == 6
    assert "Findings" not in text


def test_a_section_says_what_was_found_and_of_which_code(written):
    """A table without its findings would be an advertisement."""
    text = written(load=loads())
    assert "| many | 9 | 9 | 8 | 3 | 1 | 2 | 3 | 4 |" in text
    assert "Findings: 1. Measured 2026-01-02 at `abc1234`.\n- `many: one call was lost`" in text
    assert text.count("Not run.") == 5


def test_what_was_not_run_here_stands_as_it_was(written):
    """One part can be measured again without the hours of the others."""
    first = written(load=loads())
    assert written() == first
    again = written(load=loads(n_kept=9, problems=[]))
    assert "| many | 9 | 9 | 9 |" in again
    assert "Findings: none. Measured" in again
    assert again.count("## Load") == 1
