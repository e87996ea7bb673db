"""Writing where a person said: what the system refuses there is theirs to mend, and no bug."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from evalkit.canonical import write_atomically
from evalkit.errors import InputError, Place

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

__all__ = ["path_inside", "remove_others", "writable", "write_file", "write_plugin_file"]


@contextmanager
def writable(path: Path) -> Iterator[None]:
    """Turn the system's refusal to write `path`, or the folders above it, into an InputError.

    Raises:
        InputError: naming the file and what the system said.
    """
    try:
        yield
    except (FileExistsError, NotADirectoryError) as error:
        raise InputError(
            "cannot be written: a folder on the way to it is a file",
            place=Place(file=str(path)),
            next_step="name another place",
        ) from error
    except OSError as error:
        raise InputError(
            f"cannot be written: {error.strerror or error}",
            place=Place(file=str(path)),
            next_step="check the rights of the folder and the space on the disk, or name another place",
        ) from error


def write_file(path: Path, content: bytes) -> Path:
    """Replace a file as a whole, making the folders above it, and return its path.

    A link stays a link: what it leads to is replaced. What is no file, such as `/dev/stdout`, is written to.

    Raises:
        InputError: when it cannot be written.
    """
    with writable(path):
        if path.exists() and not path.is_file():
            path.write_bytes(content)
        else:
            write_atomically(Path(os.path.realpath(path)), content)
    return path


def write_plugin_file(folder: Path, name: str, *, content: bytes) -> Path:
    """Write a file a reporter or exporter made, somewhere inside `folder`, and return its path.

    Raises:
        InputError: as `path_inside` does, or when the file cannot be written.
    """
    path = path_inside(folder, name)
    with writable(path):
        write_atomically(path, content)
    return path


def remove_others(folder: Path, name: str, *, kept: Collection[Path]) -> None:
    """Remove the files of a plugin's own subfolder that it did not write this time, of the kinds it writes.

    What is of another kind, folders and links to them stay: somebody else put them there.

    Raises:
        InputError: as `path_inside` does, or when a file cannot be removed.
    """
    own = path_inside(folder, name)
    if own.is_symlink() or not own.is_dir():
        return
    keep = {path.name for path in kept if path.parent == own}
    kinds = {path.suffix for path in kept if path.parent == own}
    for path in sorted(own.iterdir()):
        if path.name not in keep and path.suffix in kinds and path.is_file():
            with writable(path):
                path.unlink()


def path_inside(folder: Path, name: str) -> Path:
    """Return where a reporter's or exporter's file goes. It may replace a link, but no link leads it out of `folder`.

    Raises:
        InputError: when the plugin names a place outside, or a folder on the way is a link that leads there.
    """
    relative = PurePath(name)
    if relative.is_absolute() or ".." in relative.parts:
        raise InputError(f"a plugin tried to write {name!r} outside {str(folder)!r}", next_step="report this plugin")
    path = folder / relative
    if not _is_below(folder, path.parent):
        raise InputError(
            f"a link on the way to it leads out of {str(folder)!r}",
            place=Place(file=str(path)),
            next_step="remove the link, or name the folder it leads to",
        )
    return path


def _is_below(folder: Path, other: Path) -> bool:
    try:
        return other.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError):
        # A circle of links, or a name no file can have.
        return False
