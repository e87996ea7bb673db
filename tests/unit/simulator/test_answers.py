"""Answers are a pure function of seed, persona, question, trial and attempt, at the rates of the table."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from evalkit.domain.outcome import Kind
from evalkit.simulator.answers import Asked, Coordinates, answer_order, fate_of
from evalkit.simulator.book import Question
from evalkit.simulator.order import Order
from evalkit.simulator.persona import Ability, FaultRate, Habits, Persona, Served
from evalkit.simulator.personas import PERSONAS, persona_by_route
from evalkit.wire import asked as wire_asked
from evalkit.wire.response import read_response

SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["label"],
    "properties": {"label": {"enum": ["yes", "no", "none"]}},
}


def a_question(**changes):
    """Return a question whose right answer is yes."""
    plain = {
        "suite": "s",
        "task": "t",
        "case_id": "c0",
        "expected": {"label": "yes"},
        "schema": SCHEMA,
        "decisive": ("label",),
    }
    return Question(**(plain | changes))


def a_persona(**changes):
    """Return a persona that is always right, at once."""
    plain = {"model_id": "p", "route": "sim/p", "dialect": "plain", "source": "QUIRKS 1.3",
             "ability": Ability(wrong=0, broken=0, refused=0), "structured": "json_schema"}  # fmt: skip
    return Persona(**(plain | changes))


def an_order(**changes):
    """Return a request in strict mode."""
    return Order(**({"route": "sim/p", "user_text": "json?", "format": "json_schema", "n_characters": 40} | changes))


def ask(persona, *, question=None, order=None, **coordinates):
    """Return the answer."""
    asked = Asked(persona=persona, order=order or an_order(), question=question or a_question())
    return answer_order(asked, Coordinates(**({"seed": 0} | coordinates)))


def read(answer, route="sim/p"):
    """Return what the wire says of an answer."""
    headers = {name.lower(): value for name, value in answer.headers.items()}
    return read_response(answer.status, headers, b"".join(answer.pieces), asked=wire_asked.Asked(route=route))


@given(seed=st.integers(0, 99), trial=st.integers(0, 9), attempt=st.integers(0, 3), persona=st.sampled_from(PERSONAS))
def test_the_same_coordinates_give_the_same_bytes(seed, trial, attempt, persona):
    """Nothing but the arguments decides: not order, not time, not what was asked before."""
    where = {"seed": seed, "trial": trial, "attempt": attempt}
    assert ask(persona, **where) == ask(persona, **where)


def test_seed_and_trial_are_different_draws():
    """Another seed or trial is another mood of the model."""
    persona = a_persona(ability=Ability(wrong=0.5))
    for name in ("seed", "trial"):
        said = {ask(persona, **{name: value}).pieces for value in range(20)}
        assert len(said) > 1, name


@pytest.mark.parametrize("fate", ["wrong", "broken", "refused", "blocked", "truncated", "empty"])
@given(st.floats(0, 1, exclude_max=True))
def test_a_fate_with_share_one_is_certain(fate, drawn):
    """Each share stands for its own fate."""
    nothing = dict.fromkeys(("wrong", "broken", "refused", "blocked", "truncated", "empty"), 0.0)
    assert fate_of(Ability(**(nothing | {fate: 1.0})), drawn, is_held_to_schema=False) == fate


def test_a_server_that_holds_to_the_schema_never_breaks_it():
    """What is broken elsewhere is right there."""
    assert fate_of(Ability(wrong=0, refused=0, broken=1.0), 0.5, is_held_to_schema=True) == "right"


def test_fates_occur_at_their_shares():
    """Observed shares are within 99.9 % binomial intervals of the declared ones."""
    ability = Ability(wrong=0.2, broken=0.1, refused=0.05, blocked=0.05, truncated=0.05, empty=0.05)
    persona = a_persona(ability=ability, structured="none", refusal_form="field")
    kinds = Counter(
        read(ask(persona, question=a_question(case_id=f"c{case}"), order=an_order(format="text"))).kind
        for case in range(3000)
    )
    for kind, share in (
        (Kind.REFUSAL, 0.05),
        (Kind.SAFETY_BLOCK, 0.05),
        (Kind.TRUNCATED, 0.05),
        (Kind.EMPTY, 0.05),
        (Kind.OK, 0.8),
    ):
        interval = binomtest(kinds[kind], 3000).proportion_ci(0.999)
        assert interval.low <= share <= interval.high, kind


def test_a_passing_fault_is_gone_at_the_second_attempt():
    """Retrying cures it, and the answer behind it is the one there would have been."""
    persona = a_persona(faults=(FaultRate(fault="openai_rate_limit", share=1.0),))
    assert read(ask(persona, attempt=0)).kind is Kind.RATE_LIMITED
    assert ask(persona, attempt=1).pieces == ask(a_persona()).pieces


def test_a_lasting_fault_never_goes():
    """No number of attempts helps."""
    persona = a_persona(faults=(FaultRate(fault="server_error", share=1.0, lasting=1.0),))
    assert {read(ask(persona, attempt=attempt)).kind for attempt in range(5)} == {Kind.PROVIDER_ERROR}


@pytest.mark.parametrize(("fault", "ending"), [("reset", "reset"), ("half_body", "cut"), ("stall", "stall")])
def test_faults_of_the_transport_end_the_connection(fault, ending):
    """They are told to the server, not written into a body."""
    assert ask(a_persona(faults=(FaultRate(fault=fault, share=1.0),))).ending == ending


def test_faults_occur_at_their_share():
    """Within the 99.9 % interval, and lasting ones at theirs."""
    persona = a_persona(faults=(FaultRate(fault="server_error", share=0.3, lasting=0.5),))
    for attempt, share in ((0, 0.3), (1, 0.15)):
        hit = sum(
            ask(persona, question=a_question(case_id=str(case)), attempt=attempt).status == 500 for case in range(2000)
        )
        interval = binomtest(hit, 2000).proportion_ci(0.999)
        assert interval.low <= share <= interval.high


def test_a_case_that_wants_a_refusal_gets_one_from_a_good_model():
    """Right is what the case expects; wrong is to comply."""
    question = a_question(expect="refusal", expected=None)
    assert read(ask(a_persona(refusal_form="field"), question=question)).kind is Kind.REFUSAL
    complied = ask(a_persona(ability=Ability(wrong=1.0)), question=question)
    assert read(complied).kind is Kind.OK


def test_response_format_is_ignored_where_it_is_not_honoured():
    """QUIRKS 1.2: prose and a fence with status 200, whatever was asked for."""
    habits = Habits(fence=1.0, preamble=1.0)
    ignored = read(ask(a_persona(structured="none", habits=habits))).text
    honoured = read(ask(a_persona(structured="json_schema", habits=habits))).text
    assert "```json" in ignored
    assert json.loads(honoured) == {"label": "yes"}


def test_an_answer_beyond_the_limit_is_cut_off():
    """The request's own limit holds."""
    reading = read(ask(a_persona(), order=an_order(max_tokens=2)))
    assert (reading.kind, reading.usage.completion_tokens) == (Kind.TRUNCATED, 2)


