"""What a night must remember when it is killed: what was said before it began, and whether the change was told.

That tonight was measured, and by which run, is in the store; everything else a night does can be done again.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from evalkit.api.writing import write_file
from evalkit.pipeline.verdict_changes import Said, said_in

if TYPE_CHECKING:
    from pathlib import Path

    from evalkit.domain.project import Project

__all__ = ["NightJournal", "begun_night", "read_document", "told_night"]

_FORMAT = "evalkit.night/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class NightJournal:
    """One night."""

    night: str
    before: Said | None
    """What the file said that was in force when the night began; None when there was none."""
    is_told: bool = False


def begun_night(project: Project, *, night: str, file: Path) -> NightJournal:
    """Return tonight's journal: begun now, or found as an earlier start left it.

    What a night before changed and, killed, never told, is told by this one: it compares with what was in force then.

    Raises:
        InputError: when it cannot be written.
    """
    path = _path(project)
    found = _read(path)
    if found is not None and found.night == night:
        return found
    if found is not None and not found.is_told:
        journal = replace(found, night=night)
    else:
        document = read_document(file)
        journal = NightJournal(night=night, before=None if document is None else said_in(document))
    _write(path, journal)
    return journal


def told_night(project: Project, journal: NightJournal) -> None:
    """Note that nobody has to be told of this night any more."""
    if not journal.is_told:
        _write(_path(project), replace(journal, is_told=True))


def read_document(file: Path) -> dict[str, Any] | None:
    """Return the eligibility file as it stands there, checked for no more than its parts; None when there is none."""
    try:
        document = json.loads(file.read_bytes())
        said_in(document)
        str(document["generated_at"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _path(project: Project) -> Path:
    return project.root / project.config.reports / f"nightly-{project.config.environment}.json"


def _read(path: Path) -> NightJournal | None:
    """Return the journal; one that cannot be read is as good as none."""
    try:
        stored = json.loads(path.read_bytes())
        if stored["format"] != _FORMAT:
            return None
        return NightJournal(night=stored["night"], before=stored["before"], is_told=bool(stored["is_told"]))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _write(path: Path, journal: NightJournal) -> None:
    write_file(path, json.dumps({"format": _FORMAT, **asdict(journal)}, indent=2).encode() + b"\n")
