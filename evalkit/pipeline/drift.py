"""Across nights: did a level move slowly, when, and by how much? One chart per suite × model × metric.

`compare` asks whether tonight is worse than the nights before; a drop too small for any one night shows here, once it
lasts. What a chart says rests on `evalkit.stats.cusum`; this module says which nights it runs over and what is worth
telling.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from evalkit.domain.score import MEASURES
from evalkit.errors import NotFoundError
from evalkit.pipeline.history import runs_that_count
from evalkit.pipeline.night_series import COST, LATENCY, LENGTH, charted_metrics, read_series
from evalkit.pipeline.plan import mode_for
from evalkit.stats.cusum import (
    ALLOWANCE,
    NIGHTS_NEEDED,
    NIGHTS_PER_FALSE_ALARM,
    Alarm,
    between_surprises,
    first_alarm,
    threshold_for,
    within_surprises,
)
from evalkit.stats.shifts import between_shift, ratio_of_means, within_shift

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from evalkit.domain.estimate import Estimate
    from evalkit.domain.project import Project
    from evalkit.domain.roster import Model
    from evalkit.domain.suite import Suite
    from evalkit.pipeline.night_series import NightSeries, NightValues
    from evalkit.ports import RunReader

__all__ = ["MAX_NIGHTS", "MIN_RATIO", "MIN_SHIFT", "Drift", "Drifts", "LengthRatio", "NightChart", "find_drifts"]

MAX_NIGHTS = 90
"""Runs that are read, newest first, unless told otherwise."""

MIN_SHIFT = 0.02
"""A smaller shift of a share is shown, never acted on; as in `compare`."""

MIN_RATIO = 1.10
"""A latency, length or cost that grew by less is shown, never acted on."""

Direction = Literal["worse", "better"]
ChartState = Literal["worse", "better", "steady", "unjudged"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """One alarm of a chart, with the change it points at."""

    direction: Direction
    change_run: str
    """The first night of the new level, as the chart sees it."""
    change_at: float
    """Unix seconds."""
    alarm_run: str
    """The night on which it could be told."""
    alarm_at: float
    size: Estimate
    """After minus before for shares, after over before for the rest; after is all nights up to the next change."""
    is_small: bool
    """Below what is worth acting on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NightChart:
    """One metric of one suite × model over the nights of its current series."""

    suite: str
    task: str
    model_id: str
    metric: str
    of: Literal["mean", "p50", "per_success"]
    unit: Literal["difference", "ratio"]
    """How sizes are told."""
    state: ChartState
    n_nights: int
    """Nights with a value."""
    n_needed: int
    """More nights until it can be judged; 0 once it is."""
    first_at: float | None
    last_at: float | None
    levels: tuple[float, ...]
    """The night's own number, oldest first."""
    excluded: dict[str, int]
    """Nights within the series that do not count, by reason; no_value is a night without this one metric."""
    began: str
    """What changed when the series began."""
    drifts: tuple[Drift, ...] = ()
    """Oldest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthRatio:
    """How long a model's answers are, against those of its task's incumbent to the same cases."""

    task: str
    model_id: str
    incumbent: str
    run_id: str
    """The model's own night; the incumbent's newest is held against it."""
    ratio: Estimate
    """Mean output tokens over the incumbent's; longer answers cost more than prices say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drifts:
    """All charts that were asked for."""

    charts: tuple[NightChart, ...]
    """Worse first, then better, steady, unjudged."""
    lengths: tuple[LengthRatio, ...]
    threshold: float
    allowance: float
    n_family: int
    """Charts of all suites × models of the project: the false alarms of so many are what the threshold limits."""
    n_runs: int
    nights_needed: int = NIGHTS_NEEDED
    nights_per_false_alarm: int = NIGHTS_PER_FALSE_ALARM
    min_shift: float = MIN_SHIFT
    min_ratio: float = MIN_RATIO
    is_simulated: bool = False

    def in_state(self, *states: ChartState) -> tuple[NightChart, ...]:
        """Return the charts in one of these states."""
        return tuple(chart for chart in self.charts if chart.state in states)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Column:
    """The values of one chart, and how to read them."""

    nights: Sequence[NightValues]
    rows: Sequence[Sequence[float]] = field(repr=False)
    """A row of cases per night; empty for a metric that is one number a night."""
    levels: tuple[float, ...]
    """One number a night."""
    is_by_case: bool
    is_ratio: bool

    def surprises(self, first: int) -> list[float]:
        """Return how far above its past each night from `first` on lies."""
        if self.is_by_case:
            found = within_surprises(self.rows[first:])
        else:
            found = between_surprises([math.log(level) for level in self.levels[first:]])
        return [float(surprise) for surprise in found]

    def size(self, first: int, change: int, end: int) -> Estimate:
        """Return the step at `change`, from the nights `first` to `end`."""
        if not self.is_by_case:
            return between_shift(self.levels[first:end], change - first)
        return within_shift(self.rows[first:end], change - first, of="ratio" if self.is_ratio else "difference")


