"""What of a model's entry in the roster makes two measurements of a suite alike: who is asked, and how."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from evalkit.canonical import digest_of

if TYPE_CHECKING:
    from evalkit.domain.roster import Model
    from evalkit.domain.run import Cell
    from evalkit.domain.suite import Suite

__all__ = ["entry_digest", "is_same_entry"]


def entry_digest(suite: Suite, model: Model, *, is_whole: bool) -> str:
    """Return a digest of all in a model's entry that makes two measurements of a suite alike: who is asked, and how.

    Args:
        suite: what is asked.
        model: who is asked.
        is_whole: whether the declared window left no case out, so that it changed nothing.
    """
    request = suite.request
    longest = suite.longest_answer
    return _entry_digest(
        model.digest,
        request.temperature if model.capabilities.temperature else None,
        min(longest, model.max_output_tokens or longest),
        None if is_whole else model.context_tokens,
    )


@lru_cache(maxsize=65_536)
def _entry_digest(*parts: str | float | None) -> str:
    return digest_of(list(parts))


def is_same_entry(cell: Cell, suite: Suite, model: Model) -> bool:
    """Return whether a model's entry today would ask a suite as it was asked for this cell."""
    is_whole = cell.n_skipped <= len(suite.cases) - len(suite.active_cases)
    return cell.model_digest == entry_digest(suite, model, is_whole=is_whole)
