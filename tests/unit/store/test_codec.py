"""Values to bytes and back, whatever is in them."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.domain.outcome import (
    Attempt,
    Cost,
    Identity,
    IdentityClass,
    Kind,
    Outcome,
    Reading,
    Timings,
    ToolCall,
    Turn,
    Usage,
)  # fmt: skip
from evalkit.domain.run import Look, RunStatus
from evalkit.domain.score import Score, Unscored
from evalkit.store import codec
from evalkit.testing.builders import a_run, an_outcome

# Lone surrogates and NUL included: answers come from models.
_TEXTS = st.text(st.characters(), max_size=200)
_MAYBE_TEXTS = st.none() | _TEXTS
_COUNTS = st.none() | st.integers(0, 2**70)
_SECONDS = st.floats(0, 1e9)
_KINDS = st.sampled_from(Kind)
_FLAGS = st.lists(_TEXTS, max_size=3).map(tuple)
_USAGES = st.builds(
    Usage,
    prompt_tokens=_COUNTS,
    completion_tokens=_COUNTS,
    total_tokens=_COUNTS,
    reasoning_tokens=_COUNTS,
    cached_tokens=_COUNTS,
)
_IDENTITIES = st.builds(
    Identity,
    identity_class=st.sampled_from(IdentityClass),
    served_model=_MAYBE_TEXTS,
    provider=_MAYBE_TEXTS,
    system_fingerprint=_MAYBE_TEXTS,
)
_READINGS = st.builds(
    Reading,
    kind=_KINDS,
    flags=_FLAGS,
    text=_MAYBE_TEXTS,
    reasoning=_MAYBE_TEXTS,
    refusal=_MAYBE_TEXTS,
    tool_calls=st.lists(st.builds(ToolCall, name=_TEXTS, arguments=_TEXTS, call_id=_TEXTS), max_size=2).map(tuple),
    finish_reason=_MAYBE_TEXTS,
    usage=_USAGES,
    identity=_IDENTITIES,
    cost_usd=st.none() | _SECONDS,
    status=st.none() | st.integers(100, 599),
    error_code=_MAYBE_TEXTS,
    detail=_TEXTS,
    retry_after_s=st.none() | _SECONDS,
)
_TURNS = st.lists(
    st.builds(
        Turn, reading=_READINGS, request_body=st.binary(), response_body=st.binary(), user_turn=st.integers(0, 9)
    ),
    max_size=3,
).map(tuple)
_ATTEMPTS = st.lists(
    st.builds(
        Attempt,
        kind=_KINDS,
        status=st.none() | st.integers(100, 599),
        latency_s=_SECONDS,
        pause_s=_SECONDS,
        cost_usd=st.none() | _SECONDS,
        detail=_TEXTS,
    ),
    max_size=3,
).map(tuple)


def _shared(outcome: Outcome) -> codec.Shared:
    return codec.Shared(
        kind=outcome.kind,
        flags=outcome.flags,
        usage=outcome.usage,
        identity=outcome.identity,
        latency_s=outcome.timings.latency_s,
        cost_usd=outcome.cost.usd,
    )


@given(_TURNS, _KINDS, _FLAGS)
def test_turns_come_back(turns, kind, flags):
    """Reading a payload gives the turns that were written."""
    outcome = an_outcome(turns=turns, kind=kind, flags=flags)
    assert codec.turns_from_payload(codec.payload_bytes(outcome), _shared(outcome)) == turns


@given(_READINGS)
def test_turn_that_agrees_with_its_outcome_comes_back(reading):
    """What is left out because the outcome has it is put back."""
    turns = (Turn(reading=reading),)
    outcome = an_outcome(
        turns=turns, kind=reading.kind, flags=reading.flags, usage=reading.usage, identity=reading.identity
    )
    assert codec.turns_from_payload(codec.payload_bytes(outcome), _shared(outcome)) == turns


@given(_ATTEMPTS, st.none() | _SECONDS, st.none() | _SECONDS)
def test_attempts_come_back(attempts, latency_s, cost_usd):
    """Any number of attempts survives."""
    outcome = an_outcome(attempts=attempts, timings=Timings(latency_s=latency_s), cost=Cost(usd=cost_usd))
    assert codec.attempts_from_bytes(codec.attempts_bytes(outcome), _shared(outcome)) == attempts


def test_plain_attempt_takes_no_room():
    """A call that went right the first time stores nothing twice."""
    assert codec.attempts_bytes(an_outcome()) is None


def test_long_details_are_compressed():
    """An outage repeats itself; its details do not fill the store."""
    attempts = 3 * (Attempt(kind=Kind.TIMEOUT, detail="upstream said no " * 25),)
    assert len(codec.attempts_bytes(an_outcome(attempts=attempts))) < 200


@given(_IDENTITIES)
def test_identity_comes_back(identity):
    """An identity is one word, and the word is the identity."""
    assert codec.identity_from_text(codec.identity_text(identity)) == identity


@given(_FLAGS)
def test_flags_come_back(flags):
    """Flags are one word, and the word is the flags."""
    assert codec.flags_from_text(codec.flags_text(flags)) == flags


@given(_TEXTS, _FLAGS)
def test_notes_come_back(rationale, findings):
    """Rationale and findings survive, long ones and hostile ones too."""
    assert codec.note_from_bytes(codec.note_bytes(Score("m", 1.0, rationale, findings))) == (rationale, findings)


def test_empty_note_takes_no_room():
    """Most scores need no words."""
    assert codec.note_bytes(Score("m", 1.0)) is codec.note_bytes(Unscored("m", "unparsed")) is None


def test_long_note_is_compressed():
    """A rationale that quotes an answer is stored small."""
    assert len(codec.note_bytes(Unscored("m", "unparsed", "the answer was not JSON " * 40))) < 100


@pytest.mark.parametrize("status", list(RunStatus))
def test_run_comes_back(status):
    """Nothing of a run is lost, and seconds stay floats."""
    run = a_run(status=status, finished_at=1_800_000_100.0, seed=7, note="stopped: «budget»")
    again = codec.run_from_text(codec.run_text(run))
    assert again == run
    assert isinstance(again.started_at, float)
    assert isinstance(again.finished_at, float)


def test_run_text_is_canonical():
    """The same run gives the same bytes, and a note that UTF-8 cannot say does not stop it."""
    run = a_run()
    assert codec.run_text(run) == codec.run_text(replace(run))
    assert codec.run_from_text(codec.run_text(replace(run, note="\ud800!"))).note == "?!"


def test_damaged_payload_is_an_error():
    """A payload whose lengths do not add up is never half read."""
    outcome = an_outcome()
    with pytest.raises(ValueError, match="instead of"):
        codec.turns_from_payload(codec.payload_bytes(outcome)[:-1], _shared(outcome))


def test_looks_survive():
    """The looks a run's cells fixed come back as they were; a run from before there were any has none."""
    run = a_run()
    looks = (Look(n_clusters=20, n_calls=40, last_sequence=77), Look(n_clusters=40, n_calls=80, last_sequence=150))
    looked = replace(run, cells=tuple(replace(cell, looks=looks) for cell in run.cells))
    assert codec.run_from_text(codec.run_text(looked)) == looked
    document = json.loads(codec.run_text(run))
    for cell in document["cells"]:
        del cell["looks"]
    assert codec.run_from_text(json.dumps(document)) == run
