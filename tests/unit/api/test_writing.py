"""Files are written whole, inside the folder that was named, or the reason is told."""

from __future__ import annotations

import os

import pytest

from evalkit.api.writing import remove_others, write_file, write_plugin_file
from evalkit.errors import InputError


def test_plugin_file_goes_below_the_folder(tmp_path):
    """A name with folders makes them."""
    path = write_plugin_file(tmp_path / "out", "a/b.txt", content=b"x")

    assert path == tmp_path / "out" / "a" / "b.txt"
    assert path.read_bytes() == b"x"


@pytest.mark.parametrize("name", ["../b.txt", "a/../../b.txt", "/etc/b.txt"])
def test_plugin_file_stays_in_the_folder(tmp_path, name):
    """A reporter or exporter that names another place writes nothing."""
    with pytest.raises(InputError, match="outside"):
        write_plugin_file(tmp_path / "out", name, content=b"x")

    assert list(tmp_path.iterdir()) == []


def test_plugin_file_follows_no_link_out_of_the_folder(tmp_path):
    """A folder that is a link leads elsewhere; the folder that was named may be one, and a file's place, too."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "link").symlink_to(tmp_path / "out")
    (tmp_path / "precious").write_bytes(b"old")
    (tmp_path / "out" / "c.txt").symlink_to(tmp_path / "precious")

    with pytest.raises(InputError, match="a link on the way"):
        write_plugin_file(tmp_path / "out", "a/b.txt", content=b"x")
    write_plugin_file(tmp_path / "link", "b/b.txt", content=b"x")
    write_plugin_file(tmp_path / "link", "c.txt", content=b"new")

    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert (tmp_path / "out" / "b" / "b.txt").read_bytes() == b"x"
    assert (tmp_path / "precious").read_bytes() == b"old"


def test_a_link_stays_a_link(tmp_path):
    """Who reads what it leads to reads the new file; nobody is left with the old one."""
    (tmp_path / "live").mkdir()
    (tmp_path / "current").symlink_to("live/v1")
    for content in (b"old", b"new"):
        assert write_file(tmp_path / "current", content) == tmp_path / "current"
        assert (tmp_path / "current").is_symlink()
        assert (tmp_path / "live" / "v1").read_bytes() == content


def test_what_is_no_file_is_written_to(tmp_path):
    """A pipe, or `/dev/stdout`, is no file to be replaced."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_file(tmp_path / "link", b"x")
        assert os.read(reader, 9) == b"x"
    finally:
        os.close(reader)
    assert (tmp_path / "pipe").is_fifo()
    assert (tmp_path / "link").is_symlink()


def test_circle_of_links(tmp_path):
    """A folder that leads to itself is the caller's to mend."""
    (tmp_path / "out").symlink_to(tmp_path / "out")

    with pytest.raises(InputError, match="cannot be written"):
        write_file(tmp_path / "out" / "x", b"x")


def test_folder_where_the_file_goes(tmp_path):
    """A folder is not replaced by a file."""
    (tmp_path / "x").mkdir()

    with pytest.raises(InputError, match="cannot be written") as caught:
        write_file(tmp_path / "x", b"x")

    assert caught.value.exit_code == 2
    assert caught.value.next_step


def test_what_an_older_report_left_goes(tmp_path):
    """Answers that are not kept any more do not stay behind in a shard; folders and other places are left alone."""
    kept = write_plugin_file(tmp_path, "shards/new.js", content=b"x")
    write_plugin_file(tmp_path, "shards/old.js", content=b"x")
    write_plugin_file(tmp_path, "shards/below/old.js", content=b"x")
    write_plugin_file(tmp_path, "old.js", content=b"x")

    remove_others(tmp_path, "shards", kept=[kept])

    found = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert found == ["old.js", "shards/below/old.js", "shards/new.js"]


def test_nothing_is_removed_behind_a_link(tmp_path):
    """A folder that is a link is somebody else's."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "old.js").write_text("x")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "shards").symlink_to(tmp_path / "elsewhere")

    remove_others(tmp_path / "out", "shards", kept=[])
    remove_others(tmp_path / "out", "absent", kept=[])

    assert (tmp_path / "elsewhere" / "old.js").exists()


@pytest.mark.parametrize("name", ["../elsewhere", "/etc"])
def test_only_a_place_inside_is_swept(tmp_path, name):
    """A plugin cannot name another folder as its own."""
    with pytest.raises(InputError, match="outside"):
        remove_others(tmp_path / "out", name, kept=[])