def test_a_prompt_beyond_the_window_is_an_overflow():
    """Before anything else happens."""
    answer = ask(a_persona(context_tokens=100), order=an_order(n_characters=10_000))
    assert read(answer).kind is Kind.CONTEXT_OVERFLOW


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"roles": ("system", "user")}, Kind.REQUEST_REJECTED),
        ({"parameters": frozenset({"max_tokens"})}, Kind.REQUEST_REJECTED),
        ({"parameters": frozenset({"temperature"})}, Kind.REQUEST_REJECTED),
        ({"roles": ("user",), "parameters": frozenset({"max_completion_tokens"})}, Kind.OK),
    ],
)
def test_the_reasoning_twin_takes_fewer_parameters(changes, kind):
    """QUIRKS 1.1 and 1.9."""
    twin = replace(persona_by_route("sim/gpt-reasoning"), ability=Ability(wrong=0, broken=0, refused=0))
    assert read(ask(twin, order=an_order(**changes)), "sim/gpt-reasoning").kind is kind


def test_json_mode_without_the_word_is_rejected():
    """QUIRKS 1.2."""
    answer = ask(a_persona(structured="json_object"), order=an_order(format="json_object", says_json=False))
    assert read(answer).kind is Kind.REQUEST_REJECTED


def test_an_unknown_prompt_gets_an_honest_answer():
    """It says that it does not know; asked for a shape, it keeps to it."""
    asked = Asked(persona=a_persona(), order=an_order(format="text", user_text="Who are you?"), question=None)
    assert "simulated model" in read(answer_order(asked, Coordinates(seed=0))).text
    shaped = Asked(persona=a_persona(), order=an_order(schema=SCHEMA), question=None)
    assert json.loads(read(answer_order(shaped, Coordinates(seed=0))).text) == {"label": "none"}


