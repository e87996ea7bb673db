"""Many nights: pooled promotion, stability, alarms and drift."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from calibration.measured import at_least, at_most, mean_at_least, mean_at_most
from calibration.worlds import World, cluster_shares
from evalkit.domain.verdict import Status
from evalkit.pipeline.decide import decide
from evalkit.pipeline.history import MAX_NIGHTS
from evalkit.pipeline.ranking import ranking_of
from evalkit.stats.cusum import MIN_THRESHOLD, first_alarm, within_surprises
from evalkit.stats.regression import Stream, judge_regressions
from evalkit.store.memory import MemoryStore
from evalkit.testing.builders import STARTED_AT, a_case, a_model, a_suite
from evalkit.testing.contract_store import ManualClock
from evalkit.testing.evidence import DAY_S, Answer, a_project, store_night

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from calibration.measured import Figure
    from evalkit.domain.project import Project
    from evalkit.domain.roster import Model
    from evalkit.domain.suite import Case, Suite

__all__ = ["drift", "first_fallback", "more_trials", "pooled_promotion", "regressions", "stability"]

_N_NIGHTS = 30
_N_CASES = 200
_MEAN = 0.85
_ONE_NIGHT = 0.648
"""P(eligible) of a model at .90 and a limit of .85 on one night of 200 prompts: many nights must not admit fewer."""
_NAMES = [f"c{index}" for index in range(_N_CASES)]


def _statuses(world: World, chance: random.Random, mean: float, *, rho: float) -> Iterator[Status]:
    """Yield the status after each of thirty nights of the same prompts."""
    shares = cluster_shares(chance, mean, world.n_clusters, icc=rho)
    nights = []
    for number in range(_N_NIGHTS):
        nights.insert(0, world.night(world.answered(chance, shares), number=number))
        del nights[2 * MAX_NIGHTS :]  # as far back as `read_history` goes
        yield world.verdict(nights).status


def pooled_promotion(n: int) -> Iterator[Figure]:
    """Yield how often a model at the limit is eligible on any of thirty nights."""
    for size in (80, 200):
        world = World((1,) * size, [{"metric": "exact", "at_least": _MEAN}])
        for rho in (0.3, 0.7):
            chance = random.Random(f"14.2 {size} {rho}")
            hits = sum(Status.ELIGIBLE in _statuses(world, chance, _MEAN, rho=rho) for _ in range(n))
            settings = f"{size} prompts, T .85, rho {rho}, 30 nights"
            yield at_most(hits, n, 0.05, goal="14.2", settings=settings, what="ever eligible at mu = T")


def stability(n: int) -> Iterator[Figure]:
    """Yield how often the status changes in thirty nights, five points from the limit.

    A first admission, early or late, is no change of mind: what came after it is counted, and whether it came at all.
    How long an undecided model is kept is the policy's `valid_for`, so that is varied.
    """
    for mean, valid_for in ((_MEAN - 0.05, "50h"), (_MEAN + 0.05, "50h"), (_MEAN + 0.05, "14d")):
        gates = [{"metric": "exact", "at_least": _MEAN}]
        world = World((1,) * _N_CASES, gates, defaults={"valid_for": valid_for})
        for rho in (0.3, 0.7):
            chance = random.Random(f"13.9 {mean} {rho}")
            flips, admitted = [], []
            for _ in range(n):
                allowed = [one is Status.ELIGIBLE for one in _statuses(world, chance, mean, rho=rho)]
                known = allowed[allowed.index(True) :] if True in allowed else []
                flips.append(float(sum(a != b for a, b in pairwise(known))))
                admitted.append(float(True in allowed))
            settings = f"200 prompts, T .85, mu {mean:.2f}, rho {rho}, 30 nights, valid for {valid_for}"
            yield mean_at_most(flips, 0.3, goal="13.9", settings=settings, what="changes after the first admission")
            if mean > _MEAN:
                yield mean_at_least(admitted, _ONE_NIGHT, goal="13.9", settings=settings, what="admitted on some night")


def first_fallback(n: int) -> Iterator[Figure]:
    """Yield how often the first model offered changes in thirty nights, of four that differ by less than a point.

    Through the store and `decide`, with ranks as the file has them; the nights begin where somebody is offered.
    """
    truths = {"a": 0.922, "b": 0.930, "c": 0.925, "d": 0.928}
    suite = a_suite("qa", cases=[a_case(name) for name in _NAMES], gates=[{"metric": "exact", "at_least": _MEAN}])
    project = a_project([suite], models=[a_model(name) for name in truths])
    for rho in (0.3, 0.7):
        changes = []
        for index in range(n):
            chance = random.Random(f"13.9 first {rho} {index}")
            shares = {
                (name, case): share
                for name, mean in truths.items()
                for case, share in zip(_NAMES, cluster_shares(chance, mean, _N_CASES, icc=rho), strict=True)
            }
            changes.append(float(sum(a != b for a, b in pairwise(_first_offered(project, chance, shares)))))
        settings = f"4 models .922 … .930, costs 10% apart, 200 prompts, T .85, rho {rho}, 30 nights"
        yield mean_at_most(changes, 1.0, goal="13.9", settings=settings, what="changes of the first offered")


def _first_offered(project: Project, chance: random.Random, shares: Mapping[tuple[str, str], float]) -> Iterator[str]:
    """Yield who is offered first after each night on which anybody is."""
    store = MemoryStore(clock=ManualClock())

    def answered(_suite: Suite, model: Model, case: Case) -> Answer:
        score = float(chance.random() < shares[model.id, case.id])
        return Answer(scores={"exact": score}, cost_usd=0.001 * 1.1 ** "abcd".index(model.id))

    for number in range(_N_NIGHTS):
        store_night(store, project, answered, run_id=f"night-{number}", started_at=STARTED_AT + number * DAY_S)
        yield from (
            rank.model_id for rank in ranking_of(project.policy, decide(project, store).verdicts) if rank.place == 1
        )


class _Family:
    """Streams of 200 prompts each, some share of their variance between prompts."""

    def __init__(self, seed: list[int], *, rho: float, n_streams: int, wobble: float) -> None:
        self._rng = np.random.default_rng(seed)
        self._rates = _chances(self._rng, rho, n_streams)
        self._wobble = wobble

    def _answers(self, rates: NDArray[np.float64], k: int = 1) -> dict[str, list[float]]:
        shift = self._rng.normal(0, self._wobble) if self._wobble else 0.0
        return self._trials(np.clip(rates + shift, 0, 1), k)

    def _trials(self, rates: NDArray[np.float64], k: int) -> dict[str, list[float]]:
        found = self._rng.random((k, len(rates))) < rates
        return dict(zip(_NAMES, found.T.astype(float).tolist(), strict=True))

    def night(self, *, drop: float, first: int = 1, again: int = 5) -> tuple[list[bool], int]:
        """Return which streams are confirmed worse, the first being so in truth, and how many were extended.

        `first` trials of every stream tonight, and `again` of those that look suspicious.
        """
        streams, truths = [], []
        for index, rates in enumerate(self._rates):
            shift = self._rng.normal(0, self._wobble) if self._wobble else 0.0
            fallen = rates * (1 - drop / rates.mean()) if index == 0 else rates
            truth = np.clip(fallen + shift, 0, 1)
            nights = tuple(self._answers(rates) for _ in range(14))
            streams.append(Stream(candidate=self._trials(truth, first), nights=nights, clusters={}))
            truths.append(truth)
        looked = judge_regressions(streams).judged
        wanted = [index for index, one in enumerate(looked) if one.standing in {"suspect", "screened"}]
        for index in wanted:
            streams[index] = replace(streams[index], extension=self._trials(truths[index], again))
        judged = judge_regressions(streams).judged
        return [one.standing == "confirmed" for one in judged], len(wanted)


def _chances(rng: np.random.Generator, rho: float, n: int) -> NDArray[np.float64]:
    spread = (1 - rho) / rho
    return rng.beta(_MEAN * spread, (1 - _MEAN) * spread, size=(n, _N_CASES))


def regressions(n: int, *, n_streams: int = 200) -> Iterator[Figure]:
    """Yield false alarms of a night and what finds a real drop of five points."""
    for rho, power in ((0.3, 0.65), (0.7, 0.90)):
        for wobble in (0.0, 0.005):
            false_nights = found = extended = 0
            for index in range(n):
                family = _Family([13, 4, round(10 * rho), round(1000 * wobble), index], rho=rho,
                                 n_streams=n_streams, wobble=wobble)  # fmt: skip
                confirmed, n_extended = family.night(drop=0.05)
                false_nights += any(confirmed[1:])
                found += confirmed[0]
                extended += n_extended
            settings = f"{n_streams} streams of 200 prompts, 14 nights, 1 + 5 trials, rho {rho}, wobble {wobble:g}"
            yield at_most(false_nights, n, 0.05, goal="13.4", settings=settings, what="nights with a false alarm")
            if not wobble:
                yield at_least(found, n, power, goal="13.5", settings=settings, what="5-point drop confirmed")
                share = round(extended), n * n_streams
                yield at_most(*share, 0.11, goal="13.5", settings=settings, what="streams extended (× 5 = calls)")


def more_trials(n: int, *, n_streams: int = 200) -> Iterator[Figure]:
    """Yield the same with three trials a night and ten more of what looks suspicious."""
    for rho, power in ((0.3, 0.90), (0.7, 0.97)):
        false_nights = found = 0
        for index in range(n):
            family = _Family([13, 5, round(10 * rho), index], rho=rho, n_streams=n_streams, wobble=0.0)
            confirmed, _ = family.night(drop=0.05, first=3, again=10)
            false_nights += any(confirmed[1:])
            found += confirmed[0]
        settings = f"{n_streams} streams of 200 prompts, 14 nights, 3 + 10 trials, rho {rho}"
        yield at_most(false_nights, n, 0.05, goal="13.4", settings=settings, what="nights with a false alarm")
        yield at_least(found, n, power, goal="13.5", settings=settings, what="5-point drop confirmed")


def drift(n: int) -> Iterator[Figure]:
    """Yield false alarms in ninety quiet nights, and what tells a lasting drop of three points in fourteen."""
    for rho, power in ((0.3, 0.60), (0.7, 0.95)):
        rng = np.random.default_rng([13, 6, round(10 * rho)])
        n_false = n_found = 0
        for chance in _chances(rng, rho, n):
            n_false += first_alarm(-within_surprises(rng.random((90, _N_CASES)) < chance),
                                   threshold=MIN_THRESHOLD) is not None  # fmt: skip
            days = np.vstack([rng.random((30, _N_CASES)) < chance,
                              rng.random((14, _N_CASES)) < chance * (1 - 0.03 / _MEAN)])  # fmt: skip
            alarm = first_alarm(-within_surprises(days), threshold=MIN_THRESHOLD)
            n_found += alarm is not None and alarm.night >= 30
        settings = f"200 prompts, mean .85, rho {rho}"
        yield at_most(n_false, n, 1.5 / 200, goal="13.6", settings=settings, what="quiet streams alarmed in 90 nights")
        yield at_least(n_found, n, power, goal="13.6", settings=settings, what="3-point drop told within 14 nights")
