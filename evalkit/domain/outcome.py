"""What came back from a call: its kind, what the wire said, every attempt, and who answered.

Slotted dataclasses, no validation: one is made per call on the hot path, from values `evalkit.wire` has checked.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

__all__ = [
    "CACHED",
    "ENDED_EARLY",
    "MISSING",
    "QUALITY_ZERO",
    "RETRYABLE",
    "SENT_AGAIN",
    "Attempt",
    "Cost",
    "CostSource",
    "Identity",
    "IdentityClass",
    "Kind",
    "Outcome",
    "Reading",
    "Timings",
    "ToolCall",
    "Turn",
    "Usage",
]


class Kind(StrEnum):
    """The one terminal kind of a call, decided on the wire alone; the order is in docs/explanation/outcomes.md."""

    OK = "ok"
    REFUSAL = "refusal"
    SAFETY_BLOCK = "safety_block"
    TRUNCATED = "truncated"
    EMPTY = "empty"
    SCHEMA_VIOLATION = "schema_violation"
    """Only when the server says so."""
    TOOL_CALL_MALFORMED = "tool_call_malformed"
    """Only when the server says so."""
    CONTEXT_OVERFLOW = "context_overflow"
    SUBSTITUTED_MODEL = "substituted_model"
    REQUEST_REJECTED = "request_rejected"
    RATE_LIMITED = "rate_limited"
    QUOTA_EXHAUSTED = "quota_exhausted"
    PROVIDER_OVERLOADED = "provider_overloaded"
    PROVIDER_ERROR = "provider_error"
    TIMEOUT = "timeout"
    CONNECTION = "connection"
    STREAM_ERROR = "stream_error"
    STREAM_CUT = "stream_cut"
    AUTH_ERROR = "auth_error"
    MODEL_UNAVAILABLE = "model_unavailable"


QUALITY_ZERO = frozenset({
    Kind.REFUSAL, Kind.SAFETY_BLOCK, Kind.TRUNCATED, Kind.EMPTY,
    Kind.SCHEMA_VIOLATION, Kind.TOOL_CALL_MALFORMED, Kind.CONTEXT_OVERFLOW,
})  # fmt: skip
"""The model answered and the answer is worth nothing: every quality metric is 0 (1 where a refusal is expected)."""

MISSING = frozenset(Kind) - QUALITY_ZERO - {Kind.OK}
"""Nobody knows what the model would have said: never a score, bounded by the worst case both ways."""

SENT_AGAIN = MISSING - {Kind.SUBSTITUTED_MODEL}
"""What resuming a run asks again. A swapped answer stays: asking until the right model answers would hide the swap."""

RETRYABLE = frozenset({
    Kind.RATE_LIMITED, Kind.PROVIDER_OVERLOADED, Kind.PROVIDER_ERROR,
    Kind.TIMEOUT, Kind.CONNECTION, Kind.STREAM_ERROR, Kind.STREAM_CUT,
})  # fmt: skip
"""Infrastructure faults that another attempt may cure. A bad answer is never asked again."""


CACHED = "gateway_cached"
"""Flag of an answer that came out of the gateway's cache: no model was asked, so nobody knows what it would say now."""


ENDED_EARLY = frozenset({"unexpected_tool_call", "missing_tool_call", "endless_tool_calls"})
"""Flags of a conversation that the model's own tool calls ended: it has no last answer, and is worth 0."""


