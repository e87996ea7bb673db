"""Suites are tested before they test anybody.

Known good answers pass every scorer; known bad ones fail exactly the metrics they name. An answer is text, JSON, or,
where tools are offered, calls: `{"tool_calls": [{"name", "arguments"}], "text"?}`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from evalkit.canonical import digest_of
from evalkit.domain.outcome import Kind, Outcome, Reading, ToolCall, Turn
from evalkit.domain.score import Score
from evalkit.pipeline.plan import mode_for
from evalkit.pipeline.script import expected_of_turn
from evalkit.schemas import compile_schema, portability_findings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from evalkit.domain.roster import Model
    from evalkit.domain.suite import Case, Mode, Suite
    from evalkit.pipeline.score import Grader
    from evalkit.schemas import Provider

__all__ = ["SchemaUse", "SelfTestFinding", "schema_uses", "self_test"]

_FULL = 1 - 1e-9
_FAMILIES: dict[str, Provider] = {
    "anthropic": "anthropic",
    "gemini": "gemini",
    "google": "gemini",
    "mistral": "mistral",
    "openai": "openai",
}
"""Words in a roster's `provider` to whose strict mode that is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfTestFinding:
    """Something a person should know of a suite before spending money on it."""

    severity: Literal["error", "warning"]
    suite: str
    case_id: str | None
    message: str
    next_step: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaUse:
    """How one model of the roster is given a suite's schemas, by what is declared of it."""

    suite: str
    model_id: str
    mode: Mode | None
    """None: it declares none of the suite's modes."""
    narrower: tuple[str, ...] = ()
    """Pointers to what its provider's strict mode is known to refuse or ignore, where strict mode is asked for."""


def self_test(suite: Suite, *, grader: Grader) -> Iterator[SelfTestFinding]:
    """Yield what is wrong or doubtful: errors first, then metrics nobody ever fails, then schema portability."""
    n_good = 0
    failed_by_someone: set[str] = set()
    for case in suite.active_cases:
        good = _known_good(suite, case)
        n_good += bool(good)
        for answer in good:
            yield from _check_good(suite, case, answer, grader=grader)
        for bad in case.known_bad:
            named = set(bad.fails) - grader.instruments.keys()
            failed_by_someone |= named
            yield from _check_bad(suite, case, bad.answer, named=named, grader=grader)
    if not n_good:
        yield _warning(suite, "no case has a known good answer", "give `expected` or `known_good` to some cases")
    # What a judge would say shows only when it is asked, and testing a suite spends nothing.
    never = [metric for metric in grader.metrics if metric not in failed_by_someone | grader.instruments.keys()]
    if never:
        message = f"nothing shows that these metrics can fail: {', '.join(never)}"
        yield _warning(suite, message, "add `known_bad: [{answer: …, fails: [metric]}]` to a case")
    yield from _portability(suite)


def _known_good(suite: Suite, case: Case) -> tuple[Any, ...]:
    """Return the answers that must pass: those given, else one built from `expected` where that is possible."""
    if case.known_good is not None:
        return case.known_good
    if case.expected is None or case.expect == "refusal":
        return ()
    if _has_tools(suite, case) and isinstance(case.expected, list) and all(map(_is_call, case.expected)):
        return ({"tool_calls": case.expected},)
    schema = case.schema
    if schema is None and suite.request.response is not None:
        schema = suite.request.response.schema_
    if schema is None:
        return (case.expected,)
    built: Any = case.expected
    if not isinstance(built, dict):
        fields = {spec.params["field"] for spec in suite.scorers if isinstance(spec.params.get("field"), str)}
        built = {str(name).lstrip("/"): case.expected for name in fields}
    return (built,) if compile_schema(schema).is_valid(built) else ()


def _has_tools(suite: Suite, case: Case) -> bool:
    return bool(suite.request.tools if case.tools is None else case.tools)


def _is_call(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("name"), str)


def _as_text(answer: Any) -> str:
    return answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)


def _reading_of(answer: Any, *, has_tools: bool) -> Reading:
    """Return what the wire would have made of this answer."""
    calls = answer.get("tool_calls") if has_tools and isinstance(answer, dict) else None
    if not isinstance(calls, list) or not all(map(_is_call, calls)):
        return Reading(kind=Kind.OK, text=_as_text(answer), finish_reason="stop")
    made = tuple(ToolCall(name=call["name"], arguments=_as_text(call.get("arguments") or {})) for call in calls)
    return Reading(kind=Kind.OK, text=answer.get("text"), tool_calls=made, finish_reason="tool_calls")


