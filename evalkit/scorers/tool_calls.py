"""`tool_calls`: did the answer make the calls that were expected, and no others?

A call is right when its name is (dots and underscores are the same), every required argument is there, none is
unknown, each has the declared type (a whole number passes for a decimal one, not the other way round) and one of the
allowed values. Text is compared without case, spaces and the marks `,./-_*^`. Several calls may come in any order.
Without expected calls the right answer makes none.

- `tool_calls`: calls as they were asked for: native where tools are offered, else JSON in the text.
- `tool_calls_lenient`: the same after repair: calls leaked as text, broken arguments, another spelling of the name.

`expected` is a list of `{"name", "arguments", "also"?}`: a perfect call, and further values that are allowed per
argument; the empty text among them means that the argument may be left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from pydantic import Field, JsonValue, TypeAdapter, ValidationError

from evalkit.domain.score import Score
from evalkit.domain.shape import Shape
from evalkit.domain.suite import ToolSpec
from evalkit.scorers.answer import Accept, OutcomeScorer, quoted, unscored
from evalkit.scorers.argument_values import has_type, is_same
from evalkit.scorers.calls_in_text import GivenCall, leaked_calls, read_arguments, written_calls
from evalkit.scorers.params import cases_scored_by, parse_params, refuse_case
from evalkit.wire.text import answer_text, storable_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from evalkit.domain.outcome import Outcome
    from evalkit.domain.suite import Case, Suite
    from evalkit.plugins import Scorer, ScorerContext
    from evalkit.scorers.answer import Scores

__all__ = ["ExpectedCall", "ToolCallsParams", "build"]

METRICS = ("tool_calls", "tool_calls_lenient")
_OMITTED = ""
"""Among the allowed values: the argument may be left out."""


class ToolCallsParams(Shape):
    """Parameters of `tool_calls`."""

    accept: Accept = "fence"
    """For calls asked for as text: the most repair their JSON may have needed to count for `tool_calls`."""
    tools: tuple[ToolSpec, ...] = ()
    """Tools a prompt describes in words; those a request offers are known already."""


class ExpectedCall(Shape):
    """A call as a case writes it."""

    name: Annotated[str, Field(min_length=1)]
    arguments: dict[str, JsonValue] = Field(default_factory=dict)
    """A perfect call's."""
    also: dict[str, tuple[JsonValue, ...]] = Field(default_factory=dict)
    """Argument to further allowed values; `""`: it may be left out."""

    def allowed(self, argument: str) -> tuple[JsonValue, ...]:
        """Return the values this argument may have."""
        perfect = (self.arguments[argument],) if argument in self.arguments else ()
        return (*perfect, *self.also.get(argument, ()))

    def may_omit(self, argument: str) -> bool:
        """Return whether the call is right without this argument."""
        return argument not in self.arguments or _OMITTED in self.also.get(argument, ())


_EXPECTED = TypeAdapter(tuple[ExpectedCall, ...])


class _Fault(NamedTuple):
    finding: str
    rationale: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """The calls of an answer, in one reading of it."""

    calls: tuple[GivenCall, ...]
    findings: tuple[str, ...] = ()
    problem: str = ""
    """Why no calls of this reading can be right; empty when they can."""


def build(context: ScorerContext) -> Scorer:
    """Return the scorer `tool_calls`.

    Raises:
        InputError: for an unknown parameter or value, or a case whose `expected` is no list of calls.
    """
    params = parse_params(ToolCallsParams, context, scorer="tool_calls")
    for case in cases_scored_by("tool_calls", context):
        if _expected_of(case) is None:
            step = 'give a list of {"name": …, "arguments": {…}, "also": {…}}; [] when no call is right'
            raise refuse_case(case, context, problem="'tool_calls' needs the calls in `expected`", next_step=step)
    return OutcomeScorer(METRICS, partial(_scores, params=params, suite=context.suite))


