"""`evalkit canary`: a few calls an hour."""

from __future__ import annotations


def test_first_and_second(evalkit, shop):
    """The first has nothing to be held against, the second finds nothing; neither is listed with the runs."""
    first = evalkit.on(shop)("canary", "-n", "5")
    second = evalkit.on(shop)("canary", "-n", "5")

    assert (first.code, second.code) == (0, 0), first.err
    assert "20 calls" in first.out
    assert "the first of its kind" in first.out
    assert second.out.endswith("no change\n")
    assert evalkit.on(shop)("runs", "--json").document == {"runs": []}
    assert len(evalkit.on(shop)("runs", "--environment", "test-env.canary", "--json").document["runs"]) == 2


def test_json(evalkit, shop):
    """One document with run, findings and exit."""
    document = evalkit.on(shop)("canary", "colour", "--model", "alpha", "-n", "5", "--json").document

    assert (document["findings"], document["exit"]["code"], document["n_sent"]) == ([], 0, 5)


def test_dead_gateway_and_bad_input(evalkit, shop):
    """Exit codes 4 and 2."""
    assert evalkit.on(shop)("canary", "nobody", "--json").error["kind"] == "NotFoundError"
    shop.use_gateway("http://127.0.0.1:1/v1")
    assert evalkit.on(shop)("canary", "--json").code == 4
