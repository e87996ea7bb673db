"""Which stored measurements may count for today's files: newest first, and only as many as a pool takes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import takewhile
from typing import TYPE_CHECKING

from evalkit.domain.outcome import IdentityClass, Kind
from evalkit.domain.policy import seconds_of
from evalkit.pipeline.clustering import Correlations
from evalkit.pipeline.entry import is_same_entry
from evalkit.pipeline.evidence import MAX_NIGHTS, Measurement, read_measurements
from evalkit.pipeline.instruments import graded_by, instruments_of
from evalkit.pipeline.plan import mode_for
from evalkit.pipeline.thinness import is_thin

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from evalkit.domain.judging import Instrument
    from evalkit.domain.policy import Defaults
    from evalkit.domain.project import Project
    from evalkit.domain.roster import Model
    from evalkit.domain.run import Cell, Run
    from evalkit.domain.suite import Suite
    from evalkit.ports import RunReader

__all__ = ["MAX_NIGHTS", "History", "may_back", "read_history", "runs_that_count", "same_series"]

MAX_AGE_S = 30 * 86_400.0
"""How far back a pass is pooled: a provider changes more in a month than names and fingerprints tell."""

_MAX_OTHERS_SHARE = 0.05
"""Of a night's answers under names, those whose name no answer carries now."""


@dataclass(frozen=True, slots=True)
class History:
    """Measurements that may decide, by (suite, model id), newest first: complete, or stopped at a look."""

    by_pair: dict[tuple[str, str], list[Measurement]]
    stale: frozenset[tuple[str, str]]
    """Pairs whose only answers were graded by other scorers than today's."""
    instruments: Mapping[str, Mapping[str, Instrument]] = field(default_factory=dict)
    """Suite to metric to what its scorer asks; metrics that nobody is asked for are not there."""
    correlations: Correlations | None = None
    """What its finished runs say of the suites' clusters; None: nothing."""
    judges: Mapping[tuple[str, str], frozenset[tuple[str, str]]] = field(default_factory=dict)
    """(Run id, suite) to the judges that answered, each with the name it reported; `""` when it gave none."""

    def of(self, suite: Suite, model: Model) -> list[Measurement]:
        """Return the measurements of a suite × model, newest first."""
        return self.by_pair.get((suite.name, model.id), [])

    @property
    def last_at(self) -> float:
        """Unix seconds: when the newest answer of all was asked for; 0 without any."""
        return max((one.last_at for found in self.by_pair.values() for one in found), default=0.0)


def runs_that_count(project: Project, reader: RunReader) -> tuple[Run, ...]:
    """Return the runs through today's kind of gateway, newest first.

    What another gateway answered, the simulator above all, is no evidence about this one.
    """
    every = reader.runs(project=project.name, environment=project.config.environment)
    return tuple(run for run in every if run.gateway_kind == project.config.gateway.kind and not run.is_aside)


def same_series(nights: list[Measurement]) -> list[Measurement]:
    """Return the nights since the answers last carried another model's name: those before are another series.

    Of an upstream that answers under several names each may be missing once; a night that mostly others answered is not
    one of those that answer now.
    """
    names = next((night.served_models for night in nights if night.served_models), frozenset())
    return [*takewhile(lambda night: _is_by(names, night), nights)]


def _is_by(names: frozenset[str], night: Measurement) -> bool:
    served = [unit.served_model for unit in night.units if unit.served_model and not unit.is_missing]
    n_others = sum(name not in names for name in served)
    return not served or (names.issubset(served) and n_others <= _MAX_OTHERS_SHARE * len(served))


def may_back(newest: Measurement, night: Measurement, *, defaults: Defaults) -> bool:
    """Return whether an earlier night may be pooled with a newer one of its series: only one that could count alone.

    It has to be whole enough, identified as well as the policy asks, and not older than `MAX_AGE_S` by then.
    """
    is_recent = newest.run.started_at - night.run.started_at <= MAX_AGE_S
    is_known = night.identity_class.rank <= IdentityClass(defaults.min_identity).rank
    return is_recent and is_known and not is_thin(night, min_coverage=defaults.min_coverage)


def read_history(project: Project, reader: RunReader, runs: Sequence[Run], *, as_of: float = math.inf) -> History:
    """Return what could still count: same prompts, model, mode and scorers, with a look, and known by `as_of`.

    Args:
        project: today's files.
        reader: the store.
        runs: newest first by start.
        as_of: Unix seconds; a measurement with a later answer was not there yet.
    """
    by_pair: dict[tuple[str, str], list[Measurement]] = {}
    n_fresh: dict[tuple[str, str], int] = {}
    stale: set[tuple[str, str]] = set()
    newest_at = min(as_of, max((run.started_at for run in runs), default=0.0))
    instruments = {suite.name: instruments_of(project, suite) for suite in project.suites}

    def valid_s(suite: Suite) -> float:
        policy = project.policy
        return seconds_of(
            (policy.defaults_for(suite.task) if suite.task in policy.tasks else policy.defaults).valid_for
        )

    for run in runs:
        graded = dict(run.suite_digests)
        wanted = []
        for suite, model in _still_asked(project, run):
            if graded.get(suite.name) != graded_by(suite, instruments[suite.name]):
                stale.add((suite.name, model.id))
                continue
            pair = suite.name, model.id
            n_fresh[pair] = n_fresh.get(pair, 0) + (run.started_at + valid_s(suite) > newest_at)
            # As deep as a verdict may be kept, and behind that as many as it was pooled with when it was given.
            if len(by_pair.get(pair, ())) < MAX_NIGHTS + min(n_fresh[pair], MAX_NIGHTS):
                wanted.append(pair)
        for pair, measurement in read_measurements(reader, run, wanted=wanted).items():
            if measurement.n_looks and measurement.last_at <= as_of:
                by_pair.setdefault(pair, []).append(measurement)
    judges = _judges_seen(reader, by_pair, instruments)
    return History(
        by_pair,
        frozenset(stale - by_pair.keys()),
        instruments=instruments,
        correlations=Correlations(by_pair, project.policy),
        judges=judges,
    )


def _judges_seen(
    reader: RunReader,
    by_pair: Mapping[tuple[str, str], list[Measurement]],
    instruments: Mapping[str, Mapping[str, Instrument]],
) -> dict[tuple[str, str], frozenset[tuple[str, str]]]:
    """Return by (run id, suite) who answered the suite's scorers: judge id and the name it reported."""
    wanted = {(one.run.run_id, suite) for (suite, _), found in by_pair.items() for one in found if instruments[suite]}
    return {
        (run_id, suite): frozenset(
            (reply.model_id, reply.identity.served_model or "")
            for reply in reader.asked(run_id, suite=suite)
            if reply.kind is Kind.OK
        )
        for run_id, suite in sorted(wanted)
    }


def _still_asked(project: Project, run: Run) -> Iterator[tuple[Suite, Model]]:
    """Yield the unfiltered cells of a run that today's suites and roster would ask for in the same way."""
    for cell in run.plain_cells:
        suite, model = project.suite_by_name.get(cell.suite), project.roster.by_id.get(cell.model_id)
        if suite is not None and model is not None and _is_same_question(cell, suite, model):
            yield suite, model


def _is_same_question(cell: Cell, suite: Suite, model: Model) -> bool:
    is_same = cell.prompts_digest == suite.prompts_digest and is_same_entry(cell, suite, model)
    return is_same and not cell.is_partial and cell.mode == mode_for(suite, model)
