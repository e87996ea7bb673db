"""Suites and cases: versioned prompts for one task, each with what a good answer is.

A `Suite` here is always resolved: `extends`, `file:` prompts, schema paths and case files have been
read in by `evalkit.loading`, so nothing below this module touches a disk.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import ConfigDict, Field, JsonValue, model_validator
from pydantic.dataclasses import dataclass

from evalkit.canonical import digest_of
from evalkit.domain.score import MEASURES
from evalkit.domain.shape import Identifier, Shape

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic.config import JsonDict

__all__ = [
    "MIN_LATENCY_CALLS",
    "Case",
    "Expect",
    "Gate",
    "KnownBad",
    "MessageSpec",
    "Mode",
    "Payloads",
    "RequestSpec",
    "ResponseSpec",
    "ScorerSpec",
    "StreamProbe",
    "Suite",
    "ToolSpec",
    "TurnExpect",
    "TurnSpec",
    "long_scorers",
    "turn_metric",
]

Mode = Literal["text", "json_schema", "json_object", "prompted", "tools"]
"""How structure is asked for: not at all, by strict schema, JSON mode, words in the prompt, or tools."""

MIN_LATENCY_CALLS = 200
"""Calls of a task; with fewer a latency gate stays undecided (docs/explanation/statistics.md)."""

Payloads = Literal["full", "redacted", "digest"]
"""What of prompt and answer the store keeps: all, all with personal data masked, or digests only."""

Expect = Literal["answer", "refusal", "abstain"]

_TEXT_OR_ARRAY: JsonDict = {"anyOf": [{"type": "string"}, {"type": "array"}]}
_TEXT_OR_OBJECT: JsonDict = {"anyOf": [{"type": "string"}, {"type": "object"}]}


def _no_arguments() -> dict[str, JsonValue]:
    return {"type": "object", "properties": {}}


class ToolSpec(Shape):
    """A function the model may call."""

    name: Identifier
    description: str = ""
    parameters: dict[str, JsonValue] = Field(default_factory=_no_arguments)
    """JSON Schema of the arguments."""


class MessageSpec(Shape):
    """One message of a hand-written prompt; `content` is a template."""

    role: Literal["system", "user", "assistant"]
    content: str


class ScorerSpec(Shape):
    """A scorer by its entry-point name, with its parameters."""

    name: Identifier
    params: dict[str, JsonValue] = Field(default_factory=dict)
    metric: Identifier | None = Field(default=None, alias="as")
    """Another name for the scorer's single metric, so that one scorer can be used twice."""
    negate: bool = False
    """The score becomes 1 - score: the case passes when the scorer fails."""
    weight: Annotated[float, Field(gt=0)] | None = None
    """When any scorer has a weight, the suite gets the metric `weighted`: the weighted mean of those that do."""


class TurnExpect(Shape):
    """What one turn's own answer should be; gives the metrics `turnN.METRIC`, N counted from 1."""

    expected: JsonValue = None
    """Strings are templates over `vars`; one that is nothing but `{{ name }}` is the variable as it stands."""
    scorers: Annotated[tuple[ScorerSpec, ...], Field(min_length=1)]

    @model_validator(mode="before")
    @classmethod
    def _short_scorers(cls, data: Any) -> Any:
        """Accept the short forms a suite accepts."""
        return {**data, "scorers": long_scorers(data.get("scorers"))} if isinstance(data, dict) else data

    @model_validator(mode="after")
    def _no_weights(self) -> TurnExpect:
        if any(spec.weight is not None for spec in self.scorers):
            raise ValueError("`weight` belongs to the suite's scorers: turns have no weighted mean")
        return self


class TurnSpec(Shape):
    """One user turn of a conversation, with the tool results that answer the calls it provokes."""

    user: str
    tools: tuple[ToolSpec, ...] = ()
    tool_results: dict[str, JsonValue] = Field(default_factory=dict)
    """Tool name to the value sent back when the model calls it. Where there is any, the model has to call one before
    it answers; any other call, or none, is the end of the conversation."""
    expect: TurnExpect | None = None
    """What this turn's own answer is graded by; the last answer is graded by the suite's scorers as well."""


class ResponseSpec(Shape):
    """The shape an answer should have."""

    schema_: dict[str, JsonValue] | None = Field(default=None, alias="schema", json_schema_extra=_TEXT_OR_OBJECT)
    """JSON Schema, inline or a path relative to the suite file."""
    modes: Annotated[tuple[Mode, ...], Field(min_length=1)] = ("json_schema", "json_object", "prompted")
    """In order of preference; the plan takes the first a model declares."""