def find_drifts(
    project: Project,
    reader: RunReader,
    *,
    suites: Sequence[str] = (),
    model_ids: Sequence[str] = (),
    max_nights: int = MAX_NIGHTS,
) -> Drifts:
    """Return one chart per suite × model × metric, each over the nights since something last changed.

    Args:
        project: today's files.
        reader: the store.
        suites: only these; none are all. The family, and so the threshold, is that of the whole project all the same.
        model_ids: only these; none are all.
        max_nights: runs to read, newest first.

    Raises:
        NotFoundError: when a suite or model is not in today's files.
    """
    _refuse_unknown(suites, known=project.suite_by_name, what="suite")
    _refuse_unknown(model_ids, known=project.roster.by_id, what="model")
    family = [*_pairs(project)]
    chosen = {
        (suite.name, model.id)
        for suite, model in family
        if (not suites or suite.name in suites) and (not model_ids or model.id in model_ids)
    }
    runs = runs_that_count(project, reader)[:max_nights]
    wanted = [pair for pair in family if _key(pair) in chosen or _is_incumbent(project, pair, chosen)]
    series = read_series(project, reader, runs, pairs=wanted)
    n_family = sum(len(charted_metrics(suite)) + len(_ALONE) for suite, _ in family)
    threshold = threshold_for(n_family)
    charts = [chart for one in series if (one.suite.name, one.model.id) in chosen for chart in _charts(one, threshold)]
    return Drifts(
        charts=tuple(sorted(charts, key=lambda chart: _ORDER.index(chart.state))),
        lengths=tuple(_lengths(project, series, {model_id for _, model_id in chosen})),
        threshold=threshold,
        allowance=ALLOWANCE,
        n_family=n_family,
        n_runs=len(runs),
        is_simulated=any(run.is_simulated for run in runs),
    )


_ORDER: tuple[ChartState, ...] = ("worse", "better", "steady", "unjudged")


def _refuse_unknown(names: Sequence[str], *, known: Collection[str], what: str) -> None:
    for name in names:
        if name not in known:
            raise NotFoundError(f"no {what} {name!r}", next_step=f"one of {', '.join(sorted(known))}")


def _pairs(project: Project) -> Iterator[tuple[Suite, Model]]:
    for suite in project.suites:
        for model in project.roster.models:
            if mode_for(suite, model) is not None:
                yield suite, model


def _key(pair: tuple[Suite, Model]) -> tuple[str, str]:
    suite, model = pair
    return suite.name, model.id


def _is_incumbent(project: Project, pair: tuple[Suite, Model], chosen: Collection[tuple[str, str]]) -> bool:
    """Return whether lengths of what was chosen are held against this pair's."""
    suite, model = pair
    is_asked = any(name == suite.name for name, _ in chosen)
    return is_asked and project.policy.tasks[suite.task].incumbent == model.id


_ALONE: dict[str, tuple[Literal["p50", "per_success"], Callable[[NightValues], float]]] = {
    LATENCY: ("p50", lambda night: night.latency_p50_s),
    COST: ("per_success", lambda night: night.cost_per_success_usd),
}


def _charts(series: NightSeries, threshold: float) -> Iterator[NightChart]:
    for metric in charted_metrics(series.suite):
        # Lengths of 0 throughout have no ratio to anything.
        least = math.ulp(0.0) if metric == LENGTH else 0.0
        known = [night for night in series.nights if night.means[metric] >= least]
        column = _Column(
            nights=known,
            rows=[night.by_case[metric] for night in known],
            levels=tuple(night.means[metric] for night in known),
            is_by_case=True,
            is_ratio=metric == LENGTH,
        )
        yield _chart(series, metric, column, threshold=threshold)
    for metric, (_, read) in _ALONE.items():
        known = [night for night in series.nights if read(night) > 0]
        levels = tuple(read(night) for night in known)
        column = _Column(nights=known, rows=(), levels=levels, is_by_case=False, is_ratio=True)
        yield _chart(series, metric, column, threshold=threshold)