def _expected_of(case: Case) -> tuple[ExpectedCall, ...] | None:
    if case.expected is None:
        return None if case.expect == "answer" else ()
    try:
        return _EXPECTED.validate_python(case.expected if isinstance(case.expected, list) else [case.expected])
    except ValidationError:
        return None


def _scores(case: Case, outcome: Outcome, *, params: ToolCallsParams, suite: Suite) -> Scores:
    expected = _expected_of(case)
    if expected is None:
        return unscored(METRICS, "no_calls_expected", "`expected` is no list of calls")
    offered = _offered(suite) if case.tools is None else case.tools
    tools = {_plain_name(tool.name): tool for tool in (*params.tools, *offered)}
    if offered:
        strict, lenient = _native_readings(outcome, tools)
    else:
        strict, lenient = _text_readings(outcome, tools, accept=params.accept)
    findings = tuple(dict.fromkeys((*strict.findings, *lenient.findings)))
    return (
        _graded("tool_calls", strict, expected, judge=_Judge(tools, _plain_name, findings)),
        _graded("tool_calls_lenient", lenient, expected, judge=_Judge(tools, _loose_name, findings)),
    )


def _offered(suite: Suite) -> tuple[ToolSpec, ...]:
    turns = (tool for turn in suite.request.turns for tool in turn.tools)
    return (*suite.request.tools, *turns)


class _Judge(NamedTuple):
    """How calls are held against the tools there are."""

    tools: Mapping[str, ToolSpec]
    name_form: Callable[[str], str]
    findings: tuple[str, ...]
    """What the readings noticed, whichever is graded."""


def _plain_name(name: str) -> str:
    return name.replace(".", "_")


def _loose_name(name: str) -> str:
    return _plain_name(name.strip()).replace("-", "_").casefold().removeprefix("functions_")


def _native_readings(outcome: Outcome, tools: Mapping[str, ToolSpec]) -> tuple[_Read, _Read]:
    """Return (strict, lenient): calls of the protocol, and, when there are none, calls written into the text."""
    made = _native_calls(outcome)
    if made:
        broken = any(call.arguments is None or call.is_repaired for call in made)
        findings = ("tool_call:malformed",) if broken else ()
        problem = "arguments that are no JSON object" if broken else ""
        return _Read(calls=made, findings=findings, problem=problem), _Read(calls=made)
    known = {_loose_name(name) for name in tools}
    leaked = leaked_calls(answer_text(outcome.text or ""), lambda name: _loose_name(name) in known)
    if leaked:
        strict = _Read(calls=(), findings=("tool_call:as_text",), problem="a call written as text instead of made")
        return strict, _Read(calls=leaked)
    return _Read(calls=()), _Read(calls=())


def _native_calls(outcome: Outcome) -> tuple[GivenCall, ...]:
    reading = outcome.reading
    if reading is None:
        return ()
    return tuple(GivenCall(call.name, *read_arguments(call.arguments)) for call in reading.tool_calls)


def _text_readings(outcome: Outcome, tools: Mapping[str, ToolSpec], *, accept: Accept) -> tuple[_Read, _Read]:
    """Return (strict, lenient): JSON as the prompt asks for it, and whatever else looks like a call."""
    text = answer_text(outcome.text or "")
    calls, answer = written_calls(text, accept=accept)
    if calls:
        odd = any(call.arguments is None or call.is_repaired for call in calls)
        findings = (*answer.findings, "tool_call:malformed") if odd else answer.findings
        problem = "a call without a JSON object `arguments`" if odd else ""
        return _Read(calls=calls, findings=findings, problem=problem), _Read(calls=calls)
    known = {_loose_name(name) for name in tools}
    leaked = _native_calls(outcome) or leaked_calls(text, lambda name: not known or _loose_name(name) in known)
    if leaked:
        if "invalid_json" in answer.findings:
            strict = _Read(calls=(), findings=("tool_call:malformed",), problem="a call in another form than asked")
        else:
            strict = _Read(calls=(), findings=answer.findings, problem=answer.problem)
        return strict, _Read(calls=leaked)
    return _Read(calls=()), _Read(calls=())


