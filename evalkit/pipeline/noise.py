"""Noise: how often two nights of the *same* model would disagree, and how many clusters would settle it.

Nights are simulated by drawing clusters of what is stored, and each is judged by `decide`'s own code. Every night is
judged alone, without the pool and without earlier evidence that would keep a model: this is the noise those two have
to live with. Beside it stands what real nights did.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from evalkit.domain.verdict import GateStatus, Status
from evalkit.pipeline.decide import verdict_from_history
from evalkit.pipeline.gates import is_of_task
from evalkit.pipeline.history import History, read_history, runs_that_count, same_series
from evalkit.pipeline.resampling import Resampler
from evalkit.stats.flips import draw_nights, observed_flip_rate, resampled_flip_rate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from evalkit.domain.project import Project
    from evalkit.domain.roster import Model
    from evalkit.domain.suite import Gate, Suite
    from evalkit.domain.verdict import Verdict
    from evalkit.pipeline.evidence import Measurement
    from evalkit.ports import RunReader
    from evalkit.stats.flips import FlipRate

__all__ = ["MAX_SCALE", "MIN_SIMULATIONS", "Noise", "NoiseOptions", "NoiseRow", "measure_noise"]

MIN_SIMULATIONS = 50
"""With fewer simulated nights the rate says nothing."""

_NIGHTS_PER_WORLD = 5
_SCALES = (1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0)
MAX_SCALE = _SCALES[-1]
"""Suites of more than this many times today's clusters are not tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseOptions:
    """What to simulate."""

    at_most: float = 0.05
    """Flip rate that is put up with, in (0, 0.5)."""
    simulations: int = 200
    """Nights of each task × model at most; those that never flip need fewer."""
    seed: int = 0
    tasks: tuple[str, ...] = ()
    """Only these; none are all."""
    model_ids: tuple[str, ...] = ()
    """Only these; none are all."""

    @property
    def n_worlds(self) -> int:
        """Worlds the simulated nights are spread over."""
        return math.ceil(self.simulations / _NIGHTS_PER_WORLD)


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseRow:
    """One gate of one task × model, or its whole verdict."""

    task: str
    model_id: str
    suite: str | None
    """None: the whole verdict."""
    metric: str | None
    rule: str | None
    tonight: str
    """The newest measurement judged alone: status of the gate or of the verdict."""
    n_clusters: int
    """Clusters it rests on: of the gate's slice, or of all suites of the task."""
    flips: FlipRate | None
    """How often two nights on prompts like these would disagree; None when there are too few clusters to draw from."""
    observed: FlipRate | None
    """How often real nights on these prompts did; None with fewer than two."""
    enough_clusters: int | None
    """The fewest clusters, from today's number on, with a rate low enough; None: more than `tried_clusters`."""
    tried_clusters: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """What was found, in the order of policy, roster and gates."""

    options: NoiseOptions
    rows: tuple[NoiseRow, ...]
    unmeasured: tuple[tuple[str, str], ...]
    """(task, model id) without a complete measurement of every suite."""
    is_simulated: bool = False
    """Whether the answers are the simulator's."""

    @property
    def noisy(self) -> tuple[NoiseRow, ...]:
        """Rows whose flip rate is above what is put up with, or unknown."""
        return tuple(row for row in self.rows if row.flips is None or row.flips.value > self.options.at_most)


def measure_noise(
    project: Project,
    reader: RunReader,
    options: NoiseOptions,
    *,
    observe: Callable[[int, int, str], None] = lambda _done, _total, _what: None,
) -> Noise:
    """Return the flip rate of every gate and verdict that the store has a complete measurement for.

    Args:
        project: today's files. Waivers are left out: they are decisions, not noise.
        reader: the store.
        options: what to simulate; the same store and options give the same result.
        observe: called before each task × model with how many are done, how many there are, and its name.
    """
    # Model gates pool the suites of other tasks, of which no night is drawn here.
    project = replace(project, waivers=(), policy=project.policy.model_copy(update={"model_gates": ()}))
    runs = runs_that_count(project, reader)
    history = read_history(project, reader, runs)
    pairs = [
        (task, model)
        for task in project.policy.tasks
        for model in project.roster.models
        if task in (options.tasks or (task,)) and model.id in (options.model_ids or (model.id,))
    ]
    rows: list[NoiseRow] = []
    unmeasured = []
    for done, (task, model) in enumerate(pairs):
        observe(done, len(pairs), f"{task} · {model.id}")
        pair = _Pair(project, history, task=task, model=model)
        if pair.is_measured:
            rows.extend(_rows(pair, options))
        else:
            unmeasured.append((task, model.id))
    is_simulated = any(run.is_simulated for run in runs)
    return Noise(options=options, rows=tuple(rows), unmeasured=tuple(unmeasured), is_simulated=is_simulated)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """What a row is about; its place in `_passed`."""

    suite: str | None = None
    gate: Gate | None = None
    n_clusters: int


