"""`json_schema`: three layers kept apart."""

from __future__ import annotations

import pytest

from evalkit.errors import InputError
from evalkit.plugins import ScorerContext, load_plugin
from evalkit.testing.builders import a_case, a_suite, an_outcome

SCHEMA = {
    "type": "object",
    "properties": {"total": {"type": "number"}, "items": {"type": "array", "items": {"type": "string"}}},
    "required": ["total"],
    "additionalProperties": False,
}
GOOD = '{"total": 3.5, "items": ["a"]}'


@pytest.mark.parametrize(
    ("answer", "accept", "values"),
    [
        (GOOD, "strict", (1, 1, 1)),
        (f"```json\n{GOOD}\n```", "strict", (0, 1, 0)),
        (f"```json\n{GOOD}\n```", "fence", (0, 1, 1)),
        (f"Sure!\n```json\n{GOOD}\n```", "fence", (0, 1, 0)),
        (f"Sure!\n```json\n{GOOD}\n```", "lenient", (0, 1, 1)),
        ('{"total": "3"}', "fence", (1, 1, 0)),
        ('```\n{"total": "3"}\n```', "fence", (0, 1, 0)),
        ("I cannot tell.", "lenient", (0, 0, 0)),
        ("42", "strict", (1, 1, 0)),
        ("", "lenient", (0, 0, 0)),
    ],
)
def test_layers(grade, answer, accept, values):
    """Strict JSON, JSON at all, and JSON of the right shape are separate numbers."""
    entries = grade("json_schema", answer, schema=SCHEMA, accept=accept)
    assert tuple(entries[metric].value for metric in ("json_parse", "json_tolerant", "json_schema")) == values


def test_one_fence_is_accepted_by_default(grade):
    """Without a parameter a fenced answer has the right shape, but is not strict."""
    entries = grade("json_schema", f"```\n{GOOD}\n```", schema=SCHEMA)
    assert (entries["json_parse"].value, entries["json_schema"].value) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("answer", "finding"),
    [
        (f"```\n{GOOD}\n```", "repair:fence"),
        (f"Sure! {GOOD}", "repair:lenient"),
        ("no", "invalid_json"),
        ('{"total": "3"}', "schema_violation"),
    ],
)
def test_findings_say_what_was_wrong(grade, answer, finding):
    """Whatever was repaired or broken is there for machines."""
    assert finding in grade("json_schema", answer, schema=SCHEMA)["json_schema"].findings


def test_rationale_names_the_first_violations(grade):
    """A person sees where the answer breaks the schema, at most three places."""
    answer = '{"total": "x", "items": [1, 2, 3], "more": 0}'
    rationale = grade("json_schema", answer, schema=SCHEMA)["json_schema"].rationale
    assert "/items/0: 1 is not of type 'string'" in rationale
    assert rationale.count(";") == 3
    assert rationale.endswith("and more")


def test_case_schema_comes_first():
    """A schema in the case overrides the suite's."""
    case = a_case(schema={"type": "array"})
    suite = a_suite(cases=[case], request={"prompt": "?", "response": {"schema": SCHEMA}})
    scorer = load_plugin("scorers", "json_schema")(ScorerContext(params={}, suite=suite))
    assert [entry.value for entry in scorer.score(case, an_outcome(text="[]"), ())] == [1, 1, 1]


def test_no_schema_anywhere_is_refused(build):
    """A suite without a schema cannot use the scorer."""
    with pytest.raises(InputError, match="no schema to check case 'case-1'"):
        build("json_schema")


def test_schema_in_every_case_is_enough():
    """Without a schema in the suite each case may bring its own."""
    suite = a_suite(cases=[a_case(schema={"type": "array"})], scorers=["json_schema"])
    assert load_plugin("scorers", "json_schema")(ScorerContext(params={}, suite=suite)).metrics[2] == "json_schema"


def test_case_it_was_not_built_for_has_the_wrong_shape():
    """A case without a schema, graded by a scorer that found none in its suite, cannot be right."""
    scorer = load_plugin("scorers", "json_schema")(ScorerContext(params={}, suite=a_suite()))
    entries = scorer.score(a_case(), an_outcome(text="{}"), ())
    assert [entry.value for entry in entries] == [1, 1, 0]
    assert entries[2].findings == ("no_schema",)


def test_schema_that_does_not_compile_is_refused(build):
    """The pointer leads into the suite file."""
    with pytest.raises(InputError) as caught:
        build("json_schema", schema={"properties": {"a": {"type": "text"}}})
    assert caught.value.place.pointer == "/request/response/schema/properties/a/type"
