"""What the store holds about one suite × model of one run, as columns that statistics can read."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import TYPE_CHECKING, overload

from evalkit.domain.outcome import MISSING, IdentityClass, Kind
from evalkit.domain.run import STREAM, plain_name, variant_name
from evalkit.domain.score import MEASURES, Score

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from evalkit.domain.outcome import Outcome
    from evalkit.domain.run import Cell, Run
    from evalkit.domain.score import Scored
    from evalkit.ports import RunReader

__all__ = [
    "MAX_NIGHTS",
    "Measurement",
    "ReadOnce",
    "Samples",
    "Unit",
    "failed_triples",
    "read_measurements",
    "share_reader",
]

MAX_NIGHTS = 14
"""Measurements of one suite × model pooled, and looked back at, at the most (docs/explanation/statistics.md)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """One planned call as decisions see it."""

    case_id: str
    cluster_id: str
    trial: int
    sequence: int
    mode: str
    kind: Kind
    is_missing: bool
    started_at: float
    latency_s: float | None
    ttft_s: float | None
    direct_s: float | None
    """Wall time of the same request sent straight to the baseline gateway; None when the call is no pair."""
    output_tokens: int | None
    cost_usd: float | None
    direct_usd: float | None
    """What that request cost; 0 when none was sent."""
    identity_class: IdentityClass
    served_model: str | None
    fingerprint: str | None = None
    """Of the serving system, as reported; None when nothing was."""
    has_timed_out: bool = False
    """Whether any attempt did, though a later one may have answered."""
    scores: dict[str, float | None]
    """Metric to value; None where the scorer could not say."""

    @property
    def is_cached(self) -> bool:
        """Whether the gateway's cache answered: a kind that would count, and missing all the same."""
        return self.is_missing and self.kind not in MISSING


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """Values of one metric, unit by unit, and the units for which there is none."""

    values: list[float]
    clusters: list[str]
    missing_clusters: list[str]
    """Clusters of the units whose value nobody knows, one entry a unit."""

    @property
    def n(self) -> int:
        """Units, known or not."""
        return len(self.values) + len(self.missing_clusters)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One suite × model of one run."""

    run: Run
    cell: Cell
    units: Sequence[Unit] = field(repr=False)
    probes: Sequence[Unit] = field(default=(), repr=False)
    """Streamed calls beside the graded ones: they have a time to first token, and no score."""

    @property
    def is_complete(self) -> bool:
        """Whether every planned call has one outcome, missing ones included, all asked for in the planned mode.

        A run resumed after the roster changed can hold the same case twice, asked in two ways: that is no measurement.
        """
        return self._is_sound and len(self.units) == self.cell.n_planned > 0

    @property
    def _is_sound(self) -> bool:
        n_distinct = len({(unit.case_id, unit.trial) for unit in self.units})
        is_once = len(self.units) == n_distinct and not self.cell.is_partial
        return is_once and all(unit.mode == self.cell.mode for unit in self.units)

    @property
    def n_looks(self) -> int:
        """Looks that may be taken: each needs an outcome, a missing one included, for every call up to it.

        Of a cell without looks the one at the end, when it is complete.
        """
        if not self.cell.looks:
            return int(self.is_complete)
        if not self._is_sound:
            return 0
        sequences = sorted(unit.sequence for unit in self.units)
        done = takewhile(lambda look: bisect_right(sequences, look.last_sequence) == look.n_calls, self.cell.looks)
        return sum(1 for _ in done)

    def at_look(self, number: int) -> Measurement:
        """Return the measurement as the look numbered from 1 saw it: what was asked beyond it is not there yet."""
        if not self.cell.looks:
            return self
        look = self.cell.looks[min(number, len(self.cell.looks)) - 1]
        units = [unit for unit in self.units if unit.sequence <= look.last_sequence]
        return replace(self, cell=replace(self.cell, n_planned=look.n_calls), units=units)

    @property
    def evidence(self) -> Measurement:
        """What decides: the measurement as its last look saw it; needs one."""
        return self.at_look(self.n_looks)

    @property
    def measured_at(self) -> float:
        """Unix seconds: when its oldest answer was asked for. Resuming an old run must not make its answers new."""
        return min((unit.started_at for unit in self.units), default=self.run.started_at)

    @property
    def last_at(self) -> float:
        """Unix seconds: when its newest answer was asked for."""
        return max((unit.started_at for unit in self.units), default=self.run.started_at)

    @property
    def served_models(self) -> frozenset[str]:
        """The names answers carried; another name is another model, and starts a new series."""
        return frozenset(unit.served_model for unit in self.units if unit.served_model and not unit.is_missing)

    @property
    def coverage(self) -> float:
        """Share of planned calls that are not missing."""
        known = sum(not unit.is_missing for unit in self.units)
        return known / max(1, self.cell.n_planned)

    @property
    def longest_outage_share(self) -> float:
        """Longest unbroken row of missing calls in the order they were sent, as a share of the plan."""
        longest = current = 0
        for unit in sorted(self.units, key=lambda unit: (unit.started_at, unit.sequence)):
            current = current + 1 if unit.is_missing else 0
            longest = max(longest, current)
        return longest / max(1, self.cell.n_planned)

    @property
    def identity_class(self) -> IdentityClass:
        """The weakest identity of any answer; unverifiable when nothing answered."""
        answered = [unit.identity_class for unit in self.units if not unit.is_missing]
        return max(answered, key=lambda identity: identity.rank, default=IdentityClass.UNVERIFIABLE)

    @property
    def alike_share(self) -> float:
        """Share of the prompts asked more than once that got the same answer every time, by length and scores; or 0.

        A cache nobody told of, or a model that never varies: there asking again showed nothing new.
        """
        seen: dict[str, list[tuple[Kind, int | None, dict[str, float | None]]]] = {}
        for unit in self.units:
            if not unit.is_missing:
                seen.setdefault(unit.case_id, []).append((unit.kind, unit.output_tokens, unit.scores))
        again = [answers for answers in seen.values() if len(answers) > 1]
        return sum(all(one == answers[0] for one in answers) for answers in again) / max(1, len(again))

    def samples(self, metric: str, *, wants: Callable[[Unit], bool]) -> Samples:
        """Return a metric's values over the units `wants` says yes to."""
        read = share_reader(metric)
        values: list[float] = []
        clusters: list[str] = []
        missing: list[str] = []
        for unit in self.units:
            if not wants(unit):
                continue
            value = read(unit)
            if value is None:
                missing.append(unit.cluster_id)
            else:
                values.append(value)
                clusters.append(unit.cluster_id)
        return Samples(values=values, clusters=clusters, missing_clusters=missing)


