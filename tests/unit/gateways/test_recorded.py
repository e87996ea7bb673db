"""A gateway over a folder of recordings, where each suite × model answers from its own file."""

from __future__ import annotations

import asyncio
import gzip
import json

from evalkit.gateways.recorded import RECORDING_MISSING, RecordedPairs, pair_file

DIGEST = "ab" * 32


def write(folder, suite, model, *rows):
    """Write the recordings of a pair."""
    path = pair_file(folder, suite, model)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))


def said(reply):
    """Return the text of a reply."""
    return json.loads(reply.body)["choices"][0]["message"]["content"]


def test_each_pair_answers_from_its_own_file(tmp_path, a_request):
    """The same request of two models on one route is two recordings; no file lends another one its answers."""
    write(tmp_path, "s1", "m1", {"digest": DIGEST, "output": "mine"})
    write(tmp_path, "s1", "m2", {"digest": DIGEST, "output": "theirs"})
    gateway = RecordedPairs(tmp_path)

    async def ask(**where):
        return await gateway.send(a_request(digest=DIGEST, **where))

    assert said(asyncio.run(ask(suite="s1", model_id="m1"))) == "mine"
    assert said(asyncio.run(ask(suite="s1", model_id="m2"))) == "theirs"
    missing = asyncio.run(ask(suite="s1", model_id="m3"))
    assert (missing.status, json.loads(missing.body)["error"]["code"]) == (404, RECORDING_MISSING)


def test_another_digest_is_missing(tmp_path, a_request):
    """A line with a digest answers that request alone, whatever case it names."""
    write(tmp_path, "s1", "m1", {"digest": DIGEST, "suite": "s1", "case_id": "c1", "model": "m1", "output": "old"})
    reply = asyncio.run(RecordedPairs(tmp_path).send(a_request(digest="cd" * 32, suite="s1", model_id="m1")))
    assert reply.status == 404


def test_it_proves_nothing_about_who_answered(tmp_path):
    """Whatever a recorded body calls itself, it is held against the question only."""
    profile = RecordedPairs(tmp_path).profile
    assert (profile.kind, profile.model_field, profile.attests) == ("replay", "echo", False)
