"""`evalkit run --sequential` as a person runs it, against a simulator whose requests are counted."""

from __future__ import annotations

PRICE = {"input_usd_per_mtok": 2.5, "output_usd_per_mtok": 10.0}
N = 100
MODELS = [
    {"id": "sure", "route": "steady/one", "price": PRICE},
    {"id": "hopeless", "route": "weak/two", "price": PRICE},
]


def a_project_at(a_project, a_simulator, a_cli):
    """The command line of a project of two models, and the simulator it asks."""
    root = a_project(N, models=MODELS)
    simulator = a_simulator(root)
    return a_cli(root, EVALKIT_GATEWAY_BASE_URL=simulator.base_url), simulator


def statuses(document):
    """Model id to status."""
    return {verdict["model_id"]: verdict["status"] for verdict in document["verdicts"]}


def test_what_is_clear_is_not_asked_to_the_end(a_project, a_simulator, a_cli):
    """Both models are decided early, the calls that were not needed are never sent, and the savings are told."""
    cli, simulator = a_project_at(a_project, a_simulator, a_cli)
    code, document = cli.json("run", "--sequential")
    assert code == 0
    assert statuses(document) == {"sure": "eligible", "hopeless": "ineligible"}
    savings = document["savings"]
    assert simulator.n_requests == 2 * N - savings["n_saved"] <= N
    assert savings["saved_usd"] > 0
    assert {pair["model_id"]: pair["ending"] for pair in savings["pairs"]} == {"sure": "decided", "hopeless": "failed"}


def test_people_are_told_and_the_next_run_is_whole(a_project, a_simulator, a_cli):
    """The last lines say what was saved; what has been measured is measured whole the next time, also with the flag."""
    cli, simulator = a_project_at(a_project, a_simulator, a_cli)
    done = cli("run", "--sequential")
    assert "calls saved" in done.stdout, done.stdout
    asked = simulator.n_requests
    code, document = cli.json("run", "--sequential", "--new")
    assert (code, "savings" in document) == (0, False)
    assert simulator.n_requests == asked + 2 * N


def test_a_filtered_run_has_no_looks(a_project, a_simulator, a_cli):
    """What a filter leaves never decides, so there is nothing to look for."""
    cli, simulator = a_project_at(a_project, a_simulator, a_cli)
    _, document = cli.json("run", "--sequential", "-n", "30")
    assert "savings" not in document
    assert simulator.n_requests == 60


def test_a_dead_gateway_is_said(a_project, a_cli, a_free_port):
    """Nobody answers: exit code 4, and the next step."""
    root = a_project(N, models=MODELS, gateway={"kind": "openai", "base_url": f"http://127.0.0.1:{a_free_port}/v1",
                                                "model_field": "upstream"})  # fmt: skip
    done = a_cli(root)("run", "--sequential")
    assert done.returncode == 4
    assert "no model answered" in done.stderr
