"""Which metrics of a suite are somebody's opinion, and by which instrument answers were graded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.canonical import digest_of
from evalkit.domain.judging import Instrument
from evalkit.errors import InputError
from evalkit.plugins import instrument_of, metrics_of, scorer_from_spec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from evalkit.domain.project import Project
    from evalkit.domain.suite import ScorerSpec, Suite

__all__ = ["graded_by", "instruments_of", "merged_instruments"]


def instruments_of(project: Project, suite: Suite) -> dict[str, Instrument]:
    """Return metric to what its scorers ask; nothing for most suites."""
    specs = [*suite.scorers, *(spec for case in suite.cases for spec in case.scorers or ())]
    distinct = {digest_of(spec.model_dump()): spec for spec in specs}
    found: list[tuple[str, Instrument]] = []
    for spec in distinct.values():
        if _asks(spec, suite, project):
            scorer = scorer_from_spec(spec, suite, project_scorers=project.config.scorers, judges=project.judges)
            instrument = instrument_of(scorer)
            found += [(metric, instrument) for metric in metrics_of(spec, scorer) if instrument is not None]
    return merged_instruments(found)


def merged_instruments(found: Iterable[tuple[str, Instrument]]) -> dict[str, Instrument]:
    """Return one instrument a metric: cases with scorers of their own may bring several, and all of them count."""
    by_metric: dict[str, list[Instrument]] = {}
    for metric, instrument in found:
        by_metric.setdefault(metric, []).append(instrument)
    return {metric: _merged(parts) for metric, parts in by_metric.items()}


def graded_by(suite: Suite, instruments: Mapping[str, Instrument]) -> str:
    """Return the digest of all that grades a suite's answers: its own, and that of whoever its scorers ask."""
    if not instruments:
        return suite.digest
    return digest_of({"suite": suite.digest, "asked": {name: one.digest for name, one in instruments.items()}})


def _asks(spec: ScorerSpec, suite: Suite, project: Project) -> bool:
    """Whether a scorer asks anybody; found out without looking at any case, of which there may be very many."""
    bare = suite.model_copy(update={"cases": ()})
    try:
        scorer = scorer_from_spec(spec, bare, project_scorers=project.config.scorers, judges=project.judges)
    except InputError:  # it wants to see the cases
        scorer = scorer_from_spec(spec, suite, project_scorers=project.config.scorers, judges=project.judges)
    return instrument_of(scorer) is not None


def _merged(parts: list[Instrument]) -> Instrument:
    distinct = {part.digest: part for part in parts}
    if len(distinct) == 1:
        return parts[0]
    return Instrument(
        model_ids=tuple(dict.fromkeys(name for part in distinct.values() for name in part.model_ids)),
        digest=digest_of(sorted(distinct)),
        is_opinion=any(part.is_opinion for part in distinct.values()),
        is_yes_or_no=all(part.is_yes_or_no for part in distinct.values()),
    )
