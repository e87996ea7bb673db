"""The nights of one suite × model that one chart may run over: a few columns each, so that a year fits into memory.

A series begins where something changed that is not the model getting better or worse: its prompts, how they are graded,
its entry in the roster, how it is asked, the name or the fingerprint of what answers. Runs are read from the newest
back, and a pair is read no further than its own beginning.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from evalkit.domain.score import MEASURES
from evalkit.pipeline.baselines import EXTENSION_TRIALS
from evalkit.pipeline.entry import is_same_entry
from evalkit.pipeline.evidence import read_measurements, share_reader
from evalkit.pipeline.instruments import graded_by, instruments_of
from evalkit.pipeline.plan import mode_for
from evalkit.pipeline.ranking import cost_per_success, percentile
from evalkit.pipeline.thinness import MAX_OUTAGE_SHARE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from evalkit.domain.project import Project
    from evalkit.domain.roster import Model
    from evalkit.domain.run import Cell, Run
    from evalkit.domain.suite import Suite
    from evalkit.pipeline.evidence import Measurement, Unit
    from evalkit.ports import RunReader

__all__ = ["COST", "LATENCY", "LENGTH", "NightSeries", "NightValues", "charted_metrics", "read_series"]

LATENCY, COST, LENGTH = "latency_s", "cost_usd", "output_tokens"

_MOST_NAMES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class NightValues:
    """One night of one suite × model, reduced."""

    run_id: str
    started_at: float
    n_planned: int
    by_case: dict[str, array[float]]
    """Metric to a value per case, in the suite's order: the mean of its trials, NaN when unknown."""
    means: dict[str, float]
    """Metric to the mean of the known values, NaN without any."""
    latency_p50_s: float
    """NaN when unknown, as the next."""
    cost_per_success_usd: float
    served: frozenset[str]
    fingerprints: frozenset[str]


@dataclass(slots=True, kw_only=True)
class NightSeries:
    """Nights of one suite × model since something last changed."""

    suite: Suite
    model: Model
    graded_by: str
    """Digest of today's expectations, scorers and judges."""
    nights: list[NightValues] = field(default_factory=list)
    """Newest first while it is being read, oldest first after."""
    excluded: Counter[str] = field(default_factory=Counter)
    """Why nights within it were passed over, and how many: not_measured, partial, incomplete, thin, extension."""
    began: str = ""
    """What changed when it began; empty when it goes back as far as the store was read. May quote a gateway."""
    before_run: str = ""
    """The newest run of the series before."""
    _between: Counter[str] = field(default_factory=Counter)

    @property
    def is_open(self) -> bool:
        """Whether older runs may still belong to it."""
        return not self.began

    def passed_over(self, why: str) -> None:
        """Count a run that is no night of this pair; it counts only once an older night shows it lay within."""
        self._between[why] += 1

    def add(self, night: NightValues) -> None:
        """Take an older night in."""
        self.excluded += self._between
        self._between.clear()
        self.nights.append(night)

    def begin(self, what: str, run: Run) -> None:
        """Note what was different in an older run: the series goes back no further."""
        self.began, self.before_run = what, run.run_id

    def finish(self) -> None:
        """Put the nights in order of time, without those that asked again because a night looked bad."""
        fewest = min((night.n_planned for night in self.nights), default=0)
        kept = [night for night in self.nights if night.n_planned < EXTENSION_TRIALS * fewest]
        if len(kept) < len(self.nights):
            self.excluded["extension"] += len(self.nights) - len(kept)
        if not self.nights:  # nothing says where it began: all that was tried counts
            self.excluded += self._between
        self.nights = kept[::-1]


def charted_metrics(suite: Suite) -> tuple[str, ...]:
    """Return the metrics charted case by case: the primary, the scores gates name, refusals, output length."""
    scored = (gate.metric for gate in suite.gates if gate.metric not in MEASURES)
    return tuple(dict.fromkeys((suite.primary, *scored, "refusal", LENGTH)))


def read_series(
    project: Project,
    reader: RunReader,
    runs: Sequence[Run],
    *,
    pairs: Iterable[tuple[Suite, Model]],
) -> list[NightSeries]:
    """Return the current series of each suite × model, oldest night first.

    Args:
        project: today's files: a series is of today's prompts, scorers, roster entry and request mode.
        reader: the store.
        runs: through today's kind of gateway, newest first.
        pairs: which suites and models.
    """
    graders = {suite.name: graded_by(suite, instruments_of(project, suite)) for suite, _ in pairs}
    every = [NightSeries(suite=suite, model=model, graded_by=graders[suite.name]) for suite, model in pairs]
    for run in runs:
        wanted = {
            (series.suite.name, series.model.id): series
            for series in every
            if series.is_open and _is_worth_reading(series, run)
        }
        for pair, measurement in read_measurements(reader, run, wanted=wanted).items():
            _take(wanted[pair], measurement, min_coverage=_min_coverage(project, wanted[pair].suite))
    for series in every:
        series.finish()
    return every


