"""The preset dictionaries of `evalkit.store.packing`, one for each suite of a run, kept in the store itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from evalkit.store.connect import insert_ignoring, writing
from evalkit.store.packing import NO_DICTIONARY, Packer, train_dictionary
from evalkit.store.schema import dictionaries

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection, Engine

__all__ = ["Dictionaries"]


class Dictionaries:
    """Packers by (run, suite) for writing, dictionaries by id for reading."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._packers: dict[tuple[int, int], tuple[int, Packer]] = {}
        self._bodies: dict[int, bytes] = {NO_DICTIONARY: b""}

    def packers(self, run_no: int, samples: Mapping[int, Sequence[bytes]]) -> dict[int, tuple[int, Packer]]:
        """Return (dictionary id, packer) by suite number.

        A suite's first batch becomes its dictionary; when two processes train at once, the first to commit wins and
        the other takes over what it finds. `samples` are the payloads about to be packed, by suite number.
        """
        new = {suite: found for suite, found in samples.items() if (run_no, suite) not in self._packers}
        if new:
            self._train(run_no, new)
        return {suite: self._packers[run_no, suite] for suite in samples}

    def _train(self, run_no: int, samples: Mapping[int, Sequence[bytes]]) -> None:
        # In one order: two processes that insert the same rows in two orders would wait for each other for ever.
        bodies = [
            {"run_no": run_no, "suite": suite, "body": train_dictionary(found)}
            for suite, found in sorted(samples.items())
        ]
        with writing(self._engine) as connection:
            connection.execute(insert_ignoring(connection, dictionaries), bodies)
            statement = select(dictionaries.c.suite, dictionaries.c.dictionary_id, dictionaries.c.body)
            rows = connection.execute(statement.where(dictionaries.c.run_no == run_no)).all()
        for suite, dictionary_id, body in rows:
            self._packers[run_no, suite] = dictionary_id, Packer(body)

    def body(self, connection: Connection, dictionary_id: int) -> bytes:
        """Return a dictionary to unpack with."""
        if dictionary_id not in self._bodies:
            statement = select(dictionaries.c.body).where(dictionaries.c.dictionary_id == dictionary_id)
            self._bodies[dictionary_id] = connection.execute(statement).scalar_one()
        return self._bodies[dictionary_id]
