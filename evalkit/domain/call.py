"""What is sent: one case × model × trial, rendered and ready, with a key that names it for ever."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from evalkit.domain.roster import Adapt
    from evalkit.domain.run import Cell
    from evalkit.domain.suite import Mode, ToolSpec

__all__ = [
    "Call",
    "Endpoint",
    "Message",
    "Parameters",
    "Plan",
    "PlannedCell",
    "Script",
    "ScriptTurn",
    "Unsupported",
    "call_key",
]


Endpoint = Literal["chat", "embeddings"]
"""What of a gateway is asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One rendered message."""

    role: str
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptTurn:
    """One user turn: what is added to the conversation, and the tool results that answer its calls."""

    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...] = ()
    tool_results: Mapping[str, Any] | None = None

    @property
    def most_requests(self) -> int:
        """Requests this turn can take: one, or one a tool with a result, one to spare, and one for the answer."""
        return len(self.tool_results) + 2 if self.tool_results else 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A whole rendered conversation; one is shared by every model and trial of a case."""

    turns: tuple[ScriptTurn, ...]
    system: str | None = None
    n_prompt_tokens: int = 0
    """Estimated, all turns; see `evalkit.pipeline.script`."""

    @property
    def most_requests(self) -> int:
        """Requests the whole conversation can take, each answered at the first attempt."""
        return sum(turn.most_requests for turn in self.turns)

    @property
    def digest(self) -> str:
        """Digest of everything in the script that reaches a model: 64 hexadecimal digits."""
        turns = [
            [
                [(message.role, message.content) for message in turn.messages],
                [tool.model_dump() for tool in turn.tools],
                dict(turn.tool_results or {}),
            ]
            for turn in self.turns
        ]
        # Not canonical JSON: the digest never leaves this program, and is made once for every call.
        text = json.dumps([self.system, turns], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """How the conversation is asked for."""

    mode: Mode
    max_output_tokens: int
    temperature: float | None = None
    """None sends none."""
    schema: Mapping[str, Any] | None = None
    """JSON Schema the answer should have."""
    schema_name: str = "answer"
    is_streamed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One case × model × trial."""

    key: str
    """64 hexadecimal digits, unique in a plan."""
    sequence: int
    """Position in the scheduled order."""
    suite: str
    case_id: str
    cluster_id: str
    model_id: str
    route: str
    trial: int
    script: Script
    parameters: Parameters
    adapt: Adapt
    asked_about: str | None = None
    """Key of the call whose answer a scorer asks about; None: planned, to measure the model itself."""
    endpoint: Endpoint = "chat"
    """`embeddings`: the first turn's messages are texts to embed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedCell:
    """What one suite × model will take; None is unknown."""

    cell: Cell
    n_clusters: int
    prompt_tokens: int
    """Estimated, all calls."""
    max_output_tokens: int
    """The most it can produce, all calls."""
    usd_expected: float | None
    """From list prices, with half the output cap; None when the price is unknown."""
    usd_at_most: float | None
    n_direct: int = 0
    """Calls of these that are sent to the baseline gateway too; tokens and USD above do not count them twice."""
    direct_usd_expected: float | None = 0.0
    """What sending those costs, beside `usd_expected`."""
    direct_usd_at_most: float | None = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsupported:
    """A suite × model that is not asked, decided without a call."""

    suite: str
    task: str
    model_id: str
    code: str
    """`unsupported_mode` or `context_too_small`."""
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Every call of a run. Calls are made on demand, so a million of them take no memory."""

    digest: str
    seed: int
    cells: tuple[PlannedCell, ...]
    unsupported: tuple[Unsupported, ...]
    calls_of: Callable[[str], Iterator[Call]] = field(repr=False)
    """Model id to its calls in scheduled order: one seeded shuffle of clusters, shared by all models."""
    whole: Plan | None = field(default=None, repr=False)
    """The plan this is a part of; None when it is all of it."""
    shard: str = ""
    """Which part, such as `3/8`."""

    @property
    def n_calls(self) -> int:
        """Calls of the whole plan; requests to the baseline gateway are not among them."""
        return sum(planned.cell.n_planned for planned in self.cells)

    @property
    def n_aside(self) -> int:
        """Calls of variants among them: streamed ones and those in other modes, which decide nothing as answers."""
        return sum(planned.cell.n_planned for planned in self.cells if planned.cell.variant)

    @property
    def n_direct(self) -> int:
        """Calls that are sent to the baseline gateway too."""
        return sum(planned.n_direct for planned in self.cells)

    @property
    def model_ids(self) -> tuple[str, ...]:
        """Models that are asked, in roster order."""
        return tuple(dict.fromkeys(planned.cell.model_id for planned in self.cells))


def call_key(*, script_digest: str, parameters_digest: str, route: str, coordinates: tuple[str, str, str, int]) -> str:
    """Return the key of a call from what is sent and its coordinates (suite, case id, model id, trial)."""
    whole = "\n".join((script_digest, parameters_digest, route, *map(str, coordinates)))
    return hashlib.sha256(whole.encode()).hexdigest()
