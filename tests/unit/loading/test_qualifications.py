"""Labels and qualifications from files, with place and next step for whatever is wrong."""

from __future__ import annotations

import json

import pytest

from evalkit.domain.judging import LabelCounts, Qualification
from evalkit.errors import InputError, NotFoundError
from evalkit.loading.files import ProjectFiles
from evalkit.loading.qualifications import load_labels, load_qualifications, qualification_name
from evalkit.testing.builders import a_case, a_suite

FIELDS = {
    "suite": "qa",
    "metric": "rubric",
    "instrument": "sha256:1",
    "gateway_kind": "openai",
    "served": {"judge": ["judge-1"]},
    "labels": "sha256:2",
    "counts": {"both_pass": 1, "only_judge": 2, "only_people": 3, "both_fail": 4},
}
SUITE = a_suite(cases=[a_case("a"), a_case("b", skip="later")])


def write(root, name="judges/qa.rubric.qualification.json", **changes):
    """Write a qualification."""
    path = root / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(FIELDS | changes), encoding="utf-8")


def labels_file(tmp_path, *rows):
    """Write labels; a row is an object, or a line as it is."""
    path = tmp_path / "labels.jsonl"
    lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_qualifications_are_read(tmp_path):
    """Every one of the folder, by name; other files there are none of ours."""
    write(tmp_path)
    (tmp_path / "judges" / "notes.md").write_text("x", encoding="utf-8")
    (found,) = load_qualifications(ProjectFiles(tmp_path))
    assert found == Qualification(**FIELDS)
    assert found.counts == LabelCounts(both_pass=1, only_judge=2, only_people=3, both_fail=4)
    assert found.counts.n == 10


def test_a_project_without_any(tmp_path):
    """Most have none."""
    assert load_qualifications(ProjectFiles(tmp_path)) == ()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metric": "pairwise"}, "of another suite or metric"),
        ({"counts": {"both_pass": -1, "only_judge": 0, "only_people": 0, "both_fail": 0}}, "both_pass"),
        ({"qualifies": True}, "unknown key 'qualifies'"),
        ({"format": "evalkit.qualification/2"}, "format"),
    ],
)
def test_wrong_qualifications_are_refused(tmp_path, changes, message):
    """With the file's name: what it says may let a judge decide."""
    write(tmp_path, **changes)
    with pytest.raises(InputError, match=message) as caught:
        load_qualifications(ProjectFiles(tmp_path))
    assert "judges/qa.rubric.qualification.json" in str(caught.value)


def test_names_say_what_a_file_is_about():
    """One file a suite and metric."""
    assert qualification_name("qa", "tone") == "judges/qa.tone.qualification.json"


def test_labels_are_read(tmp_path):
    """One a line, blank lines between them; an answer may hold any line break but a plain one."""
    path = labels_file(
        tmp_path,
        {"case_id": "a", "answer": "one\u2028two\r", "passes": True, "model": "gpt"},
        "",
        {"case_id": "a", "answer": "three", "passes": False},
    )
    found = load_labels(path, SUITE)
    assert [(label.answer, label.passes, label.model) for label in found.labels] == [
        ("one\u2028two\r", True, "gpt"),
        ("three", False, ""),
    ]
    assert (
        found.digest
        != load_labels(labels_file(tmp_path, {"case_id": "a", "answer": "x", "passes": True}), SUITE).digest
    )


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{", "not valid JSON"),
        ({"case_id": "a", "answer": "x"}, "'passes' is missing"),
        ({"case_id": "a", "answer": "x", "passes": "perhaps"}, "not allowed"),
        ({"case_id": "a", "answer": "x", "passes": True, "note": 1}, "unknown key 'note'"),
        ({"case_id": "zz", "answer": "x", "passes": True}, "no case 'zz'"),
        ({"case_id": "b", "answer": "x", "passes": True}, "no case 'b'"),
        ({"case_id": "a", "answer": "first", "passes": False}, "labelled twice"),
    ],
)
def test_wrong_labels_are_refused(tmp_path, row, message):
    """With file and line."""
    path = labels_file(tmp_path, {"case_id": "a", "answer": "first", "passes": True}, row)
    with pytest.raises(InputError, match=message) as caught:
        load_labels(path, SUITE)
    assert "labels.jsonl:2" in str(caught.value)


def test_files_without_labels_are_refused(tmp_path):
    """Missing, empty, a folder, or no text."""
    with pytest.raises(NotFoundError, match="no labels file"):
        load_labels(tmp_path / "nothing.jsonl", SUITE)
    with pytest.raises(InputError, match="there is no label"):
        load_labels(labels_file(tmp_path, ""), SUITE)
    with pytest.raises(InputError, match="cannot be read"):
        load_labels(tmp_path, SUITE)
    (tmp_path / "x").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="not UTF-8"):
        load_labels(tmp_path / "x", SUITE)
