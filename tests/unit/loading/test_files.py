"""Files: only those inside the project, only UTF-8, only strict JSON."""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.canonical import canonical_json
from evalkit.errors import InputError, NotFoundError, Place
from evalkit.loading.files import ProjectFiles, parse_json

HERE = Place(file="cases.jsonl", line=5)


@pytest.fixture
def files(tmp_path):
    """A project with a file, beside a file that is not its own."""
    (tmp_path / "shop" / "sub").mkdir(parents=True)
    (tmp_path / "shop" / "a.txt").write_text("hello\n")
    (tmp_path / "secret.txt").write_text("secret")
    return ProjectFiles(tmp_path / "shop")


def test_a_name_is_relative_to_the_file_that_says_it(files):
    """A suite names files beside itself."""
    assert files.find("../a.txt", beside="sub/suite.yaml") == "a.txt"


@pytest.mark.parametrize("name", ["../secret.txt", "sub/../../secret.txt", "/etc/passwd", "a\0b", "", "sub", "."])
def test_what_is_no_file_of_the_project_is_refused(files, name):
    """Nothing outside is read, whichever way it is written."""
    with pytest.raises(InputError):
        files.find(name, place=HERE)


@pytest.mark.parametrize("link", ["link.txt", "sub/link.txt"])
def test_a_link_that_leads_out_is_refused(files, link):
    """Symbolic links are resolved before they are judged."""
    (files.root / link).symlink_to(files.root.parent / "secret.txt")
    with pytest.raises(InputError, match="outside the project"):
        files.find(link)


def test_a_linked_folder_that_leads_out_is_refused(files):
    """A link in the middle of a path counts as well."""
    (files.root / "out").symlink_to(files.root.parent)
    with pytest.raises(InputError, match="outside the project"):
        files.find("out/secret.txt")


def test_a_link_inside_is_followed(files):
    """Links within the project are fine."""
    (files.root / "link.txt").symlink_to(files.root / "a.txt")
    assert files.find("link.txt") == "a.txt"


def test_links_in_a_circle_are_refused(files):
    """A circle of links is no file."""
    (files.root / "x").symlink_to(files.root / "y")
    (files.root / "y").symlink_to(files.root / "x")
    with pytest.raises(InputError):
        files.find("x")


def test_a_pipe_is_not_read(files):
    """Opening a named pipe would wait for ever."""
    os.mkfifo(files.root / "pipe")
    with pytest.raises(InputError, match="not a regular file"):
        files.find("pipe")


def test_a_missing_file_names_its_neighbours(files):
    """A wrong name is most often a typing error."""
    with pytest.raises(NotFoundError) as caught:
        files.find("b.txt")
    assert "a.txt" in caught.value.next_step


def test_a_byte_order_mark_is_dropped(files):
    """Spreadsheets write one."""
    (files.root / "a.txt").write_bytes(b"\xef\xbb\xbfhi")
    assert files.read_text("a.txt") == "hi"


def test_other_encodings_are_refused_with_the_line(files):
    """The line of the first wrong byte is told."""
    (files.root / "a.txt").write_bytes(b"ok\nna\xefve\n")
    with pytest.raises(InputError, match="UTF-8") as caught:
        files.read_text("a.txt")
    assert caught.value.place.line == 2


def test_a_large_file_is_refused(files):
    """The limit is checked before the file is read."""
    with pytest.raises(InputError, match="larger than 3 bytes"):
        files.read_text("a.txt", max_bytes=3)


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ('{"a": 1, "a": 2}', "'a' is given twice"),
        ('{"a": {"b": 1, "b": 1}}', "'b' is given twice"),
        ("NaN", "NaN is not JSON"),
        ("[-Infinity]", "-Infinity is not JSON"),
        ("1e999", "too large"),
        ("9007199254740992", "beyond 2**53"),
        ("1" * 5000, "not valid JSON"),
        (r'"\ud800"', "surrogate"),
        (r'{"\uDC00": 1}', "surrogate"),
        ("[" * 100_000, "nested too deeply"),
        ("{'a': 1}", "at column 2"),
        ("", "at column 1"),
        ("1 2", "Extra data"),
    ],
)
def test_json_that_is_not_strict_is_refused(text, fragment):
    """Each refusal keeps the place it was given."""
    with pytest.raises(InputError) as caught:
        parse_json(text, place=HERE)
    assert fragment in str(caught.value)
    assert (caught.value.place.file, caught.value.place.line) == ("cases.jsonl", 5)


def test_the_line_inside_a_json_file_is_counted():
    """A schema file has many lines."""
    with pytest.raises(InputError) as caught:
        parse_json('{\n"a": 1,\n}', place=Place(file="s.json"))
    assert caught.value.place.line == 3


@given(
    st.text(max_size=40) | st.builds(json.dumps, st.dictionaries(st.text(), st.floats() | st.integers() | st.text()))
)
def test_whatever_is_accepted_has_a_canonical_form(text):
    """A value that loads can be hashed; nothing fails later."""
    try:
        value = parse_json(text, place=HERE)
    except InputError:
        return
    assert canonical_json(value)
