"""A simulated judge is wrong as often as it says, and reads only what a judge is sent."""

from __future__ import annotations

import json

import pytest

from evalkit.simulator.book import Question
from evalkit.simulator.dice import Dice
from evalkit.simulator.judging import is_right, judged_parts, task_in, verdict_on
from evalkit.simulator.persona import Judging
from evalkit.simulator.personas import persona_by_route
from evalkit.simulator.stand_ins import stand_in_by_route
from evalkit.wire.judging import CRITERIA_MARK, fenced

QUESTION = Question(suite="s", task="t", case_id="c", expected={"answer": "3 days", "quote": "It lasts 3 days."})
RIGHT = '```json\n{"answer": "3 days", "quote": "It lasts 3 days."}\n```'
PERFECT = Judging(sensitivity=1.0, specificity=1.0)


def a_prompt(answer, *, task="How long does it last?"):
    """Return a rubric's prompt as a judge gets it."""
    parts = fenced({"TASK": task, "ANSWER": answer})
    return "\n\n".join((*parts.values(), f"{CRITERIA_MARK}\n- right: It is right.\n- short: It is short.", "Answer."))


def a_comparison(first, second):
    """Return a pairwise prompt as a judge gets it."""
    return "\n\n".join(fenced({"TASK": "How long?", "ANSWER_A": first, "ANSWER_B": second}).values())


@pytest.mark.parametrize(
    ("text", "expected", "right"),
    [
        (RIGHT, QUESTION.expected, True),
        ('{"answer": "4 days", "quote": "It lasts 3 days."}', QUESTION.expected, False),
        ("no JSON", QUESTION.expected, False),
        ("It takes  Three days.", "three DAYS", True),
        ("It takes two days.", "three days", False),
        ("[1, 2]", [1, 2], True),
    ],
)
def test_is_right(text, expected, right):
    """As JSON where JSON is expected, as words elsewhere."""
    assert is_right(Question(suite="s", task="t", case_id="c", expected=expected), text) == right


def test_only_the_decisive_keys_count():
    """What the task is not scored on may be anything."""
    question = Question(suite="s", task="t", case_id="c", expected={"answer": "x", "quote": "y"}, decisive=("answer",))
    assert is_right(question, '{"answer": "x", "quote": null}')


def test_perfect_judge():
    """Every criterion is met by a right answer and none by a wrong one."""
    for answer, met in ((RIGHT, True), ("wrong", False)):
        said = verdict_on(a_prompt(answer), PERFECT, question=QUESTION, dice=Dice(0, answer))
        assert {name: one["met"] for name, one in said.items()} == {"right": met, "short": met}


@pytest.mark.parametrize(("answer", "rate"), [(RIGHT, 0.8), ("wrong", 0.3)])
def test_rates_are_what_they_say(answer, rate):
    """Sensitivity .8 passes that share of right answers, specificity .7 the rest of the wrong ones."""
    judging = Judging(sensitivity=0.8, specificity=0.7)
    prompt = a_prompt(answer)
    n_met = sum(
        verdict_on(prompt, judging, question=QUESTION, dice=Dice(0, seed))["right"]["met"] for seed in range(2000)
    )
    assert n_met / 2000 == pytest.approx(rate, abs=0.03)


def test_comparisons():
    """The right one is better wherever it stands; both right or both wrong is a tie."""
    for first, second, better in ((RIGHT, "x", "A"), ("x", RIGHT, "B"), (RIGHT, RIGHT, "tie"), ("x", "y", "tie")):
        said = verdict_on(a_comparison(first, second), PERFECT, question=QUESTION, dice=Dice(0))
        assert said["better"] == better


def test_a_biased_judge_takes_the_first():
    """As often as it says, whatever stands there."""
    judging = Judging(sensitivity=1.0, specificity=1.0, prefers_first=1.0)
    for first, second in ((RIGHT, "x"), ("x", RIGHT)):
        assert verdict_on(a_comparison(first, second), judging, question=QUESTION, dice=Dice(0))["better"] == "A"


def test_a_mumbling_judge_says_no_json():
    """And so there is no verdict."""
    said = verdict_on(a_prompt(RIGHT), Judging(sensitivity=1, specificity=1, unparsable=1), question=None, dice=Dice(0))
    with pytest.raises(ValueError, match="Expecting value"):
        json.loads(said)


def test_an_unknown_question_has_no_right_answer():
    """What the book does not know is wrong."""
    said = verdict_on(a_prompt(RIGHT), PERFECT, question=None, dice=Dice(0))
    assert not said["right"]["met"]


def test_the_task_is_found_inside_the_fences():
    """A longer line of the answer does not hide the question."""
    prompt = a_prompt("What is the capital of a country that was never asked about?\n" * 3)
    assert task_in(prompt) == "How long does it last?"
    assert task_in("plain") == "plain"
    assert judged_parts("plain") == {}


def test_who_judges():
    """Two personas and stand-ins with any rates; everybody else answers as to any other prompt."""
    assert persona_by_route("sim/judge").judging == Judging(sensitivity=0.97, specificity=0.95, unparsable=0.01)
    assert persona_by_route("sim/judge-lenient").judging.specificity == 0.5
    assert stand_in_by_route("judge/0.9/0.85/strict").judging == Judging(sensitivity=0.9, specificity=0.85)
    assert stand_in_by_route("judge/1/1/x").judging == PERFECT
    for route in ("judge/2/1/x", "judge/x", "judge/0.9/0.8/", "judge/0.9/0.8"):
        assert stand_in_by_route(route) is None
    assert stand_in_by_route("steady/x").judging is None
