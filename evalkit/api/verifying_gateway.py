"""Verify-gateway: does a live gateway hold to an eligibility file? Asked from outside, as callers would ask it.

Run after each deployment. Every probe is one call of one token; what is refused, as it should be, costs nothing.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from evalkit.api.accepting import accepted_file
from evalkit.clock import SystemClock
from evalkit.domain.outcome import Kind
from evalkit.errors import GatewayUnusableError
from evalkit.gateways.probe_client import ProbeClient
from evalkit.pipeline.gateway_findings import (
    Finding,
    Held,
    deployments_of,
    is_key_refused,
    is_reached,
    judge_listing,
    judge_live_file,
    judge_logging,
    judge_negative,
    judge_positive,
    lets_through,
    served_id,
)
from evalkit.pipeline.gateway_probes import ground_of, plan_listing, plan_negatives, plan_positive, plan_scoped
from evalkit.plugins import Fault

if TYPE_CHECKING:
    from pathlib import Path

    from evalkit.domain.project import GatewayConfig
    from evalkit.pipeline.dialects import Dialect
    from evalkit.pipeline.gateway_probes import Deployment, Ground, Probe
    from evalkit.plugins import Reply

__all__ = ["ScopedKey", "Target", "Verification", "verify_gateway"]

_NO_TASK = Finding(
    probe="eligible model is served", sent="nothing", came_back="nothing", verdict=Held.UNKNOWN,
    why="no task of the file has a candidate now: nothing can be served",
)  # fmt: skip
_NO_OTHER_TASK = Finding(
    probe="scoped key: another task", sent="nothing", came_back="nothing", verdict=Held.TOLD,
    why="the file has no other task that is served",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopedKey:
    """A caller's key, and the one task it is for."""

    key: str = field(repr=False)
    task: str | None = None
    """None takes the task that is probed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The gateway, and how to speak to it."""

    config: GatewayConfig
    """Where it is; headers already expanded."""
    dialect: Dialect
    key: str | None = field(default=None, repr=False)
    more_secrets: tuple[str, ...] = field(default=(), repr=False)
    """What of headers and URL must not be shown when the gateway repeats it."""
    scoped: ScopedKey | None = None
    timeout_s: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What the probes found."""

    task: str | None
    live: str
    """The file's first 12 hexadecimal digits."""
    findings: tuple[Finding, ...]
    n_calls: int
    """Chat requests that were sent."""
    n_reached: int
    """Those that reached a model or its provider, as far as the answers tell."""


def verify_gateway(file: Path, target: Target, *, task: str | None = None) -> Verification:
    """Probe a live gateway.

    Args:
        file: the eligibility file it should hold to; a simulated one will do.
        target: the gateway.
        task: the task to probe; None takes the first with a candidate.

    Raises:
        InputError: for a task nobody may serve, or a base URL that is none.
        NotFoundError: for a missing file.
        RefusedError: when the file is not whole.
        GatewayUnusableError: when the gateway cannot be reached, or refuses the key.
    """
    accepted = accepted_file(file, now=SystemClock().now)
    eligibility, reader = accepted.eligibility, accepted.reader
    admitted = {name: tuple(one.model_id for one in reader.candidates(name)) for name in eligibility.tasks}
    ground = ground_of(eligibility, admitted=admitted, task=task)
    scoped = None
    if target.scoped is not None:
        scoped = ground_of(eligibility, admitted=admitted, task=target.scoped.task or ground.task)
    return asyncio.run(_verify(ground, scoped, target))


async def _verify(ground: Ground, scoped: Ground | None, target: Target) -> Verification:
    keys = tuple(key for key in (target.key, target.scoped and target.scoped.key) if key)
    client = ProbeClient(target.config, secrets=(*keys, *target.more_secrets), timeout_s=target.timeout_s)
    prober = _Prober(client, ground, target)
    try:
        await prober.run()
        if scoped is not None and target.scoped is not None:
            await prober.run_scoped(scoped, key=target.scoped.key)
        await prober.look_at_logging()
    finally:
        await client.aclose()
    return Verification(
        task=ground.task,
        live=ground.live,
        findings=tuple(prober.findings),
        n_calls=prober.n_calls,
        n_reached=prober.n_reached,
    )


