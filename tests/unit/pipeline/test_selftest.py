"""The test of suites: good answers pass, bad ones fail exactly what they name."""

from __future__ import annotations

import pytest

from evalkit.pipeline.score import Grader
from evalkit.pipeline.selftest import schema_uses, self_test
from evalkit.testing.builders import a_case, a_model, a_suite

SCHEMA = {
    "type": "object",
    "properties": {"label": {"type": "string"}},
    "required": ["label"],
    "additionalProperties": False,
}
BAD = ({"answer": "forty-three", "fails": ["exact"]},)


def found(suite, severity=None):
    """The findings, of one severity if one is named."""
    every = list(self_test(suite, grader=Grader(suite)))
    return [one for one in every if severity in {None, one.severity}]


def test_a_sound_suite_has_no_finding():
    """A good answer that passes and a bad one that fails: nothing to say."""
    assert found(a_suite(cases=[a_case(known_good=("forty-two",), known_bad=BAD)])) == []


def test_good_answers_must_pass():
    """A known good answer that fails is an error, with the metric and the reason."""
    (error,) = found(a_suite(cases=[a_case(known_good=("forty-two", "42"), known_bad=BAD)]), "error")
    assert (error.suite, error.case_id) == ("qa", "case-1")
    assert "'42' gets exact=0.0" in error.message
    assert error.next_step.startswith("correct")


def test_bad_answers_must_fail_what_they_name():
    """One that passes after all, or fails more than it names, is an error."""
    both = ["exact", {"contains": {"all": ["forty"]}}]
    for answer, named in (("forty-two", ["exact"]), ("no", ["exact"]), ("forty", ["exact", "contains"])):
        bad = ({"answer": answer, "fails": named},)
        (error,) = found(a_suite(cases=[a_case(known_bad=bad)], scorers=both), "error")
        assert "names" in error.message


def test_good_answers_come_from_the_expectation():
    """Without `known_good` one is built; text as it is, with a schema as JSON."""
    assert found(a_suite(cases=[a_case(known_bad=BAD)])) == []
    suite = a_suite(
        cases=[a_case(expected={"label": "x"}, known_bad=({"answer": "no", "fails": ["json_schema"]},))],
        request={"prompt": "{{ question }}", "response": {"schema": SCHEMA, "modes": ["prompted"]}},
        scorers=[{"json_schema": {}}],
        primary="json_schema",
    )
    assert not [one for one in found(suite) if "known good" in one.message]


def test_a_bare_expectation_is_put_under_the_scored_field():
    """A scorer of one field and a plain `expected` make an object with that field."""
    suite = a_suite(
        cases=[a_case(expected="red", known_bad=({"answer": {"label": "blue"}, "fails": ["exact"]},))],
        request={"prompt": "{{ question }}", "response": {"schema": SCHEMA, "modes": ["prompted"]}},
        scorers=[{"exact": {"field": "label"}}],
    )
    assert found(suite) == []


@pytest.mark.parametrize("case", [a_case(expected=None), a_case(expect="refusal")])
def test_without_an_expectation_there_is_no_good_answer(case):
    """Nothing is made up; that no case has a good answer is a warning."""
    suite = a_suite(cases=[case])
    messages = [one.message for one in found(suite)]
    assert messages == ["no case has a known good answer", "nothing shows that these metrics can fail: exact"]
    assert {one.severity for one in found(suite)} == {"warning"}


def test_an_expectation_that_cannot_be_an_answer_is_passed_over():
    """What does not fit the case's own schema is not a good answer."""
    suite = a_suite(cases=[a_case(expected="red", schema=SCHEMA, known_bad=BAD)])
    assert [one.message for one in found(suite)] == ["no case has a known good answer"]


def test_metrics_nobody_fails_are_named():
    """A metric without a bad answer may be one that nothing can fail."""
    (warning,) = found(a_suite(scorers=["exact", {"contains": {"all": ["forty"]}}], cases=[a_case(known_bad=BAD)]))
    assert warning.message == "nothing shows that these metrics can fail: contains"
    assert "known_bad" in warning.next_step


def test_skipped_cases_are_not_tested():
    """A case that is left out may be wrong in peace."""
    cases = [a_case(known_bad=BAD), a_case("skipped", known_good=("wrong",), skip="not ready")]
    assert found(a_suite(cases=cases)) == []