class RequestSpec(Shape):
    """What is sent: exactly one of `prompt`, `messages` and `turns`; all text is a Jinja2 template over `vars`."""

    system: str | None = None
    prompt: str | None = None
    """Template of the user message; `file:PATH` reads it from a file inside the project."""
    messages: tuple[MessageSpec, ...] = ()
    turns: tuple[TurnSpec, ...] = ()
    tools: tuple[ToolSpec, ...] = ()
    response: ResponseSpec | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = 0
    """None sends no temperature at all."""
    max_output_tokens: Annotated[int, Field(gt=0)] = 1024

    @model_validator(mode="after")
    def _one_form(self) -> RequestSpec:
        forms = [name for name in ("prompt", "messages", "turns") if getattr(self, name)]
        if len(forms) != 1:
            raise ValueError(f"give exactly one of prompt, messages, turns; found {forms or 'none'}")
        return self

    @property
    def modes(self) -> tuple[Mode, ...]:
        """The modes this request may be made in, preferred first."""
        if self.response is not None:
            return self.response.modes
        return ("tools",) if self.tools or any(turn.tools for turn in self.turns) else ("text",)


class Gate(Shape):
    """A bound a model must hold on a metric; exactly one of `at_least` and `at_most`."""

    metric: Identifier
    at_least: float | None = None
    at_most: float | None = None
    of: Literal["mean", "p95", "p99", "per_success"] = "mean"
    where: dict[Literal["tag"], str] | None = None
    """Only cases that carry this tag."""
    critical: bool = False
    """While this gate is not passed, earlier evidence does not keep the model admitted."""

    @model_validator(mode="after")
    def _one_limit(self) -> Gate:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("give exactly one of at_least and at_most")
        return self

    @property
    def is_share(self) -> bool:
        """Whether the metric is a number in [0, 1]: every scorer's is, and most measures'."""
        return self.metric not in MEASURES or MEASURES[self.metric].unit == "share"

    def cases_of(self, cases: Iterable[Case]) -> tuple[Case, ...]:
        """Return those it looks at: those with its tag, and for `over_refusal` those that expect an answer."""
        tag = (self.where or {}).get("tag")
        needs_answer = self.metric == "over_refusal"
        return tuple(
            case
            for case in cases
            if (tag is None or tag in case.tags) and (not needs_answer or case.expect == "answer")
        )

    @property
    def limit(self) -> float:
        """The threshold, in the metric's own unit."""
        return self.at_least if self.at_least is not None else float(self.at_most or 0.0)

    @property
    def rule(self) -> str:
        """The rule as text, such as `>= 0.9` or `p95 <= 4`."""
        sign = ">=" if self.at_least is not None else "<="
        head = "" if self.of == "mean" else f"{self.of} "
        return f"{head}{sign} {self.limit:g}"


class StreamProbe(Shape):
    """Calls that are streamed to see when the first token comes; their answers are never graded."""

    n: Annotated[int, Field(ge=1, le=10_000)] = 60
    """Per model. A gate on a p95 needs 59 at confidence 0.95, one on a p99 needs 299."""


class KnownBad(Shape):
    """An answer that must fail exactly the metrics it names."""

    answer: JsonValue
    fails: Annotated[tuple[str, ...], Field(min_length=1)]


@dataclass(frozen=True, slots=True, kw_only=True, config=ConfigDict(extra="forbid"))
class Case:
    """One prompt with its expectation.

    A slotted dataclass, not a model: suites of 100,000 cases stay in memory while they run.
    """

    id: Identifier  # the file's key; everywhere else it is `case_id`
    vars: dict[str, JsonValue] = Field(default_factory=dict)
    expected: JsonValue = None
    expect: Expect = "answer"
    cluster: Identifier | None = None
    """Cases that share a passage or a template share a cluster; None: the case is its own."""
    tags: tuple[str, ...] = ()
    critical: bool = False
    """A model that fails this case may not serve the task, whatever its means are."""
    schema: dict[str, JsonValue] | None = None
    """Overrides the suite's response schema."""
    tools: tuple[ToolSpec, ...] | None = None
    max_output_tokens: Annotated[int, Field(gt=0)] | None = None
    scorers: tuple[ScorerSpec, ...] | None = None
    """Overrides the suite's scorers."""
    skip: str | None = None
    """Why the case is left out; it is counted and shown as skipped."""
    known_good: tuple[JsonValue, ...] | None = None
    """Answers that pass every scorer; None builds one from `expected`."""
    known_bad: tuple[KnownBad, ...] = ()

    @property
    def cluster_id(self) -> str:
        """The cluster, or the case's own id."""
        return self.cluster if self.cluster is not None else self.id


