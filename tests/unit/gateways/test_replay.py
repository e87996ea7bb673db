"""The replay gateway: recorded answers over the same protocol, and a named 404 for what was not recorded."""

from __future__ import annotations

import asyncio
import json

import pytest

from evalkit.errors import InputError
from evalkit.gateways.replay import build

DIGEST = "ab" * 32
CASE = {"suite": "s1", "case_id": "c1", "model": "m1"}


@pytest.fixture
def replaying(tmp_path, a_context):
    """Give a function: a replay gateway over these recordings."""

    def _replaying(*rows, **config):
        (tmp_path / "answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        context = a_context(
            kind="replay", recordings="answers.jsonl", resolve_path=lambda path: str(tmp_path / path), **config
        )
        return build(context)

    return _replaying


def test_a_raw_response_comes_back_as_a_200(replaying, a_request):
    """A recorded body is an answer like any other."""
    response = {"model": "served", "choices": [{"message": {"content": "\ud800 half"}}]}
    reply = asyncio.run(replaying({**CASE, "response": response}).send(a_request()))
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    assert json.loads(reply.body) == response


def test_a_response_may_be_text(replaying, a_request):
    """An event stream or a broken body is recorded as the text it was."""
    stream = 'data: {"n": 1}\n\ndata: [DONE]\n\n'
    reply = asyncio.run(replaying({**CASE, "response": stream}).send(a_request()))
    assert reply.body == stream.encode()
    assert reply.headers["content-type"] == "text/event-stream"


def test_an_output_is_wrapped_in_a_completion(replaying, a_request):
    """A bare text becomes a minimal completion of the route that was asked."""
    reply = asyncio.run(replaying({**CASE, "output": "hello"}).send(a_request()))
    completion = json.loads(reply.body)
    assert completion["model"] == "route-1"
    (choice,) = completion["choices"]
    assert choice["message"] == {"role": "assistant", "content": "hello"}
    assert choice["finish_reason"] == "stop"
    assert "usage" not in completion


def test_what_is_known_of_an_output_is_told(replaying, a_request):
    """Finish reason, usage, latency and cost of the recording reach the reply."""
    usage = {"prompt_tokens": 3, "completion_tokens": 5}
    row = {**CASE, "output": None, "finish_reason": "length", "usage": usage, "latency_s": 1.5, "cost_usd": 0.25}
    gateway = replaying(row)
    reply = asyncio.run(gateway.send(a_request()))
    completion = json.loads(reply.body)
    assert completion["choices"][0]["finish_reason"] == "length"
    assert completion["choices"][0]["message"]["content"] is None
    assert completion["usage"] == usage
    assert reply.latency_s == 1.5
    assert float(reply.headers[gateway.profile.cost_header]) == 0.25


def test_a_latency_nobody_recorded_is_unknown(replaying, a_request):
    """Reading a file takes no time, and that is no evidence of a quick model; nor is a hole in the recordings."""
    gateway = replaying({**CASE, "output": "hello"})
    assert asyncio.run(gateway.send(a_request())).latency_s is None
    assert asyncio.run(gateway.send(a_request(case_id="c2"))).latency_s is None


def test_a_recording_is_found_by_digest_first(replaying, a_request):
    """The digest of the request is more exact than its coordinates; this trial's own beats one for any trial."""
    gateway = replaying(
        {**CASE, "output": "by case"},
        {"digest": f"sha256:{DIGEST}", "output": "any trial"},
        {"digest": DIGEST, "trial": 1, "output": "trial 1"},
    )

    async def texts():
        replies = [await gateway.send(a_request(digest=DIGEST, trial=trial)) for trial in (0, 1, 2)]
        return [json.loads(reply.body)["choices"][0]["message"]["content"] for reply in replies]

    assert asyncio.run(texts()) == ["any trial", "trial 1", "any trial"]


@pytest.mark.parametrize("model", ["m1", "route-1"])
def test_the_model_may_be_its_id_or_its_route(replaying, a_request, model):
    """Both names of a model stand in recordings."""
    assert asyncio.run(replaying({**CASE, "model": model, "output": "x"}).send(a_request())).status == 200


@pytest.mark.parametrize(
    "other", [{"suite": "s2"}, {"case_id": "c2"}, {"trial": 1}, {"model_id": "m2"}, {"turn": 1}], ids=str
)
def test_a_missing_recording_is_a_404_that_says_which(replaying, a_request, other):
    """Nothing is ever answered with the recording of another case, trial, model or turn."""
    request = a_request(**other)
    reply = asyncio.run(replaying({**CASE, "output": "x"}).send(request))
    error = json.loads(reply.body)["error"]
    assert (reply.status, error["code"]) == (404, "recording_missing")
    for value in (request.suite, request.case_id, request.model_id, f"trial {request.trial}"):
        assert value in error["message"]


@pytest.mark.parametrize(
    ("row", "config", "model_field"),
    [
        ({"response": {}}, {}, "upstream"),
        ({"output": "x"}, {}, "echo"),
        ({"output": "x"}, {"model_field": "upstream"}, "upstream"),
    ],
)
def test_a_made_up_model_name_is_an_echo(replaying, row, config, model_field):
    """Only a raw response holds the upstream's own name; the configuration may know better."""
    assert replaying({**CASE, **row}, **config).profile.model_field == model_field


def test_recordings_must_be_named(a_context):
    """A replay of nothing is the user's mistake."""
    with pytest.raises(InputError, match="names no recordings"):
        build(a_context(kind="replay"))


def test_a_bad_line_is_told_before_the_run(replaying):
    """All recordings are read when the gateway is built."""
    with pytest.raises(InputError, match=r"answers\.jsonl:2"):
        replaying({**CASE, "output": "x"}, {"output": "whose?"})


def test_closing_is_always_possible(replaying):
    """The protocol's aclose holds for a gateway that opened nothing."""
    assert asyncio.run(replaying({**CASE, "output": "x"}).aclose()) is None
