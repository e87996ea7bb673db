"""`choice`: reading a label, and saying why there is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.domain.score import Unscored
from evalkit.errors import InputError
from evalkit.plugins import ScorerContext, load_plugin
from evalkit.testing.builders import a_case, a_suite, an_outcome

MOODS = ["positive", "negative", "not sure"]
LETTERS = ["A", "B", "C"]


@pytest.mark.parametrize(
    ("answer", "expected", "params", "value_"),
    [
        ("positive", "positive", {}, 1),
        ("**Positive.**", "positive", {}, 1),
        ('"positive"', "positive", {}, 1),
        ("POSITIVE", "positive", {"casefold": False}, 0),
        ("Not  sure", "not sure", {}, 1),
        ("It is not all bad. The answer is: positive", "positive", {}, 1),
        ("Negative at first sight.\nLabel = **positive**", "positive", {}, 1),
        ("Could be negative.\nI go for positive.", "positive", {}, 1),
        ("unpositive", "positive", {}, 0),
        ("non-positive", "positive", {}, 0),
        ("negative", ["positive", "negative"], {}, 1),
        ('{"mood": "Positive"}', "positive", {"field": "mood"}, 1),
        ('{"mood": "negative", "why": "not positive"}', "positive", {"field": "mood"}, 0),
        ("Answer: positive", "positive", {"field": "mood"}, 1),
        ('Sure: {"mood": "positive"}', "positive", {"field": "mood", "accept": "lenient"}, 1),
        ('{"mood": null}', None, {"field": "mood"}, 1),
        ('{"mood": "positive"}', None, {"field": "mood"}, 0),
        ("I cannot tell", None, {}, 1),
        ("positive or negative", None, {}, 0),
    ],
)
def test_moods(value, answer, expected, params, value_):
    """Words as labels: field first, then the whole text, then a phrase, then the last line that names one."""
    assert value("choice", answer, expected=expected, labels=MOODS, **params) == value_


@pytest.mark.parametrize(
    ("answer", "value_"),
    [
        ("B", 1),
        ("(B)", 1),
        ("b", 1),
        ("The answer is (B).", 1),
        ("the answer is **B**", 1),
        ("A comes first.\n\nB", 1),
        ("It is a bird, so B", 1),
        ("It is a bird", 0),
        ("A or B", 0),
        ("The answer is A. No, the answer is B.", 0),
    ],
)
def test_letters(value, answer, value_):
    """Letters as labels: the article is not a choice, and two choices are none."""
    assert value("choice", answer, expected="B", labels=LETTERS) == value_


@pytest.mark.parametrize(
    ("answer", "params", "finding"),
    [
        ("A or B", {}, "ambiguous"),
        ("no idea", {}, "unparsed"),
        ('{"pick": "D"}', {"field": "pick"}, "invalid_label"),
        ('{"pick": 1}', {"field": "pick"}, "invalid_label"),
        ("no json: B", {"field": "pick"}, "invalid_json"),
        ('```\n{"pick": "B"}\n```', {"field": "pick"}, "repair:fence"),
    ],
)
def test_findings(grade, answer, params, finding):
    """Why there is no label, and what was repaired, is there for machines."""
    assert finding in grade("choice", answer, expected="B", labels=LETTERS, **params)["choice"].findings


def test_labels_come_from_the_schema(value):
    """Without `labels` the enum of the field counts, at any depth."""
    schema = {"properties": {"r": {"type": "array", "items": {"properties": {"m": {"enum": ["up", "down"]}}}}}}
    given_ = {"expected": "up", "schema": schema, "field": "/r/0/m"}
    assert value("choice", '{"r": [{"m": "up"}]}', **given_) == 1.0
    assert value("choice", '{"r": [{"m": "sideways"}]}', **given_) == 0.0


def test_labels_come_from_the_expectations(grade):
    """Without any list, what the suite expects anywhere is the closed set."""
    assert grade("choice", "up, not down", expected="up", more_expected=("down",))["choice"].findings == ("ambiguous",)


def test_schema_without_the_field_gives_no_labels(value):
    """A field the schema does not describe falls back to what the suite expects."""
    schema = {"properties": {"other": {"enum": ["a", "b"]}}}
    assert value("choice", '{"m": "up"}', expected="up", more_expected=("down",), schema=schema, field="m") == 1.0


def test_one_label_is_no_choice(build):
    """A suite that expects the same everywhere needs to name the other labels."""
    with pytest.raises(InputError, match="two or more labels"):
        build("choice", expected="up")


def test_expected_label_outside_the_set_is_refused(build):
    """A typing error in a case is found before anything is spent."""
    with pytest.raises(InputError, match="expects one of its labels"):
        build("choice", expected="postive", params={"labels": MOODS})


@given(st.sampled_from(MOODS), st.sampled_from(MOODS))
def test_right_exactly_when_equal(value, chosen, expected):
    """Naming a label gets 1 where it is expected and 0 elsewhere."""
    for answer, params in ((chosen, {}), (f"The answer is ({chosen}).", {}), (f'{{"a": "{chosen}"}}', {"field": "a"})):
        assert value("choice", answer, expected=expected, labels=MOODS, **params) == float(chosen == expected)


def test_case_insensitive_lookalikes_do_not_crash(value):
    """The pattern takes a dotted capital I for an i, which no label has in its normal form."""
    assert value("choice", "I say NEGAT\u0130VE or POS\u0130TIVE today", expected="positive", labels=MOODS) == 0.0


@pytest.mark.parametrize(
    ("answer", "value_"),
    [
        ("Rome", 1),
        ("The capital is rome.", 1),
        ("Not Paris.\nIt must be Rome!", 1),
        ("Paris or Rome", 0),
        ("New Rome", 0),
        ("Romeo", 0),
        ("Rome, so A", 0),
        ('{"pick": "Rome"}', 1),
    ],
)
def test_option_texts_stand_for_their_labels(answer, value_):
    """An answer that repeats one option's text has chosen it; a label beats a text, and two texts are none."""
    case = a_case(expected="B", vars={"options": {"A": "Paris", "B": "Rome", "C": "New Rome"}})
    params = {"labels": LETTERS, "options": "options", "field": "pick"}
    suite = a_suite(cases=[case], scorers=[{"name": "choice", "params": params}])
    scorer = load_plugin("scorers", "choice")(ScorerContext(params=params, suite=suite))
    (score,) = scorer.score(case, an_outcome(text=answer), ())
    assert score.value == value_


@pytest.mark.parametrize(("answer", "reason"), [("no idea", "unparsed"), ("A or B", "ambiguous")])
def test_unread_can_be_left_unscored(grade, answer, reason):
    """What could not be read is no wrong answer, for suites that want it so; a readable wrong one still is."""
    entry = grade("choice", answer, expected="B", labels=LETTERS, unread="unscored")["choice"]
    assert (entry, entry.reason) == (Unscored("choice", reason, entry.rationale), reason)
    assert grade("choice", "A", expected="B", labels=LETTERS, unread="unscored")["choice"].value == 0
