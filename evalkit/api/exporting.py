"""Export: an eligibility file as another tool's configuration. Needs the file alone: no project and no store.

What an export wrote, it remembers in a small record beside the files: for whom it was, and the digest of each file. So
the next one can say who gains or loses a task, take away what it would not write again, and tell its own files from
those a person has changed, which may hold keys and are neither shown nor removed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from difflib import unified_diff
from typing import TYPE_CHECKING, Any, Literal

from evalkit.api.accepting import accepted_file
from evalkit.api.writing import path_inside, writable, write_plugin_file
from evalkit.canonical import sha256_hex
from evalkit.clock import SystemClock
from evalkit.errors import InputError, Place
from evalkit.plugins import load_plugin

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from evalkit.ports import Clock
    from evalkit.router.reader import EligibilityReader

__all__ = ["Difference", "Expired", "Exported", "FileDifference", "Source", "TaskDifference", "diff_export", "export"]

_FORMAT = "evalkit.export/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """An eligibility file, and what it is held against."""

    file: Path
    audience: str | None = None
    """The environment it must be for; None takes whatever it says."""
    public_keys: Mapping[str, str] | None = None
    """Key id to base64 Ed25519 public key; with any, an unsigned file is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expired:
    """A candidate that was left out, because a router would not take it any more."""

    task: str
    model: str
    valid_until: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What an export did to its folder."""

    written: tuple[Path, ...]
    removed: tuple[Path, ...]
    """Files of an earlier export that this one has no use for."""
    kept: tuple[Path, ...]
    """The same, but changed by hand since: a person has to look."""
    expired: tuple[Expired, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileDifference:
    """What an export would do to one file."""

    path: str
    """Relative to the folder."""
    change: Literal["added", "changed", "changed_by_hand", "removed", "kept"]
    """`changed_by_hand`: would be replaced, and is not what was exported; `kept`: would stay, for the same reason."""
    diff: str | None
    """Unified, deployed first; None for a file a person has changed: it may hold keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskDifference:
    """Who serves a task as exported before, and who would."""

    task: str
    before: tuple[str, ...]
    after: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What an export would change, file by file and task by task."""

    changed: bool
    files: tuple[FileDifference, ...]
    """Those that differ, by path."""
    tasks: tuple[TaskDifference, ...]
    """Those that differ, by name; against nobody, where nothing was exported before."""
    expired: tuple[Expired, ...]


def export(target: str, source: Source, folder: Path, *, clock: Clock | None = None) -> Exported:
    """Write an eligibility file as a routing target's configuration.

    A simulated file is exported too, and what is written says so. Expired candidates are left out.

    Raises:
        InputError: for a folder that cannot be written, or a file this target cannot express.
        NotFoundError: for an unknown target or a missing file.
        RefusedError: when the file is not to be believed.
    """
    plan = _planned(target, source, folder, clock=clock or SystemClock())
    written = tuple(write_plugin_file(folder, name, content=content) for name, content in plan.files.items())
    removed, kept = [], []
    for name in plan.stale:
        path = folder / name
        if plan.is_ours(name):
            with writable(path):
                path.unlink()
            removed.append(path)
        else:
            kept.append(path)
    record = write_plugin_file(folder, plan.record_name, content=plan.record())
    return Exported(written=(*written, record), removed=tuple(removed), kept=tuple(kept), expired=plan.expired)


def diff_export(target: str, source: Source, folder: Path, *, clock: Clock | None = None) -> Difference:
    """Return what `export` would change in a folder; writes nothing.

    Raises:
        InputError: for a file that cannot be read, or a file this target cannot express.
        NotFoundError: for an unknown target or a missing file.
        RefusedError: when the file is not to be believed.
    """
    plan = _planned(target, source, folder, clock=clock or SystemClock())
    files = tuple(sorted(_file_differences(plan), key=lambda found: found.path))
    before, after = plan.deployed_tasks, plan.tasks
    tasks = tuple(
        TaskDifference(task=name, before=before.get(name, ()), after=after.get(name, ()))
        for name in sorted({*before, *after})
        if before.get(name, ()) != after.get(name, ())
    )
    return Difference(changed=bool(files), files=files, tasks=tasks, expired=plan.expired)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What would be written where, and what stands there now."""

    target: str
    folder: Path
    document: Mapping[str, Any]
    files: Mapping[str, bytes]
    deployed: Mapping[str, Any]
    """The record of the export before; empty when there is none."""
    expired: tuple[Expired, ...]

    @property
    def record_name(self) -> str:
        return _record_name(self.target)

    @property
    def tasks(self) -> dict[str, tuple[str, ...]]:
        """Task to its models, in order."""
        entries: Mapping[str, Any] = self.document["tasks"]
        return {name: tuple(one["model"] for one in entry["candidates"]) for name, entry in entries.items()}

    @property
    def deployed_tasks(self) -> dict[str, tuple[str, ...]]:
        return {name: tuple(models) for name, models in self.deployed.get("tasks", {}).items()}

    @property
    def stale(self) -> tuple[str, ...]:
        """Files of the export before that are still there and would not be written again."""
        names: Sequence[str] = sorted({*self.deployed.get("files", {})} - {*self.files})
        return tuple(name for name in names if _is_file(self.folder / name))

    def is_ours(self, name: str) -> bool:
        """Whether a file still is what the export before wrote."""
        content = _read(self.folder / name)
        return content is not None and self.deployed.get("files", {}).get(name) == sha256_hex(content)

    def record(self) -> bytes:
        """Return what the next export has to know of this one."""
        whole = {
            "format": _FORMAT,
            "target": self.target,
            "source": self.document["digest"],
            "tasks": self.tasks,
            "files": {name: sha256_hex(content) for name, content in self.files.items()},
        }
        return json.dumps(whole, indent=2).encode() + b"\n"


