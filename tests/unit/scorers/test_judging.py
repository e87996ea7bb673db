"""Who may judge whom, what is asked, and how many opinions become one number."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from evalkit.domain.judging import Judges
from evalkit.domain.outcome import Kind
from evalkit.domain.roster import Roster
from evalkit.domain.score import Score, Unscored
from evalkit.errors import InputError
from evalkit.plugins import ScorerContext, load_plugin
from evalkit.testing.builders import a_case, a_model, a_suite, an_outcome
from evalkit.wire.judging import fenced_parts

CASE = a_case(expected=["It is right."])


def build(known, /, *, suite=None, **params):
    """Return a rubric in a suite of one case."""
    suite = suite or a_suite(cases=[CASE], scorers=[{"name": "rubric", "params": params}])
    return load_plugin("scorers", "rubric")(ScorerContext(params=params, suite=suite, judges=known))


def met(value):
    """Return the verdict of a rubric of one criterion."""
    return json.dumps({"c1": {"explanation": "so", "met": value}})


def by_judge(**said):
    """Answer by judge; True and False are verdicts, anything else a reply as it is."""

    def says(call):
        reply = said[call.model_id]
        return met(reply) if isinstance(reply, bool) else reply

    return says


@pytest.mark.parametrize("answer", ["", " \n ", "\u200b\ufeff", "<think>Let me see</think>", "<think>never ends"])
def test_an_answer_without_anything_to_see_reaches_no_judge(judges, answer):
    """It is worth 0 by itself: judges have given empty answers full marks."""
    scorer = build(judges(), judge="judge")
    outcome = an_outcome(text=answer)
    assert scorer.ask(CASE, outcome) == ()
    (entry,) = scorer.score(CASE, outcome, ())
    assert (entry.value, entry.findings) == (0.0, ("empty_answer",))


@pytest.mark.parametrize("kind", [Kind.TIMEOUT, Kind.REFUSAL, Kind.EMPTY, Kind.TRUNCATED, Kind.SUBSTITUTED_MODEL])
def test_a_failed_judge_is_never_a_zero(ask, kind):
    """Whatever became of the judge's call, the answer has no score for it."""
    entry = ask("rubric", "42", says=lambda _: {"kind": kind}, expected=["It is right."], judge="judge")
    assert isinstance(entry, Unscored)
    assert entry.reason == f"unjudged:{kind}"


@pytest.mark.parametrize(("said", "reason"), [("It is fine.", "unjudged:unparsed"), (None, "unjudged:not_asked")])
def test_no_verdict_is_no_score(ask, said, reason):
    """Prose instead of a verdict, and a question nobody has asked yet."""
    entry = ask("rubric", "42", says=lambda _: said, expected=["It is right."], judge="judge")
    assert isinstance(entry, Unscored)
    assert entry.reason == reason


def test_a_judge_is_asked_as_it_can(judges):
    """Mode, cap and temperature follow the judge; the answer stands between fences, and only the answer."""
    scorer = build(judges(), judge="judge", max_output_tokens=77)
    outcome = an_outcome(text="<think>hm</think>It is 42.", sequence=5)
    (call,) = scorer.ask(CASE, outcome)
    assert (call.model_id, call.route, call.asked_about, call.sequence) == (
        "judge", "openai/judge", outcome.call_key, 5,
    )  # fmt: skip
    parameters = call.parameters
    assert (parameters.mode, parameters.temperature, parameters.max_output_tokens) == ("json_schema", 0.0, 77)
    parts = fenced_parts(call.script.turns[0].messages[0].content)
    assert parts == {"TASK": "What is six times seven?", "ANSWER": "It is 42."}


def test_keys_name_everything_that_is_sent(judges):
    """Another answer, rubric, judge or cap is another question; the same one is the same for ever."""
    outcome = an_outcome(text="42")

    def key(outcome=outcome, case=CASE, **params):
        suite = a_suite(cases=[case], scorers=[{"name": "rubric", "params": {"judge": "judge"} | params}])
        scorer = build(judges(), suite=suite, **({"judge": "judge"} | params))
        return scorer.ask(case, outcome)[0].key

    other_text = an_outcome(text="43")
    keys = [
        key(),
        key(outcome=other_text),
        key(outcome=replace(outcome, call_key="1" * 64)),
        key(judge="second"),
        key(max_output_tokens=5),
        key(case=a_case(expected=["Something else."])),
    ]
    assert key() == keys[0]
    assert len(set(keys)) == len(keys)


def test_instrument_names_what_makes_opinions_comparable(judges):
    """Judge, route, rubric and pass mark are in it; who is judged is not."""
    base = build(judges(), judge="judge").instrument
    assert base.model_ids == ("judge",)
    assert (base.is_opinion, base.is_yes_or_no) == (True, False)
    assert build(judges("another"), judge="judge").instrument == base
    moved = judges()
    roster = Roster(version=1, models=moved.roster.models, judges=[a_model("judge", route="new", provider="jury")])
    others = [
        build(judges(), judge="second").instrument,
        build(judges(), judge="judge", pass_at=1).instrument,
        build(Judges(roster, "openai"), judge="judge").instrument,
        build(judges(), judge="judge", criteria=[{"id": "a", "text": "b"}]).instrument,
    ]
    assert len({base.digest, *(other.digest for other in others)}) == 5
    assert others[1].is_yes_or_no


