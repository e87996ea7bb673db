"""A CI server can read it, and model faults, bad nights and thin evidence are three different things."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from evalkit.domain.verdict import Reason, ReasonCode, Status, Verdict
from evalkit.plugins import load_plugin
from evalkit.reporters.junit import build

# What both the Surefire 3.0 and the Jenkins xUnit schema allow: attributes, and children in their order.
SHAPE = {
    "testsuites": ({"name", "tests", "failures", "errors", "time"}, ["testsuite"]),
    "testsuite": ({"name", "tests", "failures", "errors", "skipped", "time"}, ["properties", "testcase"]),
    "properties": (set(), ["property"]),
    "property": ({"name", "value"}, []),
    "testcase": ({"name", "classname", "time"}, ["failure", "skipped", "error", "system-out"]),
    "failure": ({"message", "type"}, []),
    "error": ({"message", "type"}, []),
    "skipped": ({"message"}, []),
    "system-out": (set(), []),
}


def tree_of(report) -> ET.Element:
    """Render and parse."""
    ((name, content),) = build().render(report, None)
    assert name == "junit.xml"
    return ET.fromstring(content)


def only(report, *verdicts):
    """A report of a few verdicts on one task."""
    return replace(report, suites=(), verdicts=verdicts)


def a_verdict(status, code, **changes):
    """A verdict that rests on one reason alone."""
    reason = Reason(code=code, detail="why", cure="how")
    return Verdict(task="t", model_id="m", status=status, reasons=(reason,), **changes)


def test_golden(made, check_golden):
    """The document is as reviewed."""
    check_golden("junit.xml", dict(build().render(made.small(), None))["junit.xml"])


def test_entry_point_finds_it():
    """The command line finds it as it finds any plugin."""
    assert type(load_plugin("reporters", "junit")()) is type(build())


def test_elements_and_attributes_are_those_both_schemas_know(made):
    """Nothing is there that Jenkins or Surefire would refuse, and children stand in their order."""
    for element in tree_of(made.small()).iter():
        attributes, children = SHAPE[element.tag]
        assert set(element.attrib) <= attributes
        order = [children.index(child.tag) for child in element]
        assert order == sorted(order)
        if element.tag == "testcase":
            assert len(element) == 1
            assert re.fullmatch(r"\d+(\.\d{0,3})?", element.get("time"))


@pytest.fixture(scope="module")
def schema():
    """The rules Jenkins checks reports with."""
    return etree.XMLSchema(etree.parse(Path(__file__).parents[2] / "golden" / "junit" / "jenkins.xsd"))


def test_the_document_is_valid_for_jenkins(made, schema):
    """Also with hostile reasons, without a verdict, and simulated."""
    report, _ = made.sample(is_simulated=True)
    for one in (report, replace(report, verdicts=()), only(report, a_verdict(Status.UNDECIDED, ReasonCode.OUTAGE))):
        ((_, content),) = build().render(one, None)
        schema.assertValid(etree.fromstring(content))


@given(text=st.text(st.characters()))
def test_no_text_makes_it_invalid(made, schema, text):
    """What XML cannot carry is written out, wherever it comes from."""
    verdict = Verdict(task=text, model_id=text, status=Status.INELIGIBLE, reasons=(
        Reason(code=ReasonCode.WAIVER_DENY, detail=text, cure=text),))  # fmt: skip
    ((_, content),) = build().render(replace(only(made.small(), verdict), title=text), None)
    schema.assertValid(etree.fromstring(content))


def test_counts_are_right(made):
    """The numbers of a suite are those of its cases, and the whole is their sum."""
    root = tree_of(made.sample()[0])
    for suite in root:
        cases = suite.findall("testcase")
        assert int(suite.get("tests")) == len(cases)
        for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert int(suite.get(attribute)) == sum(case.find(tag) is not None for case in cases)
    for attribute in ("tests", "failures", "errors"):
        assert int(root.get(attribute)) == sum(int(suite.get(attribute)) for suite in root)


def test_names_are_unique_inside_a_suite(made):
    """A CI server's history does not mix two gates."""
    for suite in tree_of(made.sample()[0]):
        names = [(case.get("classname"), case.get("name")) for case in suite.findall("testcase")]
        assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("verdict", "tag"),
    [
        (a_verdict(Status.INELIGIBLE, ReasonCode.WAIVER_DENY), "failure"),
        (a_verdict(Status.INELIGIBLE, ReasonCode.SUBSTITUTED_MODEL), "failure"),
        (a_verdict(Status.UNDECIDED, ReasonCode.LOW_COVERAGE), "error"),
        (a_verdict(Status.UNDECIDED, ReasonCode.OUTAGE), "error"),
        (a_verdict(Status.UNDECIDED, ReasonCode.NOT_MEASURED), "skipped"),
        (a_verdict(Status.UNDECIDED, ReasonCode.GATE_UNDECIDED), "skipped"),
        (a_verdict(Status.ELIGIBLE, ReasonCode.KEPT), "system-out"),
        (Verdict(task="t", model_id="m", status=Status.ELIGIBLE), "system-out"),
        (Verdict(task="t", model_id="m", status=Status.UNDECIDED), "skipped"),
    ],
)
def test_results_follow_whose_fault_it_is(made, verdict, tag):
    """Model wrong, night bad, evidence thin: failure, error, skipped."""
    (case,) = tree_of(only(made.small(), verdict)).iter("testcase")
    assert [child.tag for child in case] == [tag]


def test_gates_left_undecided_by_missing_answers_are_errors(made):
    """Low coverage is nobody's fault but the night's."""
    suite = tree_of(made.small()).find("testsuite[@name='invoice-extraction']")
    cases = [case for case in suite.findall("testcase") if case.get("classname").endswith("llama-70b-local")]
    types = {error.get("type") for case in cases for error in case.findall("error")}
    assert types == {"low_coverage"}


def test_a_failed_gate_is_counted_once(made):
    """The reason that points at a gate does not make a second failure."""
    report, _ = made.sample()
    verdict = next(v for v in report.verdicts if any(r.code is ReasonCode.GATE_FAILED for r in v.reasons))
    cases = list(tree_of(only(report, verdict)).iter("testcase"))
    assert len(cases) == len(verdict.gates)


def test_properties_carry_n_and_bounds(made):
    """A dashboard can plot the bound, not only the colour."""
    properties = {p.get("name"): p.get("value") for p in tree_of(made.small()).iter("property")}
    prefix = "gpt-4o/invoice-extraction/fields >= 0.8"
    assert properties[f"{prefix}/n"] == "200"
    assert 0.8 < float(properties[f"{prefix}/bound"]) < 1


def test_hostile_text_makes_no_illegal_xml(made):
    """Characters XML cannot carry are written out, and markup stays text."""
    reason = Reason(code=ReasonCode.WAIVER_DENY, detail=f"\x00\x08\ufffe{made.HOSTILE}")
    verdict = Verdict(task="t]]>", model_id="m", status=Status.INELIGIBLE, reasons=(reason,))
    (failure,) = tree_of(only(made.small(), verdict)).iter("failure")
    assert "\\x00\\x08\\ufffe" in failure.text
    assert "<script>" in failure.text


def test_simulated_is_in_the_name(made):
    """A dashboard shows the name."""
    assert tree_of(made.small(is_simulated=True)).get("name").startswith("SIMULATED ")
