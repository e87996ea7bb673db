"""Gates on a model as such: one rate over all suites that give it, instead of the same tight gate on each of them.

A rate of .98 takes some 150 clusters to show, which few suites have; ten suites together do. What is pooled are
prompts, so the clusters of different suites are different clusters. A suite that gives the metric and was not measured
leaves the gate undecided: where nobody looked may be where it fails. One that ended early holds the gate back at the
looks it has taken, for the same reason.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from evalkit.domain.score import MEASURES
from evalkit.domain.verdict import GateResult, GateStatus
from evalkit.pipeline.common_looks import CommonLooks, is_asked_to_the_end
from evalkit.pipeline.evidence import Measurement
from evalkit.pipeline.gates import GateContext, judge_gate, judged_share
from evalkit.pipeline.history import MAX_NIGHTS, same_series
from evalkit.pipeline.looks import latched, look_levels
from evalkit.pipeline.plan import fits_any_case, mode_for
from evalkit.pipeline.score import Grader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from evalkit.domain.estimate import Correlation
    from evalkit.domain.project import Project
    from evalkit.domain.roster import Model
    from evalkit.domain.suite import Gate, Suite
    from evalkit.pipeline.clustering import Correlations
    from evalkit.pipeline.evidence import Unit
    from evalkit.pipeline.history import History
    from evalkit.pipeline.looks import LookLevel

__all__ = ["ALL_SUITES", "ModelGates", "suites_giving"]

ALL_SUITES = "*"
"""In the place of a suite's name, which it cannot be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """One gate on one model, with what it rests on: one entry a suite."""

    gate: Gate
    suites: Sequence[Suite]
    newest: Sequence[Measurement]
    earlier: Sequence[Sequence[Measurement]]
    alpha: float
    n_gates: int
    correlations: Correlations | None


class ModelGates:
    """The policy's model gates over one history."""

    def __init__(self, project: Project, history: History) -> None:
        self._history = history
        self._suites_of_gate = [(gate, suites_giving(gate, project)) for gate in project.policy.model_gates]

    @property
    def n_gates(self) -> int:
        """How many there are: each may fail a model, so each is one more among the gates of every task."""
        return len(self._suites_of_gate)

    def over(self, model: Model) -> Iterator[tuple[Gate, list[Suite]]]:
        """Yield every gate with the suites it is over that the model can be asked."""
        for gate, giving in self._suites_of_gate:
            yield gate, [suite for suite in giving if _is_asked(suite, model)]

    def measurements(self, model: Model, *, depth: int) -> tuple[Measurement, ...]:
        """Return what the gates rest on, one measurement a suite; `depth` nights before the newest."""
        found = (self._nights(suite, model) for suite in self._suites(model))
        return tuple(nights[min(depth, len(nights) - 1)] for nights in found if nights)

    def judge(
        self,
        model: Model,
        *,
        depth: int,
        alpha: float,
        n_gates: int,
        may_back: Callable[[Measurement, Measurement], bool],
    ) -> Iterator[GateResult]:
        """Yield every gate.

        Args:
            model: of the roster.
            depth: how many nights before the newest.
            alpha: one-sided error of a pass.
            n_gates: a fail may err by alpha / n_gates.
            may_back: whether with a night, the first, an earlier one of its suite, the second, may be pooled.
        """
        for gate, suites in self.over(model):
            nights = [self._nights(suite, model) for suite in suites]
            unmeasured = [suite.name for suite, found in zip(suites, nights, strict=True) if not found]
            if unmeasured or not suites:
                yield _unmeasured(gate, unmeasured, model)
                continue
            places = [min(depth, len(found) - 1) for found in nights]
            newest = [found[place] for found, place in zip(nights, places, strict=True)]
            yield _judged(
                _Asked(
                    gate=gate,
                    suites=suites,
                    newest=newest,
                    earlier=[
                        [n.evidence for n in found[place + 1 : place + MAX_NIGHTS] if may_back(found[place], n)]
                        for found, place in zip(nights, places, strict=True)
                    ],
                    alpha=alpha,
                    n_gates=n_gates,
                    correlations=self._history.correlations,
                )
            )

    def _suites(self, model: Model) -> Iterator[Suite]:
        every = {suite.name: suite for _, suites in self.over(model) for suite in suites}
        return iter(every.values())

    def _nights(self, suite: Suite, model: Model) -> list[Measurement]:
        return same_series(self._history.of(suite, model))


