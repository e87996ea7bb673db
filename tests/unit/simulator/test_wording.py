"""Forms of text: a tolerant reader gets the same value from each, at the rates the persona has."""

from __future__ import annotations

import dataclasses
import json

import pytest
from scipy.stats import binomtest

from evalkit.simulator.dice import Dice
from evalkit.simulator.persona import Habits
from evalkit.simulator.personas import PERSONAS
from evalkit.simulator.wording import dressed, with_thinking
from evalkit.wire.json_text import parse_json_text
from evalkit.wire.text import answer_text

ANSWER = {"answer": "3 days", "quote": "A power tool that was lent on a Monday may be kept for 3 days by anyone."}
FORMS = {
    "fence": lambda text: "```json" in text,
    "preamble": lambda text: text[0].isalpha(),
    "postamble": lambda text: text.rstrip()[-1] in ".!",
    "stop_tokens": lambda text: text.endswith("</s>"),
}


@pytest.mark.parametrize("habit", list(FORMS))
def test_a_habit_shows_exactly_at_its_share(habit):
    """The observed rate is within the 99.9 % interval of the declared one."""
    shown = sum(FORMS[habit](dressed(ANSWER, Habits(**{habit: 0.3}), Dice(case))) for case in range(2000))
    interval = binomtest(shown, 2000).proportion_ci(0.999)
    assert interval.low <= 0.3 <= interval.high


@pytest.mark.parametrize("persona", PERSONAS, ids=lambda persona: persona.model_id)
def test_no_habit_changes_what_is_meant(persona):
    """Form and content are separate measurements, so the form must not spoil the content."""
    for case in range(60):
        dice = Dice(case)
        text = with_thinking(dressed(ANSWER, persona.habits, dice), persona.habits, dice)
        value = parse_json_text(answer_text(text)).value
        assert " ".join(value["quote"].split()) == ANSWER["quote"]
        assert value["answer"] == ANSWER["answer"]


def test_without_habits_an_answer_is_plain_json():
    """All zero: nothing around it."""
    assert json.loads(dressed(ANSWER, Habits(), Dice())) == ANSWER


def test_prose_is_never_fenced():
    """Habits of JSON leave text alone."""
    assert dressed("A plain sentence.", Habits(fence=1.0, preamble=1.0), Dice()) == "A plain sentence."


def test_a_raw_newline_breaks_strict_json_only():
    """QUIRKS 1.3: the daily defect of some families."""
    text = dressed(ANSWER, Habits(raw_newline=1.0), Dice())
    with pytest.raises(json.JSONDecodeError):
        json.loads(text)
    assert json.loads(text, strict=False)["answer"] == "3 days"


def test_all_shares_are_shares():
    """Every habit is a probability and names where it was measured."""
    for persona in PERSONAS:
        values = dataclasses.asdict(persona.habits)
        source = values.pop("source")
        assert all(0 <= value <= 1 for value in values.values())
        assert source.startswith("QUIRKS") or not any(values.values())
