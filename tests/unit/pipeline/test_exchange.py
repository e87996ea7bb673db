"""One call, start to end: attempts, turns, times and costs add up to one outcome."""

from __future__ import annotations

import asyncio
import json

import pytest

from evalkit.domain.outcome import RETRYABLE, Kind
from evalkit.domain.roster import ModelLimits
from evalkit.pipeline.exchange import Exchange, missing_outcome
from evalkit.pipeline.pacing import Breaker, Lane, RetryPolicy
from evalkit.pipeline.plan import plan
from evalkit.plugins import Fault, Reply
from evalkit.testing.builders import a_model, a_suite

TOOL = {"name": "look_up", "parameters": {"type": "object"}}
TALK = {"tools": [TOOL], "turns": [{"user": "one", "tool_results": {"look_up": 42}}, {"user": "two"}]}
PLAIN_TALK = {"turns": [{"user": "one"}, {"user": "two"}]}


def calling(names):
    """Return an answer that calls these tools."""
    listed = [names] if isinstance(names, str) else names
    calls = [
        {"id": f"c{i}", "type": "function", "function": {"name": name, "arguments": "{}"}}
        for i, name in enumerate(listed)
    ]
    message = {"role": "assistant", "content": None, "tool_calls": calls}
    usage = {"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25}
    choices = [{"index": 0, "message": message, "finish_reason": "tool_calls"}]
    body = json.dumps({"model": "gpt-4o", "choices": choices, "usage": usage}).encode()
    return Reply(status=200, headers={"content-type": "application/json"}, body=body, latency_s=0.25)


@pytest.fixture
def make(a_project, scripted, stepped_clock):
    """Give a function: one call answered by these answers, one after the other; the outcome and what was sent."""

    def _make(*answers, request=None, model=None, may_retry=None, profile=None, step_s=0.0, max_attempts=3):
        model = model or a_model()
        project = a_project(suites=[a_suite(request=request or {"prompt": "{{ question }}"})], models=[model])
        call = next(plan(project).calls_of(model.id))
        left = list(answers)
        gateway = scripted(lambda _request: left.pop(0), **(profile or {}))
        clock = stepped_clock(step_s=step_s)
        paused = []

        async def sleep(seconds):
            paused.append(seconds)
            clock.at_s += seconds

        async def made():
            exchange = Exchange(
                gateway=gateway,
                model=model,
                retry=RetryPolicy(max_attempts=max_attempts, base_s=0.5, hint_cap_s=30),
                timeout_s=60,
                clock=clock,
                lane=Lane(max_workers=1, limits=ModelLimits(), breaker=Breaker()),
                slots=asyncio.Semaphore(1),
                sleep=sleep,
            )
            return await exchange.make(call, **({} if may_retry is None else {"may_retry": may_retry}))

        outcome = asyncio.run(made())
        assert not left, "fewer requests were made than answered"
        return outcome, gateway.requests, paused

    return _make


class TestAttempts:
    """What is tried again, how often, and what is never."""

    def test_an_answer_is_one_attempt(self, make, a_reply):
        """The plain case: one request, one outcome with its coordinates, text and usage."""
        outcome, (request,), paused = make(a_reply("forty-two", latency_s=0.25))
        assert (outcome.kind, outcome.text, outcome.usage.total_tokens) == (Kind.OK, "forty-two", 25)
        assert (outcome.suite, outcome.case_id, outcome.model_id, outcome.trial) == ("qa", "case-1", "gpt-4o", 0)
        assert (request.attempt, request.turn, request.timeout_s, paused) == (0, 0, 60, [])
        assert [attempt.kind for attempt in outcome.attempts] == [Kind.OK]

    @pytest.mark.parametrize("status", [429, 500, 502, 503, 529])
    def test_infrastructure_faults_are_tried_again(self, make, a_reply, status):
        """The second attempt is the same request; both are kept."""
        outcome, requests, paused = make(a_reply("busy", status=status), a_reply())
        assert outcome.kind is Kind.OK
        assert [request.attempt for request in requests] == [0, 1]
        assert requests[0].body == requests[1].body
        assert outcome.attempts[0].kind in RETRYABLE
        assert (outcome.attempts[0].status, outcome.attempts[0].pause_s) == (status, paused[0])

    @pytest.mark.parametrize("kind", [Kind.TIMEOUT, Kind.CONNECTION, Kind.STREAM_CUT])
    def test_failures_on_the_way_are_tried_again(self, make, a_reply, a_fault, kind):
        """No status is needed to know that nothing came back."""
        outcome, requests, _ = make(a_fault(kind), a_fault(kind), a_reply())
        assert (outcome.kind, len(requests)) == (Kind.OK, 3)
        assert [attempt.status for attempt in outcome.attempts] == [None, None, 200]

    def test_attempts_are_bounded(self, make, a_fault):
        """The last fault is the outcome, and nothing is waited for after it."""
        outcome, requests, paused = make(*[a_fault()] * 3)
        assert (outcome.kind, len(requests), len(paused)) == (Kind.CONNECTION, 3, 2)
        assert outcome.attempts[-1].pause_s == 0

    @pytest.mark.parametrize(
        ("status", "fields", "kind"),
        [
            (401, {"code": "invalid_api_key"}, Kind.AUTH_ERROR),
            (429, {"code": "insufficient_quota", "type": "insufficient_quota"}, Kind.QUOTA_EXHAUSTED),
            (402, {}, Kind.QUOTA_EXHAUSTED),
            (404, {"code": "model_not_found"}, Kind.MODEL_UNAVAILABLE),
            (400, {"type": "invalid_request_error"}, Kind.REQUEST_REJECTED),
        ],
    )
    def test_what_waiting_does_not_mend_is_never_tried_again(self, make, a_reply, status, fields, kind):
        """A wrong key, an empty account and a bad request stay what they are."""
        outcome, requests, paused = make(a_reply("no", status=status, **fields))
        assert (outcome.kind, len(requests), paused) == (kind, 1, [])

    @pytest.mark.parametrize("text", ["", "I cannot help with that.", "not JSON at all {"])
    def test_a_bad_answer_is_never_tried_again(self, make, a_reply, text):
        """Asking again until it is good would measure another model than the one that is routed to."""
        _, requests, _ = make(a_reply(text))
        assert len(requests) == 1

    def test_the_server_may_forbid_it(self, make, a_reply):
        """`x-should-retry: false` is believed."""
        outcome, requests, _ = make(a_reply("down", status=500, headers={"x-should-retry": "false"}))
        assert (outcome.kind, len(requests)) == (Kind.PROVIDER_ERROR, 1)

    def test_the_run_may_forbid_it(self, make, a_fault):
        """Past the deadline, or when the model was given up, the first fault is the last; the pause is asked about."""
        asked = []
        outcome, requests, paused = make(a_fault(), may_retry=lambda pause_s: asked.append(pause_s) or False)
        assert (outcome.kind, len(requests), paused) == (Kind.CONNECTION, 1, [])
        assert 0 <= asked[0] <= 0.5

    def test_a_hint_is_honoured_up_to_the_cap(self, make, a_reply):
        """`retry-after` is waited for; one of a day is waited for 30 s."""
        busy = [a_reply("busy", status=429, headers={"retry-after": hint}) for hint in ("7", "86400")]
        _, _, (first, second) = make(*busy, a_reply())
        assert 7 <= first <= 7.5
        assert 30 <= second <= 31

    def test_pauses_follow_from_the_seed(self, make, a_fault):
        """The same run again waits the same: jitter is not drawn from the machine."""
        assert make(*[a_fault()] * 3)[2] == make(*[a_fault()] * 3)[2]


class TestTimes:
    """The latency is the answering attempt alone."""

    def test_retries_are_kept_apart(self, make, a_reply):
        """Failed attempts and pauses are `retry_s`, the last attempt is the latency."""
        outcome, _, (pause_s,) = make(a_reply("busy", status=503, latency_s=9.0), a_reply(latency_s=0.25))
        assert outcome.timings.latency_s == 0.25
        assert outcome.timings.retry_s == pytest.approx(9.0 + pause_s)

    def test_waiting_for_a_slot_is_kept_apart(self, make, a_reply):
        """Our own queue is no latency of the model: every reading of this clock is a second later."""
        outcome, _, _ = make(a_reply("busy", status=503, latency_s=9.0), a_reply(latency_s=0.25), step_s=1.0)
        assert (outcome.timings.latency_s, outcome.timings.queue_s) == (0.25, 1.0)
        assert 10.0 <= outcome.timings.retry_s <= 11.0

    def test_an_unknown_latency_stays_unknown(self, make, a_reply):
        """A recording without a latency gives none, not zero seconds."""
        outcome, _, _ = make(a_reply(latency_s=None))
        assert outcome.timings.latency_s is None

    def test_turns_add_up(self, make, a_reply):
        """A conversation takes as long as its turns together; unknown is unknown for the whole."""
        talk = {"turns": [{"user": "one"}, {"user": "two"}]}
        known, _, _ = make(a_reply(latency_s=1.0), a_reply(latency_s=2.0), request=talk)
        unknown, _, _ = make(a_reply(latency_s=1.0), a_reply(latency_s=None), request=talk)
        assert (known.timings.latency_s, unknown.timings.latency_s) == (3.0, None)


class TestConversations:
    """Several turns, one outcome."""

    def test_the_second_turn_carries_the_first(self, make, a_reply):
        """Question, answer and the next question, in order."""
        outcome, requests, _ = make(a_reply("first"), a_reply("second"), request=PLAIN_TALK)
        messages = json.loads(requests[1].body)["messages"]
        assert [(m["role"], m["content"]) for m in messages] == [
            ("user", "one"),
            ("assistant", "first"),
            ("user", "two"),
        ]
        assert (outcome.text, [request.turn for request in requests], len(outcome.turns)) == ("second", [0, 1], 2)

    def test_call_result_answer(self, make, a_reply):
        """A result goes back before the user says anything more, and the model answers with it."""
        outcome, requests, _ = make(calling("look_up"), a_reply("it is 42"), a_reply("bye"), request=TALK)
        sent = [[(m["role"], m["content"]) for m in json.loads(request.body)["messages"]] for request in requests]
        assert sent[1] == [("user", "one"), ("assistant", None), ("tool", "42")]
        assert sent[2] == [*sent[1], ("assistant", "it is 42"), ("user", "two")]
        assert [turn.user_turn for turn in outcome.turns] == [0, 0, 1]
        assert (outcome.kind, outcome.text, outcome.usage.total_tokens) == (Kind.OK, "bye", 75)

    def test_calls_of_the_last_turn_are_its_answer(self, make):
        """Where nothing is sent back, the call itself is what is asked for."""
        outcome, requests, _ = make(calling("look_up"), request={"tools": [TOOL], "turns": [{"user": "one"}]})
        assert (outcome.kind, outcome.flags.count("unexpected_tool_call"), len(requests)) == (Kind.OK, 0, 1)

    @pytest.mark.parametrize(
        ("answers", "flag"),
        [
            ([{"content": "I know"}], "missing_tool_call"),
            (["look_down"], "unexpected_tool_call"),
            (["look_up", ["look_up", "look_down"]], "unexpected_tool_call"),
            (["look_up", "look_up", "look_up"], "endless_tool_calls"),
        ],
    )
    def test_tool_calls_can_end_it(self, make, a_reply, answers, flag):
        """A call nobody scripted, none, or one after the other: the model's doing, and nothing is asked after it."""
        replies = [a_reply("I know") if isinstance(one, dict) else calling(one) for one in answers]
        outcome, requests, _ = make(*replies, request=TALK)
        assert (outcome.kind, outcome.is_missing, len(requests)) == (Kind.OK, False, len(answers))
        assert flag in outcome.flags

    def test_a_fault_after_a_tool_result_repeats_that_request_only(self, make, a_reply, a_fault):
        """The call is not asked for again: its result is sent once more."""
        _, requests, _ = make(calling("look_up"), a_fault(), a_reply("42"), a_reply("bye"), request=TALK)
        assert [(request.turn, request.attempt) for request in requests] == [(0, 0), (1, 0), (1, 1), (2, 0)]
        assert requests[1].body == requests[2].body

    def test_a_turn_that_fails_is_the_end(self, make, a_reply):
        """Nothing is asked after a refusal; the outcome is what the failed turn was."""
        refused = a_reply(None, message={"refusal": "no"})
        outcome, requests, _ = make(refused, request=TALK)
        assert (outcome.kind, len(requests)) == (Kind.REFUSAL, 1)

    def test_every_turn_has_its_own_attempts(self, make, a_reply, a_fault):
        """A fault in the second turn does not ask the first one again."""
        _, requests, _ = make(a_reply("first"), a_fault(), a_reply("second"), request=PLAIN_TALK)
        assert [(request.turn, request.attempt) for request in requests] == [(0, 0), (1, 0), (1, 1)]

    def test_another_model_in_the_middle_voids_it(self, make, a_reply):
        """A conversation that two models answered is nobody's."""
        outcome, _, _ = make(a_reply("a"), a_reply("b", model="gpt-4o-2024-08-06"), request=PLAIN_TALK)
        assert outcome.kind is outcome.attempts[-1].kind is Kind.SUBSTITUTED_MODEL
        assert outcome.attempts[-1].detail == "turn 2 was answered by gpt-4o-2024-08-06, turn 1 by gpt-4o"
        assert "model_changed_in_conversation" in outcome.flags


class TestCosts:
    """What is known is added up; what is not known is never zero."""

    def test_the_list_price_times_tokens(self, make, a_reply):
        """Without a word of the gateway the roster's price counts."""
        outcome, _, _ = make(a_reply())
        assert (outcome.cost.source, outcome.cost.usd) == ("roster", pytest.approx((20 * 2.5 + 5 * 10) / 1e6))

    def test_reasoning_left_out_of_the_completion_is_billed(self, make, a_reply):
        """The total knows of tokens the completion count hides."""
        outcome, _, _ = make(a_reply(usage={"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 125}))
        assert outcome.cost.usd == pytest.approx((20 * 2.5 + 105 * 10) / 1e6)

    def test_the_gateway_knows_better(self, make, a_reply):
        """A reported cost wins over the list price; that of a failed attempt is added."""
        answers = [
            a_reply("down", status=500, headers={"x-cost": "0.5"}),
            a_reply(headers={"x-cost": "0.25"}),
        ]
        outcome, _, _ = make(*answers, profile={"cost_header": "x-cost"})
        assert outcome.cost.source == "gateway"
        assert outcome.cost.usd == pytest.approx(0.25 + (outcome.attempts[0].cost_usd or 0))

    def test_half_a_report_is_not_added_to_a_price(self, make, a_reply):
        """When only one turn was reported, list prices count for all: nothing is paid twice."""
        talk = {"turns": [{"user": "one"}, {"user": "two"}]}
        answers = [a_reply(headers={"x-cost": "0.5"}), a_reply()]
        outcome, _, _ = make(*answers, request=talk, profile={"cost_header": "x-cost"})
        assert (outcome.cost.source, outcome.cost.usd) == ("roster", pytest.approx(2 * (20 * 2.5 + 5 * 10) / 1e6))

    @pytest.mark.parametrize("usage", [None, {"prompt_tokens": 20}])
    def test_without_tokens_the_cost_is_unknown(self, make, a_reply, usage):
        """A price without a count says nothing."""
        outcome, _, _ = make(a_reply(usage=usage))
        assert (outcome.cost.usd, outcome.cost.source) == (None, "unknown")

    def test_without_a_price_the_cost_is_unknown(self, make, a_reply):
        """Tokens without a price say nothing either."""
        outcome, _, _ = make(a_reply(), model=a_model(price=None))
        assert outcome.cost.usd is None

    def test_a_fault_costs_nobody_knows_what(self, make):
        """A timeout may have been billed."""
        outcome, _, _ = make(Fault(kind=Kind.TIMEOUT, detail="", latency_s=60), max_attempts=1)
        assert outcome.cost.usd is None


def test_usage_of_a_turn_without_usage_is_unknown(make, a_reply):
    """A sum with an unknown part is unknown."""
    talk = {"turns": [{"user": "one"}, {"user": "two"}]}
    outcome, _, _ = make(a_reply(), a_reply(usage={"prompt_tokens": 30, "total_tokens": 40}), request=talk)
    assert (outcome.usage.prompt_tokens, outcome.usage.completion_tokens) == (50, None)


def test_a_call_left_unsent_is_missing_and_free(a_project):
    """Its outcome says that nothing was sent, and why."""
    call = next(plan(a_project()).calls_of("gpt-4o"))
    outcome = missing_outcome(call, kind=Kind.AUTH_ERROR, now_s=5.0, why="given up")
    assert (outcome.call_key, outcome.is_missing, outcome.cost.usd) == (call.key, True, 0.0)
    assert (outcome.flags, outcome.timings.latency_s, outcome.attempts[0].detail) == (("not_sent",), None, "given up")
