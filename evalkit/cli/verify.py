"""`evalkit verify`: would a router believe this file, and for how long?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evalkit.cli._durations import seconds_from
from evalkit.cli._json import json_option
from evalkit.cli._public_keys import keys_from_pairs, public_key_option

if TYPE_CHECKING:
    from evalkit.api.checking import Verified

__all__ = ["command"]


@click.command("verify")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--audience", help="The environment it must be for; default: what the file says.")
@public_key_option
@click.option("--allow-simulated", is_flag=True, help="Accept a file made with the simulator.")
@click.option("--min-validity", metavar="DURATION", help="Refuse when a candidate expires sooner, such as 12h.")
@json_option
def command(
    *,
    file: Path,
    audience: str | None,
    keys: tuple[str, ...],
    allow_simulated: bool,
    min_validity: str | None,
    as_json: bool,
) -> None:
    """Check an eligibility FILE offline, exactly as the router's reader does."""
    from evalkit.api.checking import verify
    from evalkit.cli._output import clean, print_json

    verified = verify(
        file,
        audience=audience,
        public_keys=keys_from_pairs(keys),
        allow_simulated=allow_simulated,
        min_validity_s=0.0 if min_validity is None else seconds_from(min_validity, option="--min-validity"),
    )
    summary = _summary(file, verified)
    if as_json:
        print_json(summary)
        return
    for name, value in summary.items():
        click.echo(f"{name}: {clean(str(value))}")


def _summary(file: Path, verified: Verified) -> dict[str, Any]:
    return {
        "file": str(file),
        "audience": verified.document["audience"],
        "digest": verified.document["digest"],
        "simulated": verified.document["simulated"],
        "signature_checked": verified.is_signature_checked,
        "shortest_validity_s": verified.shortest_validity_s,
    }
