"""The tables. Narrow on purpose: a result costs its call key, a few small integers and the floats of its timings.

Strings that repeat (suite, case, model, mode, kind, flags, identity, metric, reason) live once in `words`. Payloads
stand in a table of their own, so that reading numbers never drags answers through the page cache.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

__all__ = [
    "LATEST",
    "METADATA",
    "OUTCOME_COUNTER",
    "counters",
    "dictionaries",
    "leases",
    "outcomes",
    "payloads",
    "runs",
    "scores",
    "version",
    "words",
]

LATEST = 3
"""Schema version this evalkit writes; `evalkit.store.migrate` brings older stores here."""

OUTCOME_COUNTER = "outcome"
"""The counter that numbers outcomes over all runs."""

METADATA = MetaData()

# SQLite numbers rows by itself only when the type is exactly INTEGER.
_RowId = BigInteger().with_variant(Integer, "sqlite")
_Float = Float(precision=53)

version = Table("store_version", METADATA, Column("version", Integer, primary_key=True, autoincrement=False))

counters = Table(
    "counters",
    METADATA,
    Column("name", String(32), primary_key=True),
    Column("value", BigInteger, nullable=False),
)

words = Table(
    "words",
    METADATA,
    Column("word_id", _RowId, primary_key=True),
    Column("text", Text, nullable=False, unique=True),
)

runs = Table(
    "runs",
    METADATA,
    Column("run_no", _RowId, primary_key=True),
    Column("run_id", Text, nullable=False, unique=True),
    Column("project", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("started_at", _Float, nullable=False),
    # Spending outlives what it bought: a missing outcome that was replaced, an attempt that came too late.
    Column("spent_usd", _Float, nullable=False),
    Column("manifest", Text, nullable=False),
)

outcomes = Table(
    "outcomes",
    METADATA,
    Column("outcome_id", _RowId, primary_key=True, autoincrement=False),
    Column("run_no", _RowId, ForeignKey(runs.c.run_no), nullable=False),
    Column("call_key", LargeBinary(32), nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("suite", BigInteger, nullable=False),
    Column("case_word", BigInteger, nullable=False),
    Column("cluster", BigInteger, nullable=False),
    Column("model", BigInteger, nullable=False),
    Column("mode", BigInteger, nullable=False),
    Column("kind", BigInteger, nullable=False),
    Column("flags", BigInteger, nullable=False),
    Column("identity", BigInteger, nullable=False),
    Column("cost_source", BigInteger, nullable=False),
    Column("trial", BigInteger, nullable=False),
    Column("prompt_tokens", BigInteger),
    Column("completion_tokens", BigInteger),
    Column("total_tokens", BigInteger),
    Column("reasoning_tokens", BigInteger),
    Column("cached_tokens", BigInteger),
    Column("cost_usd", _Float),
    Column("started_at", _Float, nullable=False),
    Column("latency_s", _Float),
    Column("ttft_s", _Float),
    Column("queue_s", _Float, nullable=False),
    Column("retry_s", _Float, nullable=False),
    # Null: one plain attempt that the row itself tells; see `evalkit.store.codec`.
    Column("attempts", LargeBinary),
    # Last, as version 2 added them. The default is for the rows of version 1: nothing was sent, so nothing was spent.
    Column("direct_s", _Float),
    Column("direct_usd", _Float, server_default="0"),
    # As version 3 added it. Null: a planned call. Else the call key, as text, of the answer a scorer asked about.
    Column("asked_about", Text),
    UniqueConstraint("run_no", "call_key"),
)

# Suite and model ride along so that reading one cell of a run walks this index, not the table.
Index("outcomes_in_order", *(outcomes.c[name] for name in ("run_no", "sequence", "suite", "model")))

dictionaries = Table(
    "dictionaries",
    METADATA,
    Column("dictionary_id", _RowId, primary_key=True),
    Column("run_no", _RowId, ForeignKey(runs.c.run_no), nullable=False),
    Column("suite", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
    UniqueConstraint("run_no", "suite"),
)

payloads = Table(
    "payloads",
    METADATA,
    Column(
        "outcome_id",
        _RowId,
        ForeignKey(outcomes.c.outcome_id, ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("dictionary_id", _RowId, nullable=False),
    Column("body", LargeBinary, nullable=False),
)

scores = Table(
    "scores",
    METADATA,
    Column("outcome_id", _RowId, ForeignKey(outcomes.c.outcome_id, ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("metric", BigInteger, nullable=False),
    # Null: unscored, and `reason` says why.
    Column("value", _Float),
    Column("reason", BigInteger),
    Column("note", LargeBinary),
    sqlite_with_rowid=False,
)

leases = Table(
    "leases",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("token", String(32), nullable=False),
    Column("holder", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("expires_at", _Float, nullable=False),
)
