"""Which eligible models are as good as the best one, as far as their answers to the same prompts can tell.

Ranked by the night's scores alone, models of the same quality change places almost every night. So quality ranks in two
tiers only: measurably worse than the best, or not; and what the policy ranks by orders each tier.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from evalkit.domain.verdict import Status
from evalkit.stats.multiplicity import holm
from evalkit.stats.paired import compare_models
from evalkit.stats.regression import MIN_DROP

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from evalkit.domain.suite import Suite
    from evalkit.domain.verdict import Merit, Verdict
    from evalkit.pipeline.evidence import Measurement

__all__ = ["with_tiers"]

_ALPHA = 0.05


def with_tiers(
    verdicts: Sequence[Verdict], suites: Sequence[Suite], newest: Mapping[tuple[str, str], Measurement]
) -> tuple[Verdict, ...]:
    """Return one task's verdicts with the merits of the eligible ones held against the best of them.

    Measurably worse is a Holm-adjusted one-sided p of at most .05, over all suites and other models, and a loss of at
    least `MIN_DROP`: what nobody would notice must not decide.

    Args:
        verdicts: of one task.
        suites: of the task.
        newest: (suite, model id) to the newest measurement.
    """
    merits = {one.model_id: one.merit for one in verdicts if one.status is Status.ELIGIBLE and one.merit is not None}
    if len(merits) <= 1:
        return tuple(verdicts)
    best = min(merits, key=lambda model_id: (-_quality(merits[model_id]), model_id))
    others = [model_id for model_id in merits if model_id != best]
    losses = _losses(best, others, suites=suites, newest=newest)
    return tuple(
        replace(one, merit=replace(merits[one.model_id], worse_than=best, worse_by=losses[one.model_id]))
        if one.model_id in losses
        else one
        for one in verdicts
    )


def _quality(merit: Merit) -> float:
    return -math.inf if merit.quality is None else merit.quality


def _losses(
    best: str, others: Sequence[str], *, suites: Sequence[Suite], newest: Mapping[tuple[str, str], Measurement]
) -> dict[str, float]:
    """Return model id to its largest loss against the best, of the models that are measurably worse."""
    found: list[tuple[str, float, float]] = []
    for suite in suites:
        theirs = newest.get((suite.name, best))
        for model_id in others:
            mine = newest.get((suite.name, model_id))
            if mine is None or theirs is None:
                continue
            clusters = {unit.case_id: unit.cluster_id for one in (mine, theirs) for unit in one.units}
            test = compare_models(_trials(mine, suite.primary), _trials(theirs, suite.primary), clusters)
            found.append((model_id, test.difference or 0.0, test.p_worse))
    losses: dict[str, float] = {}
    for (model_id, difference, _), adjusted in zip(found, holm([p for _, _, p in found]), strict=True):
        if adjusted <= _ALPHA and difference <= -MIN_DROP:
            losses[model_id] = max(losses.get(model_id, 0.0), -difference)
    return losses


def _trials(measurement: Measurement, metric: str) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for unit in measurement.units:
        value = None if unit.is_missing else unit.scores.get(metric)
        if value is not None:
            found.setdefault(unit.case_id, []).append(value)
    return found
