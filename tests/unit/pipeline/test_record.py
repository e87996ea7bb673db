"""Record: every planned call ends as exactly one outcome, or stays unsent because the run was stopped."""

from __future__ import annotations

import asyncio
import gc
import json
import time
from collections import Counter
from dataclasses import replace

import pytest

from evalkit.domain.outcome import Kind
from evalkit.domain.run import RunStatus
from evalkit.errors import StoreError
from evalkit.pipeline.pacing import RetryPolicy
from evalkit.pipeline.plan import plan
from evalkit.pipeline.record import StopReason, record
from evalkit.testing.builders import a_case, a_model, a_suite

LONG_S = 20.0
"""No test waits so long: a deadlock fails instead of hanging."""


def a_suite_of(n, **fields):
    """Return a suite of `n` cases."""
    return a_suite(cases=[a_case(f"case-{index}") for index in range(n)], **fields)


@pytest.fixture
def run(a_project, a_recorder, scripted):
    """Give a function: measure `n` cases of some models with a script; recording, store, run id and gateway."""

    def _run(script, *, n=40, models=None, suites=None, seed=0, **fields):
        project = a_project(suites=suites or [a_suite_of(n)], models=models)
        gateway = scripted(script)
        recorder, run_id = a_recorder(gateway, project, **fields)
        planned = plan(project, seed=seed)
        began = time.monotonic()
        recording = asyncio.run(asyncio.wait_for(record(planned, run_id, recorder=recorder), LONG_S))
        gateway.elapsed_s = time.monotonic() - began
        return recording, recorder.ledger, run_id, gateway

    return _run


def kinds_of(store, run_id):
    """Return how many outcomes of each kind a run holds."""
    return Counter(outcome.kind for outcome in store.outcomes(run_id))


class TestEveryCall:
    """What is planned is asked once and kept."""

    @pytest.mark.parametrize("concurrency", [1, 3, 64])
    def test_every_call_ends_as_one_outcome(self, run, a_reply, concurrency):
        """Two models, forty cases: eighty requests, eighty outcomes, a finished run."""
        recording, store, run_id, gateway = run(
            lambda _: a_reply(), models=[a_model("one"), a_model("two")], limits={"concurrency": concurrency}
        )
        assert (len(gateway.requests), recording.n_sent, recording.n_answered, recording.n_missing) == (80, 80, 80, 0)
        assert kinds_of(store, run_id) == {Kind.OK: 80}
        assert store.run(run_id).status is RunStatus.FINISHED

    def test_no_more_than_allowed_are_under_way(self, run, a_reply):
        """The run's limit holds over all models, the model's own within it."""
        models = [a_model("one", limits={"concurrency": 2}), a_model("two"), a_model("three")]
        _, _, _, gateway = run(lambda _: a_reply(), models=models, limits={"concurrency": 5})
        assert gateway.most_at_once == 5
        _, _, _, alone = run(lambda _: a_reply(), models=models[:1], limits={"concurrency": 5})
        assert alone.most_at_once == 2

    def test_a_pause_before_a_retry_holds_no_slot(self, run, a_reply):
        """One model that waits for its 429s does not keep the others from being asked."""
        began, sent = time.monotonic(), []

        def script(request):
            sent.append((request.model_id, request.attempt, time.monotonic() - began))
            if request.model_id == "busy" and not request.attempt:
                return a_reply("busy", status=429, headers={"retry-after": "9"})
            return a_reply()

        retry = RetryPolicy(max_attempts=2, base_s=0.0, hint_cap_s=0.5)
        run(script, n=2, models=[a_model("busy"), a_model("free")], limits={"concurrency": 1}, retry=retry)
        assert max(at_s for model_id, _, at_s in sent if model_id == "free") < 0.5
        assert min(at_s for model_id, attempt, at_s in sent if attempt) >= 0.5

    def test_what_is_held_is_not_sent_again(self, run, a_reply, a_project, a_recorder, scripted):
        """The same run goes on where it was: answers are never asked for twice, missing ones are."""

        def half(request):
            return a_reply() if int(request.case_id.split("-")[1]) % 2 else a_reply("no", status=400)

        recording, store, run_id, _ = run(half)
        assert (recording.n_answered, recording.n_missing) == (20, 20)
        again, _, _, gateway = run(lambda _: a_reply(), store=store, run_id=run_id)
        assert (again.n_held, again.n_sent, len(gateway.requests)) == (20, 20, 20)
        assert {int(request.case_id.split("-")[1]) % 2 for request in gateway.requests} == {0}
        assert kinds_of(store, run_id) == {Kind.OK: 40}

    def test_the_payload_mode_is_applied(self, run, a_reply):
        """What is kept is what `prepare` leaves."""
        _, store, run_id, _ = run(lambda _: a_reply("secret"), n=3, prepare=lambda outcome: (blanked(outcome), None))
        assert [outcome.text for outcome in store.outcomes(run_id)] == [None] * 3

    def test_progress_is_told(self, run, a_reply):
        """Whoever watches hears of every outcome."""
        heard = []
        run(lambda _: a_reply(), n=5, observe=heard.append)
        assert [(progress.model_id, progress.kind, progress.n_attempts) for progress in heard] == [
            ("gpt-4o", Kind.OK, 1)
        ] * 5

    def test_answers_do_not_depend_on_concurrency(self, run, a_reply):
        """One at a time or sixty-four at once: the same outcomes but for the times."""

        def script(request):
            number = int(request.case_id.split("-")[1])
            if number % 7 == 0 and request.attempt == 0:
                return a_reply("busy", status=503)
            return a_reply(f"answer {number}")

        def shown(concurrency):
            _, store, run_id, _ = run(script, limits={"concurrency": concurrency})
            return [(o.call_key, o.kind, o.text, o.sequence, len(o.attempts)) for o in store.outcomes(run_id)]

        assert shown(1) == shown(64)


