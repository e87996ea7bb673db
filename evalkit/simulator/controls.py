"""What can be changed and read while the simulator runs: outages, names, abilities, and how often each route was asked.

Those who rehearse failover, substitution or decay act from outside, over HTTP, as an outage does.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from evalkit.errors import InputError
from evalkit.simulator.personas import persona_by_route
from evalkit.simulator.scenarios import PREFIX, SCENARIOS
from evalkit.simulator.stand_ins import stand_in_by_route

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from evalkit.simulator.persona import Persona

__all__ = ["Controls", "is_route", "parse_down", "parse_names"]

_ROUTES = "a persona's route, `steady/NAME`, `weak/NAME`, `wrong/PERCENT/NAME` or `scenario/NAME`"


def is_route(name: str) -> bool:
    """Return whether anything answers to this name: a persona, a stand-in or a scenario."""
    scenario = name.removeprefix(PREFIX).partition("/")[0] if name.startswith(PREFIX) else ""
    return _persona(name) is not None or scenario in SCENARIOS


def _persona(route: str) -> Persona | None:
    return persona_by_route(route) or stand_in_by_route(route)


class Controls:
    """The switches of one server and its counters. Used from one event loop only, so nothing here is half done."""

    def __init__(self, down: Iterable[str] = ()) -> None:
        self._down = _checked(down)
        self._serve_as: dict[str, str] = {}
        self._act_as: dict[str, str] = {}
        self._n_by_model: Counter[str] = Counter()
        self._n_requests = 0

    def count_request(self) -> None:
        """Note that a request arrived, whatever it turns out to be."""
        self._n_requests += 1

    def count_model(self, model: Any) -> None:
        """Note the model a request named, if that is a name."""
        if isinstance(model, str):
            self._n_by_model[model] += 1

    @property
    def counts(self) -> dict[str, Any]:
        """`requests`: those that named a model, apart in `models`; `total`: all, whatever they were."""
        models = dict(sorted(self._n_by_model.items()))
        return {"requests": sum(models.values()), "models": models, "total": self._n_requests}

    def set_down(self, routes: Iterable[str]) -> None:
        """Let these routes, and no others, be overloaded.

        Raises:
            InputError: when nothing answers to one of them.
        """
        self._down = _checked(routes)

    def set_serve_as(self, names: Mapping[str, str]) -> None:
        """Let these routes, and no others, answer under another model's name.

        Raises:
            InputError: when nothing answers to one of them.
        """
        _checked(names)
        self._serve_as = dict(names)

    def set_act_as(self, names: Mapping[str, str]) -> None:
        """Let these routes, and no others, answer as well or badly as another one would, under their own name.

        Raises:
            InputError: when one of them is neither a persona nor a stand-in.
        """
        for route in (*names, *names.values()):
            if _persona(route) is None:
                raise InputError(f"{route!r} has no abilities", next_step=f"name {_ROUTES}, but no scenario")
        self._act_as = dict(names)

    @property
    def down(self) -> list[str]:
        """Routes that are overloaded, sorted."""
        return sorted(self._down)

    @property
    def serve_as(self) -> dict[str, str]:
        """Routes that answer under another name, sorted."""
        return dict(sorted(self._serve_as.items()))

    @property
    def act_as(self) -> dict[str, str]:
        """Routes that answer as another one would, sorted."""
        return dict(sorted(self._act_as.items()))

    def is_down(self, route: str) -> bool:
        """Return whether a route is overloaded."""
        return route in self._down

    def name_for(self, route: str) -> str | None:
        """Return the name a route must answer under, or None for its own."""
        return self._serve_as.get(route)

    def acting(self, route: str) -> Persona | None:
        """Return who answers to a route, with the abilities it has now; None for a scenario or an unknown name."""
        own, actor = _persona(route), _persona(self._act_as.get(route, route))
        if own is None or actor is None:
            return own
        return replace(own, ability=actor.ability, abilities=actor.abilities)


def parse_down(body: bytes) -> list[str]:
    """Return the routes of `{"routes": [...]}`.

    Raises:
        InputError: when the body is not that.
    """
    routes = _routes(body)
    if not isinstance(routes, list) or not all(isinstance(route, str) for route in routes):
        raise InputError(f"no list of routes: {routes!r}", next_step='send {"routes": ["steady/one"]}')
    return routes


def parse_names(body: bytes) -> dict[str, str]:
    """Return the names of `{"routes": {route: name}}`.

    Raises:
        InputError: when the body is not that.
    """
    names = _routes(body)
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        raise InputError(f"no names by route: {names!r}", next_step='send {"routes": {"steady/one": "another-model"}}')
    return names


def _routes(body: bytes) -> Any:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InputError(f"no JSON: {error}", next_step='send {"routes": …}') from error
    return document.get("routes") if isinstance(document, dict) else None


def _checked(routes: Iterable[str]) -> frozenset[str]:
    """Return them when something answers to each: a misspelt outage would be no outage."""
    found = frozenset(routes)
    for route in sorted(found):
        if not is_route(route):
            raise InputError(f"nothing answers to the route {route!r}", next_step=f"name {_ROUTES}")
    return found
