"""Decide: the store, today's roster and today's policy become one verdict per (task, model).

A function of the store, never of one run: each suite of a task is judged on its newest complete measurement with
today's prompts. A bound decides, never a mean; *undecided* never admits a model and never drops one that earlier
evidence, not yet expired, had admitted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import TYPE_CHECKING

from evalkit.domain.outcome import IdentityClass, Kind
from evalkit.domain.policy import seconds_of
from evalkit.domain.verdict import GateStatus, Reason, ReasonCode, Status, Verdict
from evalkit.pipeline.evidence import ReadOnce
from evalkit.pipeline.gates import judge_gate
from evalkit.pipeline.history import MAX_NIGHTS, may_back, read_history, runs_that_count, same_series
from evalkit.pipeline.judged_gates import Opinions, judge_opinion_gate
from evalkit.pipeline.looks import Evidence
from evalkit.pipeline.model_gates import ALL_SUITES, ModelGates
from evalkit.pipeline.plan import fits_any_case
from evalkit.pipeline.previous import kept_by_file, moment_of
from evalkit.pipeline.ranking import merit_of, rank_key
from evalkit.pipeline.regressed import ended_by, falls_of, nights_that_keep
from evalkit.pipeline.thinness import critical_values, is_thin, thin_reasons
from evalkit.pipeline.tiers import with_tiers
from evalkit.pipeline.waive import apply_waivers
from evalkit.pipeline.wording import doubt_code, gate_detail, unsupported
from evalkit.pipeline.yardstick import Yardstick

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from evalkit.domain.eligibility import Eligibility
    from evalkit.domain.policy import Defaults, TaskPolicy
    from evalkit.domain.project import Project
    from evalkit.domain.roster import Model
    from evalkit.domain.run import Run
    from evalkit.domain.suite import Gate, Suite
    from evalkit.domain.verdict import GateResult
    from evalkit.pipeline.evidence import Measurement
    from evalkit.pipeline.gates import GateContext
    from evalkit.pipeline.history import History
    from evalkit.pipeline.regressed import Fall
    from evalkit.ports import RunReader

__all__ = ["Decision", "decide", "verdict_from_history"]

_MAX_HELD = 100_000
"""Answers read and held at a time: some 35 MB, however many there are; models are judged one after the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """All verdicts, and what they rest on."""

    verdicts: tuple[Verdict, ...]
    as_of: float
    """Unix seconds."""
    runs: tuple[Run, ...]
    """Runs that any verdict used, newest first."""


def decide(
    project: Project, reader: RunReader, *, as_of: float | None = None, previous: Eligibility | None = None
) -> Decision:
    """Return one verdict per (task of the policy, model of the roster), in policy and roster order.

    Args:
        project: what was loaded: gates, policy, roster and waivers are today's.
        reader: the store.
        as_of: Unix seconds; None is the end of the newest run, so that the same store gives the same verdicts.
        previous: the last file, as `evalkit.pipeline.previous` uses it; then None is its own moment when that is later.
    """
    runs = runs_that_count(project, reader)
    reader = reader if isinstance(reader, ReadOnce) else ReadOnce(reader, max_units=_MAX_HELD)
    if as_of is None:
        history = read_history(project, reader, runs)
        # A run that was killed has no end: its last answer stands for it.
        known = () if previous is None else (moment_of(previous),)
        when = max((*map(_ended, runs), history.last_at, *known))
    else:
        history = read_history(project, reader, [run for run in runs if run.started_at <= as_of], as_of=as_of)
        when = as_of
    verdicts: list[Verdict] = []
    model_gates = ModelGates(project, history)
    for task in project.policy.tasks:
        judge = _TaskJudge(project, task, history=history, as_of=when, model_gates=model_gates)
        verdicts.extend(judge.ranked([judge.verdict(model) for model in project.roster.models]))
    if previous is not None:
        verdicts = [kept_by_file(project, v, previous=previous, history=history, as_of=when) for v in verdicts]
    used = {run_id for verdict in verdicts for run_id in verdict.run_ids}
    return Decision(verdicts=tuple(verdicts), as_of=when, runs=tuple(run for run in runs if run.run_id in used))


def verdict_from_history(project: Project, history: History, *, task: str, model: Model, as_of: float) -> Verdict:
    """Return the verdict that this evidence gives, whether or not a store holds it; what `decide` does for each pair.

    Args:
        project: as in `decide`.
        history: measurements of every suite of the task by this model, and by the incumbent if there is one.
        task: a task of the policy.
        model: a model of the roster.
        as_of: Unix seconds.
    """
    gates = ModelGates(project, history)
    return _TaskJudge(project, task, history=history, as_of=as_of, model_gates=gates).verdict(model)


def _ended(run: Run) -> float:
    return run.finished_at if run.finished_at is not None else run.started_at


