"""What a preflight asks of a model, and what the answers show. Pure: nothing here sends anything.

A probe is small, and made so that its answer tells *did it* from *let it pass*. One answer is one answer: a probe
never says how often something works, only that it did or did not.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

from evalkit.domain.call import Call, Message, Parameters, Script, ScriptTurn, call_key
from evalkit.domain.outcome import CACHED, IdentityClass, Kind
from evalkit.domain.suite import ToolSpec
from evalkit.pipeline.script import CHARACTERS_PER_TOKEN
from evalkit.pipeline.spending import billed_usd, most_usd
from evalkit.schemas import compile_schema
from evalkit.wire.json_text import parse_json_text, strict_json
from evalkit.wire.text import answer_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from evalkit.domain.outcome import CostSource, Outcome, Reading
    from evalkit.domain.roster import Model
    from evalkit.domain.suite import Mode

__all__ = [
    "FEATURE_PROBES",
    "MAX_CALLS",
    "MAX_OUTPUT_TOKENS",
    "REFUSED",
    "Check",
    "CheckStatus",
    "Facts",
    "ModelProbing",
    "Observed",
    "PlannedProbes",
    "Probe",
    "base_outcome",
    "judge_probes",
    "planned_probes",
    "probe_call",
]

MAX_CALLS = 6
"""Requests to one model: the five probes, and one more for what a fault or a refused parameter left open."""
MAX_OUTPUT_TOKENS = 64

Probe = Literal["plain", "bare", "seed", "json_schema", "json_object", "tools"]
"""`plain` asks with temperature 0; `bare` is the same without, sent only when `plain` was refused."""
FEATURE_PROBES: tuple[Probe, ...] = ("seed", "json_schema", "json_object", "tools")
"""Sent after the plain question was answered, in this order."""

REFUSED = frozenset({Kind.REQUEST_REJECTED, Kind.MODEL_UNAVAILABLE})
"""A server's no to what was asked. Routers say "no endpoint" when none of them takes a parameter."""
_FAILED = frozenset({Kind.SCHEMA_VIOLATION, Kind.TOOL_CALL_MALFORMED})

_SEED = 7
_QUESTION = "What is the capital of France? Answer with one word."
_TOOL_QUESTION = "What is the water level at the gauge K-117 right now? Use the tool."
_MODES: dict[Probe, Mode] = {"json_schema": "json_schema", "json_object": "json_object", "tools": "tools"}

_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"stamp": {"type": "string", "enum": ["quartz-7319-lantern"]}},
    "required": ["stamp"],
    "additionalProperties": False,
}
"""Nobody answers this by chance, and the prompt does not speak of it: whoever does was held to the schema."""
_TOOL = ToolSpec(
    name="read_water_gauge",
    description="Return the water level of a gauge in metres.",
    parameters={
        "type": "object",
        "properties": {"gauge": {"type": "string"}},
        "required": ["gauge"],
        "additionalProperties": False,
    },
)
_MAX_QUOTED = 80
_NO_MONEY = "not sent: it did not fit the budget"


class Observed(StrEnum):
    """What a probe saw."""

    ANSWERED = "answered"
    ACCEPTED = "accepted"
    """The parameter was taken; whether it did anything cannot be seen."""
    HONOURED = "honoured"
    IGNORED = "ignored"
    """Answered as if it had not been asked for."""
    REJECTED = "rejected"
    """The server refused the request."""
    FAILED = "failed"
    """The server, or the shape of what came back, says that the model did not manage it."""
    SUBSTITUTED = "substituted"
    """Another model answered."""
    UNSEEN = "unseen"
    """Not sent, or a fault on the way: nothing is known."""


class CheckStatus(StrEnum):
    """What was seen, held against what the roster declares."""

    CONFIRMED = "confirmed"
    """As declared; also when it is declared off and does not work."""
    NOT_HONOURED = "not_honoured"
    """Declared, and ignored, rejected or failed."""
    UNDECLARED = "undeclared"
    """Works, and the roster does not say so."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing a model was probed for."""

    name: str
    """`answer`, `temperature`, or a feature probe."""
    declared: bool
    observed: Observed
    status: CheckStatus
    detail: str = ""
    """What was seen, in words; may quote the model or the server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the answer to the plain question carried; no file declares any of it."""

    identity_class: IdentityClass
    model_field: Literal["as_asked", "own_name", "missing"]
    """How the answer's `model` compares with the route that was sent."""
    served_model: str | None
    system_fingerprint: str | None
    finish_reason: str | None
    has_usage: bool
    cost_source: CostSource
    latency_s: float | None
    """Client-side wall time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelProbing:
    """What was found out about one model."""

    model_id: str
    route: str
    checks: tuple[Check, ...]
    facts: Facts | None
    """None when the plain question was not answered by the model that was asked."""
    n_calls: int
    """Requests that were sent."""
    cost_usd: float | None
    """Of all of them; None when it is not known of one."""
    last_fault: Kind | None = None
    """Why the plain question has no answer; None when it has one, be it out of a cache, or was not sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedProbes:
    """What probing one model will take; None is unknown."""

    model_id: str
    n_calls: int
    """When nothing is refused and no fault is met."""
    max_calls: int
    usd_expected: float | None
    """From list prices, with half the output cap."""
    usd_at_most: float | None


