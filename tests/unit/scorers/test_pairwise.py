"""Two answers, asked about in both orders."""

from __future__ import annotations

import json

import pytest

from evalkit.domain.score import Unscored
from evalkit.errors import InputError
from evalkit.plugins import ScorerContext, load_plugin
from evalkit.testing.builders import a_case, a_suite
from evalkit.wire.judging import fenced_parts


def says(*better):
    """Answer the first and the second question."""
    return lambda call: json.dumps({"explanation": "so", "better": better[call.trial]})


@pytest.mark.parametrize(
    ("better", "value", "findings"),
    [
        (("A", "B"), 1.0, ()),
        (("B", "A"), 0.0, ()),
        (("tie", "tie"), 0.5, ()),
        (("A", "A"), 0.5, ("order_disagreement",)),
        (("B", "B"), 0.5, ("order_disagreement",)),
        (("A", "tie"), 0.5, ("order_disagreement",)),
    ],
)
def test_both_orders_decide(ask, better, value, findings):
    """Winning is winning from both places; a change of mind with the order is a tie."""
    entry = ask("pairwise", "forty-two", says=says(*better), expected="42", judge="judge")
    assert (entry.value, entry.findings) == (value, findings)


def test_places_are_swapped(ask):
    """The answer stands first in one question and second in the other."""
    seen = []

    def look(call):
        seen.append(fenced_parts(call.script.turns[0].messages[0].content))
        return '{"better": "tie"}'

    ask("pairwise", "ours", says=look, expected="theirs", judge="judge")
    assert [(parts["ANSWER_A"], parts["ANSWER_B"]) for parts in seen] == [("ours", "theirs"), ("theirs", "ours")]


def test_the_same_text_is_still_asked_twice(ask):
    """An answer equal to the reference makes two questions of the same words, each with its own reply."""
    entry = ask("pairwise", "42", says=says("A", "A"), expected="42", judge="judge")
    assert entry.findings == ("order_disagreement",)


@pytest.mark.parametrize("second", ["no JSON", None])
def test_half_a_comparison_is_none(ask, second):
    """One reply of two is no verdict."""
    entry = ask(
        "pairwise", "ours", says=lambda call: ('{"better": "A"}', second)[call.trial], expected="x", judge="judge"
    )
    assert isinstance(entry, Unscored)


def test_a_reference_is_needed(judges):
    """Without one there is nothing to compare with."""
    suite = a_suite(cases=[a_case(expected=None)], scorers=[{"name": "pairwise", "params": {"judge": "judge"}}])
    with pytest.raises(InputError, match="needs a reference"):
        load_plugin("scorers", "pairwise")(ScorerContext(params={"judge": "judge"}, suite=suite, judges=judges()))