def _chart(series: NightSeries, metric: str, column: _Column, *, threshold: float) -> NightChart:
    n_nights = len(column.nights)
    sign = -1.0 if metric in MEASURES and MEASURES[metric].better == "lower" else 1.0
    drifts = tuple(_drifts(column, sign=sign, threshold=threshold))
    without = len(series.nights) - n_nights
    return NightChart(
        suite=series.suite.name,
        task=series.suite.task,
        model_id=series.model.id,
        metric=metric,
        of=_ALONE[metric][0] if metric in _ALONE else "mean",
        unit="ratio" if column.is_ratio else "difference",
        state=_state(drifts, column, sign=sign),
        n_nights=n_nights,
        n_needed=max(0, NIGHTS_NEEDED - n_nights),
        first_at=column.nights[0].started_at if n_nights else None,
        last_at=column.nights[-1].started_at if n_nights else None,
        levels=column.levels,
        excluded=dict(sorted({**series.excluded, **({"no_value": without} if without else {})}.items())),
        began=series.began,
        drifts=drifts,
    )


def _drifts(column: _Column, *, sign: float, threshold: float) -> Iterator[Drift]:
    """Yield the alarms of a chart; after each it learns anew, from the first night of the new level on."""
    first = 0
    found = _next_alarm(column, first, sign=sign, threshold=threshold)
    while found is not None:
        direction, alarm = found
        change = alarm.change
        following = _next_alarm(column, change, sign=sign, threshold=threshold)
        end = following[1].change if following is not None else len(column.nights)
        size = column.size(first, change, end)
        moved, told = column.nights[change], column.nights[alarm.night]
        yield Drift(
            direction=direction,
            change_run=moved.run_id,
            change_at=moved.started_at,
            alarm_run=told.run_id,
            alarm_at=told.started_at,
            size=size,
            is_small=_step(size, is_ratio=column.is_ratio) < 1,
        )
        first, found = change, following


def _next_alarm(column: _Column, first: int, *, sign: float, threshold: float) -> tuple[Direction, Alarm] | None:
    """Return the earliest alarm in either direction over the nights from `first` on."""
    surprises = column.surprises(first) if len(column.nights) - first >= NIGHTS_NEEDED else []
    sides: dict[Direction, float] = {"worse": -sign, "better": sign}
    alarms = [
        (direction, Alarm(alarm.night + first, alarm.change + first))
        for direction, side in sides.items()
        if (alarm := first_alarm([side * surprise for surprise in surprises], threshold=threshold)) is not None
    ]
    return min(alarms, key=lambda found: found[1].night, default=None)


def _step(size: Estimate, *, is_ratio: bool) -> float:
    """Return how often the smallest step worth acting on fits into a size, without its sign."""
    return abs(math.log(size.value)) / math.log(MIN_RATIO) if is_ratio else abs(size.value) / MIN_SHIFT


def _state(drifts: Sequence[Drift], column: _Column, *, sign: float) -> ChartState:
    """Return where the level stands after all its drifts: what a later one made good is no drift any more."""
    if len(column.nights) < NIGHTS_NEEDED:
        return "unjudged"
    net = sum(math.log(drift.size.value) if column.is_ratio else drift.size.value for drift in drifts)
    smallest = math.log(MIN_RATIO) if column.is_ratio else MIN_SHIFT
    if abs(net) < smallest:
        return "steady"
    return "better" if net * sign > 0 else "worse"


def _lengths(project: Project, series: Sequence[NightSeries], model_ids: set[str]) -> Iterator[LengthRatio]:
    by_pair = {(one.suite.name, one.model.id): one.nights[-1] for one in series if one.nights}
    for task, policy in project.policy.tasks.items():
        incumbent = policy.incumbent
        suites = [suite for suite in project.suites if suite.task == task]
        for model in project.roster.models:
            if incumbent is None or model.id not in model_ids or model.id == incumbent:
                continue
            found = [
                (suite, by_pair[suite.name, model.id], by_pair[suite.name, incumbent])
                for suite in suites
                if (suite.name, model.id) in by_pair and (suite.name, incumbent) in by_pair
            ]
            ratio = _length_ratio(found)
            if ratio is not None:
                yield LengthRatio(
                    task=task, model_id=model.id, incumbent=incumbent, run_id=found[0][1].run_id, ratio=ratio
                )


def _length_ratio(nights: Sequence[tuple[Suite, NightValues, NightValues]]) -> Estimate | None:
    rows = [
        (ours, theirs, f"{suite.name}\n{case.cluster_id}")
        for suite, mine, incumbent in nights
        for case, ours, theirs in zip(suite.active_cases, mine.by_case[LENGTH], incumbent.by_case[LENGTH], strict=True)
        if not (math.isnan(ours) or math.isnan(theirs))
    ]
    if not rows or not sum(theirs for _, theirs, _ in rows):
        return None
    return ratio_of_means([ours for ours, _, _ in rows], [theirs for _, theirs, _ in rows], [c for _, _, c in rows])
