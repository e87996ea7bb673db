"""The application's own tests, and its prompts against the suite."""

from pathlib import Path

import pytest

import evalkit as harness
from helpdesk import MODEL, TASK, TEAMS, routing_prompt, team_from_answer

DEPLOYED = Path("eligibility.json")


@pytest.mark.parametrize(("text", "team"), [("Billing.", "billing"), (" shipping\n", "shipping"), ("No idea", "person")])
def test_an_answer_becomes_a_team(text, team):
    assert team_from_answer(text) == team


@pytest.mark.evalkit(suite="ticket-routing", models=[MODEL])
def test_our_prompt_holds_the_gates(evalkit):
    measured = evalkit.measure(lambda case: routing_prompt(case.vars["ticket"]))
    measured.assert_gates()


@pytest.mark.evalkit(suite="ticket-routing", models=[MODEL])
def test_our_code_reads_the_answers(evalkit):
    answers = evalkit.measure(lambda case: routing_prompt(case.vars["ticket"])).answers
    unread = [answer.case_id for answer in answers if team_from_answer(answer.text or "") not in TEAMS]
    assert len(unread) <= len(answers) // 10, unread


@pytest.mark.skipif(not DEPLOYED.exists(), reason="no deployed file: evalkit run && evalkit decide -o eligibility.json")
def test_the_model_we_ship_on_may_serve_the_task():
    harness.assert_eligible(MODEL, TASK, file=DEPLOYED, allow_simulated=True)
