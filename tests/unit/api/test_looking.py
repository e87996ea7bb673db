"""Batch by batch: what is saved, and that neither order nor interruption changes a verdict."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest

from evalkit.api.looking import cells_of_new_run, measure_in_looks
from evalkit.domain.project import Limits
from evalkit.domain.run import RunStatus
from evalkit.domain.verdict import Status
from evalkit.pipeline.decide import decide
from evalkit.pipeline.pacing import RetryPolicy
from evalkit.pipeline.plan import Selection, plan
from evalkit.pipeline.record import Recorder, StopReason
from evalkit.plugins import Profile, Reply
from evalkit.stats.sequential import look_sizes
from evalkit.store.memory import MemoryStore
from evalkit.testing.builders import a_case, a_model, a_run, a_suite
from evalkit.testing.evidence import a_project

N = 200
MODELS = ("good", "fair", "poor", "bad")
WRONG_EVERY = {"good": 10_000, "fair": 9, "poor": 6, "bad": 2}
"""How many calls there are to one wrong answer; the gate is at .85."""
SLOW_TICKS = 40
"""Turns of the event loop that a wrong answer takes; a right one takes one. Hard prompts are slow prompts."""


class Clock:
    """Moves a little with every reading."""

    def __init__(self) -> None:
        self.at_s = 0.0

    def now(self) -> float:
        """Return Unix seconds."""
        return 1_800_000_000 + self.monotonic()

    def monotonic(self) -> float:
        """Return seconds."""
        self.at_s += 0.001
        return self.at_s


class Interrupted(Exception):  # noqa: N818  what a killed process never gets to say
    """The process ends here."""


class HardIsSlow:
    """Answers wrongly at fixed cases, and takes long over it."""

    def __init__(self, *, ends_after=None) -> None:
        self.profile = Profile(kind="openai", model_field="upstream")
        self.n_requests = 0
        self._ends_after = ends_after

    async def send(self, request):
        """Answer after as many turns of the loop as the prompt is hard."""
        self.n_requests += 1
        if self.n_requests == self._ends_after:
            raise Interrupted
        is_wrong = int(request.case_id[1:]) % WRONG_EVERY[request.model_id] == 1
        for _ in range(SLOW_TICKS if is_wrong else 1):
            await asyncio.sleep(0)
        message = {"role": "assistant", "content": "forty" if is_wrong else "forty-two"}
        usage = {"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25}
        body = {"model": request.model_id, "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
        content = json.dumps(body | {"usage": usage}).encode()
        return Reply(status=200, headers={"content-type": "application/json"}, body=content, latency_s=0.2)

    async def aclose(self) -> None:
        """Hold nothing open."""


def the_project():
    """Four models from good to bad, one suite gated at .85."""
    suite = a_suite(cases=[a_case(f"c{index}") for index in range(N)], gates=[{"metric": "exact", "at_least": 0.85}])
    return a_project([suite], models=[a_model(name, route=name) for name in MODELS])


def measured(store, *, concurrency=8, ends_after=None, run_id="run-1", **limits):
    """Measure look by look; what was recorded, what was saved, and how many requests it took."""
    project = the_project()
    planned = plan(project, Selection(is_sequential=True))
    held = {run.run_id: run for run in store.runs(project="demo", environment="test")}
    run = held.get(run_id) or a_run(run_id, cells=cells_of_new_run(project, store, planned), suite_digests=())
    store.open_run(replace(run, status=RunStatus.RUNNING))
    gateway = HardIsSlow(ends_after=ends_after)
    recorder = Recorder(
        ledger=store,
        gateway=gateway,
        roster=project.roster,
        limits=Limits(concurrency=concurrency, **limits),
        clock=Clock(),
        retry=RetryPolicy(max_attempts=1),
        prepare=lambda outcome: (outcome, None),
    )
    recording, savings = asyncio.run(
        asyncio.wait_for(measure_in_looks(project, planned, run, store=store, recorder=recorder), 60)
    )
    return recording, savings, gateway


@pytest.fixture
def a_store():
    """Give empty stores."""
    return lambda: MemoryStore(clock=Clock())


def verdicts_of(store):
    """Every verdict as bytes, without the moments of the measurement and what was spent."""
    found = decide(the_project(), store).verdicts
    plain = [replace(one, measured_at=None, valid_until=None, rank_key=(), run_ids=()) for one in found]
    return repr(plain).encode()


def test_what_is_clear_is_asked_little(a_store):
    """The good and the bad are decided early, the public decision agrees, and the rest of the plan is saved."""
    store = a_store()
    recording, savings, gateway = measured(store)
    status = {one.model_id: one.status for one in decide(the_project(), store).verdicts}
    assert (status["good"], status["bad"]) == (Status.ELIGIBLE, Status.INELIGIBLE)
    ending = {one.model_id: one for one in savings.pairs}
    assert (ending["good"].ending, ending["bad"].ending) == ("decided", "failed")
    assert ending["bad"].n_clusters <= look_sizes(N)[1]
    assert savings.n_saved == len(MODELS) * N - gateway.n_requests > N
    assert savings.saved_usd == pytest.approx(savings.n_saved * (20 * 2.5 + 5 * 10) / 1e6)
    assert recording.n_sent == gateway.n_requests
    assert store.run("run-1").status is RunStatus.FINISHED
    assert all(one.coverage == 1.0 for one in decide(the_project(), store).verdicts)


@pytest.mark.parametrize("concurrency", [16, 256])
def test_verdicts_do_not_depend_on_concurrency(a_store, concurrency):
    """Hard prompts come back last; looking only at the scheduled prefix, every verdict is the same to the last byte."""
    alone, together = a_store(), a_store()
    _, savings, _ = measured(alone, concurrency=1)
    _, others, _ = measured(together, concurrency=concurrency)
    assert verdicts_of(alone) == verdicts_of(together)
    assert savings == others


@pytest.mark.parametrize("ends_after", [1, 50, 130, 300])
def test_a_killed_run_goes_on_with_the_same_looks(a_store, ends_after):
    """Ended anywhere and started again, the run takes the looks it would have taken, and asks nothing twice."""
    store, whole = a_store(), a_store()
    with pytest.raises(Interrupted):
        measured(store, ends_after=ends_after)
    assert store.run("run-1").status is RunStatus.INTERRUPTED
    _, resumed, _ = measured(store)
    _, savings, _ = measured(whole)
    assert verdicts_of(store) == verdicts_of(whole)
    assert resumed == savings


def test_a_resumed_run_that_is_settled_asks_nothing(a_store):
    """Everything that was needed is there."""
    store = a_store()
    _, savings, _ = measured(store)
    recording, again, gateway = measured(store)
    assert (recording.n_sent, gateway.n_requests) == (0, 0)
    assert again == savings


def test_a_measured_pair_gets_no_second_chance(a_store):
    """The next run of the same plan asks every model everything."""
    store = a_store()
    measured(store)
    assert [
        cell.looks
        for cell in cells_of_new_run(the_project(), store, plan(the_project(), Selection(is_sequential=True)))
    ] == [()] * 4


def test_a_spent_budget_ends_it(a_store):
    """Without money nothing is settled that was not: no ending, no saving, and nobody is let in for want of a look."""
    store = a_store()
    recording, savings, _ = measured(store, budget_usd=0.01)
    assert StopReason.BUDGET in recording.stopped_by
    assert store.run("run-1").status is RunStatus.STOPPED
    unfinished = [one for one in savings.pairs if one.ending is None]
    assert unfinished
    assert all(one.n_saved == 0 for one in unfinished)
