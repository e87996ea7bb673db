"""Metrics that are a judge's opinion: where a suite may use one, and where it would decide more than it can."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.canonical import canonical_json
from evalkit.errors import InputError
from evalkit.plugins import instrument_of, metrics_of, scorer_from_spec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from evalkit.domain.judging import Instrument, Judges
    from evalkit.domain.suite import ScorerSpec, Suite
    from evalkit.loading.suites import LoadedSuite
    from evalkit.plugins import Scorer

__all__ = ["Built", "opinion_errors"]


class Built:
    """The scorers of a suite, each made once."""

    def __init__(self, suite: Suite, *, project_scorers: Mapping[str, str], judges: Judges | None) -> None:
        self._suite = suite
        self._project_scorers = project_scorers
        self._judges = judges
        self._scorers: dict[bytes, Scorer] = {}

    def scorer(self, spec: ScorerSpec) -> Scorer:
        """Return the scorer of an entry.

        Raises:
            InputError: when it cannot be made.
        """
        key = canonical_json([spec.name, spec.metric, spec.params])
        if key not in self._scorers:
            self._scorers[key] = scorer_from_spec(
                spec, self._suite, project_scorers=self._project_scorers, judges=self._judges
            )
        return self._scorers[key]

    def metrics_of(self, spec: ScorerSpec) -> tuple[str, ...]:
        """Return the metric names an entry gives."""
        return metrics_of(spec, self.scorer(spec))

    def specs(self) -> Iterator[ScorerSpec]:
        """Yield every entry of the suite and its cases."""
        yield from self._suite.scorers
        for case in self._suite.cases:
            yield from case.scorers or ()

    @property
    def opinions(self) -> dict[str, Instrument]:
        """Metric to instrument, of those metrics that are somebody's opinion."""
        found: dict[str, Instrument] = {}
        for spec in self.specs():
            instrument = instrument_of(self.scorer(spec))
            if instrument is not None and instrument.is_opinion:
                found |= dict.fromkeys(self.metrics_of(spec), instrument)
        return found


def opinion_errors(loaded: LoadedSuite, built: Built) -> Iterator[InputError]:
    """Yield where a suite lets an opinion decide what only a confirmed fact may."""
    opinions = built.opinions
    yield from _bent(loaded, built)
    for index, gate in enumerate(loaded.suite.gates):
        instrument = opinions.get(gate.metric)
        if instrument is not None and not instrument.is_yes_or_no:
            yield InputError(
                f"the gate on {gate.metric!r} is on a share of a judge's opinion; people can only confirm a yes or no",
                place=loaded.place("gates", index),
                next_step="give the scorer pass_at, from which value on an answer passes",
            )
    if loaded.suite.primary in opinions:
        yield from _rests_on_primary(loaded)


def _bent(loaded: LoadedSuite, built: Built) -> Iterator[InputError]:
    placed = [(spec, loaded.place("scorers", index)) for index, spec in enumerate(loaded.suite.scorers)]
    for index, case in enumerate(loaded.suite.cases):
        own = case.scorers or ()
        placed += [(spec, loaded.cases.place(index, f"/scorers/{number}")) for number, spec in enumerate(own)]
    for spec, place in placed:
        if instrument_of(built.scorer(spec)) is None:
            continue
        for key, is_given in (("weight", spec.weight is not None), ("negate", spec.negate)):
            if is_given:
                yield InputError(
                    f"{spec.name!r} asks somebody, so it takes no {key}: its metric is judged by itself",
                    place=place,
                    next_step=f"leave {key} out",
                )


def _rests_on_primary(loaded: LoadedSuite) -> Iterator[InputError]:
    suite = loaded.suite
    critical = next((case.id for case in suite.active_cases if case.critical), None)
    if critical is not None:
        yield InputError(
            f"the case {critical!r} is critical, and one opinion of a judge must not be enough to take a model out",
            place=loaded.place("primary"),
            next_step="name another metric as primary, or take critical off",
        )
    for index, gate in enumerate(suite.gates):
        if gate.of == "per_success":
            yield InputError(
                f"a cost per success counts {suite.primary!r}, which is a judge's opinion",
                place=loaded.place("gates", index),
                next_step="name another metric as primary, or gate the mean cost",
            )
