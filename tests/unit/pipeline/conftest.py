"""Doubles of the outside world for the stages that measure: a gateway that follows a script, and a clock."""

from __future__ import annotations

import asyncio
import json
from itertools import count
from pathlib import Path

import pytest

from evalkit.domain.outcome import Kind
from evalkit.domain.policy import Policy
from evalkit.domain.project import Limits, Project, ProjectConfig
from evalkit.domain.roster import Roster
from evalkit.pipeline.pacing import RetryPolicy
from evalkit.pipeline.record import Recorder
from evalkit.plugins import Fault, Profile, Reply
from evalkit.store.memory import MemoryStore
from evalkit.testing.builders import a_model, a_run, a_suite


class ScriptedGateway:
    """Answers each request by a function of it; keeps what it was asked, and how much of it at once."""

    def __init__(self, script, **profile) -> None:
        self.profile = Profile(kind="scripted", **profile)
        self.requests = []
        self.most_at_once = 0
        self._script = script
        self._busy = 0

    async def send(self, request):
        """Note the request, let others run, then answer."""
        self.requests.append(request)
        self._busy += 1
        self.most_at_once = max(self.most_at_once, self._busy)
        try:
            await asyncio.sleep(0)
            answer = self._script(request)
            return await answer if asyncio.iscoroutine(answer) else answer
        finally:
            self._busy -= 1

    async def aclose(self) -> None:
        """Hold nothing open."""


class SteppedClock:
    """Every reading is a little later than the one before."""

    def __init__(self, *, step_s: float = 0.0) -> None:
        self.at_s = 1000.0
        self._step_s = step_s

    def now(self) -> float:
        """Return the time, and move on."""
        return self.monotonic() + 1_800_000_000

    def monotonic(self) -> float:
        """Return the time, and move on."""
        self.at_s += self._step_s
        return self.at_s


class LoopClock:
    """Time as the event loop counts it, for what sleeps really."""

    def now(self) -> float:
        """Return Unix seconds, roughly."""
        return 1_800_000_000 + self.monotonic()

    def monotonic(self) -> float:
        """Return the loop's own clock."""
        return asyncio.get_running_loop().time()


def _reply(text="forty-two", *, status=200, latency_s=0.25, headers=None, **body):
    """Return an answer over HTTP; from 400 on an error of that status."""
    if status < 400:
        message = {"role": "assistant", "content": text, **body.pop("message", {})}
        usage = {"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25}
        choice = {"index": 0, "message": message, "finish_reason": body.pop("finish_reason", "stop")}
        whole = {"model": "gpt-4o", "choices": [choice], "usage": usage} | body
    else:
        whole = {"error": {"message": text, "type": "error", **body}}
    content = {"content-type": "application/json", **(headers or {})}
    return Reply(status=status, headers=content, body=json.dumps(whole).encode(), latency_s=latency_s)


def _project(*, suites=None, models=None, root=Path(), **config):
    """Return a project; `config` are fields of `ProjectConfig`."""
    own_suites = (a_suite(),) if suites is None else tuple(suites)
    policy = Policy.model_validate({"version": 1, "tasks": {suite.task: {} for suite in own_suites}})
    gateway = config.pop("gateway", {"kind": "simulator"})
    return Project(
        root=root,
        config=ProjectConfig.model_validate({"version": 1, "gateway": gateway, **config}),
        roster=Roster(version=1, models=(a_model(),) if models is None else tuple(models)),
        policy=policy,
        suites=own_suites,
    )


@pytest.fixture
def scripted():
    """Give the class of gateways that follow a script: a function from request to answer."""
    return ScriptedGateway


@pytest.fixture
def stepped_clock():
    """Give the class of clocks that move when they are read."""
    return SteppedClock


@pytest.fixture
def a_reply():
    """Give the builder of answers."""
    return _reply


@pytest.fixture
def a_fault():
    """Give the builder of failures on the way."""
    return lambda kind=Kind.CONNECTION: Fault(kind=kind, detail="connection refused", latency_s=0.01)


@pytest.fixture
def a_project():
    """Give the builder of projects."""
    return _project


@pytest.fixture
def a_recorder():
    """Give the builder of recorders: a store in memory with an open run, quick retries."""
    numbers = count()

    def build(gateway, project, *, store=None, **fields):
        clock = LoopClock()
        ledger = MemoryStore(clock=clock) if store is None else store
        run_id = fields.pop("run_id", f"run-{next(numbers)}")
        ledger.open_run(a_run(run_id))
        limits = fields.pop("limits", {})
        defaults = {
            "retry": RetryPolicy(max_attempts=3, base_s=0.001, cap_s=0.002, hint_cap_s=0.01),
            "prepare": lambda outcome: (outcome, None),
            "probe_pause_s": 0.001,
        }
        recorder = Recorder(
            ledger=ledger,
            gateway=gateway,
            roster=project.roster,
            limits=Limits(**{"concurrency": 64, **limits}),
            clock=clock,
            **(defaults | fields),
        )
        return recorder, run_id

    return build