def _turns_of(suite: Suite, case: Case, answer: Any) -> tuple[Turn, ...]:
    """Return the conversation an answer stands for: `{turns: […]}` is all of it, else it is the last turn's answer.

    The turns before are then answered as they expect, so that only the last one is tested.
    """
    turns = suite.request.turns
    given = answer.get("turns") if turns and isinstance(answer, dict) and answer.keys() == {"turns"} else None
    answers = given if isinstance(given, list) else [*(expected_of_turn(turn, case) for turn in turns[:-1]), answer]
    has_tools = _has_tools(suite, case)
    return tuple(
        Turn(reading=_reading_of(said, has_tools=has_tools), user_turn=index) for index, said in enumerate(answers)
    )


def _grades(suite: Suite, case: Case, answer: Any, *, grader: Grader) -> dict[str, tuple[float | None, str]]:
    outcome = Outcome(
        call_key="selftest",
        suite=suite.name,
        case_id=case.id,
        cluster_id=case.cluster_id,
        model_id="selftest",
        trial=0,
        sequence=0,
        mode=suite.request.modes[0],
        kind=Kind.OK,
        turns=_turns_of(suite, case, answer),
    )
    return {
        said.metric: (said.value if isinstance(said, Score) else None, said.rationale)
        for said in grader.grade(outcome).scores
        if said.metric not in grader.instruments
    }


def _check_good(suite: Suite, case: Case, answer: Any, *, grader: Grader) -> Iterator[SelfTestFinding]:
    shown = repr(_as_text(answer)[:120])
    for metric, (value, why) in _grades(suite, case, answer, grader=grader).items():
        if value is None or value < _FULL:
            yield SelfTestFinding(
                severity="error",
                suite=suite.name,
                case_id=case.id,
                message=f"known good answer {shown} gets {metric}={value}: {why or 'no reason given'}",
                next_step="correct `expected`, `known_good` or the scorer's parameters",
            )


def _check_bad(suite: Suite, case: Case, answer: Any, *, named: set[str], grader: Grader) -> Iterator[SelfTestFinding]:
    grades = _grades(suite, case, answer, grader=grader)
    failing = {metric for metric, (value, _) in grades.items() if value is None or value < _FULL}
    if failing != named:
        yield SelfTestFinding(
            severity="error",
            suite=suite.name,
            case_id=case.id,
            message=f"known bad answer {_as_text(answer)[:120]!r} fails {sorted(failing)}, names {sorted(named)}",
            next_step="name exactly the metrics that must fail",
        )


def _warning(suite: Suite, message: str, next_step: str, *, case_id: str | None = None) -> SelfTestFinding:
    return SelfTestFinding(severity="warning", suite=suite.name, case_id=case_id, message=message, next_step=next_step)


def _portability(suite: Suite) -> Iterator[SelfTestFinding]:
    if "json_schema" not in suite.request.modes:
        return
    for schema, case_ids in _schemas(suite):
        more = f" (and {len(case_ids) - 1} other cases)" if len(case_ids) > 1 else ""
        for finding in portability_findings(schema):
            message = f"schema {finding.pointer or '/'}: {finding.provider}: {finding.message}{more}"
            step = "keep to the portable subset, or expect that provider to refuse or ignore it"
            yield _warning(suite, message, step, case_id=case_ids[0] if case_ids else None)


def _schemas(suite: Suite) -> Iterator[tuple[dict[str, Any], list[str]]]:
    """Yield the suite's own schema, then each other one with the cases that bring it."""
    response = suite.request.response
    if response is not None and response.schema_ is not None:
        yield response.schema_, []
    by_digest: dict[str, tuple[dict[str, Any], list[str]]] = {}
    for case in suite.active_cases:
        if case.schema is not None:
            by_digest.setdefault(digest_of(case.schema), (case.schema, []))[1].append(case.id)
    yield from by_digest.values()


def schema_uses(suite: Suite, models: Iterable[Model]) -> Iterator[SchemaUse]:
    """Yield how each model is given the suite's schemas; nothing for a suite without any."""
    schemas = [schema for schema, _ in _schemas(suite)]
    for model in models if schemas else ():
        mode = mode_for(suite, model)
        families = {family for word, family in _FAMILIES.items() if word in (model.provider or "").casefold()}
        odd = [one for schema in schemas for one in portability_findings(schema) if one.provider in families]
        is_strict = mode == "json_schema"
        yield SchemaUse(
            suite=suite.name,
            model_id=model.id,
            mode=mode,
            narrower=tuple(dict.fromkeys(one.pointer for one in odd)) if is_strict else (),
        )
