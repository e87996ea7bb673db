"""Answers made elsewhere, graded end to end: files, plan, replay, wire, scorers, store and report.

Ten real models answered 250 grade-school problems; whoever published that counted the right answers at three levels
of tolerance towards their JSON. The whole of evalkit has to come to the same counts.
"""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest
import yaml

from evalkit.store.open import open_store

LEVELS = ("strict", "fence", "lenient")
SUITE = "gsm8k"
POLICY = {"version": 1, "tasks": {SUITE: {"max_candidates": 3}}}


@pytest.fixture(scope="module")
def answers():
    """The recorded answers' folder; without the data sets these tests are skipped."""
    data = Path(os.environ.get("EVALKIT_DATA") or Path(__file__).parents[3] / "shared" / "data")
    folder = data / "outputs" / "zeroeval_gsm"
    if not folder.is_dir():
        pytest.skip("no recorded data sets: set EVALKIT_DATA")
    return folder


def rows_of(path):
    """Yield the objects of a JSON Lines file, packed or not."""
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def a_case_id(name):
    """Return a case's own id as one of ours: the data set's hold a number sign."""
    return name.replace("#", "n")


def write(root, files):
    """Write YAML files below a folder."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")


def a_suite(cases, **fields):
    """Return a suite file of three number scorers, one a level."""
    return {
        "version": 1,
        "name": SUITE,
        "task": SUITE,
        "request": {"prompt": "{{ prompt }}"},
        "cases": cases,
        "primary": "lenient",
        "scorers": [{"number": {"as": level, "field": "answer", "accept": level}} for level in LEVELS],
        "gates": [{"metric": "lenient", "at_least": 0.5}],
        **fields,
    }


def a_model(model_id, **fields):
    """Return a model of the roster whose own key nobody has and whose rate limit would take hours."""
    key = {"api_key_env": "A_KEY_NOBODY_HAS", "limits": {"requests_per_minute": 1}}
    return {"id": model_id, "route": f"real/{model_id}", **key, **fields}


def write_recordings(path, rows):
    """Write recordings."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


GATEWAY = {"kind": "openai", "base_url": "http://127.0.0.1:9/v1", "api_key_env": "A_KEY_NOBODY_HAS"}
CONFIG = {"version": 1, "environment": "test", "gateway": GATEWAY, "limits": {"budget_usd": 0.01}}


@pytest.fixture(scope="module")
def imported(answers, tmp_path_factory):
    """The published answers as a project, and a file of recordings converted line by line."""
    root = tmp_path_factory.mktemp("imported")
    published = json.loads((answers / "expected.json").read_text(encoding="utf-8"))["models"]
    cases = [
        {"id": a_case_id(row["case_id"]), "vars": {"prompt": row["prompt"]}, "expected": row["expected"]}
        for row in rows_of(answers / "cases.jsonl")
    ]
    roster = {"version": 1, "models": [a_model(model_id) for model_id in published]}
    files = {"evalkit.yaml": CONFIG, "roster.yaml": roster, "policy.yaml": POLICY}
    write(root, files | {f"suites/{SUITE}/suite.yaml": a_suite(cases)})
    write_recordings(
        root / "answers.jsonl",
        (
            {
                "suite": SUITE,
                "case_id": a_case_id(row["case_id"]),
                "model": row["model"],
                "trial": row["trial"],
                "output": row["output"],
            }
            for model_id in published
            for row in rows_of(answers / "responses" / f"{model_id}.jsonl.gz")
        ),
    )
    return root, published


@pytest.mark.data
def test_real_answers_get_their_published_counts(imported, a_cli):
    """All ten models, all three levels, every count; without a key, a network, a rate limit or a budget."""
    root, published = imported
    cli = a_cli(root)
    code, document = cli.json("import", "responses", str(root / "answers.jsonl"))
    assert code == 0, document
    counted = {
        (cell["model_id"], cell["metric"]): (
            round(cell["estimate"]["value"] * cell["estimate"]["n"]),
            cell["estimate"]["n"],
        )
        for cell in document["cells"]
        if cell["metric"] in LEVELS
    }
    assert counted == {
        (model_id, level): (counts[level]["correct"], counts["n"])
        for model_id, counts in published.items()
        for level in LEVELS
    }
    (run,) = cli.runs()
    assert (str(run.status), run.gateway_kind, run.is_partial) == ("finished", "replay", False)


