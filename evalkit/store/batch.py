"""What of a batch is kept and what it cost: the rules every store shares."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from evalkit.domain.outcome import Outcome

__all__ = ["known_spend_usd", "newest_of_each"]


def newest_of_each(outcomes: Iterable[Outcome]) -> dict[str, Outcome]:
    """Return one outcome per call key: the last, except that a model outcome is never replaced."""
    kept: dict[str, Outcome] = {}
    for outcome in outcomes:
        earlier = kept.get(outcome.call_key)
        if earlier is None or earlier.may_be_sent_again:
            kept[outcome.call_key] = outcome
    return kept


def known_spend_usd(outcomes: Iterable[Outcome]) -> float:
    """Return what all requests of these outcomes cost in USD, as far as it is known.

    Those to the baseline gateway count: a run's spending is money, whoever got it.
    """
    return math.fsum(_known_cost_usd(outcome) for outcome in outcomes)


def _known_cost_usd(outcome: Outcome) -> float:
    direct_usd = outcome.cost.direct_usd or 0.0
    if outcome.cost.usd is not None:
        return outcome.cost.usd + direct_usd
    return math.fsum(attempt.cost_usd for attempt in outcome.attempts if attempt.cost_usd is not None) + direct_usd
