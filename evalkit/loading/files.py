"""The only place where loading touches the disk, and only inside the project folder, symbolic links resolved."""

from __future__ import annotations

import json
import os
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, NoReturn

from evalkit.errors import InputError, NotFoundError, Place
from evalkit.loading.source import parse_yaml

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from evalkit.loading.source import Node

__all__ = ["MAX_CASES_BYTES", "MAX_FILE_BYTES", "ProjectFiles", "parse_json"]

MAX_FILE_BYTES = 16 * 2**20
MAX_CASES_BYTES = 1024 * 2**20

_EXACT_INTEGER = 2**53 - 1


class ProjectFiles:
    """Reads files of one project. Names shown and returned are relative to its root, with forward slashes."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()

    def name_of(self, path: Path) -> str:
        """Return the name a file is shown by."""
        return path.relative_to(self.root).as_posix()

    def find(self, name: str, *, beside: str = "", place: Place | None = None) -> str:
        """Return the name, relative to the root, of `name` written in the file `beside` (default: in the root).

        Raises:
            InputError: when the file lies outside the project or is not a regular file.
            NotFoundError: when there is no such file.
        """
        if not name or "\0" in name:
            raise InputError(f"{name!r} is not a file name", place=place, next_step="give a path inside the project")
        written = (self.root / beside).parent / name if beside else self.root / name
        try:
            path = written.resolve()
            is_file = path.is_file()
        except (OSError, RuntimeError) as error:
            why = str(error.strerror if isinstance(error, OSError) else error)
            next_step = "check its length, who may read the folders above it, and for links in a circle"
            raise InputError(f"{name[:200]!r} cannot be followed: {why}", place=place, next_step=next_step) from error
        if not path.is_relative_to(self.root):
            raise InputError(
                f"the file {name!r} lies outside the project {self.root.name!r}",
                place=place,
                next_step="copy it into the project; links that lead out of it are not followed",
            )
        if not is_file:
            self._refuse_missing(name, path, place=place)
        return self.name_of(path)

    def matching(self, pattern: str) -> list[str]:
        """Return the names a pattern matches, sorted; links that lead nowhere too, for `find` to refuse."""
        *above, last = PurePosixPath(pattern).parts
        found = {self.name_of(path) for path in self.root.glob(pattern)}
        for folder in self._folders(above):
            if os.access(folder, os.R_OK | os.X_OK):
                links = (path for path in folder.iterdir() if path.is_symlink() and fnmatchcase(path.name, last))
                found |= {self.name_of(path) for path in links if not path.exists()}
        return sorted(found)

    def unreadable(self, pattern: str) -> list[str]:
        """Return the folders on the way of a pattern that cannot be looked into: globbing passes over them silently."""
        above = PurePosixPath(pattern).parts[:-1]
        every = {folder for depth in range(len(above) + 1) for folder in self._folders(above[:depth])}
        return sorted(self.name_of(one) for one in every if not os.access(one, os.R_OK | os.X_OK))

    def _folders(self, parts: Sequence[str]) -> list[Path]:
        found = self.root.glob("/".join(parts)) if parts else [self.root]
        return [path for path in found if path.is_dir()]

    def _refuse_missing(self, name: str, path: Path, *, place: Place | None) -> NoReturn:
        if path.exists():
            raise InputError(f"{name!r} is not a regular file", place=place, next_step="give the path of a file")
        near = ", ".join(sorted(p.name for p in path.parent.glob("*") if p.is_file())[:10]) or "nothing"
        where = f"files in {self.name_of(path.parent)}: {near}" if path.parent.is_dir() else "there is no such folder"
        if place is None:
            # Nobody wrote this name: the folder is no project yet.
            where = f"evalkit init, or another --root; {where}"
        raise NotFoundError(f"there is no file {name!r}", place=place, next_step=where)

    def read_text(self, name: str, *, max_bytes: int = MAX_FILE_BYTES) -> str:
        """Return a file's text, without a byte order mark; `name` comes from `find`.

        Raises:
            InputError: when it is too large, not UTF-8, or cannot be read.
        """
        path = self.root / name
        place = Place(file=name)
        try:
            if path.stat().st_size > max_bytes:
                raise InputError(f"larger than {max_bytes:,} bytes", place=place, next_step="split the file")
            data = path.read_bytes()
        except OSError as error:
            raise InputError(
                f"cannot be read: {error.strerror}", place=place, next_step="check its permissions"
            ) from error
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            raise InputError(
                f"not UTF-8: byte {data[error.start]:#04x}",
                place=Place(file=name, line=line),
                next_step="save the file as UTF-8",
            ) from error

    def read_yaml(self, name: str) -> Node:
        """Return a YAML file as a tree of nodes."""
        return parse_yaml(self.read_text(name), file=name)

    def read_json(self, name: str) -> Any:
        """Return a JSON file's value."""
        return parse_json(self.read_text(name), place=Place(file=name))


def parse_json(text: str, *, place: Place) -> Any:
    """Return the JSON value of `text`; what it holds always has a canonical form.

    Raises:
        InputError: for text that is not JSON, a key given twice, NaN, an integer beyond 2**53 - 1, a lone surrogate,
            or very deep nesting; the line is counted from that of `place`.
    """
    try:
        value = _DECODER.decode(text)
        # A lone surrogate can only come from an escape, and cannot be sent, hashed or stored.
        if "\\ud" in text or "\\uD" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        line = (place.line or 1) + error.lineno - 1
        at = Place(file=place.file, line=line, pointer=place.pointer)
        raise _not_json(f"{error.msg} at column {error.colno}", at) from error
    except UnicodeEncodeError as error:
        raise _not_json("a lone surrogate escape", place) from error
    except ValueError as error:
        raise _not_json(str(error), place) from error
    except RecursionError:
        raise _not_json("nested too deeply", place) from None
    return value


def _not_json(problem: str, place: Place) -> InputError:
    return InputError(f"not valid JSON: {problem}", place=place, next_step="write one strict JSON value")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in found if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} is given twice")
    return found


def _integer(digits: str) -> int:
    value = int(digits)
    if abs(value) > _EXACT_INTEGER:
        raise ValueError(f"the integer {digits[:40]} is beyond 2**53 - 1")
    return value


def _real(digits: str) -> float:
    value = float(digits)
    if abs(value) == float("inf"):
        raise ValueError(f"the number {digits[:40]} is too large")
    return value


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_int=_integer, parse_float=_real, parse_constant=_constant)
