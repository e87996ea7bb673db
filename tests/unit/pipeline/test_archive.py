"""Cells as lines: whole ones come back bit for bit, thin ones without what they left out."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.domain.outcome import Cost, Identity, IdentityClass, Kind, Timings, Usage
from evalkit.domain.score import Score, Scored, Unscored
from evalkit.pipeline.archive import _packed, _unpacked, archive_lines, cell_from_line, run_from_line
from evalkit.store.codec import run_from_text, run_text
from evalkit.store.memory import MemoryStore
from evalkit.testing.builders import STARTED_AT, a_run, an_outcome
from evalkit.testing.contract_store import ManualClock

VALUES = st.one_of(st.none(), st.text(max_size=3), st.floats(allow_nan=False), st.integers(-5, 5))


@given(st.lists(VALUES, min_size=1, max_size=60))
def test_a_column_comes_back(values):
    """However it was packed, through JSON and back."""
    assert list(_unpacked(json.loads(json.dumps(_packed(values))), len(values))) == values


def test_a_column_of_another_length_is_damage():
    """One value a unit, no more and no fewer."""
    with pytest.raises(ValueError, match="2 values instead of 3"):
        _unpacked([1, 2], 3)


def a_store(n=6):
    """Return a store with one run of `n` calls, one of them missing."""
    store = MemoryStore(clock=ManualClock())
    store.open_run(a_run())
    identity = Identity(identity_class=IdentityClass.SELF_REPORTED, served_model="m", system_fingerprint="fp")
    outcomes = [
        an_outcome(
            f"case-{i}", sequence=i, turns=(), attempts=(), kind=Kind.TIMEOUT if i == 3 else Kind.OK, identity=identity,
            flags=("ws_lead", "fence") if i == 1 else (), cost=Cost(usd=0.1 / (i + 3), source="gateway"),
            usage=Usage(completion_tokens=i), timings=Timings(started_at=STARTED_AT + 0.1 * i, latency_s=1 / (i + 1)),
        )
        for i in range(n)
    ]  # fmt: skip
    scored = [
        Scored(
            call_key=o.call_key, scores=(Unscored("exact", "missing:timeout"),) if i == 3 else (Score("exact", i / 7),)
        )
        for i, o in enumerate(outcomes)
    ]
    store.append("run-1", outcomes, scored)
    return store, outcomes, scored


def there_and_back(store, *, is_whole):
    """Write a store's run as lines and read them."""
    runs = store.runs(project="demo", environment="test")
    lines = [json.loads(json.dumps(line)) for line in
             archive_lines(store, runs, is_whole=lambda _run, _cell: is_whole, run_text=run_text)]  # fmt: skip
    (run,) = [run_from_line(line, {}, run_from_text=run_from_text) for line in lines if "run" in line]
    units = {line["units"]: line["table"] for line in lines if "units" in line}
    (cell,) = [cell_from_line(line, units) for line in lines if "of" in line]
    return run, cell


def test_whole_is_bit_for_bit():
    """All that is read of a call is what it was, under another key."""
    store, outcomes, scored = a_store()
    run, cell = there_and_back(store, is_whole=True)
    assert run == replace(a_run(), has_texts=False)
    assert [replace(o, call_key="") for o in cell.outcomes] == [replace(o, call_key="") for o in outcomes]
    assert [one.scores for one in cell.scored] == [one.scores for one in scored]
    assert len({one.call_key for one in cell.outcomes}) == len(outcomes)


def test_thin_leaves_out_and_makes_nothing_up():
    """Times, tokens and costs are unknown; kinds, identities, scores and the span of the night stay."""
    store, outcomes, scored = a_store()
    _, cell = there_and_back(store, is_whole=False)
    for now, was in zip(cell.outcomes, outcomes, strict=True):
        assert (now.timings.latency_s, now.cost, now.usage) == (None, Cost(), Usage())
        assert (now.kind, now.identity, now.flags, now.case_id) == (was.kind, was.identity, was.flags, was.case_id)
    assert [one.scores for one in cell.scored] == [one.scores for one in scored]
    assert {one.timings.started_at for one in cell.outcomes} == {STARTED_AT}


def test_the_order_of_a_thin_outage_stays():
    """Where several calls are missing, how they lay in a row decides, so their times are kept."""
    store, outcomes, _ = a_store()
    more = [replace(o, call_key=o.call_key[::-1], case_id=f"x{i}", kind=Kind.TIMEOUT) for i, o in enumerate(outcomes)]
    store.append("run-1", more)
    _, cell = there_and_back(store, is_whole=False)
    kept = {one.case_id: one.timings.started_at for one in cell.outcomes}
    assert kept == {one.case_id: one.timings.started_at for one in (*outcomes, *more)}