def _planned(target: str, source: Source, folder: Path, *, clock: Clock) -> _Plan:
    exporter = load_plugin("exporters", target)()
    accepted = accepted_file(source.file, now=clock.now, audience=source.audience, public_keys=source.public_keys)
    document, expired = _without_expired(accepted.document, accepted.reader)
    files = dict(exporter.export(document))
    for name in files:
        # Before the first is written.
        path_inside(folder, name)
    return _Plan(
        target=target,
        folder=folder,
        document=document,
        files=files,
        deployed=_deployed(folder, _record_name(target)),
        expired=expired,
    )


def _record_name(target: str) -> str:
    return f".evalkit-export-{target}.json"


def _without_expired(
    document: Mapping[str, Any], reader: EligibilityReader
) -> tuple[Mapping[str, Any], tuple[Expired, ...]]:
    """Ask the reader itself who is live: its clock tolerance and its pins that outlive their evidence hold here too."""
    tasks, expired = {}, []
    for name, task in document["tasks"].items():
        live = {admitted.model_id for admitted in reader.candidates(name)}
        gone = [one for one in task["candidates"] if one["model"] not in live]
        expired += [Expired(task=name, model=one["model"], valid_until=one["valid_until"]) for one in gone]
        pin = task["pin"] if task["pin"] in live else None
        tasks[name] = {**task, "pin": pin, "candidates": [one for one in task["candidates"] if one["model"] in live]}
    return {**document, "tasks": tasks}, tuple(expired)


def _deployed(folder: Path, name: str) -> Mapping[str, Any]:
    """Return the record of the export before; one that is no record, or names files elsewhere, counts for nothing."""
    try:
        record = json.loads(_read(folder / name) or b"{}")
    except (ValueError, RecursionError):
        return {}
    if not isinstance(record, dict) or record.get("format") != _FORMAT:
        return {}
    files, tasks = record.get("files"), record.get("tasks")
    if not isinstance(files, dict) or not isinstance(tasks, dict):
        return {}
    if not all(isinstance(models, list) and all(isinstance(one, str) for one in models) for models in tasks.values()):
        return {}
    return {**record, "files": {path: digest for path, digest in files.items() if _is_inside(folder, path)}}


def _is_inside(folder: Path, name: str) -> bool:
    try:
        path_inside(folder, name)
    except InputError:
        return False
    return True


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        # A record may hold a name that no file can have.
        return False


def _file_differences(plan: _Plan) -> Iterator[FileDifference]:
    for name, content in plan.files.items():
        deployed = _read(plan.folder / name)
        if deployed is None:
            yield FileDifference(path=name, change="added", diff=_diff(name, b"", content))
        elif deployed != content and plan.is_ours(name):
            yield FileDifference(path=name, change="changed", diff=_diff(name, deployed, content))
        elif deployed != content:
            yield FileDifference(path=name, change="changed_by_hand", diff=None)
    for name in plan.stale:
        if plan.is_ours(name):
            deployed = _read(plan.folder / name) or b""
            yield FileDifference(path=name, change="removed", diff=_diff(name, deployed, b""))
        else:
            yield FileDifference(path=name, change="kept", diff=None)


def _diff(name: str, deployed: bytes, new: bytes) -> str:
    before, after = (content.decode(errors="replace").splitlines(keepends=True) for content in (deployed, new))
    return "".join(unified_diff(before, after, f"deployed/{name}", f"new/{name}"))


def _read(path: Path) -> bytes | None:
    """Return a file's content, or None when there is none.

    Raises:
        InputError: when something is there that cannot be read.
    """
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        problem = f"cannot be read: {error.strerror or error}"
        raise InputError(problem, place=Place(file=str(path)), next_step="name another folder with -o") from error
