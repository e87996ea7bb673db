"""Streams out of the store: one cursor, a thousand rows at a time, however many there are."""

from __future__ import annotations

import zlib
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from sqlalchemy import and_, select

from evalkit.domain.outcome import Cost, Kind, Outcome, Timings, Usage
from evalkit.domain.score import Score, Scored, Unscored
from evalkit.errors import StoreError
from evalkit.store.codec import (
    Shared,
    attempts_from_bytes,
    flags_from_text,
    identity_from_text,
    note_from_bytes,
    turns_from_payload,
)
from evalkit.store.connect import reading
from evalkit.store.packing import unpack
from evalkit.store.schema import outcomes, payloads, scores
from evalkit.store.words import slices

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import ColumnElement, Connection, Engine, Select

    from evalkit.domain.outcome import CostSource
    from evalkit.store.dictionaries import Dictionaries
    from evalkit.store.words import Words

__all__ = ["Reader"]

Cell: TypeAlias = "tuple[str | None, str | None]"
"""(suite, model id); None is any."""
Rows: TypeAlias = "Sequence[Sequence[Any]]"

_CHUNK = 1000
_WORDS = ("suite", "case_word", "cluster", "model", "mode", "kind", "flags", "identity", "cost_source")
_FACTS = (
    "call_key", "sequence", "trial", "prompt_tokens", "completion_tokens", "total_tokens", "reasoning_tokens",
    "cached_tokens", "cost_usd", "started_at", "latency_s", "ttft_s", "queue_s", "retry_s", "attempts",
    "direct_s", "direct_usd", "asked_about",
)  # fmt: skip
_N_COLUMNS = len(_WORDS) + len(_FACTS)
_KINDS = {kind.value: kind for kind in Kind}
_PLANNED, _ASKED = outcomes.c.asked_about.is_(None), outcomes.c.asked_about.is_not(None)
_IN_ORDER = (outcomes.c.sequence, outcomes.c.suite, outcomes.c.model, outcomes.c.outcome_id)


