"""One batch, one transaction: what is kept, what is replaced and what is dropped is decided inside it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import count
from threading import Lock
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, select, update

from evalkit.domain.outcome import SENT_AGAIN
from evalkit.domain.score import Score, Unscored
from evalkit.store.batch import known_spend_usd, newest_of_each
from evalkit.store.codec import attempts_bytes, flags_text, identity_text, note_bytes, payload_bytes
from evalkit.store.connect import insert_rows, writing
from evalkit.store.schema import OUTCOME_COUNTER, counters, outcomes, payloads, runs, scores
from evalkit.store.words import slices

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from sqlalchemy import Connection, Engine

    from evalkit.domain.outcome import Outcome
    from evalkit.domain.score import Scored
    from evalkit.store.dictionaries import Dictionaries
    from evalkit.store.words import Words

__all__ = ["Writer"]

_LARGEST_INTEGER = 2**63 - 1
_SENT_AGAIN_WORDS = {kind.value for kind in SENT_AGAIN}


@dataclass(frozen=True, slots=True)
class _Row:
    """One outcome, encoded but for its number."""

    call_key: bytes
    columns: tuple[Any, ...]
    """In the table's order, from `run_no` on."""
    payload: tuple[int, bytes] | None
    """Dictionary id and packed bytes; None when there are no turns."""


class Writer:
    """Encodes batches and commits them. Safe from any thread: one batch is encoded and written at a time."""

    def __init__(self, engine: Engine, *, words: Words, dictionaries: Dictionaries) -> None:
        self._engine = engine
        self._words = words
        self._dictionaries = dictionaries
        # Threads that queue here would otherwise queue in SQLite's busy handler, which sleeps and is not fair.
        self._turn = Lock()

    def append(self, run_no: int, batch: Sequence[Outcome], *, scored: Sequence[Scored]) -> None:
        """Commit outcomes with their scores, in one transaction."""
        entries = {one.call_key: one for one in scored}
        if entries.keys() - {outcome.call_key for outcome in batch}:
            raise ValueError("scores were given without the outcome they go with; nothing was stored")
        with self._turn:
            kept = list(newest_of_each(batch).values())
            numbers = self._words.numbers(_words_of_outcomes(kept) | _words_of_scores(scored) | _SENT_AGAIN_WORDS)
            # Compression happens before the lock is taken.
            rows = self._encoded(run_no, kept, numbers=numbers)
            with writing(self._engine) as connection:
                _spend(connection, run_no, known_spend_usd(batch))
                fresh = _without_held(connection, run_no, rows, missing={numbers[kind] for kind in _SENT_AGAIN_WORDS})
                _insert(connection, fresh, entries=entries, numbers=numbers)

    def replace_scores(self, run_no: int, scored: Sequence[Scored], *, grade: Callable[[Connection], None]) -> None:
        """Replace the scores of these calls; `grade` writes, in the same transaction, what graded them."""
        entries = {bytes.fromhex(one.call_key): one for one in scored}
        with self._turn:
            numbers = self._words.numbers(_words_of_scores(scored))
            with writing(self._engine) as connection:
                grade(connection)
                ids = {key: outcome_id for key, outcome_id, _ in _stored(connection, run_no, list(entries))}
                if entries.keys() - ids.keys():
                    raise ValueError("scores were given for a call the run does not hold; nothing was stored")
                for some in slices(list(ids.values())):
                    connection.execute(delete(scores).where(scores.c.outcome_id.in_(some)))
                insert_rows(connection, scores, _score_rows(entries, ids=ids, numbers=numbers))

    def _encoded(self, run_no: int, batch: list[Outcome], *, numbers: Mapping[str, int]) -> list[_Row]:
        raw = [payload_bytes(outcome) for outcome in batch]
        samples: dict[int, list[bytes]] = defaultdict(list)
        for outcome, payload in zip(batch, raw, strict=True):
            if payload:
                samples[numbers[outcome.suite]].append(payload)
        packers = self._dictionaries.packers(run_no, samples)
        rows: list[_Row] = []
        for outcome, payload in zip(batch, raw, strict=True):
            packed = None
            if payload:
                dictionary_id, packer = packers[numbers[outcome.suite]]
                packed = dictionary_id, packer.pack(payload)
            key = bytes.fromhex(outcome.call_key)
            rows.append(_Row(call_key=key, columns=(run_no, key, *_columns(outcome, numbers)), payload=packed))
        return rows


def _words_of_outcomes(batch: Iterable[Outcome]) -> set[str]:
    found: set[str] = set()
    for outcome in batch:
        found.update((
            outcome.suite, outcome.case_id, outcome.cluster_id, outcome.model_id, outcome.mode, outcome.kind.value,
            flags_text(outcome.flags), identity_text(outcome.identity), outcome.cost.source,
        ))  # fmt: skip
    return found


