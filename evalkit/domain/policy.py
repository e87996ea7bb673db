"""What each task needs of a model, and the human decisions that override evidence for a while."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from evalkit.canonical import digest_of
from evalkit.domain.outcome import Kind
from evalkit.domain.shape import Identifier, Shape, Share
from evalkit.domain.suite import Gate

__all__ = [
    "DURATION_PATTERN",
    "MAX_WAIVER_DAYS",
    "Defaults",
    "Duration",
    "Failover",
    "Latency",
    "Policy",
    "ProviderPolicy",
    "SpendCap",
    "TaskPolicy",
    "Waiver",
    "Waivers",
    "seconds_of",
]

MAX_WAIVER_DAYS = 14

DURATION_PATTERN = r"^[1-9][0-9]*[smhd]$"
_MAX_DURATION_DAYS = 366
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_MAX_BACKOFF_S = 8.0
_NEVER_RETRIED = {Kind.REQUEST_REJECTED, Kind.REFUSAL, Kind.SAFETY_BLOCK}


def seconds_of(duration: str) -> int:
    """Return a duration such as `50h` in seconds.

    Raises:
        ValueError: when the text is not a whole number and one of s, m, h, d.
    """
    match = re.fullmatch(r"([1-9][0-9]*)([smhd])", duration)
    if match is None:
        raise ValueError(f"{duration!r} is not a duration such as 30s, 15m, 50h or 14d")
    return int(match[1]) * _SECONDS[match[2]]


def _not_too_long(duration: str) -> str:
    if seconds_of(duration) > _MAX_DURATION_DAYS * _SECONDS["d"]:
        raise ValueError(f"{duration} is too long: a duration is at most {_MAX_DURATION_DAYS}d")
    return duration


Duration = Annotated[str, Field(pattern=DURATION_PATTERN), AfterValidator(_not_too_long)]
"""A whole number and a unit, at most 366 days: `30s`, `15m`, `50h`, `14d`."""


class SpendCap(Shape):
    """An instruction for gateways; evalkit exports it and enforces nothing."""

    usd: Annotated[float, Field(gt=0)]
    per: Duration


class Latency(Shape):
    """The router's own threshold; not a gate."""

    p95_s: Annotated[float, Field(gt=0)]


class ProviderPolicy(Shape):
    """What holds for every model of a provider: instructions for exporters, which write them as gateways want them."""

    spend_cap: SpendCap | None = None
    kind: Identifier | None = None
    """The provider type gateways know it by, such as `openai` for any OpenAI-compatible endpoint; None: its name."""
    api_base: Annotated[str, Field(pattern=r"^https?://[^\s@]+$")] | None = None
    """Where the gateway reaches it, up to and including `/v1`; None: the gateway knows. Never a secret."""
    api_key_env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    """Variable of the *gateway's* environment that holds its key; None: `EVALKIT_<PROVIDER>_API_KEY`."""


class Failover(Shape):
    """Retry first, then the next candidate that passed the same suites."""

    retries: Annotated[int, Field(ge=0, le=10)] = 2
    retry_on: tuple[Kind, ...] = (Kind.RATE_LIMITED, Kind.PROVIDER_OVERLOADED, Kind.TIMEOUT)
    switch_on: tuple[Kind, ...] = (Kind.QUOTA_EXHAUSTED, Kind.AUTH_ERROR, Kind.MODEL_UNAVAILABLE)
    upstream_timeout_s: Annotated[float, Field(gt=0)] = 10
    client_timeout_s: Annotated[float, Field(gt=0)] = 120
    session: Literal["sticky", "any"] = "sticky"

    def longest_s(self, n_candidates: int) -> float:
        """Return the longest a gateway may take to go through so many candidates, backoff included, in seconds."""
        return n_candidates * ((self.retries + 1) * self.upstream_timeout_s + self.backoff_s)

    @property
    def backoff_s(self) -> float:
        """Pauses between the tries at one candidate: 1, 2, 4 … seconds, as gateways double them."""
        return sum(min(2.0**number, _MAX_BACKOFF_S) for number in range(self.retries))

    @model_validator(mode="after")
    def _never_retried(self) -> Failover:
        wrong = sorted(_NEVER_RETRIED & {*self.retry_on, *self.switch_on})
        if wrong:
            raise ValueError(
                f"{', '.join(wrong)}: never retried or failed over; the next model would be asked the same"
            )
        return self


