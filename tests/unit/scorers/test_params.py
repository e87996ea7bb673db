"""Parameters: what is wrong with them is said before anything is spent."""

from __future__ import annotations

import pytest

from evalkit.errors import InputError
from evalkit.plugins import ScorerContext, load_plugin
from evalkit.testing.builders import a_case, a_suite


@pytest.mark.parametrize("name", ["json_schema", "exact", "contains", "regex", "number", "choice", "fields"])
def test_unknown_parameter_is_refused(build, name):
    """The error names the key, its value and the allowed keys."""
    with pytest.raises(InputError) as caught:
        build(name, params={"tolerence": 0.5}, schema={"type": "object"})
    assert "'tolerence'" in str(caught.value)
    assert "0.5" in str(caught.value)
    assert "allowed: " in caught.value.next_step


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("json_schema", {"accept": "anything"}),
        ("exact", {"normalise": "NFKC"}),
        ("exact", {"field": ""}),
        ("contains", {"any": []}),
        ("contains", {"all": [""]}),
        ("contains", {"any": "word"}),
        ("regex", {"pattern": "("}),
        ("regex", {"pattern": "a", "fullmatch": 1}),
        ("number", {"abs_tol": -1}),
        ("number", {"abs_tol": "0.1"}),
        ("number", {"pick": "best"}),
        ("choice", {"labels": ["one"]}),
        ("fields", {"numbers": {"abs": 1}}),
        ("fields", {"arrays": "sorted"}),
        ("fields", {"ignore": ["total"]}),
    ],
)
def test_wrong_value_is_refused(build, name, params):
    """A value of the wrong type or outside its range is an input error at the parameter."""
    with pytest.raises(InputError) as caught:
        build(name, params=params, expected=1, schema={"type": "object"})
    assert caught.value.place.pointer.startswith(f"/scorers/{name}")
    assert caught.value.next_step


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("number", "none at all"),
        ("number", {"a": "b"}),
        ("contains", None),
        ("regex", None),
        ("regex", "("),
        ("choice", 3),
    ],
)
def test_case_the_scorer_cannot_grade_is_refused(build, name, expected):
    """An expectation a scorer can do nothing with is an input error that names the case."""
    with pytest.raises(InputError, match="case case-1"):
        build(name, expected=expected, more_expected=("yes 1", "no 2"))


def test_cases_graded_by_another_scorer_are_left_alone(build):
    """Only cases that use the scorer with these parameters are checked: here the suite uses another one."""
    suite = a_suite(cases=[a_case(expected="no number")], scorers=["exact"])
    assert load_plugin("scorers", "number")(ScorerContext(params={}, suite=suite)).metrics == ("number",)