@pytest.fixture
def a_small_project(tmp_path, a_cli):
    """A project of five cases and two models, and a function that imports rows into it."""
    cases = [{"id": f"c{i}", "vars": {"prompt": f"What is {i} + {i}?"}, "expected": str(2 * i)} for i in range(5)]
    roster = {"version": 1, "models": [a_model("one"), a_model("two", routes={"litellm": "lite/two"})]}
    suite = a_suite(cases, gates=[{"metric": "lenient", "at_least": 0.3}], trials=2)
    files = {"evalkit.yaml": CONFIG, "roster.yaml": roster, "policy.yaml": POLICY}
    write(tmp_path, files | {f"suites/{SUITE}/suite.yaml": suite})

    def build(rows):
        write_recordings(tmp_path / "rows.jsonl", rows)
        return a_cli(tmp_path)("import", "responses", str(tmp_path / "rows.jsonl"), "--json")

    return build


def a_row(case_id, model="one", **fields):
    """Return the recording of a right answer."""
    return {"suite": SUITE, "case_id": case_id, "model": model, "output": '{"answer": 0}', **fields}


def test_what_was_not_recorded_is_not_missing(a_small_project):
    """Two answers of one model are a run of two calls: nothing that was never asked counts against anybody."""
    done = a_small_project([a_row("c0"), a_row("c3")])
    assert done.returncode == 0, done.stderr
    run = json.loads(done.stdout)["run"]
    assert [(cell["model_id"], cell["n_planned"], cell["is_partial"]) for cell in run["cells"]] == [("one", 2, True)]


def test_as_many_trials_as_were_recorded(a_small_project):
    """The recordings say how often each case was asked, whatever the suite says."""
    rows = [a_row(f"c{i}", trial=trial) for i in range(5) for trial in range(3)]
    run = json.loads(a_small_project(rows).stdout)["run"]
    assert [(cell["n_planned"], cell["is_partial"]) for cell in run["cells"]] == [(15, False)]


def test_a_model_may_be_named_by_its_route(a_small_project):
    """Whoever recorded behind a gateway knows the route, not our name for it."""
    done = a_small_project([a_row("c0", model="real/two")])
    (cell,) = json.loads(done.stdout)["run"]["cells"]
    assert cell["model_id"] == "two"


def test_what_a_recording_tells_is_kept(a_small_project, a_cli, tmp_path):
    """Latency and cost are those of the recording; one that does not say gives none, never zero."""
    done = a_small_project([a_row("c0", latency_s=1.5, cost_usd=0.25), a_row("c1")])
    assert done.returncode == 0, done.stderr
    store = open_store("sqlite:///.evalkit/evalkit.db", root=tmp_path)
    outcomes = store.outcomes(json.loads(done.stdout)["run"]["run_id"])
    found = {outcome.case_id: (outcome.timings.latency_s, outcome.cost.usd) for outcome in outcomes}
    store.close()
    assert found == {"c0": (1.5, 0.25), "c1": (None, None)}


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ([a_row("c9")], "no recording fits"),
        ([a_row("c0", model="three")], "no recording fits"),
        ([a_row("c0"), a_row("c0")], "already recorded"),
        ([{"suite": SUITE, "case_id": "c0", "model": "one"}], "exactly one of response and output"),
    ],
)
def test_recordings_that_fit_nothing_are_refused(a_small_project, rows, problem):
    """Exit 2 with file and line: nothing is imported in silence."""
    done = a_small_project(rows)
    assert done.returncode == 2
    assert problem in done.stderr
    assert "rows.jsonl:" in done.stderr
