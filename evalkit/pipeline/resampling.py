"""Simulated nights of one task × model: clusters of stored measurements, drawn again and judged as if they were real.

A drawn cluster keeps all its cases, trials, times and costs, and the incumbent's answers to the same prompts beside
the model's own. A cluster drawn twice is two clusters. Nothing here judges: what it makes goes through `decide`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import cycle
from typing import TYPE_CHECKING

from evalkit.domain.outcome import MISSING, Kind
from evalkit.domain.score import MEASURES
from evalkit.domain.suite import Case
from evalkit.pipeline.evidence import Measurement
from evalkit.pipeline.history import History
from evalkit.stats.flips import Population

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from evalkit.domain.project import Project
    from evalkit.domain.suite import Gate, Suite
    from evalkit.pipeline.evidence import Unit
    from evalkit.stats.flips import NightDraw

__all__ = ["Resampler"]

_MIN_CLUSTERS = 2


class Resampler:
    """Draws nights of a task × model from its stored ones."""

    def __init__(
        self, project: Project, task: str, nights: Mapping[tuple[str, str], Sequence[Measurement]], *, model_id: str
    ) -> None:
        """Take what the nights are drawn from.

        Args:
            project: today's files.
            task: its suites are drawn from, each by itself.
            nights: (suite, model id) to stored measurements, newest first, of this model and perhaps the incumbent.
            model_id: whose nights these are; the others only answer the same prompts.
        """
        self._project = project
        self._suites = [
            _SuiteSource(suite, {who: found for (name, who), found in nights.items() if name == suite.name}, model_id)
            for suite in project.suites_of(task)
        ]

    @property
    def populations(self) -> tuple[Population, ...] | None:
        """What to draw from, one a suite; None when a suite has fewer than two clusters that may be drawn."""
        if any(len(suite.free) < _MIN_CLUSTERS for suite in self._suites):
            return None
        return tuple(Population(n_observed=len(suite.free), n_imagined=len(suite.imagined)) for suite in self._suites)

    def night(self, draw: NightDraw) -> tuple[Project, History]:
        """Return the project with the drawn prompts, and a history with one measurement of each suite and model."""
        suites: list[Suite] = []
        by_pair: dict[tuple[str, str], list[Measurement]] = {}
        for source, counts in zip(self._suites, draw.counts, strict=True):
            suite, found = source.night(counts, occasion=draw.occasion)
            suites.append(suite)
            by_pair |= {(suite.name, model_id): [measurement] for model_id, measurement in found.items()}
        return replace(self._project, suites=tuple(suites)), History(by_pair, frozenset())


@dataclass(frozen=True, slots=True)
class _Imagined:
    """A cluster nobody saw: the prompts of one that was seen, answered otherwise."""

    like: str
    kind: Kind
    score: float


@dataclass(slots=True)
class _Night:
    """One stored measurement by cluster, and the copies made of them so far."""

    measurement: Measurement
    by_cluster: dict[str, list[Unit]]
    copies: dict[tuple[int, int], list[Unit]] = field(default_factory=dict)


class _SuiteSource:
    """One suite's clusters, and what was answered to them."""

    def __init__(self, suite: Suite, nights: Mapping[str, Sequence[Measurement]], model_id: str) -> None:
        self._suite = suite
        self._model_id = model_id
        self._nights = {who: [_Night(one, _by_cluster(one)) for one in found] for who, found in nights.items()}
        mine = self._nights[model_id][0].by_cluster
        self._cases: dict[str, list[Case]] = {}
        for case in suite.active_cases:
            if case.cluster_id in mine:
                self._cases.setdefault(case.cluster_id, []).append(case)
        # Without its critical cases no night can be judged: they are there every night, once.
        fixed = [name for name, cases in self._cases.items() if any(case.critical for case in cases)]
        self.free = [name for name in self._cases if name not in set(fixed)]
        self.imagined = [*dict.fromkeys(self._imagine())]
        self._atoms = [*self.free, *(one.like for one in self.imagined), *fixed]
        self._n_fixed = len(fixed)
        self._metrics = sorted({metric for units in mine.values() for unit in units for metric in unit.scores})
        self._case_copies: dict[tuple[int, int], list[Case]] = {}

    def _imagine(self) -> Iterator[_Imagined]:
        """Yield, for each gate on a share, a cluster of its slice that fails it and one that passes everything."""
        for gate in self._suite.gates:
            like = self._example(gate)
            if like is not None and gate.of == "mean":
                yield _Imagined(like, _failing_kind(gate.metric), 0.0)
                yield _Imagined(like, Kind.OK, 1.0)

    def _example(self, gate: Gate) -> str | None:
        """Return the first cluster of the gate's slice that was answered completely, or None."""
        wanted = {case.cluster_id for case in gate.cases_of(self._suite.active_cases)}
        mine = self._nights[self._model_id][0].by_cluster
        whole = (name for name in self.free if name in wanted and not any(unit.is_missing for unit in mine[name]))
        return next(whole, None)

    def night(self, counts: Sequence[int], *, occasion: float) -> tuple[Suite, dict[str, Measurement]]:
        """Return the suite with the drawn prompts, and each model's answers to them."""
        drawn = [(atom, copy) for atom, times in enumerate(counts) for copy in range(times)]
        drawn += [(atom, 0) for atom in range(len(self._atoms) - self._n_fixed, len(self._atoms))]
        cases = [case for place in drawn for case in self._copied_cases(place)]
        found = {}
        for model_id, nights in self._nights.items():
            night = nights[int(occasion * len(nights))]
            units = [unit for place in drawn for unit in self._copied_units(night, place, model_id=model_id)]
            cell = replace(night.measurement.cell, n_planned=len(units))
            # Streamed calls stay as many and as they were: what they took hardly depends on which prompt it was.
            probes = [
                replace(probe, case_id=case.id)
                for probe, case in zip(night.measurement.probes, cycle(cases), strict=False)
            ]
            found[model_id] = Measurement(run=night.measurement.run, cell=cell, units=units, probes=probes)
        return self._suite.model_copy(update={"cases": tuple(cases)}), found

    def _copied_cases(self, place: tuple[int, int]) -> list[Case]:
        """Return the cases of a copy of a cluster, with names of their own and nothing that only a prompt needs."""
        if place not in self._case_copies:
            self._case_copies[place] = [
                Case(
                    id=_case_name(place, index),
                    cluster=_cluster_name(place),
                    expect=case.expect,
                    tags=case.tags,
                    critical=case.critical,
                )
                for index, case in enumerate(self._cases[self._atoms[place[0]]])
            ]
        return self._case_copies[place]

    def _copied_units(self, night: _Night, place: tuple[int, int], *, model_id: str) -> list[Unit]:
        if place not in night.copies:
            atom, _ = place
            name = self._atoms[atom]
            names = {case.id: _case_name(place, index) for index, case in enumerate(self._cases[name])}
            units = night.by_cluster.get(name, [])
            if model_id == self._model_id and len(self.free) <= atom < len(self._atoms) - self._n_fixed:
                units = [self._answered_as(self.imagined[atom - len(self.free)], unit) for unit in units]
            night.copies[place] = [
                replace(unit, case_id=names[unit.case_id], cluster_id=_cluster_name(place)) for unit in units
            ]
        return night.copies[place]

    def _answered_as(self, imagined: _Imagined, unit: Unit) -> Unit:
        is_missing = imagined.kind in MISSING
        scores: dict[str, float | None] = {} if is_missing else dict.fromkeys(self._metrics, imagined.score)
        return replace(unit, kind=imagined.kind, is_missing=is_missing, scores=scores)


def _failing_kind(metric: str) -> Kind:
    """Return as what an imagined answer fails a gate on a share; one on a score is failed by a refusal's 0."""
    if metric == "availability":
        return Kind.PROVIDER_ERROR
    return (MEASURES[metric].kind if metric in MEASURES else None) or Kind.REFUSAL


def _by_cluster(measurement: Measurement) -> dict[str, list[Unit]]:
    found: dict[str, list[Unit]] = {}
    for unit in measurement.units:
        found.setdefault(unit.cluster_id, []).append(unit)
    return found


def _cluster_name(place: tuple[int, int]) -> str:
    return f"{place[0]}.{place[1]}"


def _case_name(place: tuple[int, int], index: int) -> str:
    return f"{_cluster_name(place)}.{index}"
