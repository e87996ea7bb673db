"""`evalkit serve`: the eligibility file over HTTP, for routers that cannot import Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from evalkit.cli._durations import seconds_from
from evalkit.cli._public_keys import keys_from_pairs, public_key_option

__all__ = ["command"]


@click.command("serve")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--audience", required=True, help="The environment the file must be for.")
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address to listen on; there is no authentication."
)
@click.option("--port", type=click.IntRange(0, 65535), default=8411, show_default=True, help="0 takes a free one.")
@public_key_option
@click.option("--allow-simulated", is_flag=True, help="Accept a file made with the simulator.")
@click.option(
    "--check-every", default="1s", show_default=True, metavar="DURATION", help="How often to look at the file."
)
@click.option("--require", "is_required", is_flag=True, help="End with 1 when the file is refused at the start.")
def command(*, file: Path, keys: tuple[str, ...], check_every: str, is_required: bool, **given: Any) -> None:
    """Answer over HTTP which models eligibility FILE lets serve a task, until interrupted.

    Fails closed: while the file is missing or refused, every question is answered with 403.
    """
    from evalkit.api.serving import ServeOptions, is_loopback, serve

    check_every_s = seconds_from(check_every, option="--check-every")
    options = ServeOptions(file=file, public_keys=keys_from_pairs(keys), check_every_s=check_every_s, **given)
    if not is_loopback(options.host):
        _tell(f"warning: {options.host} is not a loopback address, and there is no authentication")
    serve(
        options,
        is_required=is_required,
        started=lambda url: click.echo(f"eligibility for {options.audience}: {url}"),
        told=_tell,
    )


def _tell(line: str) -> None:
    from evalkit.cli._output import clean

    click.echo(clean(line, most=2000), err=True)
