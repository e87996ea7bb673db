"""Switches and counters: strict about what they are given, exact about what they saw."""

from __future__ import annotations

import pytest

from evalkit.errors import InputError
from evalkit.simulator.controls import Controls, is_route, parse_down, parse_names


@pytest.mark.parametrize(
    "route", ["sim/gpt", "sim-gpt", "steady/a", "weak/b", "scenario/html_502", "scenario/html_502/x"]
)
def test_routes(route):
    """Personas by route and id, stand-ins, scenarios with and without a name to claim."""
    assert is_route(route)


@pytest.mark.parametrize("route", ["", "sim/gtp", "steady/", "scenario/", "scenario/nothing", "html_502"])
def test_names_that_are_no_route(route):
    """A misspelt one is found out."""
    assert not is_route(route)


def test_down_replaces_the_set():
    """Not added to what was down before; an empty list ends the outage."""
    controls = Controls(["steady/a"])
    assert controls.is_down("steady/a")
    controls.set_down(["steady/b", "sim/gpt"])
    assert controls.down == ["sim/gpt", "steady/b"]
    assert not controls.is_down("steady/a")
    controls.set_down([])
    assert controls.down == []


def test_serve_as_replaces_the_names():
    """What is not named answers under its own name again."""
    controls = Controls()
    controls.set_serve_as({"steady/a": "x"})
    controls.set_serve_as({"steady/b": "y"})
    assert (controls.name_for("steady/a"), controls.name_for("steady/b")) == (None, "y")
    assert controls.serve_as == {"steady/b": "y"}


def test_acting_as_another_changes_abilities_only():
    """Name, dialect and price stay a route's own; a scenario has no abilities to lend."""
    controls = Controls()
    controls.set_act_as({"sim/gpt": "wrong/40/x"})
    acting = controls.acting("sim/gpt")
    assert (acting.model_id, acting.dialect, acting.ability.wrong) == ("sim-gpt", "openai", 0.4)
    assert controls.acting("steady/a").ability.wrong == 0
    assert controls.act_as == {"sim/gpt": "wrong/40/x"}
    with pytest.raises(InputError, match="html_502"):
        controls.set_act_as({"sim/gpt": "scenario/html_502"})


def test_an_unknown_route_changes_nothing():
    """All or nothing, and the route is named."""
    controls = Controls(["steady/a"])
    with pytest.raises(InputError, match="sim/gtp"):
        controls.set_down(["steady/b", "sim/gtp"])
    with pytest.raises(InputError, match="sim/gtp"):
        controls.set_serve_as({"sim/gtp": "x"})
    assert (controls.down, controls.serve_as) == (["steady/a"], {})


def test_counts():
    """Requests that named a model, apart by model, and all there were."""
    controls = Controls()
    for model in ("b", "a", "b", None, 3, ["a"]):
        controls.count_request()
        controls.count_model(model)
    assert controls.counts == {"requests": 3, "models": {"a": 1, "b": 2}, "total": 6}


BROKEN = [b"", b"{", b"[]", b"null", b"{}", b'{"routes": null}', b'{"routes": "steady/a"}', b"\xff", b"[" * 100_000]


@pytest.mark.parametrize("body", [*BROKEN, b'{"routes": [1]}', b'{"routes": {}}'])
def test_bodies_that_name_no_routes(body):
    """Refused with what to send instead."""
    with pytest.raises(InputError, match="routes"):
        parse_down(body)


@pytest.mark.parametrize("body", [*BROKEN, b'{"routes": []}', b'{"routes": {"steady/a": 1}}'])
def test_bodies_that_give_no_names(body):
    """Refused with what to send instead."""
    with pytest.raises(InputError, match="routes"):
        parse_names(body)


def test_bodies_that_are_right():
    """Routes as they were sent."""
    assert parse_down(b'{"routes": ["steady/b", "steady/a"]}') == ["steady/b", "steady/a"]
    assert parse_names(b'{"routes": {"steady/a": "x"}}') == {"steady/a": "x"}
