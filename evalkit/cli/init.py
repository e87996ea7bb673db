"""`evalkit init`: a working project in a folder."""

from __future__ import annotations

from pathlib import Path

import click

from evalkit.cli._json import json_option

__all__ = ["command"]


@click.command("init")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=".")
@click.option(
    "--suites",
    multiple=True,
    metavar="NAME",
    help="Also write this suite, with its task in the policy; all adds every one there is. May be repeated.",
)
@click.option("--force", is_flag=True, help="Write over files that are there.")
@json_option
def command(*, folder: Path, suites: tuple[str, ...], force: bool, as_json: bool) -> None:
    """Write a working project of three suites into FOLDER; it runs at once on the simulator."""
    import shlex

    from evalkit.api.starting import init_project, more_suites
    from evalkit.cli._output import print_json

    chosen = more_suites() if "all" in suites else suites
    written = init_project(folder, suites=chosen, force=force)
    if as_json:
        print_json({"folder": folder, "written": [path.relative_to(folder).as_posix() for path in written]})
        return
    click.echo(f"wrote {len(written)} files to {folder}")
    click.echo(f"next: evalkit run --root {shlex.quote(str(folder))}")
