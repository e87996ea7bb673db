"""What looking early saved, for people and for machines."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evalkit.api.looking import Savings

__all__ = ["savings_document", "savings_lines"]

_WORDS = {
    "decided": "every gate passed",
    "failed": "failed",
    "futile": "too close to a gate to be decided",
    "given_up": "given up",
    "whole": "asked to the end",
    None: "not finished",
}


def savings_lines(savings: Savings | None) -> list[str]:
    """Return what was saved, and how many suites × models ended in which way; nothing without looks."""
    if savings is None:
        return []
    share = savings.n_saved / max(savings.n_planned, 1)
    usd = "USD unknown" if savings.saved_usd is None else f"USD {savings.saved_usd:.4f}"
    endings = Counter(_WORDS[pair.ending] for pair in savings.pairs)
    how = ", ".join(f"{n} {words}" for words, n in endings.most_common())
    saved = f"{savings.n_saved} of {savings.n_planned} calls saved ({share:.0%}, {usd})"
    return [f"looked early at {len(savings.pairs)} suites × models: {saved}; {how}"]


def savings_document(savings: Savings | None) -> dict[str, Any]:
    """Return the same as JSON has it under `savings`, suite × model by suite × model; nothing without looks."""
    if savings is None:
        return {}
    told = {
        "n_planned": savings.n_planned,
        "n_saved": savings.n_saved,
        "saved_usd": savings.saved_usd,
        "pairs": [asdict(pair) for pair in savings.pairs],
    }
    return {"savings": told}