class _Pair:
    """One task × model: its stored nights, and nights drawn from them."""

    def __init__(self, project: Project, history: History, *, task: str, model: Model) -> None:
        self.project = project
        self.task = task
        self.model = model
        self._history = history
        self.suites = project.suites_of(task)
        others = {project.policy.tasks[task].incumbent} - {None, model.id}
        models = [model, *(one for one in project.roster.models if one.id in others)]
        found = {(s.name, m.id): _whole(same_series(history.of(s, m))) for s in self.suites for m in models}
        self._nights = {pair: nights for pair, nights in found.items() if nights}
        self.is_measured = bool(self.suites) and all((suite.name, model.id) in self._nights for suite in self.suites)
        self._resampler = Resampler(project, task, self._nights, model_id=model.id) if self.is_measured else None

    def tonight(self) -> Verdict:
        """Judge the newest measurement of every suite, alone."""
        newest = {pair: nights[:1] for pair, nights in self._nights.items()}
        return self._judged(self.project, History(newest, frozenset()))

    def real_nights(self) -> Iterator[tuple[bool, ...]]:
        """Yield what passed on each night on which one run measured every suite, newest first."""
        mine = [self._nights[suite.name, self.model.id] for suite in self.suites]
        for run_id in [night.run.run_id for night in mine[0]]:
            of_run = {
                pair: [night for night in nights if night.run.run_id == run_id] for pair, nights in self._nights.items()
            }
            whole = {pair: nights for pair, nights in of_run.items() if nights}
            if all((suite.name, self.model.id) in whole for suite in self.suites):
                yield _passed(self._judged(self.project, History(whole, frozenset())))

    def lines(self) -> list[_Line]:
        """Return the verdict, then every gate in the order `decide` has them."""
        clusters = {suite.name: self._clusters(suite) for suite in self.suites}
        whole = sum(len(found) for found in clusters.values())
        lines = [_Line(n_clusters=whole)]
        for suite in self.suites:
            for gate in suite.gates:
                wanted = {case.cluster_id for case in gate.cases_of(suite.active_cases)}
                # The time of a call is the task's, whichever suite it belongs to.
                n = whole if is_of_task(gate) else len(wanted & clusters[suite.name])
                lines.append(_Line(suite=suite.name, gate=gate, n_clusters=n))
        return lines

    def _clusters(self, suite: Suite) -> set[str]:
        return {unit.cluster_id for unit in self._nights[suite.name, self.model.id][0].units}

    def worlds(self, options: NoiseOptions, *, scale: float, n_nights: int) -> Iterator[list[tuple[bool, ...]]]:
        """Yield, world by world, what passed on simulated nights with `scale` times today's clusters."""
        if self._resampler is None or self._resampler.populations is None:
            return
        draws = draw_nights(
            self._resampler.populations,
            scale=scale,
            n_truths=options.n_worlds,
            n_nights=n_nights,
            seed=[options.seed, zlib.crc32(self.task.encode()), zlib.crc32(self.model.id.encode())],
        )
        for world in draws:
            yield [_passed(self._judged(*self._resampler.night(draw))) for draw in world]

    def _judged(self, project: Project, history: History) -> Verdict:
        # Judged at the moment its oldest answer was asked for: nothing in it has expired.
        as_of = min(night.measured_at for nights in history.by_pair.values() for night in nights)
        # Who grades, and what a cluster is worth, is what `decide` would take.
        known = replace(self._history, by_pair=history.by_pair)
        return verdict_from_history(project, known, task=self.task, model=self.model, as_of=as_of)


