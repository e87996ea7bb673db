"""What each part measured, on disk between the parts: the page is written from these files and from nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / ".evalkit" / "torture"


def keep(part: str, found: dict[str, Any]) -> None:
    """Replace what a part measured."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{part}.json"
    new = path.with_suffix(".new")
    new.write_text(json.dumps(found, indent=1), encoding="utf-8")
    new.replace(path)


def kept(part: str) -> dict[str, Any] | None:
    """Return what a part measured, or None when it was not run."""
    path = FOLDER / f"{part}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
