"""Preflight: a handful of tiny calls a model, so that a run is not the first to find out what is ignored or refused.

Nothing is kept and nothing decided here. A fault on the way is never a verdict: it leaves a check unknown.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evalkit.pipeline.exchange import Exchange
from evalkit.pipeline.pacing import Breaker, Lane, RetryPolicy
from evalkit.pipeline.preflight_probes import FEATURE_PROBES, REFUSED, base_outcome, judge_probes, probe_call
from evalkit.pipeline.spending import Budget, billed_usd, most_usd

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from typing import Any

    from evalkit.domain.call import Call
    from evalkit.domain.outcome import Outcome
    from evalkit.domain.project import Limits
    from evalkit.domain.roster import Model
    from evalkit.pipeline.preflight_probes import ModelProbing, Probe
    from evalkit.plugins import Gateway
    from evalkit.ports import Clock

__all__ = ["Prober", "probe_models"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prober:
    """What probing needs from the outside."""

    gateway: Gateway
    limits: Limits
    clock: Clock
    pause_scale: float = 1.0
    """Factor on the pause before the one retry."""
    sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep


async def probe_models(models: Sequence[Model], *, prober: Prober) -> tuple[ModelProbing, ...]:
    """Probe every model, each with one request at a time, and return what was found, in their order.

    What no longer fits the budget is not sent and stays unknown.

    Raises:
        InputError: when a model cannot be asked through this gateway, or its key cannot be read.
    """
    slots = asyncio.Semaphore(prober.limits.concurrency)
    budget = Budget(prober.limits.budget_usd)
    probings = [_Probing(model, prober=prober, slots=slots, budget=budget) for model in models]
    tasks = [asyncio.ensure_future(probing.run()) for probing in probings]
    try:
        return tuple(await asyncio.gather(*tasks))
    finally:
        # The first error ends it: nothing may go on spending behind the caller's back.
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Probing:
    """One model's probes: one after the other, for each depends on what came before."""

    def __init__(self, model: Model, *, prober: Prober, slots: asyncio.Semaphore, budget: Budget) -> None:
        self._model = model
        self._prober = prober
        self._budget = budget
        self._lane = Lane(max_workers=1, limits=model.limits, breaker=Breaker())
        self._route = model.route_for(prober.gateway.profile.kind)
        self._has_spare = True
        self._temperature: float | None = 0
        scale = prober.pause_scale
        self._exchange = Exchange(
            gateway=prober.gateway,
            model=model,
            retry=RetryPolicy(max_attempts=2, base_s=0.5 * scale, cap_s=8 * scale),
            timeout_s=prober.limits.call_timeout_s,
            clock=prober.clock,
            lane=self._lane,
            slots=slots,
            sleep=prober.sleep,
        )

    async def run(self) -> ModelProbing:
        outcomes: dict[Probe, Outcome] = {}
        await self._ask("plain", outcomes)
        plain = outcomes.get("plain")
        if plain is not None and plain.kind in REFUSED and self._take_spare():
            self._temperature = None
            await self._ask("bare", outcomes)
        base = base_outcome(outcomes)
        # Who does not answer the plain question tells nothing about more.
        if base is not None and not base.is_missing:
            for probe in FEATURE_PROBES:
                await self._ask(probe, outcomes)
        return judge_probes(self._model, outcomes, route=self._route)

    def _take_spare(self, _pause_s: float = 0.0) -> bool:
        """Take the one request beyond the probes; whoever asks first gets it."""
        is_there, self._has_spare = self._has_spare, False
        return is_there

    async def _ask(self, probe: Probe, outcomes: dict[Probe, Outcome]) -> None:
        call = probe_call(probe, self._model, route=self._route, temperature=self._temperature)
        reserved_usd = self._most_usd(call)
        if not await self._budget.reserve(reserved_usd):
            return
        actual_usd = None
        try:
            outcome = await self._sent(call)
            actual_usd = billed_usd(outcome)
        finally:
            self._budget.settle(reserved_usd=reserved_usd, actual_usd=actual_usd)
        self._lane.largest_cost_usd = max(self._lane.largest_cost_usd, outcome.cost.usd or 0.0)
        outcomes[probe] = outcome

    async def _sent(self, call: Call) -> Outcome:
        now_s = self._prober.clock.monotonic
        since_s = now_s()
        wait_s = self._lane.book(since_s, tokens=call.script.n_prompt_tokens + call.parameters.max_output_tokens)
        if wait_s > 0:
            await self._prober.sleep(wait_s)
        return await self._exchange.make(call, queue_s=now_s() - since_s, may_retry=self._take_spare)

    def _most_usd(self, call: Call) -> float:
        """Return the most a call can cost: by list price, else the dearest of this model so far."""
        price = self._model.price
        return self._lane.largest_cost_usd if price is None else most_usd(call, price)
