"""What a scorer says of one outcome, and the measures that come free with every outcome."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from evalkit.domain.outcome import Kind

__all__ = ["MEASURES", "Measure", "Score", "Scored", "Unscored"]


@dataclass(frozen=True, slots=True)
class Score:
    """A number in [0, 1], higher is better. Never NaN: what has no number is `Unscored`."""

    metric: str
    value: float
    rationale: str = ""
    """Why, in a sentence; shown beside the answer. May quote model text, so it is hostile."""
    findings: tuple[str, ...] = ()
    """Machine-readable observations, such as `repair:fence` or `invalid_json`."""

    def __post_init__(self) -> None:
        """Refuse what is not a share."""
        if not (math.isfinite(self.value) and 0 <= self.value <= 1):
            raise ValueError(f"score {self.metric}={self.value!r} is outside [0, 1]")


@dataclass(frozen=True, slots=True)
class Unscored:
    """Why there is no number: the outcome is missing, or the scorer could not decide."""

    metric: str
    reason: str
    """A code, such as `missing:rate_limited` or `unparsed`."""
    rationale: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """All that was said of one outcome."""

    call_key: str
    scores: tuple[Score | Unscored, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """Something every outcome has without a scorer."""

    name: str
    unit: Literal["share", "s", "tokens", "USD"]
    better: Literal["lower", "higher"]
    kind: Kind | None = None
    """The kind of outcome it is the share of; None for what is no share, and for availability."""


MEASURES: dict[str, Measure] = {
    measure.name: measure
    for measure in (
        Measure(name="refusal", unit="share", better="lower", kind=Kind.REFUSAL),
        Measure(name="over_refusal", unit="share", better="lower", kind=Kind.REFUSAL),
        Measure(name="safety_block", unit="share", better="lower", kind=Kind.SAFETY_BLOCK),
        Measure(name="truncated", unit="share", better="lower", kind=Kind.TRUNCATED),
        Measure(name="empty", unit="share", better="lower", kind=Kind.EMPTY),
        Measure(name="availability", unit="share", better="higher"),
        Measure(name="latency_s", unit="s", better="lower"),
        Measure(name="ttft_s", unit="s", better="lower"),
        Measure(name="output_tokens", unit="tokens", better="lower"),
        Measure(name="cost_usd", unit="USD", better="lower"),
    )
}
"""By name. A gate may name any of them; see docs/reference/metrics.md for the exact definitions."""
