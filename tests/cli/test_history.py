"""`evalkit history`: numbers of past runs, in a file."""

from __future__ import annotations


def test_there_and_back(evalkit, measured, tmp_path):
    """Exported from one store, imported into another, listed there as runs without texts."""
    path = tmp_path / "history.jsonl.gz"
    document = evalkit.on(measured)("history", "export", path, "--json").document
    assert (document["n_runs"], document["n_bytes"]) == (2, path.stat().st_size)
    assert "2 runs" in evalkit.on(measured)("history", "export", path, "--runs", "9", "--whole").out

    other = ("--store", "sqlite:///.evalkit/other.db")
    run = evalkit.on(measured)
    assert run("history", "import", path, "--json", *other).document == {"n_added": 2, "n_known": 0}
    assert run("history", "import", path, *other).out == "0 runs added, 2 known already\n"
    assert run("runs", *other).out.count("without texts") == 2
    assert run("decide", "-o", tmp_path / "eligibility.json", *other).code == 0


def test_nothing_to_export(evalkit, shop, tmp_path):
    """An empty store is no history."""
    said = evalkit.on(shop)("history", "export", tmp_path / "x.gz", "--json")

    assert (said.code, said.error["problems"][0]["next_step"]) == (2, "evalkit run")


def test_where_nothing_can_be_written(evalkit, measured, a_file):
    """The folder is a file: exit code 2."""
    assert evalkit.on(measured)("history", "export", a_file / "x.gz", "--json").code == 2


def test_missing_and_damaged(evalkit, shop, a_file, tmp_path):
    """Exit code 2, and what to do."""
    assert evalkit.on(shop)("history", "import", tmp_path / "none.gz", "--json").error["kind"] == "NotFoundError"
    said = evalkit.on(shop)("history", "import", a_file, "--json")
    assert (said.code, said.error["problems"][0]["file"]) == (2, str(a_file))


def test_another_file_is_not_written_over(evalkit, measured):
    """A slip of the fingers must not cost the project file."""
    before = (measured.root / "evalkit.yaml").read_bytes()
    said = evalkit.on(measured)("history", "export", measured.root / "evalkit.yaml")
    assert said.code == 2
    assert "is no history" in said.err
    assert (measured.root / "evalkit.yaml").read_bytes() == before
