"""What the live callback is told, from the environment it is started in; a mistake stops the gateway's start."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evalkit.errors import InputError, Place

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["HookSettings", "settings_from_environment"]

_FILE = "EVALKIT_ELIGIBILITY_FILE"
_AUDIENCE = "EVALKIT_AUDIENCE"
_KEYS = "EVALKIT_PUBLIC_KEYS"
_SIMULATED = "EVALKIT_ALLOW_SIMULATED"
_EVERY = "EVALKIT_CHECK_EVERY_S"
_DEFAULT_EVERY_S = 0.25
_MAX_EVERY_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HookSettings:
    """How to read the eligibility file."""

    path: str
    audience: str
    public_keys: Mapping[str, str]
    """Key id to base64 Ed25519 public key; empty means that unsigned files are taken."""
    allow_simulated: bool = False
    check_every_s: float = _DEFAULT_EVERY_S


def settings_from_environment(environ: Mapping[str, str]) -> HookSettings:
    """Return the settings; an empty variable counts as not set.

    Raises:
        InputError: for a variable that is missing or says what it cannot mean.
    """
    return HookSettings(
        path=_required(environ, _FILE, "the path of the eligibility file"),
        audience=_required(environ, _AUDIENCE, "the environment the file is made for"),
        public_keys=_keys(environ.get(_KEYS, "")),
        allow_simulated=_is_set(environ.get(_SIMULATED, "")),
        check_every_s=_seconds(environ.get(_EVERY, "")),
    )


def _required(environ: Mapping[str, str], name: str, meaning: str) -> str:
    value = environ.get(name, "").strip()
    if not value:
        problem = "is not set, and without it the eligibility callback can admit nobody"
        raise InputError(problem, place=Place(file=name), next_step=f"set {name} to {meaning}")
    return value


def _keys(text: str) -> dict[str, str]:
    """Read `id=base64,…`."""
    found: dict[str, str] = {}
    for part in (part.strip() for part in text.split(",")):
        key_id, mark, key = (piece.strip() for piece in part.partition("="))
        if not part:
            continue
        if not (key_id and mark and key) or key_id in found:
            problem = f"{key_id!r} is given without its key, or twice"
            raise InputError(problem, place=Place(file=_KEYS), next_step="write id=base64 key, separated by commas")
        found[key_id] = key
    return found


def _is_set(text: str) -> bool:
    if text not in {"", "0", "1"}:
        raise InputError(f"{text!r} is neither 0 nor 1", place=Place(file=_SIMULATED), next_step="write 1, or nothing")
    return text == "1"


def _seconds(text: str) -> float:
    try:
        value = float(text) if text else _DEFAULT_EVERY_S
    except ValueError:
        value = math.nan
    if not 0 <= value <= _MAX_EVERY_S:
        problem = f"{text!r} is not a number of seconds from 0 to {_MAX_EVERY_S:g}"
        raise InputError(problem, place=Place(file=_EVERY), next_step=f"leave it out for {_DEFAULT_EVERY_S:g}")
    return value
