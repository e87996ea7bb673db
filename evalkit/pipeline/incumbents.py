"""Every model against the incumbent of its task, on tonight's answers: a standing difference, and no news."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from evalkit.domain.estimate import Comparison
from evalkit.pipeline.baselines import MIN_COVERAGE
from evalkit.stats.multiplicity import benjamini_hochberg, holm
from evalkit.stats.paired import compare_models, worst_case_difference
from evalkit.stats.regression import ALPHA, MIN_DROP, confirmable_drop

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from evalkit.domain.estimate import Standing
    from evalkit.domain.project import Project
    from evalkit.pipeline.baselines import NightScores
    from evalkit.stats.paired import PairedTest

__all__ = ["against_incumbents"]

_LIST_RATE = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class _Match:
    """One model beside the incumbent on one metric."""

    mine: NightScores
    theirs: NightScores
    metric: str
    case_ids: tuple[str, ...]
    test: PairedTest
    difference: float
    n_missing: int

    @property
    def is_testable(self) -> bool:
        """Whether little enough is missing."""
        is_answered = min(self.mine.coverage, self.theirs.coverage) >= MIN_COVERAGE
        return is_answered and self.n_missing <= (1 - MIN_COVERAGE) * len(self.case_ids) + 1e-9


def against_incumbents(project: Project, tonight: Mapping[tuple[str, str], NightScores]) -> tuple[Comparison, ...]:
    """Return every (model, suite, metric) beside the incumbent of the suite's task, one Holm family.

    Whether a model is good enough to take over is another question, with a margin: non-inferiority answers it.
    """
    matches = [*_matches(project, tonight)]
    p_values = [match.test.p_worse if match.is_testable else 1.0 for match in matches]
    adjusted, q_values = holm(p_values), benjamini_hochberg(p_values)
    return tuple(
        _comparison(match, p_adjusted=p, q_value=q, n_tests=len(matches))
        for match, p, q in zip(matches, adjusted, q_values, strict=True)
    )


def _matches(project: Project, tonight: Mapping[tuple[str, str], NightScores]) -> Iterator[_Match]:
    for (suite, model_id), mine in tonight.items():
        policy = project.policy.tasks.get(mine.cell.task)
        incumbent = None if policy is None else policy.incumbent
        theirs = None if incumbent is None else tonight.get((suite, incumbent))
        if theirs is None or model_id == incumbent:
            continue
        case_ids = tuple(sorted(mine.clusters.keys() | theirs.clusters.keys()))
        for metric in sorted(mine.trials):
            ours, others = mine.scores(metric), theirs.scores(metric)
            test = compare_models(ours, others, theirs.clusters | mine.clusters)
            if test.difference is not None:
                yield _Match(
                    mine=mine,
                    theirs=theirs,
                    metric=metric,
                    case_ids=case_ids,
                    test=test,
                    difference=test.difference,
                    n_missing=len(case_ids) - test.n,
                )


def _comparison(match: _Match, *, p_adjusted: float, q_value: float, n_tests: int) -> Comparison:
    test = match.test
    worst = None
    if not match.is_testable:
        worst = worst_case_difference(
            match.mine.scores(match.metric),
            match.theirs.scores(match.metric),
            match.theirs.clusters | match.mine.clusters,
            case_ids=match.case_ids,
        )
    return Comparison(
        suite=match.mine.cell.suite,
        metric=match.metric,
        model_id=match.mine.cell.model_id,
        baseline=match.theirs.cell.model_id,
        difference=match.difference,
        lower=test.lower,
        upper=test.upper,
        level=test.level,
        p_value=test.p_worse if match.is_testable else 1.0,
        p_adjusted=p_adjusted,
        n=test.n,
        n_clusters=test.n_clusters,
        n_worse=test.n_worse,
        n_better=test.n_better,
        method=test.method,
        is_regression=False,
        against="incumbent",
        standing=_standing(match, p_adjusted=p_adjusted, q_value=q_value),
        q_value=q_value,
        alpha=ALPHA,
        detectable=confirmable_drop(test, alpha=ALPHA / n_tests) if match.is_testable else None,
        n_missing=match.n_missing,
        worst_lower=None if worst is None else worst.low,
        worst_upper=None if worst is None else worst.high,
    )


def _standing(match: _Match, *, p_adjusted: float, q_value: float) -> Standing:
    if not match.is_testable:
        return "untested"
    if p_adjusted <= ALPHA and match.difference <= -MIN_DROP + 1e-12:
        return "confirmed"
    return "suspect" if q_value <= _LIST_RATE and match.difference < 0 else "none"
