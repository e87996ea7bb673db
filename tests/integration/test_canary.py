"""The canary: who answers, and how well, known within one run; and no night is touched by it."""

from __future__ import annotations

import json
import urllib.request

import pytest

from evalkit.api.canary import canary
from evalkit.api.measuring import run
from evalkit.api.project import load_project, opened_store
from evalkit.errors import GatewayUnusableError
from evalkit.pipeline.plan import Selection

ROSTER = [{"id": name, "route": f"steady/{name}"} for name in ("one", "two")]
FEW = Selection(max_cases=20)


@pytest.fixture
def simulated(a_project, a_simulator, monkeypatch):
    """A project with its simulator, and a way to change its models."""
    root = a_project(40, models=ROSTER)
    simulator = a_simulator(root)
    monkeypatch.setenv("EVALKIT_GATEWAY_BASE_URL", simulator.base_url)

    def turn(path, routes):
        url = simulator.base_url.removesuffix("v1") + path
        request = urllib.request.Request(url, json.dumps({"routes": routes}).encode(), method="PUT")
        urllib.request.urlopen(request, timeout=10).close()

    return load_project(root), turn, simulator


def kinds(found):
    """Return what was found of whom."""
    return {(one.kind, one.model_id) for one in found.findings}


def test_a_change_is_known_within_one_run(simulated):
    """Another name, worse answers, no answers: each is seen the first time it is asked, and gone when it is over."""
    project, turn, simulator = simulated
    first = canary(project, FEW)
    assert (first.before, first.findings, first.exit.code, simulator.n_requests) == (None, (), 0, 40)
    assert canary(project, FEW).exit.code == 0
    turn("serve-as", {"steady/one": "another-model-9b"})
    found = canary(project, FEW)
    assert (kinds(found), found.exit.code) == ({("identity", "one")}, 1)
    assert "another-model-9b" in found.exit.reason
    turn("serve-as", {})
    turn("act-as", {"steady/two": "weak/two"})
    found = canary(project, FEW)
    assert ("behaviour", "two") in kinds(found)
    assert found.exit.code == 1
    turn("act-as", {})
    turn("down", ["steady/one"])
    found = canary(project, FEW)
    assert (kinds(found), found.exit.code) == ({("silent", "one")}, 3)


def test_nights_do_not_see_it(simulated):
    """It has an environment of its own: nothing it measured decides, is a baseline, or is listed with the nights."""
    project, _, _ = simulated
    night = run(project)
    canary(project, FEW)
    with opened_store(project) as store:
        assert [one.run_id for one in store.runs(project="project", environment="test")] == [night.run.run_id]
        (apart,) = store.runs(project="project", environment="test.canary")
    assert apart.is_partial


def test_another_selection_begins_anew(simulated):
    """Only canaries that asked the same are held against each other."""
    project, _, _ = simulated
    canary(project, FEW)
    assert canary(project, Selection(max_cases=10)).before is None


def test_a_dead_gateway(simulated, monkeypatch):
    """Nobody answered: exit code 4, and nothing is said about any model."""
    project, _, _ = simulated
    monkeypatch.setenv("EVALKIT_GATEWAY_BASE_URL", "http://127.0.0.1:1/v1")
    with pytest.raises(GatewayUnusableError):
        canary(load_project(project.root), FEW)


def test_an_outage_is_no_new_beginning(simulated):
    """A model that was silent is held against the last canary in which it spoke, not against its silence."""
    project, turn, _ = simulated
    canary(project, FEW)
    turn("down", ["steady/one", "steady/two"][:1])
    assert kinds(canary(project, FEW)) == {("silent", "one")}
    turn("down", [])
    turn("serve-as", {"steady/one": "another-model-9b"})
    turn("act-as", {"steady/one": "weak/one"})
    found = canary(project, FEW)
    assert {("identity", "one"), ("behaviour", "one")} <= kinds(found)
    assert found.exit.code == 1
