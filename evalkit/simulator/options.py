"""How the simulator behaves; apart from the server, so that whoever only starts its process need not import one."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ServerOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """How the server behaves."""

    host: str = "127.0.0.1"
    port: int = 0
    """0 takes any free port."""
    time_scale: float = 0.0
    """Factor on service times and retry hints: 0 answers at once, 1 in real time."""
    seed: int = 0
    key: str | None = None
    """When given, requests without it get a 401."""
    down: tuple[str, ...] = ()
    """Routes that are overloaded from the start."""
