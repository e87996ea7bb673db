"""Which eligible models are as good as the best one, as far as their answers to the same prompts can tell.

Ranked by the night's scores alone, models of the same quality change places almost every night. So quality ranks in two
tiers only: measurably worse than the best, or not; and what the policy ranks by orders each tier. Best and worse are
told from the last nights together, for one night in twenty would call an equal model worse; and between "worse" and
"not worse" lies a band in which a model stays where it was.
"""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, TypeAlias

from evalkit.domain.verdict import Status
from evalkit.pipeline.history import MAX_NIGHTS
from evalkit.stats.multiplicity import holm
from evalkit.stats.paired import compare_models
from evalkit.stats.regression import MIN_DROP

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from evalkit.domain.suite import Suite
    from evalkit.domain.verdict import Verdict
    from evalkit.pipeline.evidence import Measurement

__all__ = ["with_tiers"]

_ALPHA = 0.05
_RELEASE = 0.25
"""Who was measurably worse stays so until its p is above this, or its loss below half of what counts."""

_Trials: TypeAlias = "dict[str, list[float]]"
"""Case id to the scores of all its trials."""


def with_tiers(
    verdicts: Sequence[Verdict], suites: Sequence[Suite], nights: Mapping[tuple[str, str], Sequence[Measurement]]
) -> tuple[Verdict, ...]:
    """Return one task's verdicts with the merits of the eligible ones held against the best of them.

    Measurably worse is a Holm-adjusted one-sided p of at most .05, over all suites and other models, and a loss of at
    least `MIN_DROP`: what nobody would notice must not decide.

    Args:
        verdicts: of one task.
        suites: of the task.
        nights: (suite, model id) to the measurements of its series, newest first; at most `MAX_NIGHTS` are looked at.
    """
    merits = {one.model_id: one.merit for one in verdicts if one.status is Status.ELIGIBLE and one.merit is not None}
    if len(merits) <= 1:
        return tuple(verdicts)
    field = _Field(suites, {pair: found for pair, found in nights.items() if pair[1] in merits})
    best = min(merits, key=lambda model_id: (-field.quality(model_id), model_id))
    losses = field.losses(best, [model_id for model_id in merits if model_id != best])
    return tuple(
        replace(one, merit=replace(merits[one.model_id], worse_than=best, worse_by=losses[one.model_id]))
        if one.model_id in losses
        else one
        for one in verdicts
    )


class _Field:
    """The eligible models of a task, as their last nights together show them."""

    def __init__(self, suites: Sequence[Suite], nights: Mapping[tuple[str, str], Sequence[Measurement]]) -> None:
        self._suites = suites
        self._nights = {pair: found[:MAX_NIGHTS] for pair, found in nights.items()}
        self._clusters = {suite.name: {case.id: case.cluster_id for case in suite.active_cases} for suite in suites}
        self._known: dict[int, dict[tuple[str, str], tuple[float, float]]] = {}

    def quality(self, model_id: str) -> float:
        """Return the mean over suites of the mean over cases; below everything when a suite has no score."""
        of_suites = [self._trials(suite, model_id, depth=0) for suite in self._suites]
        if not all(of_suites):
            return -math.inf
        means = [math.fsum(math.fsum(one) / len(one) for one in trials.values()) / len(trials) for trials in of_suites]
        return math.fsum(means) / len(means)

    def losses(self, best: str, others: Sequence[str]) -> dict[str, float]:
        """Return model id to its largest loss against the best, of the models that are measurably worse."""
        tonight = self._tests(best, others, depth=0)
        found: dict[str, float] = {}
        for pair, (difference, _) in tonight.items():
            if self._is_worse(best, others, pair=pair):
                found[pair[1]] = max(found.get(pair[1], 0.0), -difference)
        return found

    def _is_worse(self, best: str, others: Sequence[str], *, pair: tuple[str, str]) -> bool:
        """Whether a (suite, model id) is worse tonight or, while that is open, was as the nights before had it."""
        for depth in range(max(map(len, self._nights.values()))):
            difference, p_worse = self._tests(best, others, depth=depth).get(pair, (0.0, 1.0))
            if p_worse <= _ALPHA and difference <= -MIN_DROP:
                return True
            if p_worse > _RELEASE or difference > -MIN_DROP / 2:
                return False
        return False

    def _tests(self, best: str, others: Sequence[str], *, depth: int) -> dict[tuple[str, str], tuple[float, float]]:
        """Return (suite, model id) to difference and adjusted p, without the newest `depth` nights."""
        if depth not in self._known:
            found = {}
            for suite in self._suites:
                theirs = self._trials(suite, best, depth=depth)
                for model_id in others:
                    mine = self._trials(suite, model_id, depth=depth)
                    if mine and theirs:
                        found[suite.name, model_id] = compare_models(mine, theirs, self._clusters[suite.name])
            adjusted = holm([test.p_worse for test in found.values()])
            self._known[depth] = {
                pair: (test.difference or 0.0, p) for (pair, test), p in zip(found.items(), adjusted, strict=True)
            }
        return self._known[depth]

    def _trials(self, suite: Suite, model_id: str, *, depth: int) -> _Trials:
        found: _Trials = {}
        for unit in chain.from_iterable(night.units for night in self._nights.get((suite.name, model_id), ())[depth:]):
            value = None if unit.is_missing else unit.scores.get(suite.primary)
            if value is not None:
                found.setdefault(unit.case_id, []).append(value)
        return found
