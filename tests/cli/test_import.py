"""`evalkit import responses`: answers made elsewhere, graded as a run of their own."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def recordings(tmp_path):
    """Two right answers and a wrong one."""
    rows = [
        {"suite": "colour", "case_id": f"f{i}", "trial": 0, "model": "alpha", "output": output}
        for i, output in enumerate(["red 0", "red 1", "blue"])
    ]
    path = tmp_path / "answers.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_grades_what_is_there(evalkit, shop, recordings):
    """Only recorded cases count; the metric comes with its n."""
    said = evalkit.on(shop)("import", "responses", recordings)

    assert said.code == 0
    assert "colour alpha exact: 0.6667" in said.out
    assert "3 answers imported" in said.out


def test_json(evalkit, shop, recordings):
    """Run and cells as one document."""
    document = evalkit.on(shop)("import", "responses", recordings, "--json").document

    assert document["run"]["gateway_kind"] == "replay"
    assert {cell["suite"] for cell in document["cells"]} == {"colour"}


def test_never_decides_routing(evalkit, shop, recordings, tmp_path):
    """Imported answers admit nobody."""
    evalkit.on(shop)("import", "responses", recordings)

    assert evalkit.on(shop)("decide", "-o", tmp_path / "e.json").code == 2


def test_bad_line(evalkit, shop, recordings):
    """A line that is no recording is named by file and number."""
    recordings.write_text(recordings.read_text(encoding="utf-8") + '{"outptu": 1}\n', encoding="utf-8")

    said = evalkit.on(shop)("import", "responses", recordings, "--json")

    assert said.code == 2
    assert said.error["problems"][0]["line"] == 4


def test_nothing_fits(evalkit, shop, recordings):
    """Answers to questions this project does not ask are refused, with the first one's names."""
    recordings.write_text('{"suite": "x", "case_id": "y", "model": "z\\u001b[31m", "output": "a"}\n', encoding="utf-8")

    said = evalkit.on(shop)("import", "responses", recordings)

    assert said.code == 2
    assert "no recording fits: the first is suite 'x', case 'y'" in said.err
    assert "\x1b" not in said.err


def test_missing_file(evalkit, shop, tmp_path):
    """A file that is not there is a usage error."""
    said = evalkit.on(shop)("import", "responses", tmp_path / "nosuch.jsonl", "--json")

    assert said.code == 2


def test_without_a_subcommand(evalkit):
    """`import` alone says what can be imported."""
    said = evalkit("import")

    assert said.code == 2
    assert "responses" in said.err


def test_a_line_of_a_stranger_is_refused(evalkit, shop, recordings):
    """An answer to a case or of a model that nobody knows is no answer to leave out."""
    kept = recordings.read_text(encoding="utf-8")
    for wrong in ({"case_id": "f99"}, {"model": "nobody"}, {"suite": "color"}):
        row = {"suite": "colour", "case_id": "f3", "trial": 0, "model": "alpha", "output": "red 3"} | wrong
        recordings.write_text(kept + json.dumps(row) + "\n", encoding="utf-8")
        said = evalkit.on(shop)("import", "responses", recordings, "--json")
        assert said.code == 2
        assert said.error["problems"][0]["line"] == 4


def test_an_empty_file_is_refused(evalkit, shop, recordings):
    """No gateway is to blame, and nothing is left in the store."""
    recordings.write_text("", encoding="utf-8")
    assert evalkit.on(shop)("import", "responses", recordings).code == 2
    assert "no runs yet" in evalkit.on(shop)("runs").out
