"""What the real store does beyond the contract: size, memory, damage, one moment per reader."""

from __future__ import annotations

import json
import random
import sqlite3
import tracemalloc
from contextlib import closing

import pytest

from evalkit.domain.outcome import Kind, Reading, Turn, Usage
from evalkit.domain.score import Score, Scored
from evalkit.errors import StoreError
from evalkit.store.open import open_store
from evalkit.testing.builders import a_run, an_outcome

_WORDS = (
    "invoice",
    "number",
    "total",
    "amount",
    "due",
    "date",
    "customer",
    "address",
    "line",
    "item",
    "quantity",
    "price",
)


@pytest.fixture
def store(tmp_path):
    """Return a store with one open run."""
    with closing(open_store("sqlite:///evalkit.db", root=tmp_path)) as store:
        store.open_run(a_run())
        yield store


def _realistic(n: int):
    """Return an outcome as a gateway gives it: 500 shared characters of prompt, 1 kB of response."""
    rng = random.Random(n)
    words = " ".join(rng.choices(_WORDS, k=30))
    answer = json.dumps({"number": f"INV-{rng.randrange(10**6)}", "total": rng.random(), "customer": words}, indent=1)
    request = {
        "model": "m",
        "messages": [{"role": "system", "content": "Extract. " * 55}, {"role": "user", "content": words}],
    }
    message = {"role": "assistant", "content": answer, "refusal": None, "annotations": []}
    details = dict.fromkeys(("audio_tokens", "accepted_prediction_tokens", "rejected_prediction_tokens"), 0)
    response = {
        "id": f"chatcmpl-{rng.randrange(16**24):024x}",
        "object": "chat.completion",
        "created": 1_800_000_000 + n,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 150, "completion_tokens": 80, "completion_tokens_details": details},
        "system_fingerprint": "fp_44709d6fcb",
    }
    bodies = {"request_body": json.dumps(request).encode(), "response_body": json.dumps(response).encode()}
    turn = Turn(reading=Reading(kind=Kind.OK, text=answer, finish_reason="stop", status=200), **bodies)
    return an_outcome(f"case-{n // 5:05d}", model_id=f"model-{n % 5}", sequence=n, turns=(turn,))


def test_bytes_per_result(store, tmp_path):
    """A result takes at most 400 bytes beyond its payload, three scores included; payloads shrink at least 3 ×."""
    count, raw = 4096, 0
    for start in range(0, count, 256):
        batch = [_realistic(n) for n in range(start, start + 256)]
        raw += sum(len(o.text) + len(o.turns[0].request_body) + len(o.turns[0].response_body) for o in batch)
        scores = tuple(Score(metric, 1.0) for metric in ("json_parse", "json_schema", "fields"))
        store.append("run-1", batch, [Scored(call_key=outcome.call_key, scores=scores) for outcome in batch])
    store.close()
    path = tmp_path / "evalkit.db"
    with closing(sqlite3.connect(path)) as connection:
        packed = connection.execute("SELECT sum(length(body)) FROM payloads").fetchone()[0]
    assert (path.stat().st_size - packed) / count <= 400
    assert raw / packed >= 3


def test_reading_takes_no_memory(store):
    """Answers stream: memory is that of a thousand rows, not of the run."""
    for start in range(0, 6000, 500):
        store.append("run-1", [_realistic(n) for n in range(start, start + 500)])
    tracemalloc.start()
    count = sum(1 for _ in store.outcomes("run-1"))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 6000
    assert peak < 4_000_000


def test_reader_sees_one_moment(store):
    """What is written after a reader began does not appear in it, and an abandoned reader blocks nobody."""
    store.append("run-1", [an_outcome(f"case-{n}", sequence=n) for n in range(10)])
    reader = store.outcomes("run-1")
    next(reader)
    store.append("run-1", [an_outcome("late", sequence=99)])
    assert len(list(reader)) == 9
    abandoned = store.outcomes("run-1")
    next(abandoned)
    store.append("run-1", [an_outcome("later", sequence=100)])
    abandoned.close()
    assert len(list(store.outcomes("run-1"))) == 12


def test_failed_batch_leaves_nothing(store, tmp_path):
    """A batch that cannot be stored whole is not stored at all, costs included, and the error says what to do."""
    with closing(sqlite3.connect(tmp_path / "evalkit.db")) as connection, connection:
        connection.execute(
            "CREATE TRIGGER full BEFORE INSERT ON payloads BEGIN SELECT raise(ABORT, 'database or disk is full'); END"
        )
    with pytest.raises(StoreError, match=r"disk is full\n  next: free disk space"):
        store.append("run-1", [an_outcome("first"), an_outcome("second")])
    assert list(store.outcomes("run-1")) == []
    assert store.spent_usd("run-1") == 0


def test_absurd_token_count_is_unknown(store):
    """A server that claims 10^30 tokens does not stop the run; the answer's own reading keeps the claim."""
    claimed = Usage(prompt_tokens=10**30, completion_tokens=5)
    turn = Turn(reading=Reading(kind=Kind.OK, usage=claimed))
    store.append("run-1", [an_outcome(usage=claimed, turns=(turn,))])
    (outcome,) = store.outcomes("run-1", with_payloads=False)
    assert outcome.usage == Usage(completion_tokens=5)


def test_damaged_payload_is_said(store, tmp_path):
    """A payload that does not unpack names its call; the numbers can still be read."""
    outcome = an_outcome()
    store.append("run-1", [outcome])
    with closing(sqlite3.connect(tmp_path / "evalkit.db")) as connection, connection:
        connection.execute("UPDATE payloads SET body = substr(body, 1, 2)")
    with pytest.raises(StoreError, match=outcome.call_key):
        list(store.outcomes("run-1"))
    assert len(list(store.outcomes("run-1", with_payloads=False))) == 1


def test_large_batch_is_one_transaction(store):
    """An import may hand over thousands at once."""
    outcomes = [an_outcome(f"case-{n}", kind=Kind.TIMEOUT, sequence=n) for n in range(3000)]
    store.append("run-1", outcomes)
    store.append("run-1", [an_outcome(f"case-{n}", sequence=n) for n in range(3000)])
    assert len(store.held_keys("run-1")) == 3000
    assert store.spent_usd("run-1") == pytest.approx(6.0)


def test_replaced_outcome_leaves_no_rows(store, tmp_path):
    """Payload and scores go with the outcome they belong to."""
    missing = an_outcome(kind=Kind.TIMEOUT)
    store.append("run-1", [missing], [Scored(call_key=missing.call_key, scores=(Score("exact", 0.0),))])
    store.append("run-1", [an_outcome()])
    with closing(sqlite3.connect(tmp_path / "evalkit.db")) as connection:
        counts = [connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in ("payloads", "scores")]
    assert counts == [1, 0]


def test_score_of_a_metric_said_twice_is_kept_in_order(store):
    """Entries keep the order they were given in, names may repeat."""
    outcome = an_outcome()
    scored = Scored(call_key=outcome.call_key, scores=(Score("b", 0.1), Score("a", 0.2), Score("b", 0.3)))
    store.append("run-1", [outcome], [scored])
    assert list(store.scores("run-1")) == [scored]
