"""Several suites at one moment of the plan: the looks at a pool, whoever of them was asked how far.

A pool of what happens to be there drifts to the suites that went on: those that fail end early. So a look is at the
same tenth of the plan in every suite, and taken when all of them were asked as far as that. A suite that was measured
whole counts up to there, too, in the order of its plan.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from evalkit.stats.sequential import N_LOOKS, size_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evalkit.pipeline.evidence import Measurement

__all__ = ["CommonLooks", "is_asked_to_the_end"]


class CommonLooks:
    """The looks at a pool of measurements, each with a look of its own; one look at the end when none stops early."""

    def __init__(self, measurements: Sequence[Measurement]) -> None:
        self._seen = [one.evidence for one in measurements]
        self._places = [_places(one) for one in self._seen]
        planned = [
            one.cell.looks[-1].n_clusters if one.cell.looks else len(places)
            for one, places in zip(measurements, self._places, strict=True)
        ]
        n_looks = max(len(one.cell.looks) or 1 for one in measurements)
        tenths = range(N_LOOKS - n_looks + 1, N_LOOKS + 1)
        self._sizes = [[size_at(n, tenth=tenth) for n in planned] for tenth in tenths]

    @property
    def times(self) -> list[float]:
        """Share of all clusters at each look of the schedule, taken or not."""
        return [sum(sizes) / sum(self._sizes[-1]) for sizes in self._sizes]

    @property
    def n_taken(self) -> int:
        """How many looks every measurement reaches."""
        n_asked = [len(places) for places in self._places]
        return sum(all(size <= n for size, n in zip(sizes, n_asked, strict=True)) for sizes in self._sizes)

    def at(self, number: int) -> list[Measurement]:
        """Return the measurements as the look numbered from 1 saw them."""
        return [
            _first_clusters(one, places, n=size)
            for one, places, size in zip(self._seen, self._places, self._sizes[number - 1], strict=True)
        ]


def is_asked_to_the_end(measurement: Measurement) -> bool:
    """Whether nothing of its plan was left out."""
    return measurement.n_looks == (len(measurement.cell.looks) or 1)


def _places(measurement: Measurement) -> dict[str, int]:
    """Return the place of each cluster in the scheduled order, from 0."""
    in_order = sorted(measurement.units, key=lambda unit: unit.sequence)
    return {cluster_id: place for place, cluster_id in enumerate(dict.fromkeys(unit.cluster_id for unit in in_order))}


def _first_clusters(measurement: Measurement, places: dict[str, int], *, n: int) -> Measurement:
    if n >= len(places):
        return measurement
    units = [unit for unit in measurement.units if places[unit.cluster_id] < n]
    return replace(measurement, cell=replace(measurement.cell, n_planned=len(units)), units=units)