def _min_coverage(project: Project, suite: Suite) -> float:
    return project.policy.defaults_for(suite.task).min_coverage


def _is_worth_reading(series: NightSeries, run: Run) -> bool:
    cell = run.cell(series.suite.name, series.model.id)
    if cell is None:
        series.passed_over("not_measured")
        return False
    if cell.is_partial:
        series.passed_over("partial")
        return False
    # Nobody graded what a dead gateway left: that says nothing of how it would have been graded.
    if run.status.is_resumable and series.suite.name not in dict(run.suite_digests):
        series.passed_over("incomplete")
        return False
    changed = "; ".join(_changes(series, run, cell))
    if changed:
        series.begin(changed, run)
    return not changed


def _changes(series: NightSeries, run: Run, cell: Cell) -> Iterator[str]:
    """Yield what differs between a run and today's files."""
    suite, model = series.suite, series.model
    mode = mode_for(suite, model)
    if cell.prompts_digest != suite.prompts_digest:
        yield "its prompts changed"
    elif dict(run.suite_digests).get(suite.name) != series.graded_by:
        yield f"its expectations or scorers changed: evalkit score {run.run_id} brings that night back"
    if not is_same_entry(cell, suite, model):
        yield "its entry in the roster changed"
    elif cell.mode != mode:
        yield f"asked as {cell.mode} before, as {mode} now"


def _take(series: NightSeries, measurement: Measurement, *, min_coverage: float) -> None:
    if not measurement.is_complete:
        series.passed_over("incomplete")
    elif measurement.coverage < min_coverage or measurement.longest_outage_share > MAX_OUTAGE_SHARE:
        series.passed_over("thin")
    else:
        night = _night(series.suite, measurement)
        swapped = "; ".join(_swaps(series.nights, night))
        if swapped:
            series.begin(swapped, measurement.run)
        else:
            series.add(night)


def _swaps(newer: Sequence[NightValues], night: NightValues) -> Iterator[str]:
    """Yield who answers now and did not on this older night.

    A name that is new tonight is another model; of fingerprints an upstream in several places reports several, so that
    only a night without any of the known ones is another system.
    """
    served = next((one.served for one in newer if one.served), frozenset())
    if night.served and not served <= night.served:
        yield f"served {_names(night.served)} before, {_names(served)} now"
    known = frozenset(name for one in newer for name in one.fingerprints)
    if known and night.fingerprints and not known & night.fingerprints:
        yield f"fingerprint {_names(night.fingerprints)} before, {_names(known)} now"


def _names(names: frozenset[str]) -> str:
    shown = sorted(names)
    more = f" and {len(shown) - _MOST_NAMES} more" if len(shown) > _MOST_NAMES else ""
    return ", ".join(shown[:_MOST_NAMES]) + more


def _night(suite: Suite, measurement: Measurement) -> NightValues:
    answered = [unit for unit in measurement.units if not unit.is_missing]
    latencies = [unit.latency_s for unit in answered if unit.latency_s is not None]
    p50, cost = percentile(latencies, share=0.5), cost_per_success([suite], [measurement])
    columns = {metric: _column(suite, answered, _reader(metric)) for metric in charted_metrics(suite)}
    return NightValues(
        run_id=measurement.run.run_id,
        started_at=measurement.run.started_at,
        n_planned=measurement.cell.n_planned,
        by_case=columns,
        means={metric: _mean(column) for metric, column in columns.items()},
        latency_p50_s=math.nan if p50 is None else p50,
        cost_per_success_usd=math.nan if cost is None else cost,
        served=measurement.served_models,
        fingerprints=frozenset(unit.fingerprint for unit in answered if unit.fingerprint),
    )


def _reader(metric: str) -> Callable[[Unit], float | None]:
    return (lambda unit: unit.output_tokens) if metric == LENGTH else share_reader(metric)


def _column(suite: Suite, answered: Sequence[Unit], read: Callable[[Unit], float | None]) -> array[float]:
    found: dict[str, list[float]] = {}
    for unit in answered:
        value = read(unit)
        if value is not None:
            found.setdefault(unit.case_id, []).append(value)
    trials = (found.get(case.id) for case in suite.active_cases)
    return array("d", (math.fsum(values) / len(values) if values else math.nan for values in trials))


def _mean(column: Sequence[float]) -> float:
    known = [value for value in column if not math.isnan(value)]
    return math.fsum(known) / len(known) if known else math.nan