class _TaskJudge:
    """Everything one task's verdicts share."""

    def __init__(self, project: Project, task: str, *, history: History, as_of: float, model_gates: ModelGates) -> None:
        self._project = project
        self._task = task
        self._policy: TaskPolicy = project.policy.tasks[task]
        self._defaults: Defaults = project.policy.defaults_for(task)
        self._suites = project.suites_of(task)
        self._history = history
        self._as_of = as_of
        self._valid_s = seconds_of(self._defaults.valid_for)
        self._opinions = Opinions(
            qualifications={(found.suite, found.metric): found for found in project.qualifications},
            judges=history.judges,
            gateway_kind=project.config.gateway.kind,
        )
        self._model_gates = model_gates
        self._n_gates = sum(len(suite.gates) for suite in self._suites) + model_gates.n_gates

    def verdict(self, model: Model) -> Verdict:
        """Return today's verdict: from evidence, then from human decisions."""
        for suite in self._suites:
            reason = unsupported(suite, model)
            if reason is not None:
                return Verdict(task=self._task, model_id=model.id, status=Status.INELIGIBLE, reasons=(reason,))
        histories = [same_series(self._history.of(suite, model)) for suite in self._suites]
        falls = [self._falls(suite, found) for suite, found in zip(self._suites, histories, strict=True)]
        nights = self._nights(model, histories, falls=falls)
        newest = next(nights, None) or self._unmeasured(model)
        earlier = next(nights, None)
        older = chain([earlier] if earlier is not None else [], nights)
        kept = self._keep(newest, islice(older, nights_that_keep(falls)))
        waivers = [w for w in self._project.waivers if (w.task, w.model) == (self._task, model.id)]
        return apply_waivers(kept, waivers, earlier=earlier, as_of=self._as_of, is_critical=self._policy.critical)

    def ranked(self, verdicts: Sequence[Verdict]) -> tuple[Verdict, ...]:
        """Return the task's verdicts with the eligible models held against the best of them."""
        nights = {
            (suite.name, model.id): [
                one.evidence
                for place, one in enumerate(same_series(self._history.of(suite, model))[:MAX_NIGHTS])
                if not place or not self._says_too_little(one)
            ]
            for suite in self._suites
            for model in (self._project.roster.by_id[one.model_id] for one in verdicts if one.status is Status.ELIGIBLE)
        }
        return with_tiers(verdicts, self._suites, nights)

    def _falls(self, suite: Suite, nights: Sequence[Measurement]) -> tuple[Fall, ...]:
        judges = self._history.judges
        return falls_of(
            suite,
            nights,
            n_gates=self._n_gates,
            judges=lambda night: judges.get((night.run.run_id, suite.name), frozenset()),
        )

    def _nights(
        self, model: Model, histories: Sequence[list[Measurement]], *, falls: Sequence[Sequence[Fall]]
    ) -> Iterator[Verdict]:
        """Yield the verdict of each measurement of all suites, newest first, as it stood then."""
        if not all(histories):
            return
        for depth in range(max(map(len, histories), default=0)):
            # A suite measured less often than the others goes on counting with its latest measurement.
            places = [min(depth, len(found) - 1) for found in histories]
            chosen = [found[place] for found, place in zip(histories, places, strict=True)]
            ended = [ended_by(found, place=place) for found, place in zip(falls, places, strict=True)]
            earlier = [
                found[place + 1 : place + MAX_NIGHTS if fall is None else fall.since + 1]
                for found, place, fall in zip(histories, places, ended, strict=True)
            ]
            notes = [reason for fall in ended if fall is not None for reason in fall.reasons]
            found = self._judge(model, chosen, earlier=earlier, depth=depth)
            is_out = found.status is Status.INELIGIBLE
            yield replace(found, reasons=(*found.reasons, *notes) if is_out else (*notes, *found.reasons))

    def _keep(self, newest: Verdict, older: Iterable[Verdict]) -> Verdict:
        """Let unexpired evidence keep a model that is undecided now; of no night without those it was pooled with."""
        blocked = any(gate.critical and gate.status is not GateStatus.PASS for gate in newest.gates)
        if newest.status is not Status.UNDECIDED or blocked or not newest.gates:
            return newest
        for verdict in islice(older, MAX_NIGHTS):
            if verdict.status is Status.INELIGIBLE or self._is_expired(verdict.measured_at or 0.0):
                return newest
            if verdict.status is Status.ELIGIBLE:
                note = Reason(code=ReasonCode.KEPT, detail="undecided tonight; earlier evidence has not expired")
                return replace(verdict, reasons=(note, *newest.reasons))
        return newest

    def _unmeasured(self, model: Model) -> Verdict:
        reasons = [self._why_unmeasured(suite, model) for suite in self._suites if not self._history.of(suite, model)]
        if not self._suites:
            reasons = [Reason(code=ReasonCode.NOT_MEASURED, detail="no suite serves this task", cure="add a suite")]
        return Verdict(task=self._task, model_id=model.id, status=Status.UNDECIDED, reasons=tuple(reasons))

    def _why_unmeasured(self, suite: Suite, model: Model) -> Reason:
        measure = f"evalkit run {suite.name} --model {model.id}"
        if not fits_any_case(suite, model):
            return Reason(
                code=ReasonCode.CONTEXT_TOO_SMALL,
                suite=suite.name,
                detail=f"every prompt exceeds the declared window of {model.context_tokens} tokens",
                cure="correct `context_tokens`, or take the model off the roster",
            )
        if (suite.name, model.id) not in self._history.stale:
            detail = "no complete measurement with today's prompts"
            return Reason(code=ReasonCode.NOT_MEASURED, suite=suite.name, detail=detail, cure=measure)
        return Reason(
            code=ReasonCode.SCORES_STALE,
            suite=suite.name,
            detail="the stored answers were graded by other scorers or expectations",
            # Without their texts answers cannot be graded again.
            cure="evalkit score" if suite.payloads == "full" else measure,
        )

    def _judge(
        self, model: Model, measurements: list[Measurement], *, earlier: Sequence[Sequence[Measurement]], depth: int
    ) -> Verdict:
        """Judge one set of measurements, one per suite, with the earlier ones that a pass is pooled with."""
        everywhere = self._model_gates.measurements(model, depth=depth)
        evidence = Evidence(
            suites=self._suites,
            measurements=measurements,
            earlier=[
                [night for night in before if may_back(one, night, defaults=self._defaults)]
                for one, before in zip(measurements, earlier, strict=True)
            ],
            alpha=1 - self._defaults.confidence,
            n_gates=self._n_gates,
            correlations=self._history.correlations,
            judge=self._judge_gate,
        )
        gates = (*evidence.gates(), *self._judged_everywhere(model, depth=depth))
        measured_at = min(measurement.measured_at for measurement in (*measurements, *everywhere))
        identity = max((m.identity_class for m in measurements), key=lambda found: found.rank)
        seen = [measurement.evidence for measurement in measurements]
        coverage = min(measurement.coverage for measurement in seen)
        doubts = [*self._doubts(measurements, gates, identity=identity), *self._comparison(model, evidence)]
        against = [
            *self._failures(measurements, gates),
            *(doubt for doubt in doubts if doubt.code is ReasonCode.NOT_NON_INFERIOR),
        ]
        convincing = [reason for reason in against if self._convinces(reason, measurements, everywhere=everywhere)]
        status, reasons = Status.ELIGIBLE, list[Reason]()
        if convincing:
            status, reasons = Status.INELIGIBLE, convincing
        elif doubts or against:
            status, reasons = Status.UNDECIDED, [*doubts, *(reason for reason in against if reason not in doubts)]
        return Verdict(
            task=self._task,
            model_id=model.id,
            status=status,
            reasons=tuple(reasons),
            gates=gates,
            coverage=coverage,
            identity_class=identity,
            mode=measurements[0].cell.mode,
            measured_at=measured_at,
            valid_until=measured_at + self._valid_s,
            admitted_by="evidence" if status is Status.ELIGIBLE else None,
            rank_key=rank_key(self._suites, seen, rank_by=self._defaults.rank_by),
            merit=merit_of(self._suites, seen),
            run_ids=_runs_behind((*measurements, *everywhere), gates),
        )

    def _is_expired(self, measured_at: float) -> bool:
        return measured_at + self._valid_s <= self._as_of

    def _judged_everywhere(self, model: Model, *, depth: int) -> Iterator[GateResult]:
        """Yield the model gates; one that rests on anything expired says nothing any more."""
        old = [
            one.cell.suite
            for one in self._model_gates.measurements(model, depth=depth)
            if self._is_expired(one.measured_at)
        ]
        for gate in self._model_gates.judge(
            model,
            depth=depth,
            alpha=1 - self._defaults.confidence,
            n_gates=self._n_gates,
            may_back=lambda newest, night: may_back(newest, night, defaults=self._defaults),
        ):
            cure = f"evalkit run {' '.join(old[:3])} --model {model.id}"
            yield replace(gate, status=GateStatus.UNDECIDED, cure=cure) if old else gate

    def _convinces(self, reason: Reason, measurements: list[Measurement], *, everywhere: Sequence[Measurement]) -> bool:
        """Whether a reason against is enough: not when its own suite's evidence has expired or is too thin to say."""
        if reason.suite == ALL_SUITES:
            return not any(self._says_too_little(one) for one in everywhere)
        measurement = next(one for one in measurements if one.cell.suite == reason.suite)
        if self._is_expired(measurement.measured_at):
            return False
        return reason.code in _CERTAIN or not self._says_too_little(measurement)

    def _judge_gate(self, gate: Gate, context: GateContext) -> GateResult:
        """Judge a gate of a suite; one on a judge's metric by what people have confirmed of that judge."""
        instrument = self._history.instruments.get(context.suite.name, {}).get(gate.metric)
        if instrument is None or not instrument.is_opinion:
            return judge_gate(gate, context)
        return judge_opinion_gate(gate, context, instrument=instrument, opinions=self._opinions)

    def _failures(self, measurements: list[Measurement], gates: Sequence[GateResult]) -> Iterator[Reason]:
        for gate in gates:
            if gate.status is GateStatus.FAIL:
                yield Reason(
                    code=ReasonCode.GATE_FAILED, suite=gate.suite, metric=gate.metric, detail=gate_detail(gate)
                )
        for suite, measurement in zip(self._suites, measurements, strict=True):
            critical = critical_values(suite, measurement)
            failed = sorted({case_id for case_id, value in critical if value is not None and value < 1})
            if failed:
                detail = f"critical cases failed: {', '.join(failed[:5])}"
                yield Reason(
                    code=ReasonCode.CRITICAL_CASE_FAILED, suite=suite.name, metric=suite.primary, detail=detail
                )
            n_other = sum(unit.kind is Kind.SUBSTITUTED_MODEL for unit in measurement.units)
            if n_other:
                names = sorted({unit.served_model or "?" for unit in measurement.units
                                if unit.kind is Kind.SUBSTITUTED_MODEL})  # fmt: skip
                detail = f"{n_other} of {len(measurement.units)} calls were answered by {', '.join(names[:3])}"
                yield Reason(
                    code=ReasonCode.SUBSTITUTED_MODEL,
                    suite=suite.name,
                    detail=detail,
                    cure="switch fallbacks off at the gateway, or list the name in served_as",
                )

    def _doubts(
        self, measurements: list[Measurement], gates: Sequence[GateResult], *, identity: IdentityClass
    ) -> Iterator[Reason]:
        for suite, measurement in zip(self._suites, measurements, strict=True):
            if self._is_expired(measurement.measured_at):
                detail = f"measured more than {self._defaults.valid_for} ago"
                cure = f"evalkit run {suite.name}"
                yield Reason(code=ReasonCode.EVIDENCE_EXPIRED, suite=suite.name, detail=detail, cure=cure)
            yield from thin_reasons(suite, measurement, min_coverage=self._defaults.min_coverage)
        wanted = IdentityClass(self._defaults.min_identity)
        if identity.rank > wanted.rank and any(not unit.is_missing for one in measurements for unit in one.units):
            cure = "use a gateway that reports the served model, or accept less by min_identity in the policy"
            detail = f"served identity is {identity}; the policy wants {wanted}"
            names = sorted(frozenset().union(*(one.served_models for one in measurements)))
            if identity is IdentityClass.UNVERIFIABLE and names:
                detail += f"; answers carried {', '.join(names[:3])}"
                cure = "when that is who should answer, name it in routes.upstream; or accept less by min_identity"
            yield Reason(code=ReasonCode.IDENTITY_TOO_WEAK, detail=detail, cure=cure)
        for gate in gates:
            if gate.doubt is not None:
                yield gate.doubt
            elif gate.status is GateStatus.UNDECIDED:
                yield Reason(
                    code=doubt_code(gate),
                    suite=gate.suite,
                    metric=gate.metric,
                    detail=gate_detail(gate),
                    cure=gate.cure,
                )

    def _says_too_little(self, measurement: Measurement) -> bool:
        return is_thin(measurement, min_coverage=self._defaults.min_coverage)

    def _comparison(self, model: Model, evidence: Evidence) -> Iterator[Reason]:
        """Compare with the incumbent, when the policy names one."""
        incumbent_id = self._policy.incumbent
        if incumbent_id is None or incumbent_id == model.id:
            return
        incumbent = self._project.roster.by_id[incumbent_id]
        for place, suite in enumerate(self._suites):
            series = same_series(self._history.of(suite, incumbent))
            yardstick = Yardstick(series=series, is_expired=self._is_expired, is_thin=self._says_too_little)
            reason = evidence.comparison(place, yardstick, margin=self._policy.non_inferiority_margin)
            if reason is not None:
                yield reason


_CERTAIN = frozenset({ReasonCode.SUBSTITUTED_MODEL, ReasonCode.CRITICAL_CASE_FAILED})
"""What one call is enough to show, whatever became of the others (docs/explanation/statistics.md)."""


def _runs_behind(measurements: Iterable[Measurement], gates: Iterable[GateResult]) -> tuple[str, ...]:
    known = (gate.correlation.run_id for gate in gates if gate.correlation is not None)
    return tuple(dict.fromkeys([*(one.run.run_id for one in measurements), *known]))
