"""`evalkit.ports.Store` over SQLAlchemy Core."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, final

from sqlalchemy import delete, select, update

from evalkit.domain.outcome import SENT_AGAIN
from evalkit.errors import NotFoundError
from evalkit.store.codec import run_from_text, run_text
from evalkit.store.connect import insert_ignoring, reading, writing
from evalkit.store.dictionaries import Dictionaries
from evalkit.store.lease import held_lease
from evalkit.store.read import Reader
from evalkit.store.schema import dictionaries, outcomes, payloads, runs
from evalkit.store.words import Words
from evalkit.store.write import Writer

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from contextlib import AbstractContextManager

    from sqlalchemy import Connection, Engine

    from evalkit.domain.outcome import Outcome
    from evalkit.domain.run import Run, RunStatus
    from evalkit.domain.score import Scored
    from evalkit.ports import Clock

__all__ = ["SqlStore"]

_SHOWN = 5


@final
class SqlStore:
    """Runs, outcomes, scores and leases in one database. Safe from any thread; made by `open_store`."""

    def __init__(self, engine: Engine, *, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._words = Words(engine)
        dictionaries = Dictionaries(engine)
        self._writer = Writer(engine, words=self._words, dictionaries=dictionaries)
        self._reader = Reader(engine, words=self._words, dictionaries=dictionaries)

    def open_run(self, run: Run) -> None:
        """Keep a new run, or the same run again with another status."""
        facts = {"project": run.project, "environment": run.environment, "started_at": run.started_at}
        row = {**facts, "manifest": run_text(run)}
        with writing(self._engine) as connection:
            connection.execute(insert_ignoring(connection, runs).values(run_id=run.run_id, spent_usd=0.0, **row))
            connection.execute(update(runs).where(runs.c.run_id == run.run_id).values(**row))

    def append(self, run_id: str, outcomes: Sequence[Outcome], scored: Sequence[Scored] = ()) -> None:
        """Commit outcomes and their scores in one transaction; see `evalkit.ports.Ledger`.

        Raises:
            NotFoundError: when the run was never opened.
            ValueError: when a score comes without its outcome.
            StoreError: when the database refuses; then nothing of the batch is kept.
        """
        self._writer.append(self._run_no(run_id), outcomes, scored=scored)

    def append_scores(self, run_id: str, scored: Sequence[Scored], *, suite: str, suite_digest: str) -> None:
        """Replace the scores of these calls, and record which suite digest graded them.

        Raises:
            NotFoundError: when the run was never opened.
            ValueError: when the run holds no outcome of a call.
        """

        def grade(connection: Connection) -> None:
            run = _locked_run(connection, run_id)
            digests = dict(run.suite_digests) | {suite: suite_digest}
            if dict(run.suite_digests) != digests:
                _save(connection, replace(run, suite_digests=tuple(digests.items())))

        self._writer.replace_scores(self._run_no(run_id), scored, grade=grade)

    def set_status(self, run_id: str, status: RunStatus, *, finished_at: float | None = None, note: str = "") -> None:
        """Record how far a run got."""
        with writing(self._engine) as connection:
            run = _locked_run(connection, run_id)
            _save(connection, replace(run, status=status, finished_at=finished_at, note=note))

    def held_keys(self, run_id: str, *, is_asked: bool = False) -> set[str]:
        """Return the call keys of the run that hold a model outcome, of planned calls or of what scorers asked."""
        run_no = self._run_no(run_id)
        with reading(self._engine) as connection:
            missing = self._words.known_numbers(connection, [kind.value for kind in SENT_AGAIN]).values()
            statement = select(outcomes.c.call_key).where(outcomes.c.run_no == run_no, outcomes.c.kind.not_in(missing))
            about = outcomes.c.asked_about
            statement = statement.where(about.is_not(None) if is_asked else about.is_(None))
            return {key.hex() for key in connection.execute(statement.execution_options(yield_per=10_000)).scalars()}

    def spent_usd(self, run_id: str) -> float:
        """Return the known cost of every attempt of the run, also of outcomes that were replaced or came too late."""
        run_no = self._run_no(run_id)
        with reading(self._engine) as connection:
            spent: float = connection.execute(select(runs.c.spent_usd).where(runs.c.run_no == run_no)).scalar_one()
        return spent

    def lease(self, name: str, *, holder: str, ttl_s: float) -> AbstractContextManager[None]:
        """Own a name while the context is open; renewed by a thread until then.

        Raises:
            LeaseHeldError: when another live holder owns it.
            StoreError: at the end, when the lease ran out and somebody else took it.
        """
        return held_lease(self._engine, self._clock, name=name, holder=holder, ttl_s=ttl_s)

    def runs(self, *, project: str, environment: str) -> tuple[Run, ...]:
        """Return the runs, newest first by start."""
        statement = select(runs.c.manifest).where(runs.c.project == project, runs.c.environment == environment)
        newest_first = statement.order_by(runs.c.started_at.desc(), runs.c.run_id.desc())
        with reading(self._engine) as connection:
            return tuple(run_from_text(text) for text in connection.execute(newest_first).scalars())

    def run(self, run_id: str) -> Run:
        """Return one run by its id or an unambiguous beginning of it.

        Raises:
            NotFoundError: when there is none, or more than one.
        """
        # LIKE ignores case on SQLite: the exact beginning is checked below.
        statement = select(runs.c.run_id, runs.c.manifest).where(runs.c.run_id.startswith(run_id, autoescape=True))
        with reading(self._engine) as connection:
            rows = connection.execute(statement.order_by(runs.c.run_id)).all()
        found = {name: manifest for name, manifest in rows if name.startswith(run_id)}
        if run_id in found:
            return run_from_text(found[run_id])
        if len(found) != 1:
            raise _not_one(run_id, list(found))
        return run_from_text(found.popitem()[1])

    def outcomes(
        self, run_id: str, *, suite: str | None = None, model_id: str | None = None, with_payloads: bool = True
    ) -> Iterator[Outcome]:
        """Yield outcomes in scheduled order, from one moment of the store; without payloads turns are empty.

        Raises:
            NotFoundError: at once, when the run was never opened.
            StoreError: when a row is damaged.
        """
        return self._reader.outcomes(self._run_no(run_id), cell=(suite, model_id), with_payloads=with_payloads)

    def asked(self, run_id: str, *, suite: str | None = None) -> Iterator[Outcome]:
        """Yield outcomes of calls that scorers asked for, without payloads.

        Raises:
            NotFoundError: at once, when the run was never opened.
        """
        return self._reader.asked(self._run_no(run_id), cell=(suite, None))

    def replies(self, run_id: str, keys: Collection[str]) -> dict[str, Outcome]:
        """Return by call key, with payloads, those of these calls that scorers asked for and the run holds.

        Raises:
            NotFoundError: when the run was never opened.
            StoreError: when a row is damaged.
        """
        wanted = [bytes.fromhex(key) for key in keys]
        return {outcome.call_key: outcome for outcome in self._reader.replies(self._run_no(run_id), wanted)}

    def scores(self, run_id: str, *, suite: str | None = None, model_id: str | None = None) -> Iterator[Scored]:
        """Yield what was said of each outcome that anything was said of, in scheduled order.

        Raises:
            NotFoundError: at once, when the run was never opened.
        """
        return self._reader.scores(self._run_no(run_id), cell=(suite, model_id))

    def forget(self, run_id: str, *, texts_only: bool = False) -> None:
        """Take a run out as a whole, or only its texts, in one transaction; a file shrinks when it is vacuumed.

        Raises:
            NotFoundError: when the run was never opened.
        """
        run_no = self._run_no(run_id)
        mine = select(outcomes.c.outcome_id).where(outcomes.c.run_no == run_no)
        with writing(self._engine) as connection:
            run = _locked_run(connection, run_id)
            connection.execute(delete(payloads).where(payloads.c.outcome_id.in_(mine)))
            if texts_only:
                _save(connection, replace(run, has_texts=False))
                return
            connection.execute(delete(outcomes).where(outcomes.c.run_no == run_no))
            connection.execute(delete(dictionaries).where(dictionaries.c.run_no == run_no))
            connection.execute(delete(runs).where(runs.c.run_no == run_no))

    def close(self) -> None:
        """Give back connections and files."""
        self._engine.dispose()

    def _run_no(self, run_id: str) -> int:
        with reading(self._engine) as connection:
            found: int | None = connection.execute(select(runs.c.run_no).where(runs.c.run_id == run_id)).scalar()
        if found is None:
            raise _not_one(run_id, [])
        return found


def _not_one(run_id: str, found: Sequence[str]) -> NotFoundError:
    if not found:
        return NotFoundError(f"no run {run_id!r} in the store", next_step="`evalkit runs` lists them")
    shown = ", ".join(found[:_SHOWN]) + (", …" if len(found) > _SHOWN else "")
    return NotFoundError(f"{run_id!r} is the beginning of {len(found)} runs: {shown}", next_step="give more of the id")


def _locked_run(connection: Connection, run_id: str) -> Run:
    """Return a run to change in this transaction; nobody else changes it meanwhile."""
    statement = select(runs.c.manifest).where(runs.c.run_id == run_id).with_for_update()
    text = connection.execute(statement).scalar()
    if text is None:
        raise _not_one(run_id, [])
    return run_from_text(text)


def _save(connection: Connection, run: Run) -> None:
    connection.execute(update(runs).where(runs.c.run_id == run.run_id).values(manifest=run_text(run)))
