"""Every answer of a suite, case by case: what is shown, what is listed, what is held in memory."""

from __future__ import annotations

import json
import tracemalloc
from dataclasses import replace

import pytest

from evalkit.domain.outcome import Attempt, Cost, Kind, Reading, Timings, ToolCall, Turn
from evalkit.domain.score import Score, Scored, Unscored
from evalkit.reporters._answers import SuiteAnswers, kind_group


@pytest.fixture
def suite(made):
    """A suite whose primary metric is `fields`."""
    return made.a_suite("invoice-extraction", "invoice-extraction", "fields", 0.8)


@pytest.fixture
def written(made, suite, unpacked):
    """Function that writes (outcome, scores) pairs and returns (cases, rows, details)."""

    def write(*pairs, suite=suite, earlier=None):
        report, _ = made.sample()
        run = replace(report.run, run_id="tonight")
        scored = [Scored(call_key=outcome.call_key, scores=scores) for outcome, scores in pairs if scores]
        reader = made.FakeReader([outcome for outcome, _ in pairs], scored, run, earlier=earlier)
        previous = report.previous if earlier is not None else None
        answers = SuiteAnswers(replace(report, run=run, previous=previous), reader, suite, slug="inv")
        files = [(name, unpacked(content)) for name, content in answers.files()]
        cases = [case for name, value in files if ".cases-" in name for case in value]
        return cases, dict(files)["shards/inv.rows.js"], answers.details

    return write


@pytest.fixture
def outcome(made):
    """Function that makes an outcome of the suite's first case, numbered."""

    def make(number=0, kind=Kind.OK, **changes):
        whole = {"call_key": f"k{number}", "sequence": number, "case_id": f"invoice-extraction-{number:03}"}
        return made.an_outcome(kind, **{**whole, **changes})

    return make


RIGHT, WRONG = (Score("fields", 1.0),), (Score("fields", 0.25, "/total: 1, expected 2", ("wrong",)),)


def test_a_case_shows_prompt_expected_and_every_answer(written, outcome):
    """All models of a case stand together, with what they were asked."""
    pairs = [(outcome(0, call_key=f"k{model}", model_id=model), RIGHT) for model in ("gpt-4o", "gemini-pro")]
    (case,), rows, _ = written(*pairs)
    assert [answer["model"] for answer in case["answers"]] == ["gpt-4o", "gemini-pro"]
    assert case["prompt"][0] == ["system", "You extract."]
    assert json.loads(case["expected"]) == {"total": 0, "currency": "EUR"}
    assert case["answers"][0]["wire"][0][0].startswith('{"model"')
    assert rows["cases"] == ["invoice-extraction-000"]
    assert [rows["models"][number] for number in rows["model"]] == ["gpt-4o", "gemini-pro"]


def test_rows_say_what_the_list_sorts_by(written, outcome):
    """Unknown is its own number, never zero."""
    unknown = outcome(1, cost=Cost(), timings=Timings())
    _, rows, _ = written((outcome(0), WRONG), (unknown, (Unscored("fields", "unparsed"),)))
    assert rows["score"] == [2500, -1]
    assert rows["ms"] == [810, -1]
    assert rows["usd"] == [0.0021, -1]
    assert [rows["whys"][number] for number in rows["why"]] == ["fields: wrong", "fields: unparsed"]
    assert rows["flags"] == [1, 1]


def test_missing_answers_are_marked_apart(written, outcome):
    """A timeout is no wrong answer."""
    _, rows, details = written((outcome(0, Kind.TIMEOUT, text=None), (Unscored("fields", "missing:timeout"),)))
    assert rows["flags"] == [1 | 2]
    assert details["models"]["gpt-4o"]["kinds"] == [["timeout", 1]] or details["models"]["gpt-4o"]["kinds"] == [
        ("timeout", 1)
    ]


def test_a_refusal_that_was_asked_for_is_no_failure(written, outcome):
    """It scores 1 everywhere."""
    _, rows, _ = written((outcome(0, Kind.REFUSAL, text=None), RIGHT))
    assert rows["flags"] == [0]


def test_the_run_before_stands_beside_each_answer(written, outcome, made):
    """What broke, what was mended, and what was said then; the same words are not repeated."""
    night = replace(made.sample()[0].previous.run)
    before = [(outcome(0, text="then"), RIGHT), (outcome(1, text="then"), WRONG), (outcome(2, text="same"), RIGHT)]
    scored = [Scored(call_key=one.call_key, scores=scores) for one, scores in before]
    earlier = made.FakeReader([one for one, _ in before], scored, night)
    now = [(outcome(0, text="now"), WRONG), (outcome(1, text="now"), RIGHT), (outcome(2, text="same"), RIGHT)]
    cases, rows, _ = written(*now, earlier=earlier)
    broke, mended, differs = 4, 8, 16
    assert rows["flags"] == [1 | broke | differs, mended | differs, 0]
    assert [case["answers"][0]["before"] for case in cases] == [
        {"primary": 1.0, "is_same": False, "text": "then"},
        {"primary": 0.25, "is_same": False, "text": "then"},
        {"primary": 1.0, "is_same": True},
    ]