def _columns(outcome: Outcome, numbers: Mapping[str, int]) -> tuple[Any, ...]:
    """Return the columns from `sequence` on, in the table's order."""
    usage, timings = outcome.usage, outcome.timings
    return (
        outcome.sequence,
        numbers[outcome.suite],
        numbers[outcome.case_id],
        numbers[outcome.cluster_id],
        numbers[outcome.model_id],
        numbers[outcome.mode],
        numbers[outcome.kind.value],
        numbers[flags_text(outcome.flags)],
        numbers[identity_text(outcome.identity)],
        numbers[outcome.cost.source],
        outcome.trial,
        _storable(usage.prompt_tokens),
        _storable(usage.completion_tokens),
        _storable(usage.total_tokens),
        _storable(usage.reasoning_tokens),
        _storable(usage.cached_tokens),
        outcome.cost.usd,
        timings.started_at,
        timings.latency_s,
        timings.ttft_s,
        timings.queue_s,
        timings.retry_s,
        attempts_bytes(outcome),
        timings.direct_s,
        outcome.cost.direct_usd,
        outcome.asked_about,
    )


def _storable(count: int | None) -> int | None:
    """Return a token count as reported; one that no database holds is as good as unknown."""
    return count if count is None or -_LARGEST_INTEGER <= count <= _LARGEST_INTEGER else None


def _spend(connection: Connection, run_no: int, usd: float) -> None:
    """Add to what the run has spent. Comes first: on PostgreSQL this row's lock makes writers of a run take turns."""
    statement = update(runs).where(runs.c.run_no == run_no)
    connection.execute(statement.values(spent_usd=runs.c.spent_usd + usd))


def _without_held(connection: Connection, run_no: int, rows: list[_Row], *, missing: set[int]) -> list[_Row]:
    """Return the rows to insert: those that replace a missing outcome make room, those that come too late are left."""
    held: set[bytes] = set()
    doomed: list[int] = []
    for key, outcome_id, kind in _stored(connection, run_no, [row.call_key for row in rows]):
        if kind in missing:
            doomed.append(outcome_id)
        else:
            held.add(key)
    for some in slices(doomed):
        connection.execute(delete(outcomes).where(outcomes.c.outcome_id.in_(some)))
    return [row for row in rows if row.call_key not in held]


def _stored(connection: Connection, run_no: int, keys: Sequence[bytes]) -> Iterator[tuple[bytes, int, int]]:
    """Yield (call key, outcome id, kind number) of the calls the run holds."""
    statement = select(outcomes.c.call_key, outcomes.c.outcome_id, outcomes.c.kind).where(outcomes.c.run_no == run_no)
    for some in slices(keys):
        for key, outcome_id, kind in connection.execute(statement.where(outcomes.c.call_key.in_(some))):
            yield bytes(key), outcome_id, kind


def _insert(
    connection: Connection, fresh: list[_Row], *, entries: Mapping[str, Scored], numbers: Mapping[str, int]
) -> None:
    ids = dict(zip((row.call_key for row in fresh), count(_reserve(connection, len(fresh)))))
    insert_rows(connection, outcomes, [(ids[row.call_key], *row.columns) for row in fresh])
    insert_rows(connection, payloads, [(ids[row.call_key], *row.payload) for row in fresh if row.payload is not None])
    of_fresh = {bytes.fromhex(key): one for key, one in entries.items() if bytes.fromhex(key) in ids}
    insert_rows(connection, scores, _score_rows(of_fresh, ids=ids, numbers=numbers))


def _reserve(connection: Connection, n_ids: int) -> int:
    """Return the first of `n_ids` outcome ids that nobody else gets."""
    mine = counters.c.name == OUTCOME_COUNTER
    connection.execute(update(counters).where(mine).values(value=counters.c.value + n_ids))
    after: int = connection.execute(select(counters.c.value).where(mine)).scalar_one()
    return after - n_ids + 1


def _words_of_scores(scored: Iterable[Scored]) -> set[str]:
    found = {entry.metric for one in scored for entry in one.scores}
    return found | {entry.reason for one in scored for entry in one.scores if isinstance(entry, Unscored)}


def _score_rows(
    entries: Mapping[bytes, Scored], *, ids: Mapping[bytes, int], numbers: Mapping[str, int]
) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    for key, one in entries.items():
        outcome_id = ids[key]
        for position, entry in enumerate(one.scores):
            value, reason = (entry.value, None) if isinstance(entry, Score) else (None, numbers[entry.reason])
            rows.append((outcome_id, position, numbers[entry.metric], value, reason, note_bytes(entry)))
    return rows