def share_reader(metric: str) -> Callable[[Unit], float | None]:
    """Return what reads a scorer's metric, or a measure that is a share, from a unit: in [0, 1], None when missing."""
    measure = MEASURES.get(metric)
    if measure is None:
        return lambda unit: unit.scores.get(metric)
    if measure.kind is not None:
        return lambda unit: None if unit.is_missing else float(unit.kind is measure.kind)
    # Availability. Out of a cache an answer says nothing of whether the model would have been there.
    return lambda unit: None if unit.is_cached else float(not unit.is_missing)


def read_measurements(
    reader: RunReader, run: Run, *, wanted: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], Measurement]:
    """Return the measurements of a run for the (suite, model id) pairs asked for that it planned."""
    found: dict[tuple[str, str], Measurement] = {}
    for suite, model_id in wanted:
        cell = run.cell(suite, model_id)
        if cell is not None:
            units = _units(reader, run.run_id, (suite, model_id))
            probes = _probes(reader, run, suite=variant_name(suite, STREAM), model_id=model_id)
            found[suite, model_id] = Measurement(run=run, cell=cell, units=units, probes=probes)
    return found


def _probes(reader: RunReader, run: Run, *, suite: str, model_id: str) -> Sequence[Unit]:
    return () if run.cell(suite, model_id) is None else _units(reader, run.run_id, (suite, model_id))


class ReadOnce:
    """A reader for what looks at the same nights several times: their units are read once, held, and let go again.

    What measurements read through it hold is at most `max_units` of them together, about 350 bytes each, whatever the
    store's size; those not used for longest go first, and are read again when asked for. Only for as long as nobody
    writes.
    """

    def __init__(self, reader: RunReader, *, max_units: int = 500_000) -> None:
        self._reader = reader
        self._max_units = max_units
        self._n_units = 0
        self._held: dict[tuple[str, str, str], list[Unit]] = {}
        self._walked: set[str] = set()

    def units(self, run_id: str, pair: tuple[str, str]) -> list[Unit]:
        """Return the units of a (suite, model id) of a run; not to be changed."""
        key = (run_id, *pair)
        found = self._held.pop(key, None)
        if found is None:
            read = {one: units for one, units in self._read(run_id, pair).items() if one not in self._held}
            self._n_units += sum(map(len, read.values()))
            found = read.pop(key)
            self._held |= read
        self._held[key] = found  # the newest use is the last entry
        while self._n_units > self._max_units and len(self._held) > 1:
            self._n_units -= len(self._held.pop(next(iter(self._held))))
        return found

    def _read(self, run_id: str, pair: tuple[str, str]) -> dict[tuple[str, str, str], list[Unit]]:
        """Read a run whole, once, when a pool of its size fits: one walk instead of one for each pair."""
        run = self._reader.run(run_id)
        if run_id in self._walked or sum(cell.n_planned for cell in run.cells) > self._max_units / MAX_NIGHTS:
            return {(run_id, *pair): _read_units(self._reader, run_id, pair)}
        self._walked.add(run_id)
        found: dict[tuple[str, str, str], list[Unit]] = {(run_id, cell.suite, cell.model_id): [] for cell in run.cells}
        shared = _SharedScores()
        stream = iter(self._reader.scores(run_id))
        ahead: dict[str, dict[str, float | None]] = {}
        for outcome in self._reader.outcomes(run_id, with_payloads=False):
            # Both come in scheduled order: little is ahead at any time.
            while outcome.call_key not in ahead and (scored := next(stream, None)) is not None:
                ahead[scored.call_key] = shared.of(scored)
            units = found.setdefault((run_id, outcome.suite, outcome.model_id), [])
            units.append(_unit(outcome, ahead.pop(outcome.call_key, {})))
        return found

    def runs(self, *, project: str, environment: str) -> tuple[Run, ...]:
        """Return what the reader returns."""
        return self._reader.runs(project=project, environment=environment)

    def run(self, run_id: str) -> Run:
        """Return what the reader returns."""
        return self._reader.run(run_id)

    def outcomes(
        self, run_id: str, *, suite: str | None = None, model_id: str | None = None, with_payloads: bool = True
    ) -> Iterator[Outcome]:
        """Return what the reader returns."""
        return self._reader.outcomes(run_id, suite=suite, model_id=model_id, with_payloads=with_payloads)

    def asked(self, run_id: str, *, suite: str | None = None) -> Iterator[Outcome]:
        """Return what the reader returns."""
        return self._reader.asked(run_id, suite=suite)

    def replies(self, run_id: str, keys: Collection[str]) -> dict[str, Outcome]:
        """Return what the reader returns."""
        return self._reader.replies(run_id, keys)

    def scores(self, run_id: str, *, suite: str | None = None, model_id: str | None = None) -> Iterator[Scored]:
        """Return what the reader returns."""
        return self._reader.scores(run_id, suite=suite, model_id=model_id)