def _graded(metric: str, read: _Read, expected: tuple[ExpectedCall, ...], *, judge: _Judge) -> Score:
    fault = _Fault("", read.problem) if read.problem else _fault_of(read.calls, expected, judge)
    if fault is None:
        return Score(metric, 1.0, "", judge.findings)
    findings = (*judge.findings, fault.finding) if fault.finding else judge.findings
    return Score(metric, 0.0, storable_text(fault.rationale), findings)


def _fault_of(given: tuple[GivenCall, ...], expected: tuple[ExpectedCall, ...], judge: _Judge) -> _Fault | None:
    """Return the first fault, or None when each expected call was made exactly once."""
    if not expected and given:
        return _Fault("tool_call:unwanted", f"called {quoted(given[0].name)} where no call is right")
    if not given and expected:
        return _Fault("tool_call:none", f"no call, expected {quoted(expected[0].name)}")
    if len(given) != len(expected):
        return _Fault("tool_call:count", f"{len(given)} calls, expected {len(expected)}")
    faults = [[_fault_between(call, wanted, judge) for call in given] for wanted in expected]
    partners = _matched(faults)
    if len(partners) == len(expected):
        return None
    unmatched = next(index for index in range(len(expected)) if index not in partners.values())
    same_name = [fault for fault in faults[unmatched] if fault is not None and fault.finding != "tool_call:name"]
    return (same_name or [fault for fault in faults[unmatched] if fault is not None])[0]


def _matched(faults: Sequence[Sequence[_Fault | None]]) -> dict[int, int]:
    """Return the largest pairing, given call to expected call, in which each pair has no fault.

    Source: Kuhn's augmenting paths: taking the first free partner fails where allowed values overlap.
    """
    partners: dict[int, int] = {}

    def place(wanted: int, seen: set[int]) -> bool:
        for given, fault in enumerate(faults[wanted]):
            if fault is None and given not in seen:
                seen.add(given)
                if given not in partners or place(partners[given], seen):
                    partners[given] = wanted
                    return True
        return False

    for wanted in range(len(faults)):
        place(wanted, set())
    return partners


def _fault_between(call: GivenCall, wanted: ExpectedCall, judge: _Judge) -> _Fault | None:
    if judge.name_form(call.name) != judge.name_form(wanted.name):
        return _Fault("tool_call:name", f"called {quoted(call.name)}, expected {quoted(wanted.name)}")
    if call.arguments is None:
        return _Fault("tool_call:malformed", "arguments that are no JSON object")
    tool = judge.tools.get(_plain_name(wanted.name))
    schema = {} if tool is None else tool.parameters
    required = schema.get("required")
    must = {*(required if isinstance(required, list) else ()), *wanted.arguments}
    for name in sorted(map(str, must)):
        is_demanded = isinstance(required, list) and name in required
        if name not in call.arguments and (is_demanded or not wanted.may_omit(name)):
            return _Fault("tool_call:missing_argument", f"argument {quoted(name)} is missing")
    properties = schema.get("properties")
    declared = properties if isinstance(properties, dict) else {}
    for name, value in call.arguments.items():
        fault = _fault_of_argument(name, value, wanted=wanted, declared=declared.get(name))
        if fault is not None:
            return fault
    return None


def _fault_of_argument(name: str, value: Any, *, wanted: ExpectedCall, declared: Any) -> _Fault | None:
    allowed = wanted.allowed(name)
    if not allowed:
        return _Fault("tool_call:unknown_argument", f"argument {quoted(name)} was not to be given")
    if not has_type(value, declared):
        return _Fault("tool_call:type", f"{quoted(name)} is {quoted(value)}, another type than declared")
    if any(is_same(value, candidate, declared) for candidate in allowed):
        return None
    return _Fault("tool_call:value", f"{quoted(name)} is {quoted(value)}, expected {quoted(allowed[0])}")
