"""The report as JUnit XML, so that a CI server shows gates as tests and keeps their history.

A failure is the model's fault, an error is the infrastructure's, and what is undecided is skipped: a dashboard then
separates "the model got worse" from "the night was bad". The document is valid under the schemas of both Surefire 3.0
and the Jenkins xUnit plugin, which is why properties stand in the suite and not in its cases.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from evalkit.domain.verdict import GateStatus, Status
from evalkit.reporters._evidence import GATE_REASONS, INFRASTRUCTURE, gate_sentence, reason_name, tasks_of
from evalkit.reporters._text import visible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evalkit.domain.report import Report
    from evalkit.domain.verdict import GateResult, Reason, Verdict
    from evalkit.plugins import Reporter
    from evalkit.ports import RunReader

__all__ = ["JUnitReporter", "build"]

_TEXT_CHARS = 4_000

Result = Literal["passed", "failure", "error", "skipped"]


def build() -> Reporter:
    """Return the JUnit reporter."""
    return JUnitReporter()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """One test case: a gate of a model, or a reason that is no gate."""

    model_id: str
    name: str
    result: Result
    code: str
    message: str
    gate: GateResult | None = None


class JUnitReporter:
    """One file, `junit.xml`: a test suite per task."""

    def render(self, report: Report, reader: RunReader) -> Iterator[tuple[str, bytes]]:
        """Yield `junit.xml`."""
        del reader  # single answers are for the HTML report
        suites = [(task, _cases_of(report, task)) for task in tasks_of(report)]
        label = "SIMULATED " if report.run.is_simulated else ""
        every = [case for _, cases in suites for case in cases]
        root = ET.Element("testsuites", {"name": _text(f"{label}{report.title}"), **_counts(every, with_skipped=False)})
        for task, cases in suites:
            root.append(_suite_element(report, task, cases))
        ET.indent(root)
        yield "junit.xml", ET.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"


def _cases_of(report: Report, task: str) -> list[_Case]:
    cases: list[_Case] = []
    for verdict in report.verdicts:
        if verdict.task == task:
            cases += [_gate_case(verdict, gate) for gate in verdict.gates]
            cases += [_reason_case(verdict, reason) for reason in verdict.reasons if not _is_a_gate(verdict, reason)]
            if not (verdict.gates or verdict.reasons):
                cases.append(_bare_case(verdict))
    return cases


def _is_a_gate(verdict: Verdict, reason: Reason) -> bool:
    """Whether a gate's own case says it already; counting it twice would make two failures of one."""
    gates = {(gate.suite, gate.metric) for gate in verdict.gates}
    return reason.code in GATE_REASONS and (reason.suite, reason.metric) in gates


def _gate_case(verdict: Verdict, gate: GateResult) -> _Case:
    results: dict[GateStatus, Result] = {GateStatus.PASS: "passed", GateStatus.FAIL: "failure"}
    result = results.get(gate.status, "skipped")
    blame = next((r for r in verdict.reasons if r.code in INFRASTRUCTURE and r.suite in {None, gate.suite}), None)
    code = f"gate_{gate.status}"
    if result == "skipped" and blame is not None:
        result, code = "error", str(blame.code)
    message = gate_sentence(gate) + (f"; cure: {gate.cure}" if gate.cure else "")
    name = f"{gate.suite}/{gate.metric} {gate.rule}"
    return _Case(model_id=verdict.model_id, name=name, result=result, code=code, message=message, gate=gate)


def _reason_case(verdict: Verdict, reason: Reason) -> _Case:
    """A note on an eligible model (kept, admitted by a waiver) is no fault."""
    result: Result = "skipped"
    if verdict.status is Status.ELIGIBLE:
        result = "passed"
    elif reason.code in INFRASTRUCTURE:
        result = "error"
    elif verdict.status is Status.INELIGIBLE:
        result = "failure"
    message = ": ".join(part for part in (reason_name(reason), reason.detail) if part)
    message += f"; cure: {reason.cure}" if reason.cure else ""
    return _Case(
        model_id=verdict.model_id, name=reason_name(reason), result=result, code=str(reason.code), message=message
    )


def _bare_case(verdict: Verdict) -> _Case:
    results: dict[Status, Result] = {Status.ELIGIBLE: "passed", Status.INELIGIBLE: "failure"}
    result = results.get(verdict.status, "skipped")
    words = f"{verdict.status}, without a gate or a reason"
    return _Case(model_id=verdict.model_id, name="verdict", result=result, code=str(verdict.status), message=words)


def _suite_element(report: Report, task: str, cases: list[_Case]) -> ET.Element:
    element = ET.Element("testsuite", {"name": _text(task), **_counts(cases), "time": "0"})
    properties = ET.SubElement(element, "properties")
    for name, value in _properties(report, cases):
        ET.SubElement(properties, "property", {"name": _text(name), "value": _text(value)})
    for case in cases:
        element.append(_case_element(task, case))
    return element


def _properties(report: Report, cases: list[_Case]) -> Iterator[tuple[str, str]]:
    yield "run", report.run.run_id
    yield "simulated", str(report.run.is_simulated).lower()
    for case in cases:
        if case.gate is None:
            continue
        prefix, estimate = f"{case.model_id}/{case.name}", case.gate.estimate
        yield f"{prefix}/bound", _number(case.gate.bound)
        if estimate is not None:
            for name in ("value", "lower", "upper", "level"):
                yield f"{prefix}/{name}", _number(getattr(estimate, name))
            yield f"{prefix}/n", str(estimate.n)
            yield f"{prefix}/n_clusters", str(estimate.n_clusters)


def _case_element(task: str, case: _Case) -> ET.Element:
    where = {"name": _text(case.name), "classname": _text(f"{task}.{case.model_id}"), "time": "0"}
    element = ET.Element("testcase", where)
    message = _text(case.message)
    if case.result == "passed":
        ET.SubElement(element, "system-out").text = message
    elif case.result == "skipped":
        ET.SubElement(element, "skipped", {"message": message})
    else:
        fault = ET.SubElement(element, case.result, {"message": message.splitlines()[0], "type": _text(case.code)})
        fault.text = message
    return element


def _counts(cases: list[_Case], *, with_skipped: bool = True) -> dict[str, str]:
    """The Jenkins schema knows `skipped` on a suite, but not on the whole."""
    results = [case.result for case in cases]
    counts = {"tests": len(results), "errors": results.count("error"), "failures": results.count("failure")}
    if with_skipped:
        counts["skipped"] = results.count("skipped")
    return {name: str(count) for name, count in counts.items()}


def _number(value: float | None) -> str:
    return "" if value is None else repr(float(value))


def _text(text: str) -> str:
    """Text without a character that XML 1.0 cannot carry."""
    return visible(text, max_chars=_TEXT_CHARS)
