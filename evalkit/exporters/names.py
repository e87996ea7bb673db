"""Names made for targets that allow fewer characters than ours, such that two of ours never become one of theirs.

A collision would give one task the other's models, so it is refused instead of numbered: a number would depend on what
else is in the file, and the name of a task must not change because another task came.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from evalkit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["dns_label", "names_of", "variable_name"]

_MAX_LABEL = 63
_DIGEST_LETTERS = 8


def names_of(texts: Iterable[str], derive: Callable[[str], str], *, what: str) -> Mapping[str, str]:
    """Return each text's derived name, in order of first appearance; `what` says in an error what the texts are.

    Raises:
        InputError: when two different texts get one name.
    """
    names: dict[str, str] = {}
    owners: dict[str, str] = {}
    for text in texts:
        name = derive(text)
        owner = owners.setdefault(name, text)
        if owner != text:
            raise InputError(
                f"{what} {owner!r} and {text!r} would both be called {name!r} there",
                next_step="rename one of them: letters, digits and - are all that target can tell apart",
            )
        names[text] = name
    return names


def dns_label(text: str) -> str:
    """Return a DNS-1123 label of at most 63 characters: what does not fit is cut and replaced by a digest."""
    label = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    if len(label) <= _MAX_LABEL and label:
        return label
    digest = hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_LETTERS]
    return f"{label[: _MAX_LABEL - _DIGEST_LETTERS - 1].strip('-')}-{digest}".strip("-")


def variable_name(text: str) -> str:
    """Return an environment variable's name: capitals, digits and underscores."""
    return re.sub(r"[^A-Z0-9]", "_", text.upper())
