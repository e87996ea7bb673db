"""Pairs: the first calls of a suite × model are sent to the baseline gateway too, and nothing else changes."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import replace

import pytest

from evalkit.domain.outcome import Cost, Kind, Timings
from evalkit.errors import InputError
from evalkit.pipeline.pairing import Pair, Pairing
from evalkit.pipeline.plan import plan
from evalkit.pipeline.record import StopReason, record
from evalkit.testing.builders import a_case, a_model, a_suite

LONG_S = 20.0
TALK = {"turns": [{"user": "{{ question }}"}, {"user": "Are you sure?"}]}
PRICED = (20 * 2.5 + 5 * 10) / 1e6
"""What an answer of the scripted gateways costs by list price."""


def a_suite_of(n, name="qa", **fields):
    """Return a suite of `n` cases."""
    return a_suite(name, cases=[a_case(f"case-{index}") for index in range(n)], **fields)


@pytest.fixture
def run(a_project, a_recorder, scripted, a_reply):
    """Give a function: measure with a baseline gateway; recording, outcomes in order, both gateways, store and run id.

    `straight` and `through` are the scripts of the two; every request is noted in `order`: which gateway, which call.
    """

    def _run(straight=None, through=None, *, n=10, n_pairs=3, suites=None, models=None, limits=None, **fields):
        order = []

        def noting(name, script):
            def answer(request):
                order.append((name, request.suite, request.case_id, request.trial))
                return script(request)

            return answer

        gateway = scripted(
            noting("gateway", through or (lambda _: a_reply(latency_s=0.5))), **fields.pop("profile", {})
        )
        baseline = scripted(noting("direct", straight or (lambda _: a_reply(latency_s=0.2))))
        baseline.profile = replace(baseline.profile, kind="direct", **fields.pop("baseline_profile", {}))
        project = a_project(suites=suites or [a_suite_of(n)], models=models)
        limits = {"baseline_calls": n_pairs} | (limits or {})
        recorder, run_id = a_recorder(gateway, project, baseline=baseline, limits=limits, **fields)
        recording = asyncio.run(asyncio.wait_for(record(plan(project), run_id, recorder=recorder), LONG_S))
        outcomes = list(recorder.ledger.outcomes(run_id))
        baseline.order = order
        return recording, outcomes, gateway, baseline, (recorder.ledger, run_id)

    return _run


def paired(outcomes):
    """Return the sequence numbers of the pairs."""
    return [outcome.sequence for outcome in outcomes if outcome.timings.direct_s is not None]


class TestWhichCalls:
    """Chosen by position in the plan alone."""

    @pytest.mark.parametrize("concurrency", [1, 64])
    def test_the_first_of_each_suite_and_model(self, run, concurrency):
        """Three of each of four cells, the first in scheduled order, each sent there once."""
        models = [a_model("one"), a_model("two")]
        suites = [a_suite_of(10), a_suite_of(10, "mail")]
        recording, outcomes, _, baseline, _ = run(suites=suites, models=models, limits={"concurrency": concurrency})
        assert len(baseline.requests) == recording.n_pairs == 12
        for suite in ("qa", "mail"):
            for model in ("one", "two"):
                mine = [o for o in outcomes if (o.suite, o.model_id) == (suite, model)]
                assert paired(mine) == [o.sequence for o in mine][:3]

    def test_only_first_trials_count(self, run):
        """The second trial of a case may be answered from a cache."""
        _, outcomes, _, baseline, _ = run(suites=[a_suite_of(4, trials=3)], n_pairs=3)
        assert {o.trial for o in outcomes if o.timings.direct_s is not None} == {0}
        assert len(baseline.requests) == 3

    def test_conversations_are_left_out(self, run):
        """What is said in a second turn depends on the first answer: no two requests are the same."""
        recording, _, gateway, baseline, _ = run(suites=[a_suite_of(3, request=TALK)])
        assert (len(gateway.requests), baseline.requests, recording.n_pairs) == (6, [], 0)

    def test_none_are_sent_when_switched_off(self, run):
        """`baseline_calls: 0` sends none."""
        _, outcomes, _, baseline, _ = run(n_pairs=0)
        assert (baseline.requests, paired(outcomes)) == ([], [])

    def test_a_resumed_run_does_not_move_on_to_other_calls(self, run, a_reply, a_fault):
        """What was paired is held; what failed is paired again at its own place; nothing beyond is."""

        def half(request):
            return a_reply(latency_s=0.5) if int(request.case_id.split("-")[1]) % 2 else a_reply("no", status=400)

        _, _, _, first, (store, run_id) = run(through=half, n=10, n_pairs=6)
        _, outcomes, _, second, _ = run(n=10, n_pairs=6, store=store, run_id=run_id)
        assert paired(outcomes) == [0, 1, 2, 3, 4, 5]
        seen = Counter(request.case_id for request in (*first.requests, *second.requests))
        assert set(seen) == {o.case_id for o in outcomes[:6]}
        odd = [case_id for case_id in seen if int(case_id.split("-")[1]) % 2]
        assert [seen[case_id] for case_id in odd] == [1] * len(odd)

    def test_choosing_changes_no_call(self, a_project):
        """The calls come out as they went in."""
        planned = plan(a_project(suites=[a_suite_of(5)]))
        pairing = Pairing(n_calls=2, price=None, pair_of=None)
        assert [call.key for call in pairing.choosing(planned.calls_of("gpt-4o"))] == [
            call.key for call in planned.calls_of("gpt-4o")
        ]
        assert [pairing.wants(call) for call in planned.calls_of("gpt-4o")] == [True, True, False, False, False]


class TestWhatIsSent:
    """The very same request, by the baseline gateway's own route and switches."""

    def test_route_and_switches_are_the_baselines(self, run):
        """Messages, parameters and coordinates agree; model name and clean-room switches are each side's own."""
        model = a_model(routes={"direct": "gpt-4o-2024-08-06"})
        _, _, gateway, baseline, _ = run(
            models=[model],
            n_pairs=1,
            profile={"extra_body": {"num_retries": 0}},
            baseline_profile={"extra_body": {"seed": 7}, "headers_for": lambda model: {"x-model": model.id}},
        )
        (direct,) = baseline.requests
        (through,) = [request for request in gateway.requests if request.case_id == direct.case_id]
        bodies = [json.loads(request.body) for request in (through, direct)]
        assert [body.pop("model") for body in bodies] == ["openai/gpt-4o", "gpt-4o-2024-08-06"]
        assert (bodies[0].pop("num_retries"), bodies[1].pop("seed")) == (0, 7)
        assert bodies[0] == bodies[1]
        assert (direct.headers, direct.attempt, direct.turn) == ({"x-model": "gpt-4o"}, 0, 0)
        assert direct.digest != through.digest

    def test_they_go_back_to_back_in_either_order(self, run):
        """Nothing comes between the two; who goes first is a coin, the same whenever the call is made."""
        _, _, _, baseline, _ = run(n=40, n_pairs=40, limits={"concurrency": 1})
        pairs = [(baseline.order[at], baseline.order[at + 1]) for at in range(0, 80, 2)]
        assert all(first[1:] == second[1:] and first[0] != second[0] for first, second in pairs)
        n_direct_first = sum(first[0] == "direct" for first, _ in pairs)
        assert 8 <= n_direct_first <= 32
        again = run(n=40, n_pairs=40, limits={"concurrency": 1})[3]
        assert again.order == baseline.order

    def test_they_share_a_slot(self, run):
        """No more than allowed are under way, both gateways taken together."""
        _, _, gateway, baseline, _ = run(n=40, n_pairs=40, limits={"concurrency": 5})
        assert gateway.most_at_once + baseline.most_at_once <= 10
        assert max(gateway.most_at_once, baseline.most_at_once) <= 5

    def test_rate_limits_count_both(self, run):
        """Six requests a second allow three pairs a second: two pairs take longer than two calls."""
        model = a_model(limits={"requests_per_minute": 600})
        _, outcomes, _, _, _ = run(n=3, n_pairs=3, models=[model])
        # Requests are due at 0, .1, .2 … s; the third pair waits for the sixth of them.
        assert max(outcome.timings.queue_s for outcome in outcomes) >= 0.45