def _whole(nights: Sequence[Measurement]) -> list[Measurement]:
    """Return the nights that hold every prompt, as if looked at once: one that stopped early is no sample of nights."""
    return [replace(night, cell=replace(night.cell, looks=())) for night in nights if night.is_complete]


def _passed(verdict: Verdict) -> tuple[bool, ...]:
    return verdict.status is Status.ELIGIBLE, *(gate.status is GateStatus.PASS for gate in verdict.gates)


def _flip_rates(pair: _Pair, options: NoiseOptions) -> list[FlipRate] | None:
    """Return the flip rate of each line; None when there is too little to draw from."""
    worlds: list[list[tuple[bool, ...]]] = []
    for world in pair.worlds(options, scale=1.0, n_nights=_NIGHTS_PER_WORLD):
        worlds.append(world)
        if _is_settled(worlds, at_most=options.at_most):
            break
    if not worlds:
        return None
    n_lines = len(worlds[0][0])
    return [resampled_flip_rate([[night[line] for night in world] for world in worlds]) for line in range(n_lines)]


def _is_settled(worlds: list[list[tuple[bool, ...]]], *, at_most: float) -> bool:
    """Whether nothing ever flipped, in so many nights that the rate is low enough for certain."""
    if len({night for world in worlds for night in world}) > 1:
        return False
    return resampled_flip_rate([[night[0] for night in world] for world in worlds]).upper <= at_most


def _rows(pair: _Pair, options: NoiseOptions) -> Iterator[NoiseRow]:
    verdict = pair.tonight()
    tonight = [str(verdict.status), *(str(gate.status) for gate in verdict.gates)]
    real = [*pair.real_nights()]
    rates = _flip_rates(pair, options)
    scales = {} if rates is None else _enough(pair, options, rates)
    for place, line in enumerate(pair.lines()):
        scale = scales.get(place)
        yield NoiseRow(
            task=pair.task,
            model_id=pair.model.id,
            suite=line.suite,
            metric=None if line.gate is None else line.gate.metric,
            rule=None if line.gate is None else line.gate.rule,
            tonight=tonight[place],
            n_clusters=line.n_clusters,
            flips=None if rates is None else rates[place],
            observed=observed_flip_rate(sum(night[place] for night in real), len(real)) if len(real) > 1 else None,
            enough_clusters=None if scale is None else math.ceil(line.n_clusters * scale),
            tried_clusters=math.ceil(line.n_clusters * MAX_SCALE),
        )


def _enough(pair: _Pair, options: NoiseOptions, rates: Sequence[FlipRate]) -> dict[int, float]:
    """Return for each line the smallest scale tried at which it flips seldom enough; no entry where none does.

    With more clusters a rate falls in the end, so the scales are halved rather than walked through.
    """
    enough = {line: 1.0 for line, rate in enumerate(rates) if rate.value <= options.at_most}
    curable = _quiet_lines(pair, options, set(range(len(rates))) - enough.keys(), scale=MAX_SCALE)
    at_scale = {MAX_SCALE: curable}
    for line in sorted(curable):
        low, high = 0, len(_SCALES) - 1
        while low < high:
            middle = (low + high) // 2
            scale = _SCALES[middle]
            if scale not in at_scale:
                at_scale[scale] = _quiet_lines(pair, options, curable, scale=scale)
            low, high = (low, middle) if line in at_scale[scale] else (middle + 1, high)
        enough[line] = _SCALES[high]
    return enough


def _quiet_lines(pair: _Pair, options: NoiseOptions, asked: set[int], *, scale: float) -> set[int]:
    """Return which of these lines flip seldom enough at a scale.

    Two nights a world are the cheapest way to a mean, and it ends as soon as no line can stay low enough.
    """
    most = options.at_most * options.n_worlds
    flips = dict.fromkeys(asked, 0)
    quiet = set(asked)
    worlds = pair.worlds(options, scale=scale, n_nights=2)
    while quiet and (world := next(worlds, None)) is not None:
        first, second = world
        for line in asked:
            flips[line] += first[line] != second[line]
        quiet = {line for line in asked if flips[line] <= most}
    return quiet
