"""Checks inside one suite: requests, tools, scorers and metrics that fit together."""

from __future__ import annotations

import json

import pytest

from evalkit.loading.project import resolve_suite

SUITE = "suites/greeting/suite.yaml"
CASES = "suites/greeting/cases.jsonl"
PROMPT = '  prompt: "Greet {{ name }}."\n'
TOOL = "{name: look_up, parameters: {type: object}}"


def resolved(folder):
    """Load the suite by itself."""
    return resolve_suite(folder.root / SUITE, folder.root)


TURN = "turns: [{{user: hi, expect: {{{}}}}}, {{user: bye}}]"


@pytest.mark.parametrize(
    ("request_lines", "fragment"),
    [
        ("messages: [{role: assistant, content: hi}]", "no user message"),
        ("messages: [{role: system, content: s}, {role: user, content: hi}]", "system text is given twice"),
        ("prompt: hi\n  response: {modes: [json_schema]}", "40 cases have none"),
        ("prompt: hi\n  response: {modes: [tools]}", "needs tools"),
        (f"prompt: hi\n  tools: [{TOOL}, {TOOL}]", "'look_up' is given twice"),
        ("prompt: hi\n  tools: [{name: t, parameters: {type: objec}}]", "objec"),
        (f"turns: [{{user: hi, tools: [{TOOL}], tool_results: {{look_upp: 1}}}}]", "did you mean 'look_up'"),
        ("turns: [{user: '{{ nam }}'}]", "does not give 'nam'"),
        ("messages: [{role: user, content: '{{ nam }}'}]", "does not give 'nam'"),
        (TURN.format("expected: ['{{ nam }}'], scorers: [exact]"), "does not give 'nam'"),
        (TURN.format("expected: a, scorers: [exakt]"), "did you mean 'exact'"),
        (TURN.format("expected: a, scorers: [exact, exact]"), "two scorers give the metric 'exact'"),
        (TURN.format("expected: a, scorers: [{exact: {weight: 2}}]"), "turns have no weighted mean"),
    ],
)
def test_a_request_that_contradicts_itself_is_refused(folder, request_lines, fragment):
    """Each request is wrong in one way."""
    folder.replace(SUITE, PROMPT, f"  {request_lines}\n")
    assert fragment in str(folder.errors()[0])


@pytest.mark.parametrize(
    "request_lines",
    [
        "messages: [{role: user, content: 'Hi {{ name }}'}]",
        f"prompt: hi\n  tools: [{TOOL}]",
        f"turns: [{{user: hi, tools: [{TOOL}], tool_results: {{look_up: 1}}}}, {{user: bye}}]",
        TURN.format("expected: '{{ name }}', scorers: [exact]"),
        "prompt: hi\n  response: {modes: [json_object, prompted]}",
        "prompt: hi\n  response: {schema: {type: string}}",
        "prompt: '{% if mood is defined %}{{ mood }}{% endif %}{{ name }}'",
    ],
)
def test_a_fair_request_is_accepted(folder, request_lines):
    """No complaint about what would work; a guarded variable may be missing."""
    folder.replace(SUITE, PROMPT, f"  {request_lines}\n")
    assert resolved(folder).name == "greeting"


def test_missing_variables_are_cut_and_counted(folder):
    """Forty cases lack the name: twenty are told, the rest is counted."""
    errors = folder.replace(SUITE, "{{ name }}", "{{ nam }}").errors()
    assert len(errors) == 21
    assert "20 more cases" in str(errors[-1])


def test_a_skipped_case_may_lack_a_variable(folder):
    """What is not asked is not rendered."""
    folder.replace(CASES, '"vars": {"name": "Ada 0"}', '"skip": "broken"')
    assert len(resolved(folder).active_cases) == 39


def test_a_suite_of_skipped_cases_is_refused(folder):
    """Something must be measured."""
    folder.write(CASES, '{"id": "a", "skip": "later", "vars": {"name": "x"}}\n')
    assert any("every case is skipped" in str(error) for error in folder.errors())


