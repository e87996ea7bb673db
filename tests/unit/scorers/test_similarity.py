"""The cosine of two embeddings, of a pinned embedder or not at all."""

from __future__ import annotations

import json

import pytest

from evalkit.domain.outcome import Identity, Kind
from evalkit.domain.score import Score
from evalkit.errors import InputError
from evalkit.plugins import ScorerContext, load_plugin
from evalkit.testing.builders import a_case, a_suite

PINNED = {"embedder": "embedder", "served_as": "embedder-1", "dimensions": 2}


def vectors(*given, served="embedder-1", **more):
    """Answer with these vectors under this name."""
    return lambda _: {"text": json.dumps(given), "identity": Identity(served_model=served), **more}


@pytest.mark.parametrize(
    ("left", "right", "zero_at", "value"),
    [
        ([1, 0], [1, 0], 0, 1.0),
        ([3, 4], [6, 8], 0, 1.0),
        ([1, 0], [0, 1], 0, 0.0),
        ([1, 0], [-1, 0], 0, 0.0),
        ([1, 0], [0.6, 0.8], 0, 0.6),
        ([1, 0], [0.6, 0.8], 0.5, 0.2),
        ([1, 0], [0.6, 0.8], -1, 0.8),
    ],
)
def test_cosine_on_its_scale(ask, left, right, zero_at, value):
    """From `zero_at` to 1, cut to [0, 1]."""
    entry = ask("similarity", "42", says=vectors(left, right), expected="forty-two", zero_at=zero_at, **PINNED)
    assert isinstance(entry, Score)
    assert entry.value == pytest.approx(value)


@pytest.mark.parametrize(
    ("says", "reason"),
    [
        (vectors([1, 0], [1, 0], served="embedder-2"), "embedder_changed"),
        (vectors([1, 0], [1, 0], served=None), "embedder_changed"),
        (vectors([1, 0, 0], [1, 0, 0]), "embedder_changed"),
        (vectors([1, 0], [1, 0, 0]), "embedder_changed"),
        (vectors([0, 0], [1, 0]), "unjudged:unparsed"),
        (vectors([1, 0]), "unjudged:unparsed"),
        (vectors(kind=Kind.TIMEOUT), "unjudged:timeout"),
        (lambda _: None, "unjudged:not_asked"),
    ],
)
def test_another_embedder_or_none_is_no_score(ask, says, reason):
    """Distances of another embedder are other distances; a fault is nobody's answer."""
    assert ask("similarity", "42", says=says, **PINNED).reason == reason


def test_both_texts_go_in_one_request(ask):
    """So that one embedder made both vectors."""
    asked = []

    def says(call):
        asked.append(call)
        return vectors([1, 0], [1, 0])(call)

    ask("similarity", "ours", says=says, expected=["theirs"], **PINNED)
    (call,) = asked
    assert call.endpoint == "embeddings"
    assert [message.content for message in call.script.turns[0].messages] == ["ours", '["theirs"]']


@pytest.mark.parametrize(
    ("params", "fields", "message"),
    [
        ({"embedder": "nobody"}, {}, "'nobody' is no judge of the roster"),
        ({}, {"payloads": "digest"}, "payloads: digest keeps no answer"),
        ({}, {"cases": [a_case(expected=None)]}, "needs a text in `expected`"),
        ({"dimensions": 0}, {}, "dimensions"),
    ],
)
def test_what_cannot_be_measured_is_refused(judges, params, fields, message):
    """Before anything is spent."""
    params = PINNED | params
    suite = a_suite(scorers=[{"name": "similarity", "params": params}], **fields)
    with pytest.raises(InputError, match=message):
        load_plugin("scorers", "similarity")(ScorerContext(params=params, suite=suite, judges=judges()))


def test_it_is_a_measurement(judges):
    """Nobody's opinion: it needs no labels to gate."""
    suite = a_suite(scorers=[{"name": "similarity", "params": PINNED}])
    scorer = load_plugin("scorers", "similarity")(ScorerContext(params=PINNED, suite=suite, judges=judges()))
    assert not scorer.instrument.is_opinion
