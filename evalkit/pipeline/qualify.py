"""Labelled answers and a judge's verdicts on them become a qualification. Pure: who asks and who keeps is elsewhere."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from evalkit.domain.judging import LabelCounts, Qualification
from evalkit.domain.outcome import Kind, Outcome, Reading, Turn
from evalkit.domain.score import Score
from evalkit.plugins import metrics_of, scorer_from_spec
from evalkit.stats.judged import fleiss_kappa

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from evalkit.domain.call import Call
    from evalkit.domain.judging import Instrument, Label, Labels
    from evalkit.domain.project import Project
    from evalkit.domain.suite import ScorerSpec, Suite
    from evalkit.pipeline.score import Grader

__all__ = ["VOTE", "Held", "held_against", "only_metric", "question_keys", "questions_of"]

VOTE = "vote:"
"""Of a panel's finding `vote:JUDGE:1`: what one of its judges said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A judge held against labels."""

    qualification: Qualification
    by_model: tuple[tuple[str, LabelCounts], ...]
    kappa_of_panel: float | None


def only_metric(suite: Suite, metric: str, *, project: Project) -> Suite:
    """Return the suite with those scorers alone that give this metric: nothing else is worth paying for."""

    def kept(specs: tuple[ScorerSpec, ...]) -> tuple[ScorerSpec, ...]:
        return tuple(
            spec
            for spec in specs
            if metric
            in metrics_of(
                spec, scorer_from_spec(spec, suite, project_scorers=project.config.scorers, judges=project.judges)
            )
        )

    cases = tuple(replace(case, scorers=kept(case.scorers)) if case.scorers else case for case in suite.cases)
    return suite.model_copy(update={"scorers": kept(suite.scorers), "cases": cases})


def questions_of(suite: Suite, labels: Labels, *, grader: Grader, held: Collection[str]) -> dict[str, dict[str, Call]]:
    """Return by judge and key what has to be asked about labelled answers and is not held yet."""
    by_judge: dict[str, dict[str, Call]] = {}
    for sequence, label in enumerate(labels.labels):
        for call in grader.ask(_outcome(suite, label, sequence=sequence)):
            if call.key not in held:
                by_judge.setdefault(call.model_id, {})[call.key] = call
    return by_judge


def question_keys(suite: Suite, labels: Labels, *, grader: Grader) -> tuple[str, ...]:
    """Return the keys of everything that is asked about labelled answers."""
    every = questions_of(suite, labels, grader=grader, held=())
    return tuple(key for calls in every.values() for key in calls)


def held_against(  # noqa: PLR0913  a qualification names all that it rests on
    suite: Suite,
    labels: Labels,
    *,
    grader: Grader,
    replies: Mapping[str, Outcome],
    metric: str,
    instrument: Instrument,
    gateway_kind: str,
) -> Held:
    """Return how often the judge said what people said."""
    cells: dict[str, Counter[tuple[bool, bool]]] = {}
    votes: list[tuple[int, int]] = []
    n_unjudged = 0
    for sequence, label in enumerate(labels.labels):
        outcome = _outcome(suite, label, sequence=sequence)
        mine = tuple(replies[call.key] for call in grader.ask(outcome) if call.key in replies)
        said = next(one for one in grader.grade(outcome, mine).scores if one.metric == metric)
        if not isinstance(said, Score):
            n_unjudged += 1
            continue
        cells.setdefault(label.model, Counter())[label.passes, said.value >= 1] += 1
        cast = [finding.endswith(":1") for finding in said.findings if finding.startswith(VOTE)]
        if len(cast) == len(instrument.model_ids) > 1:
            votes.append((sum(cast), len(cast) - sum(cast)))
    whole = sum(cells.values(), Counter[tuple[bool, bool]]())
    qualification = Qualification(
        suite=suite.name,
        metric=metric,
        instrument=instrument.digest,
        gateway_kind=gateway_kind,
        served=_served(replies.values(), instrument),
        labels=labels.digest,
        counts=_counts(whole),
        n_unjudged=n_unjudged,
        n_by_model={model: cell.total() for model, cell in sorted(cells.items())},
    )
    by_model = tuple((model, _counts(cell)) for model, cell in sorted(cells.items()))
    return Held(qualification=qualification, by_model=by_model, kappa_of_panel=fleiss_kappa(votes))


def _counts(cell: Counter[tuple[bool, bool]]) -> LabelCounts:
    return LabelCounts(
        both_pass=cell[True, True],
        only_judge=cell[False, True],
        only_people=cell[True, False],
        both_fail=cell[False, False],
    )


def _served(replies: Collection[Outcome], instrument: Instrument) -> dict[str, tuple[str, ...]]:
    """Return by judge the names its verdicts carried; `""` where one carried none."""
    names: dict[str, set[str]] = {judge_id: set() for judge_id in instrument.model_ids}
    for reply in replies:
        if reply.kind is Kind.OK:
            names.setdefault(reply.model_id, set()).add(reply.identity.served_model or "")
    return {judge_id: tuple(sorted(found)) for judge_id, found in names.items()}


def _outcome(suite: Suite, label: Label, *, sequence: int) -> Outcome:
    """Return a labelled answer as if a model had just given it."""
    coordinates = f"label\x1f{suite.name}\x1f{label.case_id}\x1f{label.model}\x1f{label.answer}"
    return Outcome(
        call_key=hashlib.sha256(coordinates.encode("utf-8", "surrogatepass")).hexdigest(),
        suite=suite.name,
        case_id=label.case_id,
        cluster_id=label.case_id,
        model_id=label.model,
        trial=0,
        sequence=sequence,
        mode=suite.request.modes[0],
        kind=Kind.OK,
        turns=(Turn(reading=Reading(kind=Kind.OK, text=label.answer)),),
    )
