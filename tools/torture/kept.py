"""What each part measured, on disk between the parts: the page is written from these files and from nothing else."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[2]
FOLDER = _ROOT / ".evalkit" / "torture"


def keep(part: str, found: dict[str, Any]) -> None:
    """Replace what a part measured, or one piece of a part, as in `fuzz/suite`."""
    path = FOLDER / f"{part}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    day = datetime.now(UTC).date().isoformat()
    new.write_text(json.dumps({**found, "day": day, "commit": _commit()}, indent=1), encoding="utf-8")
    new.replace(path)


def kept(part: str) -> dict[str, Any] | None:
    """Return what a part measured, or None when it was not run."""
    path = FOLDER / f"{part}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


@cache
def _commit() -> str:
    """Return the commit as it is when a process first keeps something; `-dirty` when that is not all of the code."""
    words = ("git", "describe", "--always", "--dirty", "--exclude", "*")
    return subprocess.run(words, cwd=_ROOT, capture_output=True, text=True, check=False).stdout.strip() or "unknown"
