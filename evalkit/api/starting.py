"""The first minutes: a project that runs at once, and a signing key."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import evalkit
from evalkit.api.writing import writable
from evalkit.errors import InputError, Place
from evalkit.router.signature import generate_keys

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["STARTER_SUITES", "init_project", "make_key", "more_suites"]

STARTER_SUITES = ("invoice-extraction", "policy-qa", "ticket-triage")
"""What a new project measures; the other suites are there for those who ask for them."""


def init_project(folder: Path, *, suites: Collection[str] = (), force: bool = False) -> tuple[Path, ...]:
    """Copy the starter project into a folder; it runs on the simulator as it is.

    Args:
        folder: created when it does not exist.
        suites: names of `more_suites` to add, each with its task in the policy.
        force: write over files that are there.

    Raises:
        InputError: for a suite there is none of, a file in the way, or a folder that cannot be written; nothing is
            written over then.
    """
    unknown = sorted(set(suites) - {*STARTER_SUITES, *more_suites()})
    if unknown:
        raise InputError(f"no starter suite is named {unknown[0]!r}", next_step=f"choose of {', '.join(more_suites())}")
    added = tuple(name for name in more_suites() if name in suites)
    plan = [(source, folder / relative) for source, relative in _starter_files(added)]
    with writable(folder):
        taken = next((target for _, target in plan if os.path.lexists(target)), None)
    if taken is not None and not force:
        raise InputError(
            "a file is in the way", place=Place(file=str(taken)), next_step="choose another folder, or --force"
        )
    for source, target in plan:
        with writable(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    policy = folder / "policy.yaml"
    with writable(policy), policy.open("a", encoding="utf-8") as file:
        file.writelines(f"  {name}:\n    max_candidates: 3\n" for name in added)
    return tuple(target for _, target in plan)


def more_suites() -> tuple[str, ...]:
    """Return the names of the suites a project may have beside those it starts with."""
    _, suites, _ = _starter_folders()
    names = {path.parent.name for path in suites.glob("*/suite.yaml")}
    return tuple(sorted(names - set(STARTER_SUITES)))


def _starter_folders() -> tuple[Path, Path, Path]:
    """Return the folders of the project, the suites and the schemas, in the wheel or in a checkout."""
    package = Path(evalkit.__file__).parent
    installed = package / "starter"
    checkout = package.parent
    if installed.is_dir():
        return installed / "project", installed / "suites", installed / "schemas"
    return checkout / "examples" / "starter", checkout / "suites", checkout / "schemas"


def _starter_files(added: tuple[str, ...]) -> list[tuple[Path, Path]]:
    """Return (source, path in the new project)."""
    project, suites, schemas = _starter_folders()
    found = [(path, path.relative_to(project)) for path in _files(project)]
    for name in (*STARTER_SUITES, *added):
        found += [(path, Path("suites") / path.relative_to(suites)) for path in _files(suites / name)]
    found += [(path, Path("schemas") / path.relative_to(schemas)) for path in _files(schemas)]
    if not found:
        raise InputError("the starter project is not part of this installation", next_step="install the wheel again")
    return found


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))


def make_key(path: Path) -> str:
    """Write a new private key to a file only its owner may read, and return the public half.

    Raises:
        InputError: when the file exists, for a key is never written over, or cannot be written.
    """
    keys = generate_keys()
    with writable(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(_new_private_file(path), "w", encoding="ascii") as file:
            file.write(keys.private + "\n")
    return keys.public


def _new_private_file(path: Path) -> int:
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise InputError(
            "a file is in the way; a key is never written over",
            place=Place(file=str(path)),
            next_step="choose another name",
        ) from error