def probe_call(probe: Probe, model: Model, *, route: str, temperature: float | None = 0) -> Call:
    """Return the call of a probe, as a run would make it for a suite in that mode."""
    tools = (_TOOL,) if probe == "tools" else ()
    schema = _SCHEMA if probe == "json_schema" else None
    text = _TOOL_QUESTION if tools else _QUESTION
    script = Script(
        turns=(ScriptTurn(messages=(Message(role="user", content=text),), tools=tools),),
        n_prompt_tokens=1 + sum(map(len, (text, *_carried(tools, schema)))) // CHARACTERS_PER_TOKEN,
    )
    parameters = Parameters(
        mode=_MODES.get(probe, "text"),
        max_output_tokens=min(MAX_OUTPUT_TOKENS, model.max_output_tokens or MAX_OUTPUT_TOKENS),
        temperature=None if probe == "bare" else temperature,
        schema=schema,
        schema_name="preflight",
    )
    adapt = model.adapt
    if probe == "seed":
        adapt = adapt.model_copy(update={"extra_body": {**adapt.extra_body, "seed": _SEED}})
    coordinates = ("preflight", probe, model.id, 0)
    return Call(
        key=call_key(script_digest=script.digest, parameters_digest=probe, route=route, coordinates=coordinates),
        sequence=0,
        suite="preflight",
        case_id=probe,
        cluster_id=probe,
        model_id=model.id,
        route=route,
        trial=0,
        script=script,
        parameters=parameters,
        adapt=adapt,
    )


def _carried(tools: Sequence[ToolSpec], schema: Mapping[str, Any] | None) -> list[str]:
    return [*(tool.model_dump_json() for tool in tools), *([] if schema is None else [json.dumps(schema)])]


def planned_probes(model: Model, *, route: str) -> PlannedProbes:
    """Return what probing a model will take."""
    calls = [probe_call(probe, model, route=route) for probe in ("plain", *FEATURE_PROBES)]
    price = model.price
    expected = at_most = None
    if price is not None:
        prompt = sum(call.script.n_prompt_tokens for call in calls)
        output = sum(call.parameters.max_output_tokens for call in calls)
        expected = (prompt * price.input_usd_per_mtok + output / 2 * price.output_usd_per_mtok) / 1e6
        most = [most_usd(call, price) for call in calls]
        at_most = sum(most) + max(most)
    return PlannedProbes(
        model_id=model.id, n_calls=len(calls), max_calls=MAX_CALLS, usd_expected=expected, usd_at_most=at_most
    )


def base_outcome(outcomes: Mapping[Probe, Outcome]) -> Outcome | None:
    """Return the outcome that says whether the model answers at all; None when nothing was sent."""
    return outcomes.get("bare") or outcomes.get("plain")


def judge_probes(model: Model, outcomes: Mapping[Probe, Outcome], *, route: str) -> ModelProbing:
    """Return what the outcomes of a model's probes show, held against what the roster declares.

    Args:
        model: as the roster declares it.
        outcomes: of the probes that were sent.
        route: what was asked for.
    """
    base = base_outcome(outcomes)
    answer = _answer_check(outcomes, base)
    has_answer = answer.observed is Observed.ANSWERED
    declared = model.capabilities
    checks = [answer, _check("temperature", _temperature(outcomes), declared=declared.temperature)]
    for probe in FEATURE_PROBES:
        is_declared = declared.seed if probe == "seed" else probe in declared.modes
        seen = _feature(probe, outcomes, has_answer=has_answer)
        checks.append(_check(probe, seen, declared=is_declared))
    costs = [billed_usd(outcome) for outcome in outcomes.values()]
    known = [usd for usd in costs if usd is not None]
    is_unknown = answer.status is CheckStatus.UNKNOWN
    return ModelProbing(
        model_id=model.id,
        route=route,
        checks=tuple(checks),
        facts=_facts(base, route=route) if base is not None and has_answer else None,
        n_calls=sum(len(outcome.attempts) for outcome in outcomes.values()),
        cost_usd=sum(known) if len(known) == len(costs) else None,
        last_fault=base.kind if base is not None and is_unknown and CACHED not in base.flags else None,
    )


_Seen = tuple[Observed, str]


def _check(name: str, seen: _Seen, *, declared: bool) -> Check:
    observed, detail = seen
    works = observed in {Observed.ANSWERED, Observed.ACCEPTED, Observed.HONOURED}
    if observed is Observed.UNSEEN:
        status = CheckStatus.UNKNOWN
    elif works is declared:
        status = CheckStatus.CONFIRMED
    else:
        status = CheckStatus.NOT_HONOURED if declared else CheckStatus.UNDECLARED
    return Check(name=name, declared=declared, observed=observed, status=status, detail=detail)


