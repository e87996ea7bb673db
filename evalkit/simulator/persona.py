"""What a simulated model is made of. The table of them is in `personas`; here is no name and no number of any."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Ability", "FaultRate", "Habits", "Judging", "Latency", "Persona", "Served", "Truth"]

Structured = Literal["json_schema", "json_object", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ability:
    """Shares of answers that are not right, each disjoint from the others; what is left of 1 is right."""

    wrong: float = 0.015
    """Good shape, wrong content."""
    slip_share: float = 0.5
    """How much of a wrong answer is wrong, as a share of its leaves; at least one leaf always is."""
    broken: float = 0.002
    """Shape that violates the schema; never where the server itself holds the answer to the schema."""
    refused: float = 0.002
    blocked: float = 0.0
    """Stopped by the platform's filter."""
    truncated: float = 0.0
    empty: float = 0.0

    @property
    def unusable(self) -> float:
        """Share of calls in which no answer comes at all."""
        return self.refused + self.blocked + self.truncated + self.empty


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """How the text around and inside the JSON looks, where nothing forces its form. Shares of answers."""

    fence: float = 0.0
    preamble: float = 0.0
    postamble: float = 0.0
    unclosed_fence: float = 0.0
    """Of the fenced ones."""
    raw_newline: float = 0.0
    """A line break as such inside a string."""
    bad_escape: float = 0.0
    stop_tokens: float = 0.0
    """Leaked end-of-sequence marks."""
    lead_newlines: float = 0.0
    """`\\n\\n` before everything, even where the form is forced."""
    think: float = 0.0
    """`<think>` text inside the content."""
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRate:
    """How often a call meets a fault, and how often the fault stays whatever is tried."""

    fault: str
    """Name in `faults.FAULTS`, or one of the transport's own: `reset`, `half_body`, `stall`."""
    share: float
    """Of calls."""
    lasting: float = 0.0
    """Of the calls that meet it: those in which every attempt does. The others succeed at the second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Lognormal service time in simulated seconds."""

    median_s: float
    sigma: float = 0.3
    first_share: float = 0.3
    """When the first token of a stream comes, as a share of the whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A name the answer carries in `model`, and the share of calls in which it does."""

    name: str | None
    """None sends `"model": ""`."""
    share: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Judging:
    """How a simulated judge sees answers; shares of answers, each drawn once an answer."""

    sensitivity: float
    """Of the right answers, those it passes."""
    specificity: float
    """Of the wrong answers, those it fails."""
    prefers_first: float = 0.0
    """Of comparisons, those in which it takes whatever stands first."""
    unparsable: float = 0.0
    """Of verdicts, those that are no JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What a correct evaluation of the starter project must say of a persona, and how surely."""

    task: str
    status: Literal["eligible", "ineligible", "undecided"]
    reason: str = ""
    """Reason code of the verdict; empty when eligible."""
    metric: str = ""
    """`suite/metric` of the gate that decides; empty when no single gate does."""
    probability: float = 0.99
    """Over seeds, at least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Persona:
    """One simulated model."""

    model_id: str
    route: str
    dialect: str
    """Name in `dialects.DIALECTS`."""
    source: str
    """Rows of the quirk catalogue it is made from."""
    ability: Ability = Ability()
    abilities: Mapping[str, Ability] = field(default_factory=dict)
    """By task, where it differs."""
    habits: Habits = Habits()
    structured: Structured = "none"
    """What it honours of `response_format`; what it does not is ignored without a word."""
    refusal_form: Literal["field", "text", "content_filter"] = "text"
    block_finish: str = "content_filter"
    block_fault: str | None = None
    """A filter that answers with an error instead of an empty message."""
    truncated_form: Literal["cut", "whitespace", "in_think", "reasoning"] = "cut"
    empty_form: Literal["null", "blank", "spaces"] = "null"
    faults: tuple[FaultRate, ...] = ()
    latency: Latency = Latency(median_s=1.0)
    served: tuple[Served, ...] = ()
    fickle: float = 0.0
    """Share of right answers that turn wrong with the form of the prompt: another form, another draw."""
    price: tuple[float, float] | None = None
    """USD per million input and output tokens; None: nobody knows."""
    context_tokens: int = 128_000
    overflow_fault: str = "openai_overflow"
    rejects: tuple[tuple[str, str], ...] = ()
    """(what it does not take, fault it answers with): `max_tokens`, `temperature`, `system`, `non_stream`."""
    truths: tuple[Truth, ...] = ()
    judging: Judging | None = None
    """None: asked to judge, it answers as to any other prompt it does not know."""

    def ability_for(self, task: str) -> Ability:
        """Return its ability for a task."""
        return self.abilities.get(task, self.ability)
