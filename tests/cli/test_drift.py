"""`evalkit drift`: charts over many nights."""

from __future__ import annotations

import pytest

from evalkit.api.project import load_project, opened_store
from evalkit.testing.builders import STARTED_AT
from evalkit.testing.evidence import DAY_S, Answer, answers_failing, store_night


@pytest.fixture
def slept(shop):
    """Return a function that measures the shop on so many more nights, with so many failures each."""
    project = load_project(shop.root)
    nights = iter(range(1000))

    def measure(n_nights, n_failing, **fields):
        with opened_store(project) as store:
            for _, number in zip(range(n_nights), nights, strict=False):
                answers = _failing(n_failing, number, **fields)
                store_night(store, project, answers, run_id=f"night-{number}", started_at=STARTED_AT + number * DAY_S)

    return measure


def _failing(n_failing, number, **fields):
    """Alpha fails as told, other cases each night; beta never fails."""
    alpha, beta = (
        {metric: answers_failing(n, first=number % 15, metric=metric, **fields) for metric in ("fields", "exact")}
        for n in (n_failing, 0)
    )

    def answer(suite, model, case) -> Answer:
        return (alpha if model.id == "alpha" else beta)[suite.primary](suite, model, case)

    return answer


def test_quiet_nights(evalkit, shop, slept):
    """Nothing moved: exit code 0, and how many charts say so."""
    slept(12, 3)

    said = evalkit.on(shop)("drift")

    assert said.code == 0
    assert "SIMULATED" in said.out
    assert "22 charts watched over at most 12 runs: 0 worse, 0 better, 22 steady" in said.out
    assert "h=8.05, k=0.5" in said.out


def test_drift_to_the_worse_is_exit_code_1(evalkit, shop, slept):
    """The night, the size with its interval and the exit code."""
    slept(12, 3)
    slept(6, 15)

    said = evalkit.on(shop)("drift", "--suite", "colour")

    assert said.code == 1
    (line,) = (line for line in said.out.splitlines() if line.startswith("DRIFT WORSE") and " exact: " in line)
    assert line.startswith("DRIFT WORSE: colour alpha exact: -0.400 [-0.")
    assert "(night-12)" in line
    assert "told by" in line
    assert "greeting" not in said.out


def test_json(evalkit, shop, slept):
    """Everything comes as one document: charts, drifts, lengths, and what the threshold is for."""
    slept(12, 3)
    slept(6, 15)

    said = evalkit.on(shop)("drift", "--model", "alpha", "--json")

    document = said.document
    assert said.code == 1
    assert (document["threshold"], document["allowance"], document["n_family"]) == (8.05, 0.5, 22)
    assert {chart["model_id"] for chart in document["charts"]} == {"alpha"}
    worst = document["charts"][0]
    assert worst["state"] == "worse"
    assert worst["drifts"][0]["change_run"] == "night-12"
    assert len(worst["levels"]) == worst["n_nights"] == 18


def test_better_is_exit_code_0(evalkit, shop, slept):
    """A model that improved needs nobody."""
    slept(12, 15)
    slept(6, 3)

    said = evalkit.on(shop)("drift")

    assert said.code == 0
    assert "DRIFT BETTER: " in said.out


def test_too_few_nights_are_undecided(evalkit, shop, slept):
    """Nothing could be judged: exit code 3, how many nights are missing, and no word of steadiness."""
    slept(5, 3)

    said = evalkit.on(shop)("drift")

    assert said.code == 3
    assert "22 charts could not be judged, which is not the same as no drift: 22 need 3 more nights" in said.out
    assert "next: evalkit run --new on later nights; a chart needs 8 nights of one series" in said.out


def test_no_run_is_undecided(evalkit, shop):
    """An empty store says nothing, and says so."""
    said = evalkit.on(shop)("drift")
    assert said.code == 3
    assert "22 need 8 more nights" in said.out


def test_new_series_is_told(evalkit, shop, slept):
    """A changed served name stands above everything else, and is neutralised: names come from outside."""
    slept(10, 3, served_model="m2\r\n\x1b[31mDRIFT")
    slept(9, 3)

    said = evalkit.on(shop)("drift")

    assert said.code == 0
    head = said.out.splitlines()[1]
    assert head.startswith("NEW SERIES: ")
    assert "served m2" in head
    assert not {"\x1b", "\r"} & set(said.out)


def test_lengths_against_the_incumbent(evalkit, shop, slept):
    """Where the policy names an incumbent, the others' lengths are told against its."""
    shop.replace("policy.yaml", old="colour: {}", new="colour: {incumbent: alpha}")
    slept(8, 3)
    assert "LENGTH: colour beta: ×1.000 the output tokens of alpha [?, ?], n=30" in evalkit.on(shop)("drift").out


def test_nights_limits_what_is_read(evalkit, shop, slept):
    """Older runs are not looked at."""
    slept(12, 3)
    assert evalkit.on(shop)("drift", "--nights", "4").code == 3


@pytest.mark.parametrize(("option", "what"), [("--suite", "suite"), ("--model", "model")])
def test_unknown_name(evalkit, shop, option, what):
    """A suite or model that does not exist is bad input, with those that do."""
    said = evalkit.on(shop)("drift", option, "nosuch", "--json")
    assert said.code == 2
    assert f"no {what} 'nosuch'" in said.error["message"]
    assert said.error["problems"][0]["next_step"].startswith("one of ")


def test_bad_usage(evalkit, shop):
    """No nights at all cannot be asked for."""
    assert evalkit.on(shop)("drift", "--nights", "0").code == 2


def test_no_project(evalkit, tmp_path):
    """A folder without a project is bad input."""
    assert evalkit("drift", "--root", str(tmp_path)).code == 2
