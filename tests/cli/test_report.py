"""`evalkit report`: a run in each format."""

from __future__ import annotations

import json

import pytest

FIRST = {
    "html": "index.html",
    "markdown": "report.md",
    "junit": "junit.xml",
    "csv": "cells.csv",
    "parquet": "cells.parquet",
    "json": "report.json",
}


@pytest.mark.parametrize(("name", "file"), FIRST.items())
def test_each_format(evalkit, measured, tmp_path, name, file):
    """The first file of the format is named and there."""
    said = evalkit.on(measured)("report", "--format", name, "-o", tmp_path / "out")

    assert said.code == 0
    assert said.out == f"wrote {tmp_path / 'out' / file}\n"
    assert (tmp_path / "out" / file).stat().st_size > 0


def test_what_an_older_report_left_is_removed(evalkit, measured, tmp_path):
    """Answers that are not part of this report do not stay readable beside it."""
    old = tmp_path / "out" / "shards" / "old.cases-0.js"
    old.parent.mkdir(parents=True)
    old.write_text("evalkitShard()")

    evalkit.on(measured)("report", "-o", tmp_path / "out")

    assert not old.exists()
    assert (tmp_path / "out" / "shards" / "summary.js").is_file()


def test_a_second_night_is_held_against_the_first(evalkit, measured, tmp_path):
    """The report of a later run has the verdicts as they were, and a trend."""
    evalkit.on(measured)("report", "--format", "json", "-o", tmp_path / "one")
    evalkit.on(measured)("run", "--new", "--progress", "quiet")
    evalkit.on(measured)("report", "--format", "json", "-o", tmp_path / "two")

    one, two = (json.loads((tmp_path / name / "report.json").read_text()) for name in ("one", "two"))
    assert two["previous"]["run"]["run_id"] != two["run"]["run_id"]
    assert {point["run_id"] for point in two["nights"]} >= {two["run"]["run_id"], one["run"]["run_id"]}
    assert len(two["previous"]["verdicts"]) == len(two["verdicts"])


def test_several_formats_as_json(evalkit, measured, tmp_path):
    """Formats may be repeated; the one document lists the first file of each."""
    document = evalkit.on(measured)(
        "report", "--format", "markdown", "--format", "csv", "-o", tmp_path / "out", "--json"
    ).document

    assert document == {"written": [str(tmp_path / "out" / name) for name in ("report.md", "cells.csv")]}


def test_default_place(evalkit, measured):
    """Without -o the report of the latest run is in the project's reports."""
    evalkit.on(measured)("report")

    assert measured.path("reports/latest/index.html").is_file()


def test_unknown_format_writes_nothing(evalkit, measured, tmp_path):
    """A format nobody installed is refused before another is written."""
    said = evalkit.on(measured)("report", "--format", "csv", "--format", "pdf", "-o", tmp_path / "out", "--json")

    assert said.code == 2
    assert "no reporter named 'pdf'" in said.error["message"]
    assert not (tmp_path / "out").exists()


def test_unknown_run(evalkit, measured):
    """A run nobody made is refused."""
    said = evalkit.on(measured)("report", "nosuch", "--json")

    assert said.code == 2
    assert said.error["kind"] == "NotFoundError"


def test_no_run(evalkit, shop):
    """Without a run the next step is to make one."""
    said = evalkit.on(shop)("report")

    assert said.code == 2
    assert "next: evalkit run" in said.err


def test_folder_that_cannot_be_written(evalkit, measured, a_file):
    """What the system refuses is told with the file and a next step."""
    said = evalkit.on(measured)("report", "-o", a_file / "out", "--json")

    assert said.code == 2
    assert said.error["problems"][0]["file"] == str(a_file / "out" / "index.html")


def test_what_somebody_put_there_stays(evalkit, measured, tmp_path):
    """Of an older report only its own kind of file is removed."""
    folder = tmp_path / "out" / "shards"
    folder.mkdir(parents=True)
    (folder / "mine.txt").write_text("mine")
    (folder / "old-000.js").write_text("//")
    assert evalkit.on(measured)("report", "-o", tmp_path / "out").code == 0
    assert (folder / "mine.txt").read_text() == "mine"
    assert not (folder / "old-000.js").exists()