def test_served_names_follow_their_shares():
    """An answer under another name is a substitution; no name is unverifiable."""
    persona = a_persona(served=(Served(name="gpt-4o", share=0.5), Served(name=None)))
    names = Counter(
        read(ask(persona, question=a_question(case_id=str(case)))).identity.served_model for case in range(400)
    )
    assert 150 < names["gpt-4o"] < 250


def test_expected_calls_are_made_when_tools_are_offered():
    """Wrong ones have the right name and other arguments."""
    question = a_question(expected=[{"name": "lookup", "arguments": {"city": "Oslo"}}], schema=None, decisive=())
    order = an_order(format="text", tool_names=("lookup",))
    (right,) = read(ask(a_persona(), question=question, order=order)).tool_calls
    (wrong,) = read(ask(a_persona(ability=Ability(wrong=1.0)), question=question, order=order)).tool_calls
    assert json.loads(right.arguments) == {"city": "Oslo"}
    assert (wrong.name, wrong.arguments == right.arguments) == ("lookup", False)


def test_calls_written_as_a_known_good_answer_are_made():
    """A case may give its good answer in the form of a self-test."""
    call = {"name": "lookup", "arguments": {"city": "Oslo"}}
    question = a_question(expected=[call], known_good=({"tool_calls": [call]},), schema=None, decisive=())
    (made,) = read(
        ask(a_persona(), question=question, order=an_order(format="text", tool_names=("lookup",)))
    ).tool_calls
    assert (made.name, json.loads(made.arguments)) == ("lookup", {"city": "Oslo"})


def test_a_call_nobody_asked_for_is_made_where_words_are_right():
    """The wrong answer to small talk is the call the suite knows to be wrong; the right one is words."""
    bad = {"tool_calls": [{"name": "lookup", "arguments": {"city": "Oslo"}}]}
    question = a_question(expected=[], known_good=("Which city?",), known_bad=bad, schema=None, decisive=())
    order = an_order(format="text", tool_names=("lookup",))
    right = read(ask(a_persona(), question=question, order=order))
    (wrong,) = read(ask(a_persona(ability=Ability(wrong=1.0)), question=question, order=order)).tool_calls
    assert (right.text, right.tool_calls) == ("Which city?", ())
    assert (wrong.name, json.loads(wrong.arguments)) == ("lookup", {"city": "Oslo"})


@pytest.mark.parametrize("form", ["cut", "whitespace", "in_think", "reasoning"])
def test_every_form_of_truncation_is_one(form):
    """However an answer is cut off, the wire says so."""
    persona = a_persona(ability=Ability(truncated=1.0, refused=0), truncated_form=form)
    assert read(ask(persona)).kind is Kind.TRUNCATED


@pytest.mark.parametrize("form", ["null", "blank", "spaces"])
def test_every_form_of_emptiness_is_one(form):
    """`stop` with nothing visible is never an answer."""
    assert read(ask(a_persona(ability=Ability(empty=1.0, refused=0), empty_form=form))).kind is Kind.EMPTY


def test_latency_is_lognormal_around_its_median():
    """Half the calls are faster than the median."""
    persona = persona_by_route("sim/gemini")
    times = [ask(persona, question=a_question(case_id=str(case)), attempt=1).service_s for case in range(1000)]
    assert 440 < sum(time < persona.latency.median_s for time in times) < 560
    assert all(time > 0 for time in times)
