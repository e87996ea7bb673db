"""Simulated models without a character: `steady/NAME`, `weak/NAME`, `wrong/PERCENT/NAME`, `fickle/NAME`, and judges.

Personas show what providers do; a rehearsal of routing and failover needs the opposite: models that differ in nothing
but their name, meet no fault, and are surely good or surely bad. A fickle one minds how a question is put.
"""

from __future__ import annotations

import re

from evalkit.simulator.persona import Ability, Judging, Persona

__all__ = ["FICKLE", "STEADY", "WEAK", "WRONG", "stand_in_by_route"]

STEADY = "steady/"
"""Always right."""
WEAK = "weak/"
"""Wrong in most calls."""
WRONG = "wrong/"
"""Wrong in so many of a hundred calls, `wrong/5/NAME`: for levels that move slowly."""
FICKLE = "fickle/"
"""Wrong in three of ten forms of a question, and always the same in the same form."""

_MAX_NAME = 120
# `judge/SENSITIVITY/SPECIFICITY/NAME`, such as `judge/0.95/0.9/strict`: a judge with these error rates.
_RATES = re.compile(r"judge/(0(?:\.\d{1,4})?|1(?:\.0{1,4})?)/(0(?:\.\d{1,4})?|1(?:\.0{1,4})?)/.+")
_WHOLE = 100
_DIGITS = 4
_SOUND = Ability(wrong=0.0, broken=0.0, refused=0.0)
_ABILITIES = {STEADY: _SOUND, FICKLE: _SOUND, WEAK: Ability(wrong=0.8, broken=0.0, refused=0.0)}
_FICKLE_SHARE = 0.3


def stand_in_by_route(route: str) -> Persona | None:
    """Return the stand-in a request's `model` names; it says it is what it was asked for. None when it names none."""
    if len(route) > _MAX_NAME:
        return None
    rates = _RATES.fullmatch(route)
    if rates is not None:
        judging = Judging(sensitivity=float(rates[1]), specificity=float(rates[2]))
        return _plain(route, _SOUND, judging=judging)
    ability = _ability(route)
    return None if ability is None else _plain(route, ability)


def _ability(route: str) -> Ability | None:
    prefix, _, name = route.partition("/")
    ability = _ABILITIES.get(f"{prefix}/")
    if f"{prefix}/" == WRONG:
        percent, _, name = name.partition("/")
        is_share = percent.isascii() and percent.isdigit() and int(percent[:_DIGITS]) <= _WHOLE
        ability = Ability(wrong=int(percent[:_DIGITS]) / _WHOLE, broken=0.0, refused=0.0) if is_share else None
    return ability if name else None


def _plain(route: str, ability: Ability, *, judging: Judging | None = None) -> Persona:
    return Persona(
        model_id=route,
        route=route,
        dialect="plain",
        source="none: a stand-in shows no quirk",
        structured="json_schema",
        ability=ability,
        judging=judging,
        fickle=_FICKLE_SHARE if route.startswith(FICKLE) else 0.0,
    )