class TestWhatIsKept:
    """Two times and a cost; the outcome is the gateway's."""

    def test_times_are_each_sides_own(self, run):
        """The pair is what was measured here and there."""
        _, outcomes, _, _, _ = run(n=5, n_pairs=2)
        assert [(o.timings.latency_s, o.timings.direct_s) for o in outcomes] == [(0.5, 0.2)] * 2 + [(0.5, None)] * 3

    def test_the_answer_is_never_the_baselines(self, run, a_reply):
        """Text, usage, attempts and cost are those of the answer through the gateway."""
        straight = lambda _: a_reply("no!", usage={"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18})  # noqa: E731
        _, outcomes, _, _, _ = run(straight, n=4, n_pairs=4)
        _, alone, _, _, _ = run(n=4, n_pairs=0)
        strip = {"timings": Timings(), "cost": Cost()}
        assert [replace(o, **strip) for o in outcomes] == [replace(o, **strip) for o in alone]
        assert {(o.cost.usd, o.cost.source) for o in outcomes} == {(PRICED, "roster")}

    @pytest.mark.parametrize("status", [400, 401, 429, 500, 503])
    def test_a_failure_there_fails_nothing(self, run, a_reply, status):
        """The call is neither failed nor tried again, the failed request is sent once and costs nothing."""
        recording, outcomes, gateway, baseline, _ = run(lambda _: a_reply("no", status=status), n=4, n_pairs=2)
        assert [o.kind for o in outcomes] == [Kind.OK] * 4
        assert (len(gateway.requests), len(baseline.requests), recording.n_missing) == (4, 2, 0)
        assert (paired(outcomes), {o.cost.direct_usd for o in outcomes}) == ([], {0.0})

    @pytest.mark.parametrize("answer", ["", None])
    def test_an_answer_that_is_not_ok_makes_no_pair(self, run, a_reply, answer):
        """A refusal or an empty answer took another time than the answer it is compared with."""
        _, outcomes, _, _, _ = run(lambda _: a_reply(answer), n=2, n_pairs=2)
        assert paired(outcomes) == []
        assert {o.cost.direct_usd for o in outcomes} == {PRICED}

    def test_another_model_there_makes_no_pair(self, run, a_reply):
        """A substituted model's time says nothing about the gateway."""
        _, outcomes, _, _, _ = run(lambda _: a_reply(model="claude-haiku"), n=2, n_pairs=2)
        assert (paired(outcomes), {o.kind for o in outcomes}) == ([], {Kind.OK})

    @pytest.mark.parametrize("side", ["straight", "through"])
    def test_a_cached_answer_makes_no_pair(self, run, a_reply, side):
        """A hit took no time of a model's, on either side."""
        hit = replace(a_reply(latency_s=0.001), headers={"x-portkey-cache-status": "HIT"})
        _, outcomes, _, _, _ = run(**{side: lambda _: hit}, n=2, n_pairs=2)
        assert (paired(outcomes), {o.kind for o in outcomes}) == ([], {Kind.OK})

    def test_a_retried_call_makes_no_pair(self, run, a_reply):
        """The attempt that answered was not beside the other half; that is not sent again, and was paid for."""
        _, outcomes, _, baseline, _ = run(
            through=lambda request: a_reply() if request.attempt else a_reply("busy", status=503), n=8, n_pairs=8
        )
        assert ({o.kind for o in outcomes}, paired(outcomes)) == ({Kind.OK}, [])
        assert len(baseline.requests) == len({request.case_id for request in baseline.requests}) < 8
        sent = {request.case_id for request in baseline.requests}
        assert [o.cost.direct_usd for o in outcomes] == [PRICED if o.case_id in sent else 0.0 for o in outcomes]

    def test_a_failed_call_is_not_paid_for_twice(self, run, a_reply):
        """When the gateway goes first and fails, the other half is not sent."""
        _, _, _, baseline, _ = run(through=lambda _: a_reply("no", status=400), n=8, n_pairs=8)
        assert {name for name, *_ in baseline.order} == {"gateway", "direct"}
        for before, after in zip(baseline.order, baseline.order[1:], strict=False):
            assert not (before[0] == "gateway" and after == ("direct", *before[1:]))

    def test_an_unknown_time_makes_no_pair(self, run, a_reply):
        """A reply without a time has none to compare."""
        _, outcomes, _, _, _ = run(lambda _: a_reply(latency_s=None), n=2, n_pairs=2)
        assert paired(outcomes) == []


class TestTrouble:
    """A baseline gateway that is not there costs little and harms nothing."""

    def test_it_is_asked_no_more_when_it_keeps_failing(self, run, a_fault):
        """Eight failures in a row end it for that model, and the run says so; the calls go on."""
        recording, outcomes, gateway, baseline, _ = run(
            lambda _: a_fault(), n=60, n_pairs=60, limits={"concurrency": 1}
        )
        assert (len(baseline.requests), recording.unpaired) == (8, {"gpt-4o": Kind.CONNECTION})
        assert (len(gateway.requests), {o.kind for o in outcomes}, recording.given_up) == (60, {Kind.OK}, {})

    def test_a_model_it_does_not_have_is_asked_for_three_times(self, run, a_reply):
        """Other models are paired all the same."""

        def straight(request):
            unknown = a_reply("no such model", status=404, code="model_not_found")
            return unknown if request.model_id == "two" else a_reply(latency_s=0.2)

        models = [a_model("one"), a_model("two")]
        recording, outcomes, _, baseline, _ = run(straight, n=20, n_pairs=20, models=models, limits={"concurrency": 1})
        assert Counter(request.model_id for request in baseline.requests) == {"one": 20, "two": 3}
        assert recording.unpaired == {"two": Kind.MODEL_UNAVAILABLE}
        assert {o.model_id for o in outcomes if o.timings.direct_s is not None} == {"one"}

    def test_a_key_that_cannot_be_read_any_more_fails_nothing(self, a_reply):
        """The call itself has its own key."""

        async def no_key():
            raise InputError("key file: gone")

        async def answered():
            return a_reply()

        pair = Pair(send=no_key, read=None, is_first=True)
        assert asyncio.run(pair.around(answered)).status == 200
        assert (pair.reading.kind, pair.latency_s) == (Kind.AUTH_ERROR, None)


class TestMoney:
    """Pairs are paid for: budget and spending know them, the price of an answer does not."""

    def test_spending_counts_both(self, run):
        """Ten answers and three more requests are thirteen prices; the store agrees."""
        recording, outcomes, _, _, (store, run_id) = run(n=10, n_pairs=3)
        assert recording.spent_usd == pytest.approx(13 * PRICED)
        assert store.spent_usd(run_id) == pytest.approx(13 * PRICED)
        assert sum(o.cost.usd for o in outcomes) == pytest.approx(10 * PRICED)

    def test_a_price_the_baseline_reports_counts(self, run, a_reply):
        """What it says it cost wins over the list."""
        _, outcomes, _, _, _ = run(
            lambda _: a_reply(headers={"x-cost": "0.5"}), n=2, n_pairs=1, baseline_profile={"cost_header": "x-cost"}
        )
        assert [o.cost.direct_usd for o in outcomes] == [0.5, 0.0]

    def test_an_unknown_price_is_unknown(self, run, a_reply):
        """Never free: it is counted among the unknown."""
        recording, outcomes, _, _, _ = run(lambda _: a_reply(usage=None), n=4, n_pairs=2)
        assert [o.cost.direct_usd for o in outcomes] == [None, None, 0.0, 0.0]
        assert recording.n_unknown_cost == 2

    def test_the_budget_holds_with_pairs(self, run, a_reply):
        """Whatever answers cost, the run stops before its budget; a pair reserves twice."""
        price = {"input_usd_per_mtok": 1000.0, "output_usd_per_mtok": 1000.0}
        model = a_model(price=price)
        suite = a_suite_of(50, request={"prompt": "{{ question }}", "max_output_tokens": 30})
        recording, _, gateway, baseline, _ = run(
            suites=[suite], models=[model], n_pairs=50, limits={"budget_usd": 2.0, "concurrency": 4}
        )
        assert recording.stopped_by == {StopReason.BUDGET}
        assert recording.spent_usd <= 2.0
        assert len(gateway.requests) + len(baseline.requests) == pytest.approx(recording.spent_usd / 0.025)
        assert recording.spent_usd > 1.0

    def test_an_unknown_price_uses_up_what_was_reserved(self, run, a_reply):
        """A budget is a promise: what nobody priced counts as the most it can be."""
        suite = a_suite_of(50, request={"prompt": "{{ question }}", "max_output_tokens": 30})
        price = {"input_usd_per_mtok": 1000.0, "output_usd_per_mtok": 1000.0}
        shared = {"suites": [suite], "models": [a_model(price=price)], "n_pairs": 50}
        limits = {"budget_usd": 6.0, "concurrency": 1}
        priced = run(limits=limits, **shared)[0]
        unpriced = run(lambda _: a_reply(usage=None), limits=limits, **shared)[0]
        assert unpriced.n_sent < priced.n_sent
