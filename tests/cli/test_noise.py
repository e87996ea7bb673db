"""`evalkit noise`: how often the gates would contradict themselves."""

from __future__ import annotations

import pytest


@pytest.fixture
def said(evalkit, measured):
    """What the command says of the measured project, with few simulations."""
    return lambda *more: evalkit.on(measured)("noise", "--simulations", "50", "--at-most", "0.4", *more)


def test_table(said):
    """One line a verdict and a gate; both nights of the store make a pair."""
    found = said()

    assert found.code == 0
    assert "SIMULATED: flips" in found.out
    assert "verdict" in found.out
    assert "greeting/fields >= 0.5" in found.out
    assert " 0/1 " in found.out
    assert "0 of 10 flip more often than 0.4, or nobody knows (at most 50 simulated nights each, seed 0)" in found.out


def test_json(said):
    """The same as one document, every rate with n, interval, level and method."""
    document = said("--task", "greeting", "--model", "alpha", "--json").document

    assert document["simulated"] is True
    assert document["options"]["at_most"] == 0.4
    assert [row["metric"] for row in document["rows"]] == [None, "json_schema", "fields"]
    (row, *_) = document["rows"]
    assert (row["tonight"], row["n_clusters"], row["enough_clusters"], row["tried_clusters"]) == (
        "eligible",
        30,
        30,
        150,
    )
    assert row["flips"]["lower"] <= row["flips"]["value"] <= row["flips"]["upper"]
    assert (row["flips"]["method"], row["flips"]["level"]) == ("resampled", 0.95)
    assert (row["observed"]["n_nights"], row["observed"]["n_pairs"], row["observed"]["n_flips"]) == (2, 1, 0)


def test_same_seed_same_bytes(said):
    """Asked twice, it says the same."""
    assert said("--json").out == said("--json").out


def test_too_noisy_is_exit_code_3(evalkit, measured):
    """Thirty cases against a gate they can hardly pass: evidence too thin, and how many would do."""
    measured.replace("suites/colour/suite.yaml", old="at_least: 0.5", new="at_least: 0.88")

    said = evalkit.on(measured)("noise", "--task", "colour", "--model", "alpha", "--simulations", "100")

    assert said.code == 3
    assert "2 of 2 flip more often than 0.05" in said.out


def test_unmeasured_pairs_are_named(evalkit, measured):
    """A model that joined the roster since was not measured; the rest is shown."""
    measured.write(
        "roster.yaml", measured.text("roster.yaml") + "  - {id: gamma, route: sim/gemini, provider: third}\n"
    )

    said = evalkit.on(measured)("noise", "--task", "colour", "--simulations", "50", "--at-most", "0.4")

    assert "not measured: colour · gamma" in said.out


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--task", "nosuch"], "no task 'nosuch'"),
        (["--model", "nosuch"], "no model 'nosuch'"),
        (["--at-most", "0.5"], "at-most is 0.5"),
        (["--at-most", "0"], "at-most is 0.0"),
        (["--at-most", "nan"], "at-most is nan"),
        (["--simulations", "49"], "49 simulations"),
    ],
)
def test_bad_input(evalkit, measured, arguments, problem):
    """Exit code 2, with the value and what to give instead."""
    said = evalkit.on(measured)("noise", *arguments, "--json")

    assert said.code == 2
    assert problem in said.error["message"]
    assert said.error["problems"][0]["next_step"]


def test_no_run(evalkit, shop):
    """An empty store has no noise; the next step is to measure."""
    said = evalkit.on(shop)("noise", "--json")

    assert said.code == 2
    assert said.error["problems"][0]["next_step"] == "evalkit run"


def test_progress_goes_to_stderr(said, monkeypatch):
    """Stdout is the result alone."""
    monkeypatch.setattr("evalkit.cli.noise._SAY_EVERY_S", 0.0)

    found = said("--task", "colour", "--json")

    assert "1/2: colour · beta" in found.err
    assert found.document["rows"]
