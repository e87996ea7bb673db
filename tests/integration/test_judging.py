"""Judged over real HTTP: killed while judges answer, the same command goes on, and no verdict is paid for twice."""

from __future__ import annotations

import os
import signal

import pytest
import yaml

from evalkit.api.project import load_project, opened_store

IN_FLIGHT = 4
"""The project's concurrency."""
LINGERING = 16
"""At most what comes back between two commits, at the pace of these tests."""
N_CASES = 30
N_ANSWERS = 2 * N_CASES
PRICE = {"input_usd_per_mtok": 1.0, "output_usd_per_mtok": 4.0}
JUDGES = [
    {
        "id": "judge",
        "route": "judge/1/1/strict",
        "provider": "jury",
        "price": PRICE,
        "capabilities": {"structured": "json_schema"},
    },
    {"id": "embedder", "route": "steady/embedder", "provider": "vectors", "price": PRICE},
]
MODELS = [
    {"id": "good", "route": "steady/good", "provider": "a", "price": PRICE},
    {"id": "bad", "route": "weak/bad", "provider": "b", "price": PRICE},
]
SCORERS = [
    "exact",
    {"rubric": {"judge": "judge", "pass_at": 1, "criteria": [{"id": "right", "text": "The sum is right."}]}},
    {"similarity": {"embedder": "embedder", "served_as": "steady/embedder", "dimensions": 8}},
]
SUITE = "suites/sums/suite.yaml"


@pytest.fixture
def judged(a_project, a_simulator, a_cli):
    """Give a function: a judged project, a counted simulator, and the command line that asks it."""

    def build(*, time_scale=0.0):
        gateway = {"simulator": {"time_scale": time_scale}}
        root = a_project(N_CASES, models=MODELS, gateway=gateway)
        for name, changes in (("roster.yaml", {"judges": JUDGES}), (SUITE, {"scorers": SCORERS})):
            path = root / name
            path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | changes, sort_keys=False))
        simulator = a_simulator(root, time_scale=time_scale)
        return a_cli(root, EVALKIT_GATEWAY_BASE_URL=simulator.base_url), simulator

    return build


def values_of(root, metric):
    """Return by model what a metric came to, case by case."""
    project = load_project(root)
    with opened_store(project) as store:
        (run, *_) = store.runs(project=project.name, environment="test")
        scored = {one.call_key: one for one in store.scores(run.run_id)}
        found: dict[str, list[float]] = {}
        for outcome in store.outcomes(run.run_id, with_payloads=False):
            said = next(one for one in scored[outcome.call_key].scores if one.metric == metric)
            found.setdefault(outcome.model_id, []).append(said.value)
        return found


def test_judged_from_end_to_end(judged):
    """A perfect judge finds what an exact comparison finds, and the embedder that a right answer is itself."""
    cli, simulator = judged()
    _, document = cli.json("run", "--fail-on", "never")
    assert document["recording"]["n_sent"] == N_ANSWERS
    assert (document["asked"]["n_sent"], document["asked"]["n_missing"]) == (2 * N_ANSWERS, 0)
    assert simulator.n_requests == 3 * N_ANSWERS
    exact, rubric, similarity = (values_of(cli.root, name) for name in ("exact", "rubric", "similarity"))
    assert rubric == exact
    assert similarity["good"] == pytest.approx([1.0] * N_CASES)
    assert sum(similarity["bad"]) < sum(similarity["good"])


def test_killed_while_judges_answer(judged):
    """`kill -9` among the questions: the run is still open, and what was answered is asked no more."""
    cli, simulator = judged(time_scale=0.05)
    killed = cli.start("run", "--fail-on", "never")
    simulator.wait_for(N_ANSWERS + 40, killed)
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert [str(found.status) for found in cli.runs()] == ["running"]
    _, document = cli.json("run", "--fail-on", "never")
    assert (document["recording"]["n_held"], document["recording"]["n_sent"]) == (N_ANSWERS, 0)
    assert document["asked"]["n_sent"] <= 2 * N_ANSWERS - 40 + IN_FLIGHT + LINGERING
    assert 3 * N_ANSWERS <= simulator.n_requests <= 3 * N_ANSWERS + IN_FLIGHT + LINGERING
    assert [str(found.status) for found in cli.runs()] == ["finished"]
    assert values_of(cli.root, "rubric") == values_of(cli.root, "exact")


def test_a_run_without_its_judge_is_judged_later(judged):
    """With the judge down every verdict is missing and no score is 0; asking later needs no model again."""
    cli, simulator = judged()
    roster = cli.root / "roster.yaml"
    whole = roster.read_text()
    roster.write_text(whole.replace("judge/1/1/strict", "judge/nobody"))
    _, document = cli.json("run", "--fail-on", "never")
    assert document["asked"]["n_missing"] == N_ANSWERS
    n_before = simulator.n_requests
    roster.write_text(whole)
    code, document = cli.json("score", "--ask")
    assert (code, document["asked"]["n_sent"]) == (0, N_ANSWERS)
    assert simulator.n_requests == n_before + N_ANSWERS
    assert values_of(cli.root, "rubric") == values_of(cli.root, "exact")
