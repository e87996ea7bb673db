"""Compare: did a model get worse on these prompts, and is it worse than its task's incumbent?

Two families, each with its own share of false alarms. Against the model's own earlier nights a confirmed drop is news,
and somebody acts on it. Against the incumbent it is a standing difference: it is told, and policy decides what it is
worth.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from evalkit.domain.estimate import Comparison
from evalkit.pipeline.baselines import (
    EXTENSION_TRIALS,
    MIN_COVERAGE,
    earlier_nights,
    extension_of,
    night_scores,
    runs_around,
)
from evalkit.pipeline.changes import identity_change, suite_changes, worth_telling
from evalkit.pipeline.drops import case_differences, flips_of, worst_group
from evalkit.pipeline.evidence import read_measurements
from evalkit.pipeline.incumbents import against_incumbents
from evalkit.stats.paired import worst_case_difference
from evalkit.stats.regression import Stream, judge_regressions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from evalkit.domain.estimate import Change
    from evalkit.domain.project import Project
    from evalkit.domain.run import Run
    from evalkit.pipeline.baselines import NightScores, Runs
    from evalkit.ports import RunReader
    from evalkit.stats.regression import Judged

__all__ = ["Compared", "compare_run", "previous_run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What a run says against what was before, and against the incumbents."""

    changes: tuple[Change, ...]
    """What is not what it was; told before any regression."""
    comparisons: tuple[Comparison, ...]
    """Against the models' own baselines: the gravest first."""
    incumbents: tuple[Comparison, ...]
    """Against the incumbents of their tasks: the gravest first."""
    night_sd: float | None
    """What a night adds to a suite's mean, as a standard deviation; None when fewer than three nights are known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    """One (suite, model) with its baseline."""

    tonight: NightScores
    nights: tuple[NightScores, ...]
    """Newest first, at least one."""
    extension: NightScores | None
    change: str

    def known(self, metric: str) -> dict[str, Sequence[float]]:
        """Return all of tonight's scores, the extension's among them."""
        ours: dict[str, Sequence[float]] = dict(self.tonight.scores(metric))
        again = {} if self.extension is None else self.extension.scores(metric)
        return ours | {case_id: (*ours.get(case_id, ()), *trials) for case_id, trials in again.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """One stream with what it is about."""

    pair: _Pair
    metric: str
    stream: Stream
    case_ids: tuple[str, ...]
    """Every case that should be there."""
    n_missing: int


def compare_run(project: Project, reader: RunReader, run: Run, *, baseline: Run | None = None) -> Compared:
    """Compare every (model, suite, metric) of a run with its own earlier nights and with the incumbent of its task.

    A regression is a Holm-adjusted one-sided p within the look's share of alpha, over the whole family, and a drop of
    at least `evalkit.stats.regression.MIN_DROP`. See docs/explanation/statistics.md.

    Args:
        project: for today's tags and incumbents.
        reader: the store.
        run: tonight's run.
        baseline: when given, the baseline of every stream is this run alone.
    """
    every = reader.runs(project=run.project, environment=run.environment)
    runs = runs_around(every, run, baseline=baseline)
    cells = [(cell.suite, cell.model_id) for cell in run.plain_cells]
    tonight = {
        pair: night_scores(measurement)
        for pair, measurement in read_measurements(reader, run, wanted=cells).items()
        if measurement.units
    }
    pairs = [*_pairs(reader, runs, tonight, is_given=baseline is not None)]
    asked = [one for pair in pairs for one in _streams(pair)]
    judgement = judge_regressions([one.stream for one in asked])
    found = [
        _comparison(one, judged, project=project, reader=reader)
        for one, judged in zip(asked, judgement.judged, strict=True)
    ]
    found = _with_cures(found, tonight) if runs.is_newest and baseline is None else found
    nightly = judgement.night_variance
    return Compared(
        changes=(
            *suite_changes(runs),
            *worth_telling([(pair.tonight.cell, pair.change) for pair in pairs]),
        ),
        comparisons=tuple(sorted(found, key=_gravest)),
        incumbents=tuple(sorted(against_incumbents(project, tonight), key=_gravest)),
        night_sd=None if nightly is None else nightly**0.5,
    )


def previous_run(reader: RunReader, run: Run) -> Run | None:
    """Return the newest finished, unfiltered run before this one through the same gateway, or None."""
    for earlier in reader.runs(project=run.project, environment=run.environment):
        if earlier.is_whole and earlier.started_at < run.started_at and earlier.gateway_kind == run.gateway_kind:
            return earlier
    return None


_GRAVITY = ("confirmed", "suspect", "screened", "untested", "cleared", "none")


def _gravest(found: Comparison) -> tuple[int, float, str, str, str]:
    return _GRAVITY.index(found.standing), found.p_value, found.model_id, found.suite, found.metric


def _pairs(
    reader: RunReader, runs: Runs, tonight: Mapping[tuple[str, str], NightScores], *, is_given: bool
) -> Iterator[_Pair]:
    for night in tonight.values():
        nights = earlier_nights(reader, runs, night.cell, is_given=is_given)
        if nights:
            yield _Pair(
                tonight=night,
                nights=nights,
                extension=extension_of(reader, runs, night.cell),
                change=identity_change(night, nights),
            )


def _streams(pair: _Pair) -> Iterator[_Asked]:
    # A filtered run asked only some of the cases; the others are not missing.
    case_ids = pair.tonight.clusters.keys() | (
        set() if pair.tonight.cell.is_partial else pair.nights[0].clusters.keys()
    )
    for metric in sorted(pair.tonight.trials):
        nights = tuple(night.scores(metric) for night in pair.nights)
        ours = pair.tonight.scores(metric)
        theirs = {case_id for night in nights for case_id in night}
        if not theirs & ours.keys():
            continue
        n_missing = len(case_ids - (ours.keys() & theirs))
        is_answered = min(pair.tonight.coverage, pair.nights[0].coverage) >= MIN_COVERAGE
        yield _Asked(
            pair=pair,
            metric=metric,
            stream=Stream(
                candidate=ours,
                nights=nights,
                clusters=pair.nights[0].clusters | pair.tonight.clusters,
                extension=None if pair.extension is None else pair.extension.scores(metric),
                is_testable=is_answered and n_missing <= (1 - MIN_COVERAGE) * len(case_ids) + 1e-9,
            ),
            case_ids=tuple(sorted(case_ids)),
            n_missing=n_missing,
        )


def _comparison(asked: _Asked, judged: Judged, *, project: Project, reader: RunReader) -> Comparison:
    pair, stream, test = asked.pair, asked.stream, judged.test
    if test.difference is None:  # a stream has a common case, or it would not be one
        raise AssertionError(f"{asked.metric} has no case on both sides")
    ours = pair.known(asked.metric)
    is_worth_a_look = judged.standing in {"confirmed", "suspect", "screened", "untested"} and test.difference < 0
    differences = case_differences(ours, stream.nights) if is_worth_a_look else {}
    worst = None
    if not stream.is_testable:
        pooled = {case_id: [v for night in stream.nights for v in night.get(case_id, ())] for case_id in asked.case_ids}
        worst = worst_case_difference(stream.candidate, pooled, stream.clusters, case_ids=asked.case_ids)
    suite = project.suite_by_name.get(pair.tonight.cell.suite)
    return Comparison(
        suite=pair.tonight.cell.suite,
        metric=asked.metric,
        model_id=pair.tonight.cell.model_id,
        baseline=pair.nights[0].run_id,
        difference=test.difference,
        lower=test.lower,
        upper=test.upper,
        level=test.level,
        p_value=test.p_worse,
        p_adjusted=judged.p_adjusted,
        n=test.n,
        n_clusters=test.n_clusters,
        n_worse=test.n_worse,
        n_better=test.n_better,
        method=test.method,
        is_regression=judged.standing == "confirmed",
        identity_changed=pair.change,
        standing=judged.standing,
        q_value=judged.q_value,
        alpha=judged.alpha,
        detectable=judged.detectable,
        n_nights=len(pair.nights),
        n_missing=asked.n_missing,
        worst_lower=None if worst is None else worst.low,
        worst_upper=None if worst is None else worst.high,
        extended_by="" if pair.extension is None else pair.extension.run_id,
        worst_group=worst_group(suite, stream.clusters, differences),
        flips=flips_of(reader, asked.metric, before=pair.nights[0], after=pair.tonight) if is_worth_a_look else (),
    )


def _with_cures(found: Sequence[Comparison], tonight: Mapping[tuple[str, str], NightScores]) -> list[Comparison]:
    """Name the command that measures a suspicious pair again: one for all suites of a model, so that it is one run."""
    wanted: dict[tuple[str, int], set[str]] = {}
    for one in found:
        if one.standing in {"suspect", "screened"}:
            wanted.setdefault(_run_of(one, tonight), set()).add(one.suite)
    return [
        replace(one, cure=_command(_run_of(one, tonight), suites=wanted[_run_of(one, tonight)]))
        if one.standing in {"suspect", "screened"}
        else one
        for one in found
    ]


def _run_of(found: Comparison, tonight: Mapping[tuple[str, str], NightScores]) -> tuple[str, int]:
    night = tonight[found.suite, found.model_id]
    return found.model_id, EXTENSION_TRIALS * max(1, night.cell.n_planned // max(1, len(night.clusters)))


def _command(run: tuple[str, int], *, suites: set[str]) -> str:
    model_id, trials = run
    names = " ".join(map(shlex.quote, sorted(suites)))
    return f"evalkit run {names} --model {shlex.quote(model_id)} --trials {trials} --new --fail-on never"
