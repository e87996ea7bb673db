"""`evalkit prune`: a smaller store."""

from __future__ import annotations


def test_texts_go_and_numbers_stay(evalkit, measured, tmp_path):
    """Said before with --dry-run, then done; decisions are what they were."""
    run = evalkit.on(measured)
    run("decide", "-o", tmp_path / "before.json")
    # A duration is at least a second.
    dry = run("prune", "--texts-older", "1s", "--dry-run")
    assert dry.out.count("would forget the texts of") == 2
    document = run("prune", "--texts-older", "1s", "--runs-older", "1s", "--json").document
    assert (len(document["without_texts"]), document["removed"], len(document["kept"])) == (2, [], 2)
    run("decide", "-o", tmp_path / "after.json")
    assert (tmp_path / "after.json").read_bytes() == (tmp_path / "before.json").read_bytes()
    assert run("prune", "--texts-older", "1s").out == "0 runs without texts, 0 runs gone\n"


def test_bad_input(evalkit, measured):
    """Something has to be asked for, in words that are a duration."""
    assert "--texts-older, --runs-older" in evalkit.on(measured)("prune", "--json").error["message"]
    assert evalkit.on(measured)("prune", "--runs-older", "soon", "--json").code == 2


def test_an_empty_store(evalkit, shop):
    """There is nothing to forget."""
    assert evalkit.on(shop)("prune", "--runs-older", "1d").out == "0 runs without texts, 0 runs gone\n"
