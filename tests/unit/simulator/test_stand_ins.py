"""Models without a character: any number, surely good or surely bad, under the name they are asked for."""

from __future__ import annotations

import json

import pytest

from evalkit.simulator.answers import Asked, Coordinates, answer_order
from evalkit.simulator.book import Question
from evalkit.simulator.order import order_from_object
from evalkit.simulator.stand_ins import stand_in_by_route

QUESTION = Question(suite="s", task="t", case_id="c", expected="7", expect="answer", schema=None)


def said(route, trial):
    """Return status, served name and text of one answer."""
    order = order_from_object({"model": route, "messages": [{"role": "user", "content": "4 + 3?"}]})
    asked = Asked(persona=stand_in_by_route(route), order=order, question=QUESTION)
    answer = answer_order(asked, Coordinates(seed=1, trial=trial))
    body = json.loads(answer.pieces[0])
    return answer.status, body["model"], body["choices"][0]["message"]["content"]


def test_steady_is_always_right():
    """No fault, no slip, in any trial."""
    assert {said("steady/one", trial) for trial in range(300)} == {(200, "steady/one", "7")}


def test_weak_is_mostly_wrong_and_never_fails():
    """Bad enough for every sensible gate, and only in what it says."""
    answers = [said("weak/one", trial) for trial in range(300)]
    assert {(status, name) for status, name, _ in answers} == {(200, "weak/one")}
    assert 0.7 < sum(text != "7" for _, _, text in answers) / 300 < 0.9


def test_each_has_dice_of_its_own():
    """Two weak ones are not wrong in the same calls."""
    one, other = ([said(route, trial)[2] for trial in range(50)] for route in ("weak/one", "weak/other"))
    assert one != other


@pytest.mark.parametrize("route", ["steady/", "weak/", "steady", "sim/gpt", "steady/" + "x" * 200, ""])
def test_other_names_are_none(route):
    """A prefix alone names nobody."""
    assert stand_in_by_route(route) is None


def test_wrong_is_wrong_so_often():
    """Of a hundred calls as many as its route says, and only in what it says; nonsense is no route."""
    answers = [said("wrong/20/one", trial) for trial in range(400)]
    assert 0.15 < sum(text != "7" for _, _, text in answers) / 400 < 0.25
    assert [stand_in_by_route(route) for route in ("wrong/101/x", "wrong/x/y", "wrong/5/", "wrong/5")] == [None] * 4
