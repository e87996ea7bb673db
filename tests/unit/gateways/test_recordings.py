"""Reading recordings: files, gzip, folders, and an error with file and line for everything else."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.errors import InputError, NotFoundError
from evalkit.gateways.recordings import RawAnswer, TextAnswer, iter_recordings, load_recordings

CASE = {"suite": "s1", "case_id": "c1", "model": "m1"}


def write(path, *rows):
    """Write rows as JSON Lines, compressed if the name says so."""
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.txt"])
def test_a_file_is_read(tmp_path, name):
    """Any name will do for a single file; `.gz` is unpacked."""
    recordings = load_recordings(write(tmp_path / name, {**CASE, "output": "one"}))
    recording = recordings.by_case("s1", "c1", model="m1", trial=0)
    assert recording.answer == TextAnswer(text="one")
    assert len(recordings) == 1


def test_a_folder_is_read_in_order_of_name(tmp_path):
    """Sub-folders and compressed files count, other files do not."""
    (tmp_path / "b").mkdir()
    write(tmp_path / "b" / "2.jsonl.gz", {**CASE, "case_id": "second", "output": "x"})
    write(tmp_path / "a.jsonl", {**CASE, "case_id": "first", "output": "x"})
    (tmp_path / "README.md").write_text("not a recording")
    assert [recording.case_id for recording in iter_recordings(tmp_path)] == ["first", "second"]


def test_blank_lines_are_no_recordings(tmp_path):
    """An empty line at the end is no error, and line numbers still count it."""
    path = tmp_path / "a.jsonl"
    path.write_text("\n" + json.dumps({**CASE, "output": "x"}) + "\n\n")
    (recording,) = iter_recordings(path)
    assert recording.place.line == 2


def test_a_suite_can_be_given_for_lines_without_one(tmp_path):
    """Foreign answers know their case, not our suite; a line that names its suite keeps it."""
    rows = ({"case_id": "c1", "model": "m1", "output": "x"}, {**CASE, "suite": "own", "output": "y"})
    path = write(tmp_path / "a.jsonl", *rows)
    assert [recording.suite for recording in iter_recordings(path, suite="given")] == ["given", "own"]


def test_a_response_keeps_its_text(tmp_path):
    """A raw body given as text is those bytes."""
    (recording,) = iter_recordings(write(tmp_path / "a.jsonl", {**CASE, "response": "data: é\n"}))
    assert recording.answer == RawAnswer(body="data: é\n".encode())


def test_turns_of_a_conversation_are_apart(tmp_path):
    """Two turns of one case are two recordings."""
    rows = [{**CASE, "turn": turn, "output": f"turn {turn}"} for turn in (0, 1)]
    recordings = load_recordings(write(tmp_path / "a.jsonl", *rows))
    assert recordings.by_case("s1", "c1", model="m1", trial=0, turn=1).answer.text == "turn 1"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "not a line of JSON"),
        ("[1]", "not a JSON object"),
        ("[" * 100_000, "not a line of JSON"),
        ('{"output": NaN}', "NaN"),
        (json.dumps({**CASE}), "exactly one of response and output"),
        (json.dumps({**CASE, "output": "x", "response": {}}), "exactly one of response and output"),
        (json.dumps({**CASE, "output": "x", "finish_reson": "stop"}), "unknown key 'finish_reson'"),
        (json.dumps({**CASE, "output": 7}), "output must be a string or null"),
        (json.dumps({**CASE, "response": None}), "response must be an object or the body as text"),
        (json.dumps({**CASE, "response": {}, "usage": {}}), "usage stands beside response"),
        (json.dumps({**CASE, "output": "x", "usage": []}), "usage must be an object"),
        (json.dumps({**CASE, "output": "x", "trial": -1}), "trial must be a whole number"),
        (json.dumps({**CASE, "output": "x", "trial": True}), "trial must be a whole number"),
        (json.dumps({**CASE, "output": "x", "turn": 1.0}), "turn must be a whole number"),
        (json.dumps({**CASE, "output": "x", "latency_s": "fast"}), "latency_s must be a number"),
        (json.dumps({**CASE, "output": "x", "cost_usd": -1}), "cost_usd must be a number"),
        (json.dumps({**CASE, "output": "x", "model": 1}), "model must be a string"),
        (json.dumps({"suite": "s", "output": "x"}), "neither a digest nor case_id and model"),
        (json.dumps({"digest": "abc", "output": "x"}), "digest must be 64"),
        ('{"output": "\xff"}', "not UTF-8"),
    ],
)
def test_a_bad_line_is_told_with_file_and_line(tmp_path, line, says):
    """What is wrong, where, and what to do: in one error, however hostile the line."""
    path = tmp_path / "a.jsonl"
    good = json.dumps({**CASE, "case_id": "c0", "output": "x"})
    path.write_bytes(f"{good}\n{line}\n".encode("latin-1"))
    with pytest.raises(InputError, match=says) as caught:
        load_recordings(path)
    assert f"{path}:2" in str(caught.value)
    assert "next: " in str(caught.value)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({**CASE, "output": "x"}, {**CASE, "trial": 0, "output": "y"}),
        ({"digest": "a" * 64, "output": "x"}, {"digest": "sha256:" + "a" * 64, "output": "y"}),
    ],
)
def test_the_same_answer_twice_is_an_error(tmp_path, first, second):
    """Which of two answers counts is not for us to guess; both places are named."""
    path = write(tmp_path / "a.jsonl", first, second)
    with pytest.raises(InputError, match=r"a\.jsonl:2: .*a\.jsonl:1"):
        load_recordings(path)


def test_nothing_there_is_not_found(tmp_path):
    """A path that does not exist, and a folder without recordings."""
    with pytest.raises(NotFoundError, match="no recordings at"):
        load_recordings(tmp_path / "absent.jsonl")
    with pytest.raises(NotFoundError, match="holds no"):
        load_recordings(tmp_path)


@pytest.mark.parametrize("data", [b"not gzip", gzip.compress(mtime=0, data=b'{"a": 1}\n' * 50)[:-12]])
def test_a_broken_gzip_is_told(tmp_path, data):
    """A damaged file is the user's to replace, not a crash."""
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"a\.jsonl\.gz"):
        load_recordings(path)


@given(line=st.binary(max_size=60))
def test_no_line_crashes(tmp_path_factory, line):
    """Random bytes are nothing but blank lines or an InputError."""
    path = tmp_path_factory.getbasetemp() / "fuzz.jsonl"
    path.write_bytes(line)
    with contextlib.suppress(InputError):
        assert len(load_recordings(path)) == 0
        assert not line.strip()


@pytest.mark.data
def test_real_answers_are_read():
    """A published set of model outputs, with its nulls, is read whole."""
    # The repository's own copy lies next to it; another place is named in the environment.
    root = Path(os.environ.get("EVALKIT_DATA") or Path(__file__).parents[4] / "shared" / "data")
    folder = root / "outputs" / "misguided_attention" / "responses"
    if not folder.is_dir():
        pytest.skip("recorded data not there")
    recordings = load_recordings(folder, suite="misguided_attention")
    assert len(recordings) == 936
    assert sum(recording.answer.text in {None, ""} for recording in recordings) == 42
