"""Names of suites as names of files, on any file system."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["file_names"]

_NAME_CHARS = 80
# Device names that Windows opens instead of a file, whatever the extension.
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def file_names(names: Iterable[str]) -> dict[str, str]:
    """Return a stem for each name: no separator, no leading dot, no device name, distinct on any file system."""
    taken: set[str] = set()
    stems: dict[str, str] = {}
    for name in names:
        slug = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-")[:_NAME_CHARS]
        if not slug or slug != name or slug.lower() in taken or _RESERVED.fullmatch(slug):
            slug = f"{slug or 'page'}-{hashlib.sha256(name.encode('utf-8', 'backslashreplace')).hexdigest()[:10]}"
            slug = f"_{slug}" if _RESERVED.fullmatch(slug) else slug
        taken.add(slug.lower())
        stems[name] = slug
    return stems