class TestSeveral:
    """Many judges, one number."""

    PARAMS = {"expected": ["It is right."], "judges": ["judge", "second"]}  # noqa: RUF012  never changed

    def test_mean(self, ask):
        """Half of two judges is one half, and who said what is told."""
        entry = ask("rubric", "42", says=by_judge(judge=True, second=False), **self.PARAMS)
        assert entry.value == 0.5
        assert {"vote:judge:1.00", "vote:second:0.00"} <= set(entry.findings)

    def test_mean_needs_every_judge(self, ask):
        """A mean over those who happened to answer is another instrument."""
        entry = ask("rubric", "42", says=by_judge(judge=True, second={"kind": Kind.TIMEOUT}), **self.PARAMS)
        assert isinstance(entry, Unscored)

    @pytest.mark.parametrize(
        ("second", "expected"), [(True, 1.0), (False, 0.0), ({"kind": Kind.TIMEOUT}, None), ("mumble", None)]
    )
    def test_majority(self, ask, second, expected):
        """Half is no majority; a missing vote that could make one leaves it open."""
        said = by_judge(judge=True, second=second)
        entry = ask("rubric", "42", says=said, combine="majority", pass_at=1, **self.PARAMS)
        assert (entry.value if isinstance(entry, Score) else None) == expected
        assert not isinstance(entry, Score) or ("judges_split" in entry.findings) == (second is False)

    def test_a_vote_that_cannot_change_anything_is_not_waited_for(self, ask):
        """One no of two is enough: with the other a yes it would still be no majority."""
        said = by_judge(judge=False, second={"kind": Kind.TIMEOUT})
        entry = ask("rubric", "42", says=said, combine="majority", pass_at=1, **self.PARAMS)
        assert entry.value == 0.0

    def test_kin_are_left_out_and_named(self, judges):
        """A judge of the candidate's provider is not asked, and the score says so."""
        kin = judges("gpt-4o", provider="other")
        entry = build_and_ask(kin)
        assert entry.value == 1.0
        assert "judge_excluded:second" in entry.findings


def build_and_ask(kin):
    """Return what a panel of both judges says when only one of them may be asked."""
    scorer = build(kin, judges=["judge", "second"])
    outcome = an_outcome(text="42")
    calls = scorer.ask(CASE, outcome)
    assert [call.model_id for call in calls] == ["judge"]
    replies = [
        an_outcome(text=met(value=True), call_key=call.key, model_id=call.model_id, asked_about=call.asked_about)
        for call in calls
    ]
    (entry,) = scorer.score(CASE, outcome, tuple(replies))
    return entry


@pytest.mark.parametrize(
    ("candidate", "is_kin"),
    [
        ({"provider": "jury"}, True),
        ({"provider": "elsewhere", "family": "jury"}, True),
        ({"provider": "elsewhere", "route": "openai/judge"}, True),
        ({"provider": "elsewhere"}, False),
    ],
)
def test_kin(judges, candidate, is_kin):
    """Provider, family or route in common; loading refuses a suite that leaves a candidate without a judge."""
    found = judges("gpt-4o", **candidate)
    assert found.related_to(found.roster.judge_by_id["judge"], "gpt-4o") == is_kin
    assert not found.related_to(found.roster.judge_by_id["judge"], "nobody-we-know")
    if is_kin:
        with pytest.raises(InputError, match=r"no judge may judge 'gpt-4o'.*own family"):
            build(found, judge="judge")


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({}, "needs a judge"),
        ({"judge": "judge", "judges": ["second"]}, "needs a judge"),
        ({"judges": ["judge", "judge"]}, "names a judge twice"),
        ({"judge": "nobody"}, "'nobody' is no judge of the roster"),
        ({"judge": "gpt-4o"}, "'gpt-4o' is no judge of the roster"),
        ({"judge": "judge", "combine": "majority"}, "votes on yes or no"),
        ({"judge": "judge", "pass_at": 0}, "pass_at"),
        ({"judge": "judge", "juge": 1}, "no parameter 'juge'"),
    ],
)
def test_wrong_panels_are_refused(judges, params, message):
    """Each with its place and a next step, before anything is spent."""
    with pytest.raises(InputError, match=message) as caught:
        build(judges(), **params)
    assert caught.value.next_step


@pytest.mark.parametrize("who", ["judge", "candidate"])
def test_unknown_families_are_refused(who):
    """Where nobody knows whose a model is, nobody knows whose judge it is."""
    given = {"judge": {"provider": "jury"}, "candidate": {"provider": "openai"}} | {who: {"provider": None}}
    roster = Roster(
        version=1,
        models=[a_model("candidate", **given["candidate"])],
        judges=[a_model("judge", **given["judge"])],
    )
    with pytest.raises(InputError, match=f"{who!r} has neither provider nor family"):
        build(Judges(roster, "openai"), judge="judge")


@pytest.mark.parametrize("payloads", ["redacted", "digest"])
def test_suites_that_keep_no_answers_are_refused(judges, payloads):
    """The judge comes after the run, and there would be nothing to show it."""
    suite = a_suite(cases=[CASE], scorers=["rubric"], payloads=payloads)
    with pytest.raises(InputError, match=f"payloads: {payloads} keeps no answer"):
        build(judges(), suite=suite, judge="judge")


def test_without_judges_nothing_is_asked():
    """Where only the names of metrics matter, no roster is needed."""
    scorer = build(None, judge="judge")
    assert scorer.ask(CASE, an_outcome(text="42")) == ()
    (entry,) = scorer.score(CASE, an_outcome(text="42"), ())
    assert entry.reason == "unjudged:no_judge"
