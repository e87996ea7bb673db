"""`evalkit keygen`: the private half goes to a file of its owner's alone and nowhere else."""

from __future__ import annotations

import stat

import pytest

pytest.importorskip("cryptography")


def test_private_key_is_for_its_owner_only(evalkit, tmp_path):
    """The file has mode 0600, whatever the umask."""
    said = evalkit("keygen", "-o", tmp_path / "keys" / "a.key")

    assert said.code == 0
    assert stat.S_IMODE((tmp_path / "keys" / "a.key").stat().st_mode) == 0o600


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_private_key_is_never_printed(evalkit, tmp_path, more):
    """Neither stream shows it, as text or as JSON."""
    said = evalkit("keygen", "-o", tmp_path / "a.key", *more)

    private = (tmp_path / "a.key").read_text(encoding="ascii").strip()
    assert len(private) == 44
    assert private not in said.out + said.err


def test_json_gives_the_public_half(evalkit, tmp_path):
    """The one document holds the file's name and the public key."""
    document = evalkit("keygen", "-o", tmp_path / "a.key", "--json").document

    assert document["private_key_file"] == str(tmp_path / "a.key")
    assert len(document["public_key"]) == 44


def test_never_writes_over_a_key(evalkit, tmp_path):
    """A second key of the same name is refused and the first one kept."""
    evalkit("keygen", "-o", tmp_path / "a.key")
    before = (tmp_path / "a.key").read_bytes()

    said = evalkit("keygen", "-o", tmp_path / "a.key", "--json")

    assert said.code == 2
    assert said.error["problems"][0]["problem"] == "a file is in the way; a key is never written over"
    assert (tmp_path / "a.key").read_bytes() == before


def test_folder_that_cannot_be_written(evalkit, a_file):
    """What the system refuses is told with a next step."""
    said = evalkit("keygen", "-o", a_file / "a.key")

    assert said.code == 2
    assert "cannot be written" in said.err


def test_output_is_required(evalkit):
    """Without a file there is nowhere to put the private half."""
    said = evalkit("keygen", "--json")

    assert said.code == 2
    assert said.error["kind"] == "MissingParameter"
