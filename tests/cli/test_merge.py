"""`evalkit merge` and `run --shard`: a run in parts."""

from __future__ import annotations

STORE = "sqlite:///.evalkit/{}.db"


def test_parts_become_one(evalkit, shop, tmp_path):
    """Each part runs in a store of its own; merged they decide, and fill the night's slot when told to."""
    run = evalkit.on(shop)
    for number in (1, 2):
        said = run("run", "--shard", f"{number}/2", "--progress", "quiet", "--store", STORE.format(number))
        assert said.code == 0, said.err
        assert f"part {number}/2" in run("runs", "--store", STORE.format(number)).out
    parts = [shop.path(f".evalkit/{number}.db") for number in (1, 2)]

    said = run("merge", *parts, "--tonight")
    assert said.out.startswith("merged: run ")
    assert run("merge", parts[0], STORE.format(2), "--json").document["is_new"] is False
    assert run("decide", "-o", tmp_path / "eligibility.json").code == 0
    summary = run("nightly", "--json").document
    assert (summary["run"]["resumed"], summary["run"]["calls"]) == (True, None)


def test_a_missing_part(evalkit, shop):
    """It is named, with the command that makes it."""
    evalkit.on(shop)("run", "--shard", "1/2", "--progress", "quiet")
    said = evalkit.on(shop)("merge", shop.path(".evalkit/evalkit.db"), "--json")

    assert (said.code, said.error["problems"][0]["next_step"]) == (2, "evalkit run --shard 2/2")


def test_bad_input(evalkit, shop):
    """No such store, no such part, no store at all."""
    assert evalkit.on(shop)("merge", shop.path("none.db"), "--json").error["kind"] == "NotFoundError"
    assert evalkit.on(shop)("run", "--shard", "3/2", "--json").code == 2
    assert evalkit.on(shop)("merge", "--json").code == 2
