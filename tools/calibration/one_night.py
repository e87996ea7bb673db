"""One night, asked as a whole or look by look: errors of gates, calls saved, slow tails, outages."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, Any

from calibration.measured import at_least, at_most, exact_at_most, mean_at_least, mean_at_most
from calibration.worlds import World, cluster_shares
from evalkit.domain.outcome import Kind
from evalkit.domain.verdict import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from calibration.measured import Figure
    from evalkit.pipeline.evidence import Unit

__all__ = ["calls_saved", "false_eligible", "false_ineligible", "false_ineligible_known", "outages", "slow_tails"]

ALPHA = 0.05
_UNEQUAL = (1, 2, 3, 5, 8) * 8
_N_MODELS = 20
_N_EARLIER = 8
_BEST, _WORST = 0.99, 0.55

_SUITES: tuple[tuple[str, tuple[int, ...], int, bool], ...] = (
    ("20 cases", (1,) * 20, 1, False),
    ("60 cases", (1,) * 60, 1, False),
    ("100 cases", (1,) * 100, 1, False),
    ("500 cases", (1,) * 500, 1, False),
    ("100 cases × 3 trials", (1,) * 100, 3, False),
    ("60 clusters of 3", (3,) * 60, 1, False),
    ("40 unequal clusters", _UNEQUAL, 1, False),
    ("100 graded cases", (1,) * 100, 1, True),
    ("60 graded clusters of 3", (3,) * 60, 1, True),
)


def _gate(limit: float, metric: str = "exact") -> dict[str, Any]:
    return {"metric": metric, "at_least": limit}


def false_eligible(n: int) -> Iterator[Figure]:
    """Yield how often a model whose true mean is exactly the limit is eligible after one whole night."""
    for label, sizes, trials, is_graded in _SUITES:
        is_plain = not is_graded and trials == 1 and max(sizes) == 1
        for limit in (0.85, 0.95, 0.98, 0.99):
            world = World(sizes, [_gate(limit)], trials=trials)
            what = "eligible at mu = T"
            if is_plain:
                settings = f"{label}, T {limit}"
                yield exact_at_most(_chance_to_pass(world, limit), ALPHA, goal="13.1", settings=settings, what=what)
                continue
            for icc in (0.0, 0.3, 0.7):
                chance = random.Random(f"13.1 {label} {limit} {icc}")
                hits = 0
                for _ in range(n):
                    shares = cluster_shares(chance, limit, len(sizes), icc=icc)
                    verdict = world.verdict([world.night(world.answered(chance, shares, is_graded=is_graded))])
                    hits += verdict.status is Status.ELIGIBLE
                yield at_most(hits, n, ALPHA, goal="13.1", settings=f"{label}, T {limit}, ICC {icc:g}", what=what)


def false_ineligible_known(n: int) -> Iterator[Figure]:
    """Yield how often a model at the limit is ineligible where an earlier run of other models tells of clusters."""
    for label, sizes, trials, is_graded in _SUITES:
        if trials == 1 and max(sizes) == 1:
            continue
        for limit in (0.85, 0.95):
            world = World(sizes, [_gate(limit)], trials=trials)
            for icc in (0.0, 0.3, 0.7):
                chance = random.Random(f"14.3 {label} {limit} {icc}")
                hits = 0
                for _ in range(n):
                    *others, mine = (
                        world.answered(chance, cluster_shares(chance, limit, len(sizes), icc=icc), is_graded=is_graded)
                        for _ in range(_N_EARLIER + 1)
                    )
                    verdict = world.verdict([world.night(mine)], known=world.known(others))
                    hits += verdict.status is Status.INELIGIBLE
                settings = f"{label}, T {limit}, ICC {icc:g}, eight models the night before"
                yield at_most(hits, n, ALPHA, goal="13.2", settings=settings, what="ineligible at mu = T")


def _chance_to_pass(world: World, mean: float) -> float:
    """Return the probability of an eligible verdict for independent answers, over every number of failures."""
    size = world.n_clusters
    total = 0.0
    for n_failures in range(size + 1):
        units = world.units(lambda place, few=n_failures: {"exact": float(place >= few)})
        if world.verdict([world.night(units)]).status is Status.ELIGIBLE:
            total += math.comb(size, n_failures) * (1 - mean) ** n_failures * mean ** (size - n_failures)
    return total


def false_ineligible(n: int) -> Iterator[Figure]:
    """Yield how often a model is ineligible that holds every gate exactly, or by five points."""
    for n_gates, limit, above, aim in (
        (1, 0.85, 0.0, ALPHA),
        (5, 0.85, 0.0, ALPHA),
        (5, 0.95, 0.0, ALPHA),
        (5, 0.85, 0.05, 0.001),
    ):
        metrics = [f"gate{number}" for number in range(n_gates)]
        world = World((1,) * 200, [_gate(limit, metric) for metric in metrics])
        chance = random.Random(f"13.2 {n_gates} {limit} {above}")
        hits = 0
        for _ in range(n):
            night = _with_scores(world, chance, dict.fromkeys(metrics, limit + above))
            hits += world.verdict([world.night(night)]).status is Status.INELIGIBLE
        settings = f"200 cases, {n_gates} gates at T {limit}"
        what = f"ineligible at mu = T + {above:g}" if above else "ineligible at mu = T"
        yield at_most(hits, n, aim, goal="13.2", settings=settings, what=what)


def _with_scores(world: World, chance: random.Random, shares: dict[str, float]) -> list[Unit]:
    return world.units(
        lambda _place: {"scores": {metric: float(chance.random() < share) for metric, share in shares.items()}}
    )


def calls_saved(n: int) -> Iterator[Figure]:
    """Yield calls saved over a mixed roster, how many models are decided, and the errors of looking early."""
    for n_max, least, aim in ((500, 0.55, 0.60), (200, 0.40, 0.45)):
        world = World((1,) * n_max, [_gate(0.85)])
        saved, behind = [], []
        for index in range(n):
            chance = random.Random(f"13.3 {n_max} {index}")
            calls = decided = decided_whole = 0
            for model in range(_N_MODELS):
                share = _WORST + (_BEST - _WORST) * model / (_N_MODELS - 1)
                units = world.answered(chance, [share] * n_max)
                early = world.sequential(units)
                calls += early.n_calls
                decided += early.verdict.status is not Status.UNDECIDED
                decided_whole += world.verdict([world.night(units)]).status is not Status.UNDECIDED
            saved.append(1 - calls / (_N_MODELS * n_max))
            behind.append((decided_whole - decided) / _N_MODELS)
        settings = f"20 models p .55 … .99, T .85, n_max {n_max}"
        yield mean_at_least(saved, least, goal="13.3", settings=settings, what="calls saved (goal)")
        yield mean_at_least(saved, aim, goal="13.3", settings=settings, what="calls saved (aim)")
        yield mean_at_most(behind, 0.02, goal="13.3", settings=settings, what="decided share lost against fixed n")
    yield from _looked_at_early(10 * n)


def _looked_at_early(n: int) -> Iterator[Figure]:
    for icc, sizes in ((0.0, (1,) * 500), (0.3, (3,) * 100)):
        world = World(sizes, [_gate(0.85)])
        chance = random.Random(f"13.3 at T {icc}")
        passed = failed = 0
        for _ in range(n):
            status = world.sequential(
                world.answered(chance, cluster_shares(chance, 0.85, len(sizes), icc=icc))
            ).verdict.status
            passed += status is Status.ELIGIBLE
            failed += status is Status.INELIGIBLE
        settings = f"looks, {len(sizes)} clusters of {sizes[0]}, T .85, ICC {icc:g}"
        yield at_most(passed, n, ALPHA, goal="13.3", settings=settings, what="eligible at mu = T")
        yield at_most(failed, n, ALPHA, goal="13.3", settings=settings, what="ineligible at mu = T")
    metrics = {"gate0": 0.99, "gate1": 0.99, "gate2": 0.99, "gate3": 0.70}
    world = World((1,) * 500, [_gate(0.85, metric) for metric in metrics])
    chance = random.Random("13.3 bad")
    saved = [1 - world.sequential(_with_scores(world, chance, metrics)).n_calls / 500 for _ in range(n)]
    settings = "bad model: one of 4 gates at .70, T .85, n_max 500"
    yield mean_at_least(saved, 0.60, goal="13.3", settings=settings, what="calls saved")


def slow_tails(n: int) -> Iterator[Figure]:
    """Yield how often a latency gate lets a model in whose true p95 is a hair above the limit."""
    kinds: tuple[tuple[str, Callable[[random.Random, int], list[float]], float, float], ...] = (
        ("lognormal", lambda chance, size: [chance.lognormvariate(0, 1) for _ in range(size)], math.exp(_P95), ALPHA),
        ("Pareto 1.5", lambda chance, size: [chance.paretovariate(1.5) for _ in range(size)], 20 ** (1 / 1.5), ALPHA),
        ("bursts, AR(1) .7", _bursts, math.exp(_P95), 0.07),
    )
    for label, draw, true_p95, aim in kinds:
        for size in (200, 500):
            world = World((1,) * size, [{"metric": "latency_s", "of": "p95", "at_most": true_p95 * (1 - 1e-9)}])
            chance = random.Random(f"13.7 {label} {size}")
            hits = 0
            for _ in range(n):
                hits += _is_fast(world, draw(chance, size))
            yield at_most(hits, n, aim, goal="13.7", settings=f"{label}, {size} calls", what="eligible at true p95")


_P95 = 1.6448536269514722


def _is_fast(world: World, seconds: Sequence[float]) -> bool:
    units = world.units(lambda place: {"latency_s": seconds[place]})
    return world.verdict([world.night(units)]).status is Status.ELIGIBLE


def _bursts(chance: random.Random, size: int) -> list[float]:
    level = chance.gauss(0, 1)
    found = []
    for _ in range(size):
        found.append(math.exp(level))
        level = 0.7 * level + chance.gauss(0, math.sqrt(1 - 0.49))
    return found


def outages(n: int) -> Iterator[Figure]:
    """Yield how often missing calls bring a wrong verdict, and any verdict when more than 5% are missing."""
    size = 300
    world = World((1,) * size, [_gate(0.85)])
    for mean, wrong in ((0.80, Status.ELIGIBLE), (0.92, Status.INELIGIBLE)):
        for missing in (0.0, 0.03, 0.05, 0.10, 0.30, 1.0):
            for aimed in (False, True):
                chance = random.Random(f"13.8 {mean} {missing} {aimed}")
                found = [_outage(world, chance, mean, missing=missing, is_aimed=aimed) for _ in range(n)]
                settings = f"p {mean}, T .85, {missing:.0%} missing, {'hardest prompts' if aimed else 'at random'}"
                yield at_most(found.count(wrong), n, ALPHA, goal="13.8", settings=settings, what="wrong verdict")
                if missing > 0.05:
                    undecided = found.count(Status.UNDECIDED)
                    yield at_least(undecided, n, 1.0, goal="13.8", settings=settings, what="undecided")


def _outage(world: World, chance: random.Random, mean: float, *, missing: float, is_aimed: bool) -> Status:
    size = world.n_clusters
    right = [chance.random() < mean for _ in range(size)]
    order = chance.sample(range(size), size)
    if is_aimed:
        order.sort(key=lambda place: right[place])
    gone = set(order[: round(missing * size)])

    def fields(place: int) -> dict[str, Any]:
        return {"kind": Kind.PROVIDER_ERROR} if place in gone else {"exact": float(right[place])}

    return world.verdict([world.night(world.units(fields))]).status
