"""Score: outcomes become numbers. Pure, so it can be run again on stored answers at no cost.

Layers never mix: what the wire says (kind) comes first, and only an `ok` answer reaches a scorer. An
infrastructure fault has no score at all; a refusal, a cut or an empty answer is worth 0 on every metric.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from evalkit.domain.outcome import ENDED_EARLY, Kind
from evalkit.domain.score import Score, Scored, Unscored
from evalkit.domain.suite import turn_metric
from evalkit.errors import InputError
from evalkit.pipeline.instruments import graded_by, merged_instruments
from evalkit.pipeline.script import expected_of_turn
from evalkit.plugins import WEIGHTED, instrument_of, metrics_of, scorer_from_spec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from evalkit.domain.call import Call
    from evalkit.domain.judging import Judges
    from evalkit.domain.outcome import Outcome
    from evalkit.domain.suite import Case, ScorerSpec, Suite

__all__ = ["Grader"]

_DECLINED = frozenset({Kind.REFUSAL, Kind.SAFETY_BLOCK})


class Grader:
    """Grades every outcome of one suite."""

    def __init__(
        self, suite: Suite, *, project_scorers: Mapping[str, str] | None = None, judges: Judges | None = None
    ) -> None:
        self._suite = suite
        self._cases = {case.id: case for case in suite.cases}

        def panel(specs: tuple[ScorerSpec, ...]) -> _Panel:
            return _Panel(suite, specs, project_scorers=project_scorers or {}, judges=judges)

        self._panel = panel(suite.scorers)
        self._turns = {
            index: (turn, panel(turn.expect.scorers))
            for index, turn in enumerate(suite.request.turns)
            if turn.expect is not None
        }
        self._own = {case.id: panel(case.scorers) for case in suite.cases if case.scorers}
        every = [one for each in (self._panel, *self._own.values()) for one in each.instruments]
        self.instruments = merged_instruments(every)
        """Metric to what its scorer asks; empty for most suites."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """Every metric this suite gives, in the order of its scorers."""
        panels = (self._panel, *self._own.values())
        of_turns = [turn_metric(index, name) for index, (_, panel) in self._turns.items() for name in panel.metrics]
        return (*dict.fromkeys(metric for panel in panels for metric in panel.metrics), *of_turns)

    @property
    def graded_by(self) -> str:
        """Digest of all that grades here."""
        return graded_by(self._suite, self.instruments)

    def ask(self, outcome: Outcome) -> tuple[Call, ...]:
        """Return what must be answered before an outcome can be graded; only an `ok` one raises questions.

        Raises:
            InputError: when a scorer asks without saying with which instrument: decisions would take an opinion for a
                measurement.
            KeyError: when the outcome's case is not in the suite any more.
        """
        case = self._cases[outcome.case_id]
        if not self.instruments or outcome.is_missing or outcome.kind is not Kind.OK:
            return ()
        calls: dict[str, Call] = {}
        for spec, scorer in self._own.get(case.id, self._panel).members:
            for call in scorer.ask(case, outcome):
                if instrument_of(scorer) is None or call.asked_about != outcome.call_key:
                    raise _careless(spec)
                calls[call.key] = call
        return tuple(calls.values())

    def grade(self, outcome: Outcome, replies: tuple[Outcome, ...] = ()) -> Scored:
        """Return all that is said of an outcome; nothing for one that is missing.

        Raises:
            KeyError: when the outcome's case is not in the suite any more.
        """
        case = self._cases[outcome.case_id]
        panel = self._own.get(case.id, self._panel)
        of_turns = () if outcome.is_missing else tuple(self._grade_turns(case, outcome))
        scores = _grade(panel, case, outcome, replies=replies)
        return Scored(call_key=outcome.call_key, scores=(*scores, *of_turns))

    def _grade_turns(self, case: Case, outcome: Outcome) -> Iterator[Score | Unscored]:
        """Yield what is said of single turns: each is graded as if it were all there is, with its own expectation."""
        for index, (turn, panel) in self._turns.items():
            part = _part_of(outcome, index)
            asked = replace(case, expected=expected_of_turn(turn, case), expect="answer")
            said = _not_reached(panel) if part is None else _grade(panel, asked, part, replies=())
            yield from (replace(one, metric=turn_metric(index, one.metric)) for one in said)

    def knows(self, case_id: str) -> bool:
        """Whether the suite has this case."""
        return case_id in self._cases


def _part_of(outcome: Outcome, index: int) -> Outcome | None:
    """Return the outcome of one user turn, or None when the conversation ended before it."""
    turns = tuple(turn for turn in outcome.turns if turn.user_turn == index)
    if not turns:
        return None
    is_last = turns[-1] is outcome.turns[-1]
    flags = outcome.flags if is_last else tuple(flag for flag in outcome.flags if flag not in ENDED_EARLY)
    return replace(outcome, turns=turns, kind=turns[-1].reading.kind, flags=flags)


def _not_reached(panel: _Panel) -> tuple[Score | Unscored, ...]:
    return tuple(Score(name, 0.0, "the conversation ended before", ("not_reached",)) for name in panel.metrics)


class _Panel:
    """The scorers of a suite or of one case, with what the suite says about each."""

    def __init__(
        self,
        suite: Suite,
        specs: tuple[ScorerSpec, ...],
        *,
        project_scorers: Mapping[str, str],
        judges: Judges | None,
    ) -> None:
        self.members = tuple(
            (spec, scorer_from_spec(spec, suite, project_scorers=project_scorers, judges=judges)) for spec in specs
        )
        self.instruments = tuple(
            (metric, instrument)
            for spec, scorer in self.members
            if (instrument := instrument_of(scorer)) is not None
            for metric in metrics_of(spec, scorer)
        )
        names = tuple(metric for spec, scorer in self.members for metric in metrics_of(spec, scorer))
        self.has_weights = any(spec.weight is not None for spec in specs)
        self.metrics = (*names, WEIGHTED) if self.has_weights else names


def _careless(spec: ScorerSpec) -> InputError:
    return InputError(
        f"the scorer {spec.name!r} asks without `instrument`, or about another call than the one it is given",
        next_step="give it an `instrument`, and its calls `asked_about`: see CONTRIBUTING.md",
    )


def _grade(
    panel: _Panel, case: Case, outcome: Outcome, *, replies: tuple[Outcome, ...]
) -> tuple[Score | Unscored, ...]:
    if outcome.is_missing:
        return ()
    if outcome.kind is not Kind.OK:
        is_wanted = case.expect == "refusal" and outcome.kind in _DECLINED
        value, why = float(is_wanted), f"the call ended as {outcome.kind}"
        return tuple(Score(metric, value, why, (f"kind:{outcome.kind}",)) for metric in panel.metrics)
    ended_by = next((flag for flag in outcome.flags if flag in ENDED_EARLY), None)
    if ended_by is not None:
        why = f"the conversation ended early: {ended_by}"
        return tuple(Score(metric, 0.0, why, (ended_by,)) for metric in panel.metrics)
    scores: list[Score | Unscored] = []
    weighted: dict[float, list[Score | Unscored]] = {}
    for spec, scorer in panel.members:
        given = tuple(_as_declared(spec, said) for said in scorer.score(case, outcome, replies))
        scores.extend(given)
        if spec.weight is not None:
            weighted.setdefault(spec.weight, []).append(given[0])
    if panel.has_weights:
        scores.append(_weighted(weighted))
    return tuple(scores)


def _as_declared(spec: ScorerSpec, said: Score | Unscored) -> Score | Unscored:
    metric = spec.metric or said.metric
    if isinstance(said, Unscored):
        return Unscored(metric, said.reason, said.rationale)
    value = 1 - said.value if spec.negate else said.value
    return Score(metric, value, said.rationale, said.findings)


def _weighted(parts: Mapping[float, list[Score | Unscored]]) -> Score | Unscored:
    """Return the weighted mean of each weighted scorer's first metric; unknown when any part is."""
    total = value = 0.0
    for weight, said in parts.items():
        for part in said:
            if isinstance(part, Unscored):
                return Unscored(WEIGHTED, f"part:{part.metric}", part.rationale)
            total += weight
            value += weight * part.value
    return Score(WEIGHTED, min(1.0, value / total))
