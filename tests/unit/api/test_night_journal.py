"""What a night remembers when it is killed."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from evalkit.api.night_journal import NightJournal, begun_night, read_document, told_night


@pytest.fixture
def project(tmp_path):
    """As much of a project as a journal asks for."""
    return SimpleNamespace(root=tmp_path, config=SimpleNamespace(reports="reports", environment="prod"))


def a_file(path, **models):
    """Write the parts of an eligibility file that are looked at."""
    eligible = [{"model": model} for model, said in models.items() if said == "eligible"]
    rejected = [{"model": model, "verdict": said} for model, said in models.items() if said != "eligible"]
    task = {"candidates": eligible, "rejected": rejected}
    path.write_text(json.dumps({"generated_at": "2026-03-01T02:00:00Z", "tasks": {"t": task}}))
    return path


def test_begun_once(project, tmp_path):
    """What was in force is noted at the first start, whatever becomes of the file later."""
    file = a_file(tmp_path / "e.json", a="eligible")
    first = begun_night(project, night="2026-03-01", file=file)
    assert first == NightJournal(night="2026-03-01", before={"t": {"a": "eligible"}})
    a_file(file, a="ineligible")
    assert begun_night(project, night="2026-03-01", file=file) == first
    told_night(project, first)
    assert begun_night(project, night="2026-03-01", file=file).is_told


def test_what_was_not_told_is_carried_over(project, tmp_path):
    """The next night compares with what was in force before the one that died; after a told one, with the file."""
    file = a_file(tmp_path / "e.json", a="eligible")
    begun_night(project, night="2026-03-01", file=file)
    a_file(file, a="ineligible")
    second = begun_night(project, night="2026-03-02", file=file)
    assert (second.night, second.before) == ("2026-03-02", {"t": {"a": "eligible"}})
    told_night(project, second)
    assert begun_night(project, night="2026-03-03", file=file).before == {"t": {"a": "ineligible"}}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"tasks": 3}', '{"tasks": {"t": {}}}'])
def test_a_file_that_is_none(tmp_path, text):
    """It says nothing, and nothing breaks."""
    path = tmp_path / "e.json"
    path.write_text(text)
    assert read_document(path) is None
    assert read_document(tmp_path / "missing") is None
