"""`evalkit baseline`: how far back comparisons look."""

from __future__ import annotations


def test_set_and_clear(evalkit, measured):
    """What was set is listed, holds for compare, and can be cleared."""
    run = evalkit.on(measured)
    newest = run("runs", "--json").document["runs"][0]["run_id"]

    assert run("baseline", "set", "--json").document == {"baseline": newest}
    assert "baseline" in run("runs").out.splitlines()[0]
    assert run("baseline", "set", newest[:-1]).out.startswith(f"baseline: {newest}")
    assert run("baseline", "clear").out == f"no baseline any more; it was {newest}\n"


def test_json(evalkit, measured):
    """Which runs had the mark."""
    newest = evalkit.on(measured)("baseline", "set", "--json").document["baseline"]

    assert evalkit.on(measured)("baseline", "clear", "--json").document == {"cleared": [newest]}


def test_no_run_at_all(evalkit, shop):
    """There is nothing to look back to."""
    assert evalkit.on(shop)("baseline", "set", "--json").code == 2


def test_a_part_of_a_run(evalkit, shop):
    """What measured half of the suites is nothing to look back to: the whole of it is."""
    run = evalkit.on(shop)
    run("run", "--shard", "1/2", "--progress", "quiet")
    said = run("baseline", "set", "--json")

    assert said.code == 2
    assert "it is part 1/2 of a run" in said.error["problems"][0]["problem"]
    assert "evalkit merge" in said.error["problems"][0]["next_step"]


def test_a_filtered_run(evalkit, shop):
    """Neither is what asked one model only."""
    run = evalkit.on(shop)
    run("run", "--model", "alpha", "--progress", "quiet")

    assert "it is partial" in run("baseline", "set").err


def test_missing(evalkit, measured):
    """No such run, and nothing to clear."""
    assert evalkit.on(measured)("baseline", "set", "nobody", "--json").error["kind"] == "NotFoundError"
    assert (
        evalkit.on(measured)("baseline", "clear", "--json").error["problems"][0]["next_step"]
        == "evalkit baseline set RUN"
    )
