"""A suite, a model with a known truth, and the verdict evalkit gives on its drawn answers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from evalkit.pipeline.clustering import Correlations
from evalkit.pipeline.decide import verdict_from_history
from evalkit.pipeline.history import History
from evalkit.pipeline.plan import Selection, plan
from evalkit.pipeline.schedule import Scored, Stop, next_batch
from evalkit.testing.builders import STARTED_AT, a_case, a_suite
from evalkit.testing.evidence import DAY_S, a_measurement, a_project, a_unit

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping, Sequence

    from evalkit.domain.call import Call
    from evalkit.domain.verdict import Verdict
    from evalkit.pipeline.evidence import Measurement, Unit

__all__ = ["World", "cluster_shares", "drawn"]

_PAIR = ("qa", "gpt-4o")


def cluster_shares(chance: random.Random, mean: float, n: int, *, icc: float) -> list[float]:
    """Return how often a model passes the prompts of each cluster: beta distributed, with this mean and correlation."""
    if not icc:
        return [mean] * n
    spread = (1 - icc) / icc
    return [chance.betavariate(mean * spread, (1 - mean) * spread) for _ in range(n)]


def drawn(chance: random.Random, share: float, *, is_graded: bool) -> float:
    """Return one score whose expectation is the share: 0 or 1, or graded and spread inside [0, 1]."""
    if is_graded:
        return chance.betavariate(max(2 * share, 1e-9), max(2 * (1 - share), 1e-9))
    return float(chance.random() < share)


@dataclass(frozen=True, slots=True)
class Sequential:
    """What came of asking look by look."""

    verdict: Verdict
    n_calls: int


class World:
    """One task of one suite with one model, planned by `evalkit.pipeline.plan`."""

    def __init__(
        self,
        sizes: Sequence[int],
        gates: Sequence[Mapping[str, Any]],
        *,
        trials: int = 1,
        defaults: Mapping[str, Any] | None = None,
    ) -> None:
        """Plan `sizes[k]` cases of cluster k, each asked `trials` times; `defaults` are as in a policy."""
        cases = [
            a_case(f"c{cluster}-{number}", cluster=f"p{cluster}")
            for cluster, size in enumerate(sizes)
            for number in range(size)
        ]
        self.suite = a_suite("qa", cases=cases, gates=list(gates), trials=trials)
        self.n_clusters = len(sizes)
        self._project = a_project([self.suite], defaults=defaults)
        self._model = self._project.roster.models[0]
        planned = plan(self._project, Selection(is_sequential=True))
        self._cell = planned.cells[0].cell
        self.calls: list[Call] = list(planned.calls_of(self._model.id))
        self.cluster_numbers = [int(call.cluster_id[1:]) for call in self.calls]

    def units(self, fields_of: Callable[[int], Mapping[str, Any]]) -> list[Unit]:
        """Return every planned call answered; `fields_of` takes its place in the scheduled order."""
        return [
            a_unit(
                call.case_id,
                cluster_id=call.cluster_id,
                trial=call.trial,
                sequence=call.sequence,
                mode=self._cell.mode,
                **fields_of(place),
            )
            for place, call in enumerate(self.calls)
        ]

    def answered(self, chance: random.Random, shares: Sequence[float], *, is_graded: bool = False) -> list[Unit]:
        """Return a whole night of a model that passes cluster k with `shares[k]`."""
        numbers = self.cluster_numbers
        return self.units(lambda place: {"exact": drawn(chance, shares[numbers[place]], is_graded=is_graded)})

    def night(self, units: Sequence[Unit], *, number: int = 0) -> Measurement:
        """Return the units as the measurement of night `number`, asked as a whole."""
        moved = [replace(unit, started_at=unit.started_at + number * DAY_S) for unit in units] if number else units
        found = a_measurement(moved, suite=self.suite, mode=self._cell.mode)
        started_at = STARTED_AT + number * DAY_S
        run = replace(found.run, run_id=f"night-{number}", started_at=started_at, finished_at=started_at + 3600)
        return replace(found, run=run)

    def known(self, others: Sequence[Sequence[Unit]]) -> Correlations:
        """Return what a run of other models, a night before the first, says of the clusters."""
        by_pair = {("qa", f"other-{index}"): [self.night(units, number=-1)] for index, units in enumerate(others)}
        return Correlations(by_pair, self._project.policy)

    def verdict(self, nights: Sequence[Measurement], *, known: Correlations | None = None) -> Verdict:
        """Return the verdict on these nights, newest first, at the end of the newest."""
        history = History({_PAIR: list(nights)}, frozenset(), correlations=known)
        return verdict_from_history(self._project, history, task="qa", model=self._model, as_of=nights[0].last_at)

    def sequential(self, units: Sequence[Unit]) -> Sequential:
        """Ask batch by batch until `next_batch` says stop, and decide on what was asked."""
        last, asked = -1.0, 0
        history = History({}, frozenset())
        for _ in range(len(self._cell.looks) + 2):
            batch = next_batch([self._cell], Scored(history=history, is_start=not asked), self._project)
            if isinstance(batch, Stop):
                break
            last = batch.until[_PAIR]
            seen = [unit for unit in units if unit.sequence <= last]
            asked = len(seen)
            history = History({_PAIR: [replace(a_measurement(seen, suite=self.suite), cell=self._cell)]}, frozenset())
        (night,) = history.by_pair[_PAIR]
        verdict = verdict_from_history(self._project, history, task="qa", model=self._model, as_of=night.last_at)
        return Sequential(verdict, asked)