class Reader:
    """Streams of one run. Each stream sees one moment of the store, whatever is written meanwhile."""

    def __init__(self, engine: Engine, *, words: Words, dictionaries: Dictionaries) -> None:
        self._engine = engine
        self._words = words
        self._dictionaries = dictionaries

    def outcomes(self, run_no: int, *, cell: Cell, with_payloads: bool) -> Iterator[Outcome]:
        """Yield the outcomes of a cell's planned calls in scheduled order."""
        return self._read(run_no, _PLANNED, cell=cell, with_payloads=with_payloads)

    def asked(self, run_no: int, *, cell: Cell) -> Iterator[Outcome]:
        """Yield the outcomes of what scorers asked in a cell, without payloads."""
        return self._read(run_no, _ASKED, cell=cell, with_payloads=False)

    def replies(self, run_no: int, keys: Sequence[bytes]) -> Iterator[Outcome]:
        """Yield the outcomes of these calls, as far as scorers asked for them and the run holds them."""
        for some in slices(keys):
            which = and_(_ASKED, outcomes.c.call_key.in_(some))
            yield from self._read(run_no, which, cell=(None, None), with_payloads=True)

    def _read(self, run_no: int, which: ColumnElement[bool], *, cell: Cell, with_payloads: bool) -> Iterator[Outcome]:
        statement = select(*(outcomes.c[name] for name in (*_WORDS, *_FACTS))).where(which)
        if with_payloads:
            joined = outcomes.outerjoin(payloads, payloads.c.outcome_id == outcomes.c.outcome_id)
            statement = statement.add_columns(payloads.c.dictionary_id, payloads.c.body).select_from(joined)
        for connection, rows in self._chunks(statement, run_no, cell=cell, order=_IN_ORDER):
            texts = self._words.texts(connection, {number for row in rows for number in row[: len(_WORDS)]})
            for row in rows:
                words = [texts[number] for number in row[: len(_WORDS)]]
                try:
                    payload = self._unpacked(connection, row[_N_COLUMNS:])
                    outcome = _outcome(words, row[len(_WORDS) : _N_COLUMNS], payload=payload)
                except (zlib.error, ValueError) as error:
                    raise StoreError(_damaged(row)) from error
                yield outcome

    def scores(self, run_no: int, *, cell: Cell) -> Iterator[Scored]:
        """Yield what was said of each outcome that anything was said of, in scheduled order."""
        names = ("metric", "value", "reason", "note")
        joined = outcomes.join(scores, scores.c.outcome_id == outcomes.c.outcome_id)
        statement = select(outcomes.c.call_key, *(scores.c[name] for name in names)).select_from(joined)
        chunks = self._chunks(statement, run_no, cell=cell, order=(*_IN_ORDER, scores.c.position))
        for call_key, entries in groupby(self._entries(chunks), key=itemgetter(0)):
            yield Scored(call_key=call_key.hex(), scores=tuple(entry for _, entry in entries))

    def _entries(self, chunks: Iterator[tuple[Connection, Rows]]) -> Iterator[tuple[bytes, Score | Unscored]]:
        for connection, rows in chunks:
            texts = self._words.texts(connection, {n for row in rows for n in (row[1], row[3]) if n is not None})
            for row in rows:
                call_key, metric, value, reason, note = row
                rationale, findings = note_from_bytes(note)
                if value is None:
                    yield call_key, Unscored(texts[metric], texts[reason], rationale)
                else:
                    yield call_key, Score(texts[metric], value, rationale, findings)

    def _unpacked(self, connection: Connection, payload: Sequence[Any]) -> bytes:
        if not payload or payload[0] is None:
            return b""
        dictionary_id, body = payload
        return unpack(body, self._dictionaries.body(connection, dictionary_id))

    def _chunks(
        self, statement: Select[Any], run_no: int, *, cell: Cell, order: Sequence[Any]
    ) -> Iterator[tuple[Connection, Rows]]:
        with reading(self._engine) as connection:
            where = [outcomes.c.run_no == run_no]
            for column, text in zip((outcomes.c.suite, outcomes.c.model), cell, strict=True):
                if text is not None:
                    # -1 is no word: what the store has never seen has no rows.
                    where.append(column == self._words.known_numbers(connection, [text]).get(text, -1))
            # A cursor on the server, or SQLite's own: never more than one chunk of rows is in memory.
            streaming = statement.where(*where).order_by(*order).execution_options(yield_per=_CHUNK)
            for rows in connection.execute(streaming).partitions():
                yield connection, rows


def _outcome(words: Sequence[str], facts: Sequence[Any], *, payload: bytes) -> Outcome:
    suite, case_id, cluster_id, model_id, mode, kind_text, flags, identity, source = words
    (key, sequence, trial, prompt, completion, total, reasoning, cached,
     cost_usd, started_at, latency_s, ttft_s, queue_s, retry_s, attempts, direct_s, direct_usd,
     asked_about) = facts  # fmt: skip
    shared = Shared(
        kind=_KINDS[kind_text],
        flags=flags_from_text(flags),
        usage=Usage(
            prompt_tokens=prompt,
            completion_tokens=completion,
            total_tokens=total,
            reasoning_tokens=reasoning,
            cached_tokens=cached,
        ),
        identity=identity_from_text(identity),
        latency_s=latency_s,
        cost_usd=cost_usd,
    )
    return Outcome(
        call_key=key.hex(),
        suite=suite,
        case_id=case_id,
        cluster_id=cluster_id,
        model_id=model_id,
        trial=trial,
        sequence=sequence,
        mode=mode,
        kind=shared.kind,
        flags=shared.flags,
        turns=turns_from_payload(payload, shared),
        attempts=attempts_from_bytes(attempts, shared),
        usage=shared.usage,
        cost=Cost(usd=cost_usd, source=cast("CostSource", source), direct_usd=direct_usd),
        timings=Timings(
            started_at=started_at,
            latency_s=latency_s,
            ttft_s=ttft_s,
            queue_s=queue_s,
            retry_s=retry_s,
            direct_s=direct_s,
        ),
        identity=shared.identity,
        asked_about=asked_about,
    )


def _damaged(row: Sequence[Any]) -> str:
    call_key = row[len(_WORDS)].hex()
    return f"what is stored of call {call_key} is damaged\n  next: put back a backup, or measure again with --new"