def test_a_run_in_another_order_is_found_all_the_same(written, outcome, made):
    """Another seed asks in another order."""
    night = made.sample()[0].previous.run
    before = [outcome(number, sequence=9 - number, text=f"then {number}") for number in range(5)]
    earlier = made.FakeReader(before, [], night)
    cases, _, _ = written(*((outcome(number), RIGHT) for number in range(5)), earlier=earlier)
    assert [case["answers"][0]["before"]["text"] for case in cases] == [f"then {number}" for number in range(5)]


@pytest.mark.parametrize(
    ("reading", "answer"),
    [
        ({"text": "yes"}, "yes"),
        ({"refusal": "no"}, "refusal: no"),
        ({"tool_calls": (ToolCall(name="add", arguments="{}"),)}, "tool call: add({})"),
        ({"detail": "upstream said no"}, "no answer: upstream said no"),
    ],
)
def test_the_answer_is_taken_from_the_field_it_came_in(written, outcome, reading, answer):
    """What a model said is shown, wherever it put it."""
    turn = Turn(reading=Reading(kind=Kind.OK, **reading))
    (case,), _, _ = written((outcome(0, turns=(turn,)), RIGHT))
    assert case["answers"][0]["text"] == answer


def test_a_call_that_was_never_answered_shows_its_last_attempt(written, outcome):
    """The wire's words stand where the answer would."""
    attempts = (Attempt(kind=Kind.CONNECTION, detail="refused"),)
    (case,), _, _ = written((outcome(0, Kind.CONNECTION, turns=(), attempts=attempts), ()))
    assert case["answers"][0]["text"] == "no answer: refused"
    assert case["answers"][0]["attempts"] == [["connection", None, 0.0, 0.0, None, "refused"]]


@pytest.mark.parametrize(
    "body", [b"", b"not json", b'{"messages": 3}', b'{"messages": [{"role": "user"}]}', b"[" * 5000]
)
def test_a_request_that_is_no_chat_does_no_harm(written, outcome, body):
    """It is in the raw view."""
    turn = Turn(reading=Reading(kind=Kind.OK, text="x"), request_body=body)
    (case,), _, _ = written((outcome(0, turns=(turn,)), RIGHT))
    assert isinstance(case["prompt"], list)


@pytest.mark.parametrize("payloads", ["redacted", "digest"])
def test_texts_the_suite_does_not_keep_are_not_shown(written, outcome, suite, payloads):
    """Expectations and reasons quote what was masked."""
    masked = suite.model_copy(update={"payloads": payloads})
    (case,), _, _ = written((outcome(0), WRONG), suite=masked)
    assert case["expected"] == f"not shown: payloads are {payloads}"
    assert case["answers"][0]["scores"] == [["fields", 0.25, "", []]]


def test_a_case_that_left_the_suite_is_said_so(written, outcome):
    """The answer is shown all the same."""
    (case,), _, _ = written((outcome(0, case_id="gone"), RIGHT))
    assert case["expected"] == "the case is no longer in the suite"


def test_a_megabyte_is_cut_and_said_to_be_one(written, outcome):
    """A page is no archive."""
    (case,), _, _ = written((outcome(0, text="x" * 1_000_000), RIGHT))
    answer = case["answers"][0]
    assert "1,000,000 characters in all" in answer["text"]
    assert "bytes in all" in answer["wire"][0][1]
    assert len(json.dumps(case)) < 60_000


def test_waiting_is_kept_apart(written, outcome):
    """Client time, queue, retry and first token each have their own distribution; what never happened has none."""
    times = [Timings(latency_s=1.0 + number, queue_s=0.5, retry_s=0.0) for number in range(4)]
    _, _, details = written(*((outcome(number, timings=one), RIGHT) for number, one in enumerate(times)))
    model = details["models"]["gpt-4o"]
    assert model["latency_s"][3] == 3.0
    assert model["latency_s"][-1] == 4.0
    assert model["queue_s"] == [0.5] * 9
    assert model["retry_s"] == model["ttft_s"] == []


def test_an_unknown_price_makes_the_mean_unknown(written, outcome):
    """Never the mean of what is known."""
    _, _, details = written((outcome(0), RIGHT), (outcome(1, cost=Cost()), RIGHT))
    assert details["models"]["gpt-4o"]["usd_per_call"] is None


def test_memory_does_not_grow_with_the_answers(made, suite):
    """Ten times the answers need the memory of one shard, and their rows."""
    report, _ = made.sample()

    class Endless(made.FakeReader):
        """Answers that are made while they are read."""

        def outcomes(self, run_id, **_):
            for number in range(3000):
                yield made.an_outcome(text="x" * 4000, call_key=f"k{number}", case_id=f"c{number}", sequence=number)

        def scores(self, run_id, **_):
            return iter(())

    answers = SuiteAnswers(replace(report, previous=None), Endless([], [], report.run), suite, slug="inv")
    tracemalloc.start()
    for _, content in answers.files():
        del content
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 12_000_000 < 3000 * 4000 * 2


def test_kind_groups_follow_the_taxonomy():
    """Every kind is one of answered, the model's fault, and nobody knows."""
    assert {kind_group(kind) for kind in Kind} == {"ok", "zero", "missing"}
    assert kind_group(Kind.OK) == "ok"
    assert kind_group(Kind.TRUNCATED) == "zero"
    assert kind_group(Kind.TIMEOUT) == "missing"