def blanked(outcome):
    """Return the outcome without its turns."""
    return replace(outcome, turns=())


class TestTrouble:
    """Gateways that fail: bounded time, bounded money, and the truth about it."""

    def test_nobody_is_there(self, run, a_fault):
        """Every model is given up within moments, nothing is left unaccounted, and the run can go on later."""
        recording, store, run_id, gateway = run(
            lambda _: a_fault(), n=500, models=[a_model("one"), a_model("two")], limits={"concurrency": 16}
        )
        assert recording.found_nobody
        assert set(recording.given_up) == {"one", "two"}
        assert recording.n_missing == len(list(store.outcomes(run_id))) == 1000
        assert len(gateway.requests) < 2 * (16 + 2 + 8) * 3
        assert store.run(run_id).status is RunStatus.INTERRUPTED
        assert gateway.elapsed_s < 5

    def test_a_probe_is_asked_once(self, run, a_fault):
        """Calls are tried three times, the two probes after them once: a gateway that hangs costs little time."""
        _, _, _, gateway = run(lambda _: a_fault(), n=100, limits={"concurrency": 16})
        tries = Counter(request.case_id for request in gateway.requests)
        assert Counter(tries.values())[1] == 2
        assert set(tries.values()) == {1, 3}

    def test_nobody_is_there_any_more(self, run, a_reply, a_fault):
        """Going on with a run while the gateway is away leaves it open again: its answers are still good."""
        _, store, run_id, _ = run(lambda r: a_reply() if int(r.case_id[5:]) < 20 else a_fault(), n=40)
        again, _, _, _ = run(lambda _: a_fault(), n=40, store=store, run_id=run_id)
        assert (again.n_held, again.found_nobody) == (20, True)
        assert store.run(run_id).status is RunStatus.INTERRUPTED
        assert kinds_of(store, run_id) == {Kind.OK: 20, Kind.CONNECTION: 20}

    def test_nobody_is_there_for_a_handful_of_calls(self, run, a_fault):
        """Three calls are too few to give a model up, but enough to know that nobody answered."""
        recording, _, _, _ = run(lambda _: a_fault(), n=3)
        assert recording.found_nobody
        assert recording.last_missing == {"gpt-4o": Kind.CONNECTION}

    @pytest.mark.parametrize("status", [401, 402, 404])
    def test_a_wrong_key_is_found_out_soon(self, run, a_reply, status):
        """What waiting does not mend is never tried again, and few calls are spent on it."""
        fields = {404: {"code": "model_not_found"}}.get(status, {})
        recording, _, _, gateway = run(
            lambda _: a_reply("no", status=status, **fields), n=500, limits={"concurrency": 8}
        )
        assert recording.found_nobody
        assert len(gateway.requests) <= 8 + 3 + 2
        assert {request.attempt for request in gateway.requests} == {0}

    def test_429_for_all_ends(self, run, a_reply):
        """Retries are bounded, hints are capped, and then the model is given up."""
        recording, _, _, gateway = run(
            lambda _: a_reply("slow down", status=429, headers={"retry-after": "86400"}), n=200
        )
        assert recording.found_nobody
        assert recording.given_up == {"gpt-4o": Kind.RATE_LIMITED}
        assert gateway.elapsed_s < 10

    def test_a_gateway_that_dies_takes_only_the_rest(self, run, a_reply, a_fault):
        """What came back is kept; the others are missing, most of them unsent."""
        answered = []

        def script(request):
            if len(answered) >= 100:
                return a_fault()
            answered.append(request)
            return a_reply()

        recording, store, run_id, gateway = run(script, n=500, limits={"concurrency": 16})
        assert (recording.n_answered, recording.n_missing) == (100, 400)
        assert kinds_of(store, run_id) == {Kind.OK: 100, Kind.CONNECTION: 400}
        assert recording.given_up == {"gpt-4o": Kind.CONNECTION}
        assert not recording.found_nobody
        assert sum("not_sent" in outcome.flags for outcome in store.outcomes(run_id)) > 300
        assert len(gateway.requests) < 250
        assert store.run(run_id).status is RunStatus.FINISHED

    def test_a_short_outage_costs_only_what_was_in_flight(self, run, a_reply, a_fault):
        """A probe finds the model back, and everybody goes on at full width."""
        sent = []

        def script(request):
            sent.append(request)
            return a_fault() if 50 <= len(sent) < 50 + 16 * 3 else a_reply()

        recording, _, _, gateway = run(script, n=300, limits={"concurrency": 16})
        assert recording.given_up == {}
        assert 8 <= recording.n_missing <= 20
        assert recording.n_answered == 300 - recording.n_missing
        assert gateway.most_at_once == 16

    def test_a_burst_of_failures_at_the_start_gives_nothing_up(self, run, a_reply):
        """Sixty-four calls at once are refused, the sixty-fifth is not: that is no dead model."""
        sent = []

        def script(request):
            sent.append(request)
            return a_reply("too many", status=400) if len(sent) <= 64 else a_reply()

        recording, _, _, _ = run(script, n=300)
        assert recording.given_up == {}
        assert (recording.n_missing, recording.n_answered) == (64, 236)

    def test_quick_refusals_do_not_give_a_slow_model_up(self, run, a_reply):
        """One case in four is refused at once; the others take a moment, and all of them are heard."""

        async def slowly():
            await asyncio.sleep(0.05)
            return a_reply()

        def script(request):
            return a_reply("no", status=400) if int(request.case_id.split("-")[1]) % 4 == 0 else slowly()

        recording, _, _, _ = run(script, n=200, limits={"concurrency": 32}, probe_pause_s=0.1)
        assert recording.given_up == {}
        assert (recording.n_answered, recording.n_missing) == (150, 50)

    def test_one_dead_model_does_not_stop_the_others(self, run, a_reply, a_fault):
        """Lanes are apart: the dead one is given up, the other is measured whole."""
        recording, store, run_id, _ = run(
            lambda request: a_reply() if request.model_id == "good" else a_fault(),
            n=100,
            models=[a_model("dead"), a_model("good")],
        )
        assert set(recording.given_up) == {"dead"}
        assert kinds_of(store, run_id) == {Kind.OK: 100, Kind.CONNECTION: 100}

    def test_the_rate_limited_are_narrowed_and_still_finish(self, run, a_reply):
        """First attempts get a 429 more often than not: nobody is left waiting for width when the calls run out."""

        def script(request):
            number = int(request.case_id.split("-")[1])
            return a_reply("busy", status=429) if request.attempt < number % 3 else a_reply()

        recording, _, _, _ = run(script, n=300)
        assert recording.n_answered == 300

    def test_a_late_429_does_not_park_a_worker_for_ever(self, run, a_reply):
        """The other worker is done when this one's last call is refused for good: both come to their end."""

        async def slow_429():
            await asyncio.sleep(0.03)
            return a_reply("busy", status=429)

        def script(request):
            return slow_429() if request.case_id == "case-0" else a_reply()

        for seed in range(4):
            recording, _, _, _ = run(script, n=2, limits={"concurrency": 2}, seed=seed)
            assert (recording.n_answered, recording.n_missing) == (1, 1)

    def test_a_hole_in_recordings_gives_nothing_up(self, run, a_reply):
        """A replay answers what it holds, whatever is missing in front of it, and asks for no money."""

        def script(request):
            found = int(request.case_id.split("-")[1]) >= 90
            return a_reply() if found else a_reply("no recording", status=404, code="model_not_found")

        model = a_model(limits={"requests_per_minute": 1})
        recording, _, _, gateway = run(script, n=100, models=[model], is_replay=True, limits={"budget_usd": 1e-9})
        assert (recording.n_answered, recording.n_missing, recording.given_up) == (10, 90, {})
        assert gateway.elapsed_s < 5


