"""The value of the `evalkit` fixture: one suite and one model, and what the test's own prompts make of them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from evalkit.api.loop import run_until_stopped
from evalkit.api.proving import Mode, Proving, aprove
from evalkit.domain.call import Message
from evalkit.domain.score import Score
from evalkit.errors import InputError
from evalkit.pipeline.script import script_from_messages, script_of
from evalkit.pytest_engine.wording import UnprovenError, described, gate_lines, properties, told

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from evalkit.api.proving import Proved
    from evalkit.domain.call import Script
    from evalkit.domain.project import Project
    from evalkit.domain.roster import Model
    from evalkit.domain.suite import Case, Suite
    from evalkit.pipeline.proving import Proof
    from evalkit.pytest_engine.shared import Held, Shared

    Prompt = str | Sequence[Mapping[str, str]]
    Build = Callable[[Case], Prompt]

__all__ = ["Answer", "Measured", "Subject", "judge"]

_ROLES = ("system", "user", "assistant")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back for a case."""

    case_id: str
    trial: int
    kind: str
    """`ok`, or why there is no usable answer."""
    text: str | None
    scores: Mapping[str, float]
    """Metric to value in [0, 1]; a metric nobody could score is not in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Every case of the suite, asked and scored."""

    proof: Proof
    answers: tuple[Answer, ...]
    """In the order they were scheduled."""
    _mode: Mode
    _item: pytest.Item

    @property
    def is_held(self) -> bool:
        """Whether every gate of the suite is passed; undecided is not held."""
        return self.proof.is_held

    def assert_gates(self) -> None:
        """Fail the test unless every gate is passed, with gates, bounds and the three worst answers.

        In a replay of a suite that gates nothing but time and money the test is skipped.
        """
        __tracebackhide__ = True
        judge(self.proof, mode=self._mode, item=self._item)


def judge(proof: Proof, *, mode: Mode, item: pytest.Item) -> None:
    """Take note of a proof with the item, and fail or skip it where it does not hold.

    Raises:
        UnprovenError: when it does not hold.
    """
    __tracebackhide__ = True
    item.user_properties.extend(properties(proof, mode=mode, node_id=item.nodeid))
    label = "SIMULATED; " if proof.is_simulated else ""
    lines = gate_lines(proof, mode=mode, node_id=item.nodeid)
    item.add_report_section("call", "evalkit", "\n".join((label + told(mode), *lines)))
    if proof.is_empty:
        pytest.skip(f"every gate is on time or money, and this is a {told(mode)}")
    if not proof.is_held:
        raise UnprovenError(described(proof, mode=mode, node_id=item.nodeid))


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A suite and a model, as a marked test gets them."""

    suite: Suite
    model: Model
    _project: Project
    _mode: Mode
    _max_usd: float | None
    _shared: Shared
    _item: pytest.Item

    @property
    def cases(self) -> tuple[Case, ...]:
        """The cases that are asked, in file order."""
        return self.suite.active_cases

    def measure(self, build: Build | None = None) -> Measured:
        """Ask every case of the suite, all at once, and score the answers. Blocks; in an async test use `ameasure`.

        Args:
            build: makes the prompt of a case: a text, which replaces the suite's question, or messages (`role`,
                `content`), which replace all it says. None sends the suite's own words.

        Raises:
            InputError: for a prompt that cannot be sent, or a project that cannot be measured.
            GatewayUnusableError: when no model could be reached.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return run_until_stopped(self.ameasure(build))
        raise InputError("an event loop is running here", next_step="await evalkit.ameasure(…) in an async test")

    async def ameasure(self, build: Build | None = None) -> Measured:
        """Do what `measure` does, on the event loop of the test."""
        scripts = {case.id: self._script(case, build) for case in self.cases}
        proving = Proving(
            mode=self._mode,
            pairs=((self.suite.name, self.model.id),),
            render=lambda suite, case: scripts[case.id] if suite.name == self.suite.name else script_of(suite, case),
        )
        proved = await aprove(self._project, proving) if self._mode is Mode.REPLAY else await self._paid(proving)
        return self._measured(proved)

    async def _paid(self, proving: Proving) -> Proved:
        """Measure while no other process of the session does, within what is left of its money."""
        held = await asyncio.to_thread(self._shared.hold)
        try:
            proved = await aprove(self._project, replace(proving, max_usd=left_usd(self._max_usd, held)))
            held.spend(proved.spent_usd)
        finally:
            held.release(keep=True)
        return proved

    def _script(self, case: Case, build: Build | None) -> Script:
        if build is None:
            return script_of(self.suite, case)
        prompt = build(case)
        if isinstance(prompt, str):
            own = script_from_messages(self.suite, case, [Message(role="user", content=prompt)])
            return replace(own, system=script_of(self.suite, case).system)
        return script_from_messages(self.suite, case, [_message(one, case) for one in prompt])

    def _measured(self, proved: Proved) -> Measured:
        pair = (self.suite.name, self.model.id)
        answers = []
        for outcome in proved.outcomes[pair]:
            scored = proved.scored.get(outcome.call_key)
            scores = {one.metric: one.value for one in (scored.scores if scored else ()) if isinstance(one, Score)}
            answers.append(
                Answer(
                    case_id=outcome.case_id,
                    trial=outcome.trial,
                    kind=str(outcome.kind),
                    text=None if outcome.is_missing else outcome.text,
                    scores=scores,
                )
            )
        return Measured(proof=proved.proofs[pair], answers=tuple(answers), _mode=self._mode, _item=self._item)


def left_usd(max_usd: float | None, held: Held) -> float | None:
    """Return what the session may still spend; None is no limit of its own."""
    return None if max_usd is None else max_usd - held.spent_usd


def _message(one: Mapping[str, str], case: Case) -> Message:
    is_message = isinstance(one, Mapping) and set(one) == {"role", "content"}
    if not is_message or one["role"] not in _ROLES or not isinstance(one["content"], str):
        raise InputError(
            f"{str(one)[:80]!r} is no message, in the prompt of case {case.id}",
            next_step=f"give a text, or messages of role ({', '.join(_ROLES)}) and content",
        )
    return Message(role=one["role"], content=one["content"])