class IdentityClass(StrEnum):
    """How far it is known which model answered; best first."""

    ATTESTED = "attested"
    """The gateway proved it."""
    SELF_REPORTED = "self_reported"
    """The upstream's own name: the asked one, or the same stem with a prefix or a date."""
    UNVERIFIABLE = "unverifiable"
    """The gateway echoes what was asked, or says nothing."""
    SUBSTITUTED = "substituted"
    """Another model answered: the call is void."""

    @property
    def rank(self) -> int:
        """0 is best."""
        return list(IdentityClass).index(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who answered, and how that is known."""

    identity_class: IdentityClass = IdentityClass.UNVERIFIABLE
    served_model: str | None = None
    """As reported, untouched."""
    provider: str | None = None
    system_fingerprint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens as reported; None is unknown, never zero."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    reasoning_tokens: int | None = None
    cached_tokens: int | None = None


CostSource = Literal["gateway", "roster", "prices", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """USD of all attempts; None is unknown, never free."""

    usd: float | None = None
    source: CostSource = "unknown"
    direct_usd: float | None = 0.0
    """What the same request sent straight to the baseline gateway cost, never part of `usd`; 0 when none was sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """Client-side seconds. `latency_s` is the answering attempt alone: our own waiting is kept apart."""

    started_at: float = 0.0
    """Unix seconds when the first attempt was sent."""
    latency_s: float | None = None
    """Wall time of the last attempt, all turns; None when nothing was sent."""
    ttft_s: float | None = None
    """Time to first token; only streamed calls have one."""
    queue_s: float = 0.0
    """Waiting for a slot or a rate limit of our own."""
    retry_s: float = 0.0
    """Earlier attempts and the pauses between them."""
    direct_s: float | None = None
    """Wall time of the same request sent straight to the baseline gateway; None when not paired or when either side
    did not answer ok."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """One call as sent; `arguments` is text, JSON or not."""

    name: str
    arguments: str
    call_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one HTTP exchange said, as read by `evalkit.wire`."""

    kind: Kind
    flags: tuple[str, ...] = ()
    """Sorted observations of the wire; see docs/reference/flags.md."""
    text: str | None = None
    """Answer of choice 0 as sent; reasoning and refusal fields are not part of it."""
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: str | None = None
    """Raw; `""` stays `""`."""
    usage: Usage = field(default_factory=Usage)
    identity: Identity = field(default_factory=Identity)
    cost_usd: float | None = None
    """As the gateway reported it."""
    status: int | None = None
    error_code: str | None = None
    detail: str = ""
    """The server's own message, at most 500 characters."""
    retry_after_s: float | None = None
    """The server's hint, however it was spelt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try at one turn, kept even when a later one answered."""

    kind: Kind
    status: int | None = None
    latency_s: float = 0.0
    pause_s: float = 0.0
    """How long we waited before the next attempt."""
    cost_usd: float | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One request of a conversation and its answer. Bodies are raw wire bytes; empty when no text is kept."""

    reading: Reading
    request_body: bytes = b""
    response_body: bytes = b""
    user_turn: int = 0
    """The user turn it belongs to, from 0: results of tools are sent back in requests of the same one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came back for one call; exactly one is kept per (run, call)."""

    call_key: str
    suite: str
    case_id: str
    cluster_id: str
    model_id: str
    trial: int
    sequence: int
    """Position in the scheduled order of the plan."""
    mode: str
    kind: Kind
    flags: tuple[str, ...] = ()
    turns: tuple[Turn, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    usage: Usage = field(default_factory=Usage)
    cost: Cost = field(default_factory=Cost)
    timings: Timings = field(default_factory=Timings)
    identity: Identity = field(default_factory=Identity)
    asked_about: str | None = None
    """Key of the call whose answer a scorer asked about; None: the outcome of a planned call."""

    @property
    def reading(self) -> Reading | None:
        """What the last turn said; None when nothing was sent or no text was kept."""
        return self.turns[-1].reading if self.turns else None

    @property
    def text(self) -> str | None:
        """The answer to score: the last turn's."""
        return self.turns[-1].reading.text if self.turns else None

    @property
    def is_missing(self) -> bool:
        """Whether nobody knows what the model would have said."""
        return self.kind in MISSING or CACHED in self.flags

    @property
    def may_be_sent_again(self) -> bool:
        """Whether resuming the run asks this again."""
        return self.kind in SENT_AGAIN