def test_schemas_some_provider_refuses_are_warned_of():
    """Outside the portable subset, where strict mode is asked for."""
    odd = {"type": "object", "properties": {"label": {"type": "string", "pattern": "^(?=x)"}}}

    def warned(modes):
        suite = a_suite(
            cases=[a_case(expected=None)],
            request={"prompt": "{{ question }}", "response": {"schema": odd, "modes": modes}},
        )
        return [one.message for one in found(suite) if one.message.startswith("schema ")]

    assert warned(["json_schema"])
    assert not warned(["prompted"])


def test_calls_are_played_as_calls():
    """Where tools are offered, expected calls are the good answer, and an answer may be written as calls."""
    call = {"name": "get_weather", "arguments": {"city": "Paris"}}
    wrong = {"answer": {"tool_calls": [{"name": "get_weather", "arguments": {"city": "Rome"}}]}}
    leaked = {"answer": call, "fails": ["tool_calls"]}
    suite = a_suite(
        cases=[
            a_case(expected=[call], known_bad=({**wrong, "fails": ["tool_calls", "tool_calls_lenient"]}, leaked)),
            a_case("case-2", expected=[], known_good=("Nothing fits.", {"tool_calls": [], "text": "Nothing fits."})),
        ],
        request={"prompt": "{{ question }}", "tools": [{"name": "get_weather"}]},
        scorers=["tool_calls"],
        primary="tool_calls",
        gates=[{"metric": "tool_calls", "at_least": 0.8}],
    )
    assert found(suite) == []


TALK = {"turns": [{"user": "one", "expect": {"expected": "yes", "scorers": ["exact"]}}, {"user": "two"}]}


class TestConversations:
    """A conversation is known by its last answer, or by all of them."""

    def check(self, *, good=None, bad=()):
        """The messages of all findings."""
        known_bad = [{"answer": answer, "fails": fails} for answer, fails in bad]
        case = a_case(known_good=good, known_bad=tuple(known_bad))
        return [one.message for one in found(a_suite(request=TALK, cases=[case]))]

    def test_sound(self):
        """Earlier turns are answered as they expect unless the answer says otherwise."""
        whole = {"turns": ["yes", "forty-two"]}
        bad = [("no", ["exact"]), ({"turns": ["no", "forty-two"]}, ["turn1.exact"])]
        assert self.check(good=(whole, "forty-two"), bad=bad) == []

    def test_a_turn_that_must_fail_and_does_not(self):
        """What an answer names has to fail, turn by turn."""
        messages = self.check(bad=[({"turns": ["yes", "no"]}, ["turn1.exact"])])
        assert "fails ['exact'], names ['turn1.exact']" in messages[0]

    def test_turns_nobody_fails(self):
        """A metric of a turn that nothing is known to fail is told of like any other."""
        (message,) = self.check(bad=[("no", ["exact"])])
        assert "turn1.exact" in message


NARROW = {
    "type": "object",
    "properties": {"label": {"type": "string", "minLength": 3}},
    "required": ["label"],
    "additionalProperties": False,
}


def test_schemas_of_cases_are_looked_at_once():
    """Two cases with the same schema of their own are one warning a rule, at the first of them."""
    request = {"prompt": "{{ question }}", "response": {"schema": SCHEMA, "modes": ["json_schema"]}}
    cases = [a_case(f"case-{number}", expected=None, schema=NARROW) for number in (1, 2)]
    warned = [one for one in found(a_suite(cases=cases, request=request)) if one.message.startswith("schema ")]
    assert {one.case_id for one in warned} == {"case-1"}
    assert all(one.message.endswith("(and 1 other cases)") for one in warned)


def test_each_model_is_given_a_schema_as_it_declares():
    """Strict mode with what its provider is known to refuse, a weaker mode without a word on rules, or none."""
    request = {"prompt": "{{ question }}", "response": {"schema": NARROW, "modes": ["json_schema", "json_object"]}}
    suite = a_suite(cases=[a_case(expected=None)], request=request)
    models = [
        a_model("strict", provider="openai", capabilities={"structured": "json_schema"}),
        a_model("other", provider="somebody", capabilities={"structured": "json_schema"}),
        a_model("loose", provider="openai", capabilities={"structured": "json_object"}),
        a_model("none", capabilities={"structured": "none"}),
    ]
    found_uses = {use.model_id: (use.mode, use.narrower) for use in schema_uses(suite, models)}
    assert found_uses == {
        "strict": ("json_schema", ("/properties/label/minLength",)),
        "other": ("json_schema", ()),
        "loose": ("json_object", ()),
        "none": (None, ()),
    }
    assert list(schema_uses(a_suite(), models)) == []