def suites_giving(gate: Gate, project: Project) -> list[Suite]:
    """Return the suites a gate is over: every one for a measure, for a metric those with a scorer that gives it."""
    if gate.metric in MEASURES:
        return [suite for suite in project.suites if gate.cases_of(suite.active_cases)]
    own = project.config.scorers
    return [
        suite
        for suite in project.suites
        if gate.metric in Grader(suite, project_scorers=own, judges=project.judges).metrics
    ]


def _is_asked(suite: Suite, model: Model) -> bool:
    return mode_for(suite, model) is not None and fits_any_case(suite, model)


def _unmeasured(gate: Gate, names: Sequence[str], model: Model) -> GateResult:
    cure = (
        f"evalkit run {' '.join(names[:3])} --model {model.id}"
        if names
        else "no suite that this model is asked gives it"
    )
    return GateResult(
        suite=ALL_SUITES,
        metric=gate.metric,
        rule=gate.rule,
        limit=gate.limit,
        status=GateStatus.UNDECIDED,
        estimate=None,
        bound=None,
        critical=gate.critical,
        cure=cure,
    )


def _judged(asked: _Asked) -> GateResult:
    """Judge at every look that all of the suites have taken: passed at one is passed, failed at one is failed."""
    looks = CommonLooks(asked.newest)
    is_looked_at = any(one.cell.looks for one in asked.newest)
    earlier = () if is_looked_at else tuple(_pooled(asked, night) for night in zip(*asked.earlier, strict=False))

    def at_look(level: LookLevel) -> GateResult:
        seen = looks.at(level.number)
        tonight = _pooled(asked, seen)
        context = GateContext(
            suite=asked.suites[0],
            measurement=tonight,
            of_task=(tonight,),
            earlier=earlier,
            alpha=level.alpha,
            fail_alpha=level.fail_alpha,
            correlation=_correlation(asked, seen),
            wants=lambda _unit: True,
        )
        look = level.number if is_looked_at else None
        return replace(judge_gate(asked.gate, context), suite=ALL_SUITES, look=look)

    levels = look_levels(looks.times, n_taken=looks.n_taken, alpha=asked.alpha, n_gates=asked.n_gates)
    result = latched(levels, at_look)
    if result is None:
        raise AssertionError(f"{asked.gate.metric}: judged without a look")
    held_back = [one for one in asked.newest if not is_asked_to_the_end(one)]
    return replace(result, cure=_cure(held_back)) if result.status is GateStatus.UNDECIDED and held_back else result


def _cure(held_back: Sequence[Measurement]) -> str:
    """Return how suites that ended early are asked to the end: what is finished is measured whole the next time."""
    first = held_back[0]
    if first.run.status.is_resumable:
        return f"evalkit run --resume {first.run.run_id}"
    return f"evalkit run {' '.join(one.cell.suite for one in held_back[:3])} --model {first.cell.model_id}"


def _correlation(asked: _Asked, seen: Sequence[Measurement]) -> Correlation | None:
    """Return that of the suite whose answers are most alike; None unless it is known of all that have clusters."""
    known = asked.correlations
    if known is None or any(judged_share(asked.gate, suite) is None for suite in asked.suites):
        return None
    found = [
        known.known(newest, now, asked.gate.metric)
        for suite, newest, now in zip(asked.suites, asked.newest, seen, strict=True)
        if suite.trials > 1 or len({case.cluster_id for case in suite.active_cases}) < len(suite.active_cases)
    ]
    sure = [one for one in found if one is not None]
    return max(sure, key=lambda one: one.rho) if sure and len(sure) == len(found) else None


def _pooled(asked: _Asked, nights: Sequence[Measurement]) -> Measurement:
    """Return one measurement of all suites, with clusters and cases named by their suite."""
    units: list[Unit] = []
    for suite, night in zip(asked.suites, nights, strict=True):
        names = {case.id for case in asked.gate.cases_of(suite.active_cases)}
        units.extend(
            replace(unit, case_id=f"{suite.name}/{unit.case_id}", cluster_id=f"{suite.name}/{unit.cluster_id}")
            for unit in night.units
            if unit.case_id in names
        )
    cell = replace(nights[0].cell, suite=ALL_SUITES, n_planned=len(units), looks=())
    return Measurement(run=nights[0].run, cell=cell, units=units)
