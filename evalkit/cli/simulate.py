"""`evalkit simulate`: the embedded gateway on a port."""

from __future__ import annotations

from typing import Any

import click

from evalkit.cli._options import opened_project, project_options

__all__ = ["command"]


@click.command("simulate")
@click.option("--port", type=click.IntRange(0, 65535), default=4010, show_default=True, help="0 takes a free one.")
@click.option("--key", help="Demand this API key.")
@click.option("--down", metavar="ROUTE", multiple=True, help="Let this route answer 503. May be repeated.")
@project_options()
def command(*, port: int, key: str | None, down: tuple[str, ...], **settings: Any) -> None:
    """Serve the embedded gateway on loopback, with the answers to this project's suites, until interrupted."""
    from evalkit.api.simulating import simulate

    project = opened_project(settings)
    simulate(project, port=port, key=key, down=down, started=lambda url: click.echo(f"SIMULATED gateway: {url}"))