def test_a_metric_only_cases_give_is_known(folder):
    """A case's own scorers give metrics too."""
    folder.replace(CASES, '"id": "c0"', '"scorers": [{"exact": {"as": "strict"}}], "id": "c0"')
    folder.replace(SUITE, "gates:", "gates:\n  - {metric: strict, at_least: 0.5}")
    assert resolved(folder).cases[0].scorers


def test_a_wrong_case_scorer_is_told_at_its_line(folder):
    """The case's line is the place."""
    folder.replace(CASES, '"id": "c3"', '"scorers": ["exact", "exakt"], "id": "c3"')
    error = folder.error()
    assert (error.place.file, error.place.line, error.place.pointer) == (CASES, 4, "/scorers/1")


def test_a_weight_gives_the_weighted_metric(folder):
    """`weighted` exists exactly when a scorer has a weight."""
    folder.replace(SUITE, "primary: exact", "primary: weighted")
    assert "did you mean" in str(folder.error()) or "metrics:" in str(folder.error())
    folder.replace(SUITE, "  - exact\n", "  - exact: {weight: 2}\n")
    assert resolved(folder).primary == "weighted"


def test_renaming_several_metrics_is_refused(folder):
    """`as` is one name, so it fits one metric."""
    folder.replace(SUITE, "  - exact\n", "  - exact\n  - json_schema: {as: shape}\n")
    folder.replace(SUITE, "  max_output", "  response: {schema: {type: string}}\n  max_output")
    assert "renames a single metric" in str(folder.error())


def test_known_bad_names_metrics_of_its_case(folder):
    """A self-test that names no metric tests nothing."""
    bad = json.dumps([{"answer": "x", "fails": ["exakt"]}])
    folder.replace(CASES, '"id": "c1"', f'"known_bad": {bad}, "id": "c1"')
    error = folder.error()
    assert "did you mean 'exact'" in error.next_step
    assert (error.place.line, error.place.pointer) == (2, "/known_bad/0/fails")


def rows(n_cases=40, **fields):
    """Return so many cases of the suite without anything expected."""
    return [{"id": f"c{n}", "vars": {"name": f"Ann {n}"}, "tags": ["formal"], **fields} for n in range(n_cases)]


def lines(cases):
    """Return cases as JSON Lines."""
    return "".join(json.dumps(case) + "\n" for case in cases)


@pytest.mark.parametrize(
    ("scorer", "expected"),
    [("exact", "A"), ("number", 1), ({"choice": {"labels": ["A", "B"]}}, "A"), ("squad", "A"), ("fields", {"n": 1})],
    ids=str,
)
def test_a_case_that_leaves_out_what_it_is_compared_with_is_refused(folder, scorer, expected):
    """Taken for null, a model that never answers would be right, or nobody would be."""
    cases = rows(scorers=[scorer])
    folder.write(CASES, lines([*({**case, "expected": expected} for case in cases[:38]), *cases[38:]]))
    found = [str(error) for error in folder.errors()]
    assert [error.partition(" ")[0] for error in found] == [f"{CASES}:39:", f"{CASES}:40:"]
    assert all("has no `expected`" in error for error in found)


def test_a_column_that_holds_the_answers_is_named(folder):
    """A benchmark's own header is nearly right."""
    cells = "".join(f"c{n},Ann {n},Hello,formal\n" for n in range(40))
    folder.write("suites/greeting/cases.csv", f"id,name,answer,tags\n{cells}")
    folder.replace(SUITE, "cases.jsonl", "cases.csv")
    assert "is it the column 'answer'? then name that `expected`" in str(folder.errors()[0])


@pytest.mark.parametrize("fields", [{"expected": None}, {"expect": "refusal"}, {"expect": "abstain"}], ids=str)
def test_what_is_expected_to_be_nothing_is_taken(folder, fields):
    """A null that somebody wrote, and answers that shall refuse or abstain."""
    folder.write(CASES, lines(rows(**fields)))
    assert resolved(folder).cases[0].expected is None
