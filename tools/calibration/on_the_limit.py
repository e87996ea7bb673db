"""A fortnight exactly on a limit: beside an incumbent, and with slow tails."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import TYPE_CHECKING

from calibration.measured import at_least, at_most
from calibration.worlds import World, cluster_shares
from evalkit.domain.verdict import Status
from evalkit.pipeline.decide import verdict_from_history
from evalkit.pipeline.history import MAX_NIGHTS, History
from evalkit.testing.builders import STARTED_AT, a_case, a_model, a_suite
from evalkit.testing.evidence import DAY_S, a_measurement, a_project, a_unit

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from calibration.measured import Figure
    from evalkit.pipeline.evidence import Measurement

__all__ = ["beside_incumbent", "slow_nights"]

_EVER = 0.06
"""Of models exactly on a limit, let in on any of fourteen nights: a pool's first night alone may take .05."""
_N_CALLS = 500
_P95, _P98 = 1.6448536269514722, 2.0537489106318225
"""Standard normal quantiles."""


def beside_incumbent(n: int) -> Iterator[Figure]:
    """Yield how often a candidate exactly on the margin takes over within fourteen nights, and one that is as good."""
    for size, incumbent, margin, rho in ((200, 0.95, 0.10, 0.5), (150, 0.90, 0.10, 0.3)):
        settings = f"{size} prompts, incumbent {incumbent}, margin {margin}, rho {rho}, {MAX_NIGHTS} nights"
        beside = _Beside(size, incumbent, margin=margin, rho=rho)
        first = ever = 0
        for index in range(n):
            admitted = beside.admitted(incumbent - margin, seed=f"14.5 {size} {rho} {index}")
            first += admitted == 0
            ever += admitted is not None
        yield at_most(first, n, 0.05, goal="14.2", settings=settings, what="eligible at the margin, first night")
        yield at_most(ever, n, _EVER, goal="14.2", settings=settings, what="ever eligible at the margin")
        equal = [beside.admitted(incumbent, seed=f"14.5 equal {size} {rho} {index}") for index in range(n)]
        n_equal = n - equal.count(None)
        yield at_least(n_equal, n, 0.9, goal="14.2", settings=settings, what="an equal one eligible on some night")


class _Beside:
    """A candidate and an incumbent that are asked the same prompts every night."""

    def __init__(self, size: int, incumbent: float, *, margin: float, rho: float) -> None:
        self._names = [f"c{index}" for index in range(size)]
        cases = [a_case(name) for name in self._names]
        self._suite = a_suite("qa", cases=cases, gates=[{"metric": "exact", "at_least": 0.5}])
        task = {"incumbent": "inc", "non_inferiority_margin": margin}
        self._project = a_project([self._suite], models=[a_model("cand"), a_model("inc")], tasks={"qa": task})
        self._incumbent = incumbent
        self._rho = rho

    def admitted(self, mean: float, *, seed: str) -> int | None:
        """Return the night, from 0, on which a candidate with this mean is eligible first; None: on none."""
        chance = random.Random(seed)
        means = {"cand": mean, "inc": self._incumbent}
        shares = {name: cluster_shares(chance, of, len(self._names), icc=self._rho) for name, of in means.items()}
        nights: dict[tuple[str, str], list[Measurement]] = {("qa", name): [] for name in means}
        for number in range(MAX_NIGHTS):
            for name in means:
                nights["qa", name].insert(0, self._night(chance, name, shares[name], number=number))
            newest = nights["qa", "cand"][0].last_at
            model = self._project.roster.by_id["cand"]
            history = History(nights, frozenset())
            verdict = verdict_from_history(self._project, history, task="qa", model=model, as_of=newest)
            if verdict.status is Status.ELIGIBLE:
                return number
        return None

    def _night(self, chance: random.Random, name: str, shares: Sequence[float], *, number: int) -> Measurement:
        started_at = STARTED_AT + number * DAY_S
        units = [
            a_unit(case, sequence=place, exact=float(chance.random() < share), started_at=started_at + place,
                   served_model=name)
            for place, (case, share) in enumerate(zip(self._names, shares, strict=True))
        ]  # fmt: skip
        found = a_measurement(units, suite=self._suite, model_id=name)
        return replace(found, run=replace(found.run, run_id=f"night-{number}", started_at=started_at))


def slow_nights(n: int) -> Iterator[Figure]:
    """Yield how often a latency gate lets a model in that is a hair too slow, on any of fourteen nights, or fast."""
    limit = math.exp(_P95) * (1 - 1e-9)
    world = World((1,) * _N_CALLS, [{"metric": "latency_s", "of": "p95", "at_most": limit}])
    settings = f"lognormal, {_N_CALLS} calls a night, {MAX_NIGHTS} nights"
    ever = sum(_is_ever_fast(world, random.Random(f"14.7 {index}"), mu=0.0) for index in range(n))
    yield at_most(ever, n, _EVER, goal="14.2", settings=settings, what="ever eligible at true p95")
    fast = sum(_is_ever_fast(world, random.Random(f"14.7 fast {index}"), mu=_P95 - _P98) for index in range(n))
    yield at_least(fast, n, 0.95, goal="14.2", settings=settings, what="eligible on some night, 98% within")


def _is_ever_fast(world: World, chance: random.Random, *, mu: float) -> bool:
    nights: list[Measurement] = []
    for number in range(MAX_NIGHTS):
        units = world.units(lambda _place: {"latency_s": chance.lognormvariate(mu, 1)})
        nights.insert(0, world.night(units, number=number))
        if world.verdict(nights).status is Status.ELIGIBLE:
            return True
    return False
