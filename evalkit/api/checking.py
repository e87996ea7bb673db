"""Verify: would a router believe this eligibility file?

Asked on gateway hosts and in deployment scripts, where there is no project and half a second is felt: like the reader
itself, this module gets by with the standard library.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evalkit.clock import SystemClock
from evalkit.errors import RefusedError
from evalkit.router.document import CLOCK_TOLERANCE_S, seconds_of_timestamp
from evalkit.router.reader import EligibilityReader

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["Verified", "own_audience", "verify"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """An eligibility file that was accepted."""

    document: Mapping[str, Any]
    is_signature_checked: bool
    shortest_validity_s: float | None
    """Seconds until the first candidate expires; None when there is no candidate."""


def verify(
    path: Path,
    *,
    audience: str | None = None,
    public_keys: Mapping[str, str] | None = None,
    allow_simulated: bool = False,
    min_validity_s: float = 0.0,
) -> Verified:
    """Check an eligibility file as a router would, and that it stays valid for a while.

    Args:
        path: the file.
        audience: the environment it must be for; None takes whatever it says.
        public_keys: key id to base64 Ed25519 public key.
        allow_simulated: accept a file made with the simulator.
        min_validity_s: refuse when any candidate expires sooner.

    Raises:
        RefusedError: with the router's codes, or `missing`, `expired`, `expires_soon`.
    """
    now = SystemClock().now()
    reader = EligibilityReader(
        path,
        audience=audience if audience is not None else own_audience(path),
        public_keys=public_keys,
        allow_simulated=allow_simulated,
        now=lambda: now,
    )
    document = reader.document
    ends = [
        (seconds_of_timestamp(candidate["valid_until"]), f"{candidate['model']!r} for {name!r}")
        for name, task in document["tasks"].items()
        for candidate in task["candidates"]
    ]
    shortest_s = None
    if ends:
        end, who = min(ends)
        shortest_s = end - now
        if shortest_s + CLOCK_TOLERANCE_S < 0:
            raise RefusedError("expired", f"{who} expired {-shortest_s:.0f} s ago")
        if shortest_s < min_validity_s:
            raise RefusedError("expires_soon", f"{who} expires in {shortest_s:.0f} s")
    return Verified(document=document, is_signature_checked=bool(public_keys), shortest_validity_s=shortest_s)


def own_audience(path: Path) -> str:
    """Return the audience the file names for itself; what cannot be read is refused by the check that follows."""
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return ""
    return str(document.get("audience", "")) if isinstance(document, dict) else ""
