"""The eligibility file: the one thing the gateway's router reads. Shape and order are the contract."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_serializer

from evalkit.domain.policy import Failover, Latency, ProviderPolicy, SpendCap
from evalkit.domain.roster import Adapt
from evalkit.domain.shape import Identifier, Shape, Share

__all__ = [
    "Candidate",
    "CandidateRequest",
    "Eligibility",
    "GateEvidence",
    "GatewayEntry",
    "ModelEntry",
    "RejectedModel",
    "RejectionReason",
    "RunEvidence",
    "Signature",
    "TaskEntry",
    "Timestamp",
]

FORMAT = "evalkit.eligibility/1"

Timestamp = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]
"""RFC 3339, UTC, whole seconds."""
Sha256 = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]


class GateEvidence(Shape):
    """One gate as it was decided."""

    suite: str
    metric: str
    rule: str
    estimate: float | None
    bound: float | None
    level: float | None
    method: str | None
    n: int
    n_clusters: int
    verdict: Literal["pass", "fail", "undecided"]


class CandidateRequest(Shape):
    """How the router should ask this model: the shape it was measured in."""

    mode: str
    adapt: Adapt


class Candidate(Shape):
    """A model that may serve the task."""

    model: Identifier
    measured_at: Timestamp
    valid_until: Timestamp
    admitted_by: Literal["evidence", "waiver"]
    request: CandidateRequest
    coverage: Share
    gates: tuple[GateEvidence, ...]


class RejectionReason(Shape):
    """Why a model may not serve the task."""

    code: str
    suite: str | None = None
    metric: str | None = None
    detail: str = ""
    cure: str = ""

    @model_serializer(mode="plain")
    def _said(self) -> dict[str, str]:
        """Leave out what there is nothing to say about."""
        return {name: value for name in type(self).model_fields if (value := getattr(self, name))}


class RejectedModel(Shape):
    """A model that may not serve the task."""

    model: Identifier
    verdict: Literal["eligible", "ineligible", "undecided"]
    """`eligible` only beside the reason `beyond_max_candidates` or `pin_lost`."""
    reasons: Annotated[tuple[RejectionReason, ...], Field(min_length=1)]


class TaskEntry(Shape):
    """One task: an ordered list of models; an empty list means deny."""

    critical: bool
    pin: Identifier | None
    """Null, or the first candidate."""
    on_expiry: Literal["deny", "pin_only"]
    failover: Failover
    spend_cap: SpendCap | None
    latency: Latency | None
    candidates: tuple[Candidate, ...]
    rejected: tuple[RejectedModel, ...]


class ModelEntry(Shape):
    """What the router needs to ask a model."""

    route: str
    routes: dict[str, str]
    provider: str | None
    host: str | None
    quantization: str | None
    context_tokens: int | None
    max_output_tokens: int | None
    identity: Literal["attested", "self_reported", "unverifiable"]


class GatewayEntry(Shape):
    """Through what it was measured."""

    kind: str
    vantage: str


class RunEvidence(Shape):
    """What the file rests on."""

    id: str | None
    """The newest run used; null when there is none."""
    evalkit: str
    suites: dict[str, Sha256]
    roster: Sha256
    policy: Sha256


class Signature(Shape):
    """Ed25519 over the format name, a newline and the digest."""

    alg: Literal["Ed25519"]
    key_id: str
    value: str
    """Base64."""


class Eligibility(Shape):
    """The whole file."""

    format: Literal["evalkit.eligibility/1"]
    audience: Identifier
    generated_at: Timestamp
    valid_until: Timestamp
    """When the last candidate expires: from then on the whole file denies. Each candidate has its own end too."""
    default: Literal["deny"]
    simulated: bool
    gateway: GatewayEntry
    run: RunEvidence
    providers: dict[str, ProviderPolicy]
    models: dict[str, ModelEntry]
    tasks: dict[str, TaskEntry]
    digest: Sha256
    signature: Signature | None = None

    def document(self) -> dict[str, Any]:
        """Return the file as plain JSON values, without a null signature."""
        whole = self.model_dump(mode="json")
        if whole["signature"] is None:
            del whole["signature"]
        return whole

    def payload(self) -> dict[str, Any]:
        """Return what the digest is over: the document without digest and signature."""
        return self.model_dump(mode="json", exclude={"digest", "signature"})
