"""Serving the embedded gateway on a port, for whoever wants to look at it."""

from __future__ import annotations

import asyncio
import signal
from dataclasses import replace
from typing import TYPE_CHECKING

from evalkit.api.gateways import server_options
from evalkit.simulator.book import book_from_project
from evalkit.simulator.server import run_server

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from evalkit.domain.project import Project

__all__ = ["simulate"]


def simulate(
    project: Project, *, port: int, key: str | None, down: Sequence[str] = (), started: Callable[[str], None]
) -> None:
    """Serve the embedded gateway with the answers to the project's suites until interrupted.

    Args:
        project: whose suites it knows the answers to.
        port: 0 takes a free one.
        key: API key to demand, or None.
        down: routes that are overloaded from the start.
        started: called with the base URL once it accepts connections.

    Raises:
        InputError: when the port cannot be bound, or nothing answers to one of the routes.
    """
    options = replace(server_options(project.config.gateway.simulator, port=port, key=key), down=tuple(down))

    async def serve() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        await run_server(book_from_project(project), options, on_ready=started, stop=stop)

    asyncio.run(serve())