class Suite(Shape):
    """Versioned prompts for one task, with their scorers and gates."""

    version: Literal[1]
    name: Identifier
    task: Identifier
    """The routing key; several suites may serve one task."""
    description: str = ""
    request: RequestSpec
    cases: Annotated[tuple[Case, ...], Field(min_length=1, json_schema_extra=_TEXT_OR_ARRAY)]
    """Inline, or the path of a `.jsonl` or `.csv` file relative to the suite file."""
    trials: Annotated[int, Field(ge=1, le=1000)] = 1
    primary: str
    """The metric of non-inferiority, ranking and cost per success."""
    payloads: Payloads = "full"
    stream_probe: StreamProbe | None = None
    """None sends 60 calls when a gate looks at `ttft_s`, and no call otherwise."""
    scorers: Annotated[tuple[ScorerSpec, ...], Field(min_length=1)]
    gates: Annotated[tuple[Gate, ...], Field(min_length=1)]

    @model_validator(mode="before")
    @classmethod
    def _short_scorers(cls, data: Any) -> Any:
        """Accept `exact` and `{exact: {…}}` for a scorer, as people write them."""
        if isinstance(data, dict):
            data = {**data, "scorers": long_scorers(data.get("scorers"))}
        return data

    @property
    def active_cases(self) -> tuple[Case, ...]:
        """The cases that are not skipped, in file order."""
        return tuple(case for case in self.cases if case.skip is None)

    @property
    def n_stream_probes(self) -> int:
        """Calls each model is asked to stream, beside those that are graded."""
        if self.stream_probe is not None:
            return self.stream_probe.n
        return StreamProbe().n if any(gate.metric == "ttft_s" for gate in self.gates) else 0

    @cached_property
    def longest_answer(self) -> int:
        """The most output tokens any case asks for."""
        own = self.request.max_output_tokens
        return max((case.max_output_tokens or own for case in self.active_cases), default=own)

    @cached_property
    def prompts_digest(self) -> str:
        """Digest of all that reaches a model; answers recorded under another one do not count."""
        cases = [
            {"id": c.id, "vars": c.vars, "cluster": c.cluster, "schema": c.schema, "skip": c.skip,
             "tools": c.tools and [tool.model_dump() for tool in c.tools], "max": c.max_output_tokens}
            for c in self.cases
        ]  # fmt: skip
        request = self.request.model_dump()
        for turn in request["turns"]:
            turn["expect"] = None  # what is expected never reaches a model
        return digest_of({"name": self.name, "task": self.task, "request": request, "cases": cases})

    @cached_property
    def digest(self) -> str:
        """Digest of prompts, expectations and scorers; gates and payload mode may change without it changing."""
        cases = [
            {"id": c.id, "expected": c.expected, "expect": c.expect, "tags": c.tags, "critical": c.critical,
             "scorers": c.scorers and [spec.model_dump() for spec in c.scorers]}
            for c in self.cases
        ]  # fmt: skip
        whole = {
            "prompts": self.prompts_digest,
            "cases": cases,
            "scorers": [spec.model_dump() for spec in self.scorers],
        }
        turns = [turn.expect and turn.expect.model_dump() for turn in self.request.turns]
        return digest_of(whole | ({"turns": turns} if any(turns) else {}))


def turn_metric(index: int, metric: str) -> str:
    """Return the name a metric has when a turn's own answer is graded by it; `index` from 0, the name from 1."""
    return f"turn{index + 1}.{metric}"


def long_scorers(value: Any) -> Any:
    """Return a list of scorers with every short form written out; anything that is no list unchanged."""
    return [_long_scorer(item) for item in value] if isinstance(value, (list, tuple)) else value


def _long_scorer(item: Any) -> Any:
    """`exact` → {name: exact}; `{exact: {as: x, casefold: true}}` → {name, as, params}; long form unchanged."""
    if isinstance(item, str):
        return {"name": item}
    if isinstance(item, dict) and "name" not in item and len(item) == 1:
        ((name, params),) = item.items()
        params = dict(params or {})
        own = {key: params.pop(key) for key in ("as", "negate", "weight") if key in params}
        return {"name": name, "params": params, **own}
    return item
