"""`evalkit compare`: two runs, paired per case."""

from __future__ import annotations

import pytest


@pytest.fixture
def run_ids(evalkit, measured):
    """Newest first."""
    return [run["run_id"] for run in evalkit.on(measured)("runs", "--json").document["runs"]]


def test_latest_against_the_one_before(evalkit, measured, run_ids):
    """Without arguments the two newest runs are compared; equal runs are no regression."""
    said = evalkit.on(measured)("compare")

    assert said.code == 0
    assert said.out.startswith(f"{run_ids[0]} against {run_ids[1]}: ")
    assert "0 regressions" in said.out


def test_json(evalkit, measured, run_ids):
    """Both runs and every comparison come as one document."""
    document = evalkit.on(measured)("compare", *reversed(run_ids), "--json").document

    assert (document["run"], document["baseline"]) == (run_ids[1], run_ids[0])
    assert {found["model_id"] for found in document["comparisons"]} == {"alpha", "beta"}


def test_regression_is_exit_code_1(evalkit, shop, gateway):
    """A model that stops answering right is a confirmed regression."""
    shop.use_gateway(gateway(served_as="m"))
    evalkit.on(shop)("run", "--new", "--progress", "quiet")
    shop.replace("evalkit.yaml", old=shop.text("evalkit.yaml").split('"')[1], new=gateway(served_as="m", wrong=True))
    evalkit.on(shop)("run", "--new", "--progress", "quiet")

    said = evalkit.on(shop)("compare")

    assert said.code == 1
    assert "REGRESSION: " in said.out
    assert "  right, now wrong: " in said.out
    assert said.out.splitlines()[-1].startswith(f"{said.out.count('REGRESSION: ')} regressions")


def test_every_comparison_that_found_nothing_says_what_it_would_have_found(evalkit, measured):
    """No drop is no proof that there is none."""
    said = evalkit.on(measured)("compare")
    document = evalkit.on(measured)("compare", "--json").document

    quiet = [line for line in said.out.splitlines() if line.startswith("no drop found: ")]
    assert len(quiet) == len(document["comparisons"]) > 0
    assert all("; would have found -0." in line for line in quiet)
    assert all(one["detectable"] >= 0.02 for one in document["comparisons"])


def test_nights_that_are_too_few_are_said(evalkit, measured):
    """Two earlier runs do not show how nights differ, and that is no zero."""
    said = evalkit.on(measured)("compare")

    assert "how much nights differ by themselves is unknown" in said.out
    assert evalkit.on(measured)("compare", "--json").document["night_sd"] is None


def test_a_changed_name_is_told_above_everything(evalkit, shop, gateway):
    """What changed comes before the comparisons it may explain."""
    for name in ("m", "m2"):
        shop.use_gateway(gateway(served_as=name))
        evalkit.on(shop)("run", "--new", "--progress", "quiet")

    lines = evalkit.on(shop)("compare").out.splitlines()

    assert lines[1].startswith("changed: ")
    assert "served m before, m2 now" in lines[1]
    assert evalkit.on(shop)("compare", "--json").document["changes"][0]["what"] == "served m before, m2 now"


def test_worse_than_the_incumbent_is_told_and_exits_with_0(evalkit, shop):
    """A standing difference is no news."""
    shop.replace("policy.yaml", old="greeting: {pin: alpha}", new="greeting: {incumbent: beta}")
    for _ in range(2):
        evalkit.on(shop)("run", "--new", "--progress", "quiet")

    said = evalkit.on(shop)("compare")
    document = evalkit.on(shop)("compare", "--json").document

    assert said.code == 0
    assert {(one["model_id"], one["baseline"]) for one in document["incumbents"]} == {("alpha", "beta")}
    assert {one["suite"] for one in document["incumbents"]} == {"greeting"}
    assert " than beta [" in said.out


def test_a_named_extension_is_taken_up(evalkit, measured, run_ids):
    """The printed command's run extends the night, and is neither the newest run nor a baseline."""
    evalkit.on(measured)(
        "run", "greeting", "--model", "alpha", "--trials", "5", "--new", "--fail-on", "never", "--progress", "quiet"
    )

    said = evalkit.on(measured)("compare")
    document = evalkit.on(measured)("compare", "--json").document

    assert said.out.startswith(f"{run_ids[0]} against {run_ids[1]}: ")
    extended = {(one["suite"], one["model_id"]) for one in document["comparisons"] if one["extended_by"]}
    assert extended == {("greeting", "alpha")}
    assert "measured again, not confirmed: greeting alpha fields: " in said.out


def test_hostile_served_names_are_neutralised(evalkit, shop, gateway):
    """A gateway that names its models in line breaks and markup changes nothing in the terminal."""
    for name in ("m", "m2\r\nREGRESSION: everything [red]x[/red]"):
        shop.use_gateway(gateway(served_as=name))
        evalkit.on(shop)("run", "--new", "--progress", "quiet")

    said = evalkit.on(shop)("compare")
    as_json = evalkit.on(shop)("compare", "--json")

    assert not [line for line in said.out.splitlines() if line.startswith("REGRESSION")]
    assert not {"\x1b", "\r", "\u202e"} & set(said.out + said.err + as_json.out)
    assert "[red]x[/red]" in said.out


def test_nothing_in_common_is_undecided(evalkit, measured):
    """Runs of other suites cannot be compared: exit code 3, and what would cure it."""
    for suite in ("colour", "greeting"):
        evalkit.on(measured)("run", suite, "--new", "--progress", "quiet")
    newest, before, *_ = evalkit.on(measured)("runs", "--json").document["runs"]

    said = evalkit.on(measured)("compare", newest["run_id"], before["run_id"])

    assert said.code == 3
    assert "nothing to compare" in said.out
    assert "next: " in said.out


def test_no_earlier_run(evalkit, measured, run_ids):
    """The oldest run has no baseline: too little to say, and the next step is to measure again."""
    said = evalkit.on(measured)("compare", run_ids[-1], "--json")

    assert said.code == 3
    assert said.error["problems"][0]["next_step"] == "evalkit run --new"


def test_no_run(evalkit, shop):
    """An empty store cannot be compared."""
    assert evalkit.on(shop)("compare").code == 2


@pytest.mark.parametrize("which", [0, 1])
def test_unknown_run(evalkit, measured, run_ids, which):
    """A run nobody made is refused, on either side."""
    arguments = [run_ids[0], run_ids[1]]
    arguments[which] = "nosuch"

    said = evalkit.on(measured)("compare", *arguments, "--json")

    assert said.code == 2
    assert "no run 'nosuch'" in said.error["message"]