class TestLimits:
    """Budget and deadline stop a run; it can go on later."""

    def test_a_budget_is_never_overspent(self, run, a_reply):
        """With known prices the spent never passes the limit, however many are under way; the rest stays unsent."""
        usage = {"prompt_tokens": 20, "completion_tokens": 1024, "total_tokens": 1044}
        recording, store, run_id, _ = run(lambda _: a_reply(usage=usage), n=200, limits={"budget_usd": 0.5})
        assert recording.stopped_by == {StopReason.BUDGET}
        assert 0.4 < recording.spent_usd <= 0.5
        assert store.spent_usd(run_id) == pytest.approx(recording.spent_usd)
        assert recording.n_sent == len(list(store.outcomes(run_id))) < 200
        assert store.run(run_id).status is RunStatus.STOPPED

    def test_cheap_calls_are_not_held_back_by_the_worst_case(self, run, a_reply):
        """What comes back cheaper than reserved makes room: nearly the whole budget can be used."""
        recording, _, _, _ = run(lambda _: a_reply(), n=200, limits={"budget_usd": 0.031, "concurrency": 8})
        assert recording.n_sent == 200

    def test_a_budget_that_fits_nothing_sends_nothing(self, run, a_reply):
        """One cent and a dear model: stopped at once, and said so."""
        dear = a_model(price={"input_usd_per_mtok": 1000, "output_usd_per_mtok": 1000})
        recording, store, run_id, gateway = run(lambda _: a_reply(), models=[dear], limits={"budget_usd": 0.01})
        assert (gateway.requests, recording.n_sent) == ([], 0)
        assert not recording.found_nobody
        assert store.run(run_id).status is RunStatus.STOPPED

    def test_money_spent_earlier_counts(self, run, a_reply):
        """Going on with a stopped run under the same budget spends nothing more."""
        limits = {"budget_usd": 0.02}
        usage = {"prompt_tokens": 20, "completion_tokens": 1000, "total_tokens": 1020}
        first, store, run_id, _ = run(lambda _: a_reply(usage=usage), limits=limits)
        again, _, _, gateway = run(lambda _: a_reply(usage=usage), limits=limits, store=store, run_id=run_id)
        assert gateway.requests == []
        assert 0 < first.spent_usd == pytest.approx(again.spent_usd)
        assert again.spent_usd <= 0.02

    def test_unknown_costs_count_as_reserved(self, run, a_reply):
        """Answers that report no usage do not make a budget endless."""
        recording, _, _, _ = run(lambda _: a_reply(usage=None), n=200, limits={"budget_usd": 0.2})
        assert recording.stopped_by == {StopReason.BUDGET}
        assert recording.n_unknown_cost == recording.n_sent
        assert recording.spent_usd == 0

    def test_refusals_of_the_gateway_do_not_use_the_budget_up(self, run, a_reply):
        """A request that was refused costs nothing, though nobody reported that."""

        def script(request):
            return a_reply("no", status=400) if int(request.case_id.split("-")[1]) % 2 else a_reply()

        recording, _, _, _ = run(script, n=100, limits={"budget_usd": 0.05, "concurrency": 2})
        assert (recording.n_answered, recording.n_missing, recording.stopped_by) == (50, 50, set())

    def test_one_model_out_of_budget_ends_all_lanes(self, run, a_reply):
        """Nobody is left waiting for money that will not come."""
        models = [a_model("cheap"), a_model("dear", price={"input_usd_per_mtok": 0, "output_usd_per_mtok": 100})]
        recording, store, run_id, _ = run(lambda _: a_reply(), n=100, models=models, limits={"budget_usd": 0.11})
        assert recording.spent_usd <= 0.11
        assert store.run(run_id).status is RunStatus.STOPPED

    def test_a_deadline_stops_sending(self, run, a_reply):
        """What is under way comes back; the rest stays unsent."""

        async def slowly():
            await asyncio.sleep(0.05)
            return a_reply()

        recording, store, run_id, gateway = run(lambda _: slowly(), n=500, limits={"concurrency": 4}, deadline_s=0.3)
        assert recording.stopped_by == {StopReason.DEADLINE}
        assert 4 <= recording.n_sent < 100
        assert store.run(run_id).status is RunStatus.STOPPED
        assert gateway.elapsed_s < 2

    def test_nobody_waits_past_the_deadline_for_a_rate_limit(self, run, a_reply):
        """One request a minute and a deadline of half a second: one call, not sixty-four minutes."""
        model = a_model(limits={"requests_per_minute": 1})
        recording, _, _, gateway = run(lambda _: a_reply(), models=[model], deadline_s=0.5)
        assert (recording.n_sent, recording.stopped_by) == (1, {StopReason.DEADLINE})
        assert gateway.elapsed_s < 2

    def test_nobody_waits_past_the_deadline_to_try_again(self, run, a_reply):
        """A pause that would end after the deadline is not begun: the first fault is the last."""
        retry = RetryPolicy(max_attempts=3, base_s=0.0)
        busy = a_reply("busy", status=503, headers={"retry-after": "20"})
        recording, _, _, gateway = run(lambda _: busy, n=2, retry=retry, deadline_s=1.0)
        assert (recording.n_missing, len(gateway.requests)) == (2, 2)
        assert gateway.elapsed_s < 1

    def test_a_plan_that_is_done_was_not_stopped(self, run, a_reply):
        """A deadline that passes with the last answer stops nothing."""

        async def slowly():
            await asyncio.sleep(0.2)
            return a_reply()

        recording, store, run_id, _ = run(lambda _: slowly(), n=4, deadline_s=0.1)
        assert (recording.n_answered, recording.stopped_by) == (4, set())
        assert store.run(run_id).status is RunStatus.FINISHED

    def test_requests_per_minute_hold_for_retries_too(self, run, a_reply):
        """A second attempt is a request like any other."""
        model = a_model(limits={"requests_per_minute": 600})

        def script(request):
            return a_reply() if request.attempt else a_reply("down", status=503)

        _, _, _, gateway = run(script, n=5, models=[model])
        assert len(gateway.requests) == 10
        assert gateway.elapsed_s >= 0.9 * 0.9