class _Prober:
    """Sends the probes one after the other, and keeps what they found."""

    def __init__(self, client: ProbeClient, ground: Ground, target: Target) -> None:
        self._client = client
        self._ground = ground
        self._target = target
        self._dialect = target.dialect
        self._deployments: tuple[Deployment, ...] = ()
        self.findings: list[Finding] = []
        self.n_calls = 0
        self.n_reached = 0

    async def run(self) -> None:
        """Send all of them.

        Raises:
            GatewayUnusableError: when the first shows that no other can tell anything.
        """
        if self._dialect.catalogue_path is not None:
            listed = await self._client.read(self._dialect.catalogue_path, key=self._target.key, from_root=True)
            self._deployments = deployments_of(listed)
        positive = await self._positive()
        through = lets_through(positive)
        by = None if positive is None else served_id(positive)
        for probe in plan_negatives(self._ground, self._dialect, deployments=self._deployments, served_by=by):
            answer = await self._chat(probe, key=self._target.key)
            if positive is None:
                _check_reachable(answer)
            self._judge(probe, answer, through=through)

    async def run_scoped(self, ground: Ground, *, key: str) -> None:
        """Find out what a key that belongs to one task may do."""
        own, foreign = plan_scoped(ground, self._dialect)
        if own is None:
            return
        answer = await self._chat(own, key=key)
        self.findings.append(judge_positive(own, answer, ground=ground, deployments=self._deployments))
        listing = await self._client.read("/models", key=key)
        self.findings.append(judge_listing(listing, allowed=plan_listing(ground, self._dialect)))
        if foreign is None:
            self.findings.append(_NO_OTHER_TASK)
            return
        refused = await self._chat(foreign, key=key)
        self._judge(foreign, refused, through=lets_through(answer))

    async def look_at_logging(self) -> None:
        """Find out, where it can be seen, who is handed prompts and answers."""
        dialect, key = self._dialect, self._target.key
        callbacks = health = None
        if dialect.callbacks_path is not None and dialect.health_path is not None:
            callbacks = await self._client.read(dialect.callbacks_path, key=key, from_root=True)
            health = await self._client.read(dialect.health_path, key=key, from_root=True)
        self.findings.append(judge_logging(callbacks, health))

    async def _positive(self) -> Reply | Fault | None:
        probe = plan_positive(self._ground, self._dialect)
        if probe is None:
            self.findings.append(_NO_TASK)
            return None
        answer = await self._chat(probe, key=self._target.key)
        _check_reachable(answer)
        _check_key(answer)
        self.findings.append(judge_positive(probe, answer, ground=self._ground, deployments=self._deployments))
        live = judge_live_file(answer, ground=self._ground, dialect=self._dialect)
        if live is not None:
            self.findings.append(live)
        return answer

    def _judge(self, probe: Probe, answer: Reply | Fault, *, through: bool) -> None:
        self.findings.append(
            judge_negative(probe, answer, ground=self._ground, dialect=self._dialect, lets_through=through)
        )

    async def _chat(self, probe: Probe, *, key: str | None) -> Reply | Fault:
        self.n_calls += 1
        answer = await self._client.chat(probe.body, key=key, headers=probe.headers, without=probe.without_headers)
        self.n_reached += is_reached(answer)
        return answer


def _check_reachable(answer: Reply | Fault) -> None:
    if isinstance(answer, Fault) and answer.kind is Kind.CONNECTION:
        raise GatewayUnusableError(f"the gateway cannot be reached: {answer.detail}")


def _check_key(answer: Reply | Fault) -> None:
    if is_key_refused(answer) and not isinstance(answer, Fault):
        problem = f"the gateway, or the provider behind it, refused the key (status {answer.status})"
        raise GatewayUnusableError(f"{problem}\n  next: check the key in the variable --api-key-env names")