def _answer_check(outcomes: Mapping[Probe, Outcome], base: Outcome | None) -> Check:
    """Judge whether the model that was asked answers: a swap in any probe counts, as it would in a run."""
    swapped = next((one for one in outcomes.values() if one.kind is Kind.SUBSTITUTED_MODEL), None)
    if base is None:
        seen = Observed.UNSEEN, _NO_MONEY
    elif swapped is not None:
        seen = Observed.SUBSTITUTED, _why(swapped)
    elif base.kind is Kind.REQUEST_REJECTED and "bare" in outcomes:
        # Without the second request it may have been the temperature alone.
        seen = Observed.REJECTED, _why(base)
    elif base.is_missing:
        seen = Observed.UNSEEN, _why(base)
    else:
        seen = Observed.ANSWERED, "" if base.kind is Kind.OK else str(base.kind)
    return _check("answer", seen, declared=True)


def _temperature(outcomes: Mapping[Probe, Outcome]) -> _Seen:
    plain, bare = outcomes.get("plain"), outcomes.get("bare")
    if plain is None:
        return Observed.UNSEEN, _NO_MONEY
    if not plain.is_missing:
        return Observed.ACCEPTED, ""
    if plain.kind in REFUSED and bare is not None and not bare.is_missing:
        return Observed.REJECTED, _why(plain)
    return Observed.UNSEEN, _why(plain)


def _feature(probe: Probe, outcomes: Mapping[Probe, Outcome], *, has_answer: bool) -> _Seen:
    outcome = outcomes.get(probe)
    if outcome is None or not has_answer:
        is_poor = has_answer or base_outcome(outcomes) is None
        return Observed.UNSEEN, _NO_MONEY if is_poor else "the plain question was not answered"
    if outcome.kind in REFUSED:
        return Observed.REJECTED, _why(outcome)
    if outcome.kind in _FAILED:
        return Observed.FAILED, _why(outcome)
    if probe == "seed":
        return _seed(outcome, base_outcome(outcomes))
    reading = outcome.reading
    if outcome.kind is not Kind.OK or outcome.is_missing or reading is None:
        return Observed.UNSEEN, _why(outcome)
    judges = {"json_schema": _json_schema, "json_object": _json_object, "tools": _tool_call}
    return judges[probe](reading)


def _seed(outcome: Outcome, base: Outcome | None) -> _Seen:
    if outcome.is_missing:
        return Observed.UNSEEN, _why(outcome)
    is_same = base is not None and base.text == outcome.text
    return Observed.ACCEPTED, "same answer" if is_same else "another answer"


def _json_schema(reading: Reading) -> _Seen:
    text = answer_text(reading.text or "")
    found = parse_json_text(text)
    if found.level in {"strict", "fence"} and compile_schema(_SCHEMA).is_valid(found.value):
        return Observed.HONOURED, "" if found.level == "strict" else "inside a fence"
    return Observed.IGNORED, _quoted(text)


def _json_object(reading: Reading) -> _Seen:
    """Judge JSON mode: the prompt asks for JSON too, as providers demand, so only the bare object shows the mode."""
    text = answer_text(reading.text or "")
    if isinstance(strict_json(text).value, dict):
        return Observed.HONOURED, "an object; the prompt asked for one as well"
    return Observed.IGNORED, _quoted(text)


def _tool_call(reading: Reading) -> _Seen:
    calls = reading.tool_calls
    if not calls:
        return Observed.IGNORED, _quoted(reading.text or "")
    schema = compile_schema(_TOOL.parameters)
    for call in calls:
        if call.name == _TOOL.name and schema.is_valid(strict_json(call.arguments).value):
            return Observed.HONOURED, ""
    return Observed.FAILED, f"called {calls[0].name[:_MAX_QUOTED]} with {_shortened(calls[0].arguments)}"


def _facts(base: Outcome, *, route: str) -> Facts:
    identity, reading = base.identity, base.reading
    served = identity.served_model
    usage = base.usage
    return Facts(
        identity_class=identity.identity_class,
        model_field="missing" if not served else "as_asked" if served == route else "own_name",
        served_model=served,
        system_fingerprint=identity.system_fingerprint,
        finish_reason=None if reading is None else reading.finish_reason,
        has_usage=usage.prompt_tokens is not None and usage.completion_tokens is not None,
        cost_source=base.cost.source,
        latency_s=base.timings.latency_s,
    )


def _why(outcome: Outcome) -> str:
    if CACHED in outcome.flags:
        return "the gateway's cache answered: no model was asked"
    detail = outcome.attempts[-1].detail if outcome.attempts else ""
    if outcome.kind is Kind.TRUNCATED:
        detail = f"the answer did not fit into {MAX_OUTPUT_TOKENS} tokens"
    return f"{outcome.kind}: {detail}" if detail else str(outcome.kind)


def _quoted(text: str) -> str:
    return f"answered {_shortened(text)}"


def _shortened(text: str) -> str:
    return repr(text if len(text) <= _MAX_QUOTED else text[: _MAX_QUOTED - 1] + "…")