class _Held(Sequence[Unit]):
    """The units of a (suite, model id) of a run, as `ReadOnce` holds them: never kept by whoever looks at them."""

    __slots__ = ("_pair", "_reader", "_run_id")

    def __init__(self, reader: ReadOnce, run_id: str, pair: tuple[str, str]) -> None:
        self._reader = reader
        self._run_id = run_id
        self._pair = pair

    def __iter__(self) -> Iterator[Unit]:
        return iter(self._reader.units(self._run_id, self._pair))

    def __len__(self) -> int:
        return len(self._reader.units(self._run_id, self._pair))

    @overload
    def __getitem__(self, index: int) -> Unit: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Unit]: ...
    def __getitem__(self, index: int | slice) -> Unit | Sequence[Unit]:
        return self._reader.units(self._run_id, self._pair)[index]


class _SharedScores:
    """Most units of a suite score alike: one mapping is shared by all that do, or they would fill the memory."""

    def __init__(self) -> None:
        self._known: dict[tuple[tuple[str, float | None], ...], dict[str, float | None]] = {}

    def of(self, scored: Scored) -> dict[str, float | None]:
        given = tuple((said.metric, said.value if isinstance(said, Score) else None) for said in scored.scores)
        return self._known.setdefault(given, dict(given))


def _units(reader: RunReader, run_id: str, pair: tuple[str, str]) -> Sequence[Unit]:
    return _Held(reader, run_id, pair) if isinstance(reader, ReadOnce) else _read_units(reader, run_id, pair)


def _read_units(reader: RunReader, run_id: str, pair: tuple[str, str]) -> list[Unit]:
    suite, model_id = pair
    shared = _SharedScores()
    scores = {scored.call_key: shared.of(scored) for scored in reader.scores(run_id, suite=suite, model_id=model_id)}
    outcomes = reader.outcomes(run_id, suite=suite, model_id=model_id, with_payloads=False)
    return [_unit(outcome, scores.get(outcome.call_key, {})) for outcome in outcomes]


def _unit(outcome: Outcome, scores: dict[str, float | None]) -> Unit:
    return Unit(
        case_id=outcome.case_id,
        cluster_id=outcome.cluster_id,
        trial=outcome.trial,
        sequence=outcome.sequence,
        mode=outcome.mode,
        kind=outcome.kind,
        is_missing=outcome.is_missing,
        started_at=outcome.timings.started_at,
        latency_s=outcome.timings.latency_s,
        ttft_s=outcome.timings.ttft_s,
        direct_s=outcome.timings.direct_s,
        output_tokens=outcome.usage.completion_tokens,
        cost_usd=outcome.cost.usd,
        direct_usd=outcome.cost.direct_usd,
        identity_class=outcome.identity.identity_class,
        served_model=outcome.identity.served_model,
        fingerprint=outcome.identity.system_fingerprint,
        has_timed_out=any(attempt.kind is Kind.TIMEOUT for attempt in outcome.attempts),
        scores=scores,
    )


def failed_triples(reader: RunReader, run: Run) -> frozenset[tuple[str, str, str]]:
    """Return (suite, case id, model id) of every answer some scorer gave less than full marks, or that is missing."""
    full = {
        scored.call_key
        for scored in reader.scores(run.run_id)
        if scored.scores and all(isinstance(said, Score) and said.value >= 1 for said in scored.scores)
    }
    return frozenset(
        (outcome.suite, outcome.case_id, outcome.model_id)
        for outcome in reader.outcomes(run.run_id, with_payloads=False)
        if outcome.call_key not in full and not plain_name(outcome.suite)[1]
    )
