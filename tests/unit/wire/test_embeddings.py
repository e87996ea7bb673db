"""Vectors out of a body, in the order of the texts; anything else is what it is for any call."""

from __future__ import annotations

import json

import pytest

from evalkit.domain.outcome import IdentityClass, Kind
from evalkit.wire.asked import Asked
from evalkit.wire.embeddings import embeddings_body, read_embeddings, vectors_in

ASKED = Asked(route="embedder-1")


def read(body, *, status=200, asked=ASKED, n_texts=2):
    """Return the reading of a body given as bytes or as an object."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_embeddings(status, {"content-type": "application/json"}, raw, asked=asked, n_texts=n_texts)


def a_body(*vectors, model="embedder-1", **more):
    """Return an answer with these vectors."""
    data = [{"object": "embedding", "index": place, "embedding": vector} for place, vector in enumerate(vectors)]
    return {"object": "list", "model": model, "data": data, "usage": {"prompt_tokens": 4, "total_tokens": 4}, **more}


def test_body_asks_for_plain_numbers():
    """Texts in order, a format every server knows, and what the roster adds."""
    body = json.loads(embeddings_body("embedder-1", ["a", "b \ud800"], extra_body={"user": "x"}))
    assert body == {"model": "embedder-1", "input": ["a", "b \ufffd"], "encoding_format": "float", "user": "x"}


def test_vectors_are_read():
    """Kind, vectors, tokens and who answered; there is no completion, and that costs nothing."""
    reading = read(a_body([0.5, -1], [0, 1.25]))
    assert reading.kind is Kind.OK
    assert vectors_in(reading.text) == [[0.5, -1], [0, 1.25]]
    assert (reading.usage.prompt_tokens, reading.usage.completion_tokens) == (4, 0)
    assert reading.identity.served_model == "embedder-1"


def test_order_is_that_of_the_texts():
    """A server may answer in any order; the index says which is which."""
    body = a_body([1], [2])
    body["data"].reverse()
    assert vectors_in(read(body).text) == [[1], [2]]


def test_another_embedder_is_a_substitution():
    """Where the gateway says another model answered, there is no vector."""
    reading = read(a_body([1], [2], model="claude-3-opus"), asked=Asked(route="gpt-4o"))
    assert (reading.kind, reading.text) == (Kind.SUBSTITUTED_MODEL, None)
    assert reading.identity.identity_class is IdentityClass.SUBSTITUTED


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        ({"error": {"message": "slow down", "type": "rate_limit_error"}}, 429, Kind.RATE_LIMITED),
        ({"error": {"message": "bad key", "type": "invalid_api_key"}}, 401, Kind.AUTH_ERROR),
        ({"error": {"message": "boom"}}, 500, Kind.PROVIDER_ERROR),
        (a_body([1]), 200, Kind.PROVIDER_ERROR),
        (a_body([1], ["x"]), 200, Kind.PROVIDER_ERROR),
        (a_body([1], []), 200, Kind.PROVIDER_ERROR),
        (a_body([1], [True]), 200, Kind.PROVIDER_ERROR),
        ({"data": None}, 200, Kind.PROVIDER_ERROR),
        ([], 200, Kind.PROVIDER_ERROR),
        (b"<html>", 200, Kind.PROVIDER_ERROR),
        (b"", 200, Kind.PROVIDER_ERROR),
        (b'{"data": [{"embedding": [1e999]}, {"embedding": [1]}]}', 200, Kind.PROVIDER_ERROR),
        ({"choices": [{"message": {"content": "hello"}, "finish_reason": "stop"}]}, 200, Kind.PROVIDER_ERROR),
    ],
)
def test_what_holds_no_vectors_is_a_fault(body, status, kind):
    """Errors keep their kind; a success without every vector is the gateway's fault, never an answer."""
    reading = read(body, status=status)
    assert (reading.kind, reading.text) == (kind, None)


@pytest.mark.parametrize("text", [None, "", "{", "{}", "[1]", "[[]]", '[["x"]]', "[[NaN]]"])
def test_text_without_vectors_holds_none(text):
    """What was not written by a good reading gives nothing."""
    assert vectors_in(text) is None