class Defaults(Shape):
    """Holds for every task that does not say otherwise."""

    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """One-sided level of every bound that decides."""
    min_coverage: Share = 0.95
    valid_for: Duration = "50h"
    """How long a measurement admits a model."""
    min_identity: Literal["attested", "self_reported", "unverifiable"] = "self_reported"
    rank_by: Literal["cost", "latency", "quality"] = "cost"


class TaskPolicy(Shape):
    """What one task needs."""

    critical: bool = False
    """Failover only along the list; no waiver may admit."""
    pin: Identifier | None = None
    incumbent: Identifier | None = None
    """Others must be non-inferior to it on the suites' `primary` metric."""
    non_inferiority_margin: Annotated[float, Field(gt=0, lt=1)] = 0.10
    max_candidates: Annotated[int, Field(ge=1)] | None = None
    on_expiry: Literal["deny", "pin_only"] = "deny"
    on_pin_lost: Literal["failover", "deny"] = "failover"
    failover: Failover = Failover()
    latency: Latency | None = None
    spend_cap: SpendCap | None = None
    confidence: Annotated[float, Field(gt=0.5, lt=1)] | None = None
    min_coverage: Share | None = None
    valid_for: Duration | None = None
    min_identity: Literal["attested", "self_reported", "unverifiable"] | None = None
    rank_by: Literal["cost", "latency", "quality"] | None = None


class Policy(Shape):
    """What every task needs."""

    version: Literal[1]
    defaults: Defaults = Defaults()
    providers: dict[str, ProviderPolicy] = Field(default_factory=dict)
    model_gates: tuple[Gate, ...] = ()
    """On rates, over all suites that give them: a model that does not hold one serves no task."""
    tasks: Annotated[dict[Identifier, TaskPolicy], Field(min_length=1)]

    def defaults_for(self, task: str) -> Defaults:
        """Return the defaults with the task's own values laid over them."""
        own = self.tasks[task].model_dump(include=set(Defaults.model_fields), exclude_none=True)
        return self.defaults.model_copy(update=own)

    @cached_property
    def digest(self) -> str:
        """Digest of the policy."""
        return digest_of(self.model_dump(mode="json"))


class Waiver(Shape):
    """A human decision with its reason and its end.

    `deny` takes a model out; `hold` keeps the last status; `allow` admits on fresh *undecided* evidence.
    """

    task: Identifier
    model: Identifier
    action: Literal["deny", "hold", "allow"]
    reason: Annotated[str, Field(min_length=3)]
    by: Annotated[str, Field(min_length=1)]
    until: datetime | date
    """At most 14 days after the decision is taken; a date means its end, UTC."""

    @model_validator(mode="after")
    def _ends(self) -> Waiver:
        try:
            _ = self.ends_at
        except OverflowError:
            raise ValueError(f"until {self.until} is too far ahead: a waiver may last {MAX_WAIVER_DAYS} days") from None
        return self

    @property
    def ends_at(self) -> float:
        """When it ends, in Unix seconds."""
        until = self.until
        if not isinstance(until, datetime):
            until = datetime.combine(until, time.min, tzinfo=UTC) + timedelta(days=1)
        return (until if until.tzinfo is not None else until.replace(tzinfo=UTC)).timestamp()

    def reaches_too_far(self, now: float) -> bool:
        """Whether it ends later than a decision taken at `now` (Unix seconds) may last.

        A date lasts to its end, so fourteen days from any hour of today may reach into the fifteenth.
        """
        days = MAX_WAIVER_DAYS if isinstance(self.until, datetime) else MAX_WAIVER_DAYS + 1
        return self.ends_at > now + days * 86_400


class Waivers(Shape):
    """All waivers of the project."""

    version: Literal[1]
    waivers: tuple[Waiver, ...] = ()
