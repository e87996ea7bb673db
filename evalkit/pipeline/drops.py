"""Where a drop comes from, for whoever has to look: the group that fell most, and cases that went from right to wrong.

Nothing here is a test. What is picked because it is the worst looks bad by chance alone.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from evalkit.domain.estimate import Flip, WorstGroup
from evalkit.domain.score import Score

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from evalkit.domain.suite import Suite
    from evalkit.pipeline.baselines import NightScores
    from evalkit.ports import RunReader

    Trials = Mapping[str, Sequence[float]]

__all__ = ["MAX_FLIPS", "case_differences", "flips_of", "worst_group"]

MAX_FLIPS = 10
"""Cases listed; the number of those that fell says how many there are."""

_MIN_CASES = 2


def case_differences(candidate: Trials, nights: Iterable[Trials]) -> dict[str, float]:
    """Return case id to candidate minus pooled baseline, of the cases both sides have."""
    pooled: dict[str, list[float]] = {}
    for night in nights:
        for case_id, trials in night.items():
            pooled.setdefault(case_id, []).extend(trials)
    return {
        case_id: _mean(trials) - _mean(pooled[case_id])
        for case_id, trials in sorted(candidate.items())
        if trials and pooled.get(case_id)
    }


def worst_group(
    suite: Suite | None, clusters: Mapping[str, str], differences: Mapping[str, float]
) -> WorstGroup | None:
    """Return the cluster or tag with the largest mean drop, of those with two cases or more; None when none fell.

    Args:
        suite: for its tags; None when it is not among today's files.
        clusters: case id to cluster.
        differences: case id to candidate minus baseline.
    """
    found: dict[tuple[str, str], list[float]] = {}
    for kind, name, case_id in _memberships(suite, clusters):
        if case_id in differences:
            found.setdefault((kind, name), []).append(differences[case_id])
    # A tag that every case carries says nothing that the whole does not.
    groups = [
        WorstGroup(kind="tag" if kind == "tag" else "cluster", name=name, difference=_mean(values), n=len(values))
        for (kind, name), values in found.items()
        if _MIN_CASES <= len(values) < len(differences)
    ]
    fallen = [group for group in groups if group.difference < 0]
    return min(fallen, key=lambda group: (group.difference, -group.n, group.kind, group.name), default=None)


def flips_of(reader: RunReader, metric: str, *, before: NightScores, after: NightScores) -> tuple[Flip, ...]:
    """Return cases with full marks in every trial before and less in some trial after, the largest drop first.

    Args:
        reader: the store, for the keys of the answers.
        metric: what they were graded on.
        before: the newest night of the baseline.
        after: tonight.
    """
    ours, theirs = after.scores(metric), before.scores(metric)
    flipped = [
        case_id for case_id in ours.keys() & theirs.keys() if min(theirs[case_id]) >= 1 and min(ours[case_id]) < 1
    ]
    flipped.sort(key=lambda case_id: (_mean(ours[case_id]) - _mean(theirs[case_id]), case_id))
    listed = flipped[:MAX_FLIPS]
    keys_before = _answer_keys(reader, before, metric=metric, wanted=listed, is_right=True)
    keys_after = _answer_keys(reader, after, metric=metric, wanted=listed, is_right=False)
    return tuple(
        Flip(
            case_id=case_id,
            before_run=before.run_id,
            before_key=keys_before[case_id],
            after_run=after.run_id,
            after_key=keys_after[case_id],
        )
        for case_id in listed
    )


def _memberships(suite: Suite | None, clusters: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    for case_id, cluster_id in sorted(clusters.items()):
        yield "cluster", cluster_id, case_id
    for case in suite.active_cases if suite is not None else ():
        for tag in dict.fromkeys(case.tags):
            yield "tag", tag, case.id


def _answer_keys(
    reader: RunReader, night: NightScores, *, metric: str, wanted: Sequence[str], is_right: bool
) -> dict[str, str]:
    """Return case id to the call key of its first answer that is right, or wrong."""
    if not wanted:
        return {}
    pair = {"suite": night.cell.suite, "model_id": night.cell.model_id}
    chosen = {
        scored.call_key
        for scored in reader.scores(night.run_id, **pair)
        for said in scored.scores
        if isinstance(said, Score) and said.metric == metric and (said.value >= 1) is is_right
    }
    found: dict[str, str] = {}
    for outcome in reader.outcomes(night.run_id, **pair, with_payloads=False):
        if outcome.case_id in wanted and outcome.call_key in chosen and not outcome.is_missing:
            found.setdefault(outcome.case_id, outcome.call_key)
    return found


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
