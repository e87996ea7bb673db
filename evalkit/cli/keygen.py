"""`evalkit keygen`: a signing key."""

from __future__ import annotations

from pathlib import Path

import click

from evalkit.cli._json import json_option

__all__ = ["command"]


@click.command("keygen")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="File for the private key; must not exist. Readable by its owner only.",
)
@json_option
def command(*, output: Path, as_json: bool) -> None:
    """Make an Ed25519 key: the private half goes to a file, the public half is printed."""
    from evalkit.api.starting import make_key
    from evalkit.cli._output import print_json

    public = make_key(output)
    if as_json:
        print_json({"private_key_file": output, "public_key": public})
        return
    click.echo(
        f"private key: {output} (keep it secret; give its content to the variable signing.private_key_env names)"
    )
    click.echo(f"public key: {public}")