class TestStopping:
    """Ctrl-C and broken stores."""

    @pytest.fixture
    def interrupted(self, a_project, a_recorder, scripted):
        """Give a function: cancel a run of slow calls some moments after the first answers, `n` times."""

        def _interrupted(script, *, n_cancels=1, n=200):
            project = a_project(suites=[a_suite_of(n)])
            recorder, run_id = a_recorder(scripted(script), project, limits={"concurrency": 8})

            async def cancelled():
                task = asyncio.create_task(record(plan(project), run_id, recorder=recorder))
                await asyncio.sleep(0.25)
                for _ in range(n_cancels):
                    task.cancel()
                    await asyncio.sleep(0)
                await asyncio.wait([task], timeout=LONG_S)
                assert task.cancelled()
                assert asyncio.all_tasks() == {asyncio.current_task()}

            asyncio.run(cancelled())
            gc.collect()  # what was left pending would be told now, and warnings are errors
            return recorder.ledger, run_id

        return _interrupted

    @pytest.mark.parametrize("n_cancels", [1, 2, 4])
    def test_what_came_back_is_kept(self, interrupted, a_reply, n_cancels):
        """However often it is cancelled: the answers are committed, the run is marked, no task is left."""
        answered = []

        def script(request):
            if len(answered) < 50:
                answered.append(request)
                return a_reply()
            return asyncio.sleep(60)

        store, run_id = interrupted(script, n_cancels=n_cancels)
        assert len(store.held_keys(run_id)) == 50
        assert (store.run(run_id).status, store.run(run_id).note) == (RunStatus.INTERRUPTED, "interrupted")

    def test_a_store_that_breaks_stops_the_run(self, a_project, a_recorder, scripted, a_reply):
        """A full disk is reported as such at once, not after the whole plan was paid for."""
        project = a_project(suites=[a_suite_of(5000)])
        gateway = scripted(lambda _: a_reply())
        recorder, run_id = a_recorder(gateway, project)

        def full(*_args):
            raise StoreError("the disk is full")

        recorder.ledger.append = full
        with pytest.raises(StoreError, match="disk is full"):
            asyncio.run(asyncio.wait_for(record(plan(project), run_id, recorder=recorder), LONG_S))
        assert len(gateway.requests) < 5000
        assert recorder.ledger.run(run_id).status is RunStatus.INTERRUPTED
        assert recorder.ledger.run(run_id).note == "StoreError: the disk is full"

    def test_a_store_that_takes_nothing_more_tells_its_first_error(self, a_project, a_recorder, scripted, a_reply):
        """When even the status cannot be written, what went wrong first is what is told."""
        project = a_project(suites=[a_suite_of(50)])
        recorder, run_id = a_recorder(scripted(lambda _: a_reply()), project)

        def failing(message):
            def fail(*_args, **_kwargs):
                raise StoreError(message)

            return fail

        recorder.ledger.append, recorder.ledger.set_status = failing("first"), failing("second")
        with pytest.raises(StoreError, match="first"):
            asyncio.run(asyncio.wait_for(record(plan(project), run_id, recorder=recorder), LONG_S))

    def test_a_gateway_that_raises_is_a_bug_and_loses_nothing(self, a_project, a_recorder, scripted, a_reply):
        """A plugin that raises instead of returning a fault stops the run; what came back is kept."""
        answered = []

        def script(request):
            if len(answered) == 30:
                raise ZeroDivisionError
            answered.append(request)
            return a_reply()

        project = a_project(suites=[a_suite_of(100)])
        recorder, run_id = a_recorder(scripted(script), project, limits={"concurrency": 1})
        with pytest.raises(ZeroDivisionError):
            asyncio.run(asyncio.wait_for(record(plan(project), run_id, recorder=recorder), LONG_S))
        assert len(recorder.ledger.held_keys(run_id)) == 30


def test_requests_carry_their_coordinates(run, a_reply):
    """The gateway is told suite, case, model and trial, and the body is what the wire module makes of the call."""
    _, _, _, gateway = run(lambda _: a_reply(), n=1, suites=[a_suite_of(1, trials=2)])
    shown = sorted((r.suite, r.case_id, r.model_id, r.trial) for r in gateway.requests)
    assert shown == [("qa", "case-0", "gpt-4o", 0), ("qa", "case-0", "gpt-4o", 1)]
    assert json.loads(gateway.requests[0].body)["model"] == "openai/gpt-4o"
