"""The APIs beside chat: each answers with the text chat would, in its own words, whole and streamed."""

from __future__ import annotations

import asyncio
import base64
import json
import struct

import aiohttp
import pytest

from evalkit.simulator.book import AnswerBook
from evalkit.simulator.endpoints import ENDPOINTS, answer_at, order_at
from evalkit.simulator.options import ServerOptions
from evalkit.simulator.order import Answer, OrderError
from evalkit.simulator.scenarios import SCENARIOS, scenario_answer
from evalkit.simulator.server import serving

PROMPT = "Hello there"
STEADY = {"x-evalkit-trial": "0", "x-evalkit-attempt": "0"}
ASKED = {
    "/chat/completions": {"messages": [{"role": "user", "content": PROMPT}]},
    "/responses": {"input": PROMPT},
    "/messages": {"messages": [{"role": "user", "content": PROMPT}], "max_tokens": 500},
    "/completions": {"prompt": PROMPT},
    "/embeddings": {"input": PROMPT},
}
TOLD = {
    "/chat/completions": lambda body: body["choices"][0]["message"]["content"],
    "/responses": lambda body: body["output"][0]["content"][0]["text"],
    "/messages": lambda body: body["content"][0]["text"],
    "/completions": lambda body: body["choices"][0]["text"],
}


def ask(path, *, down=(), **body):
    """Return status, content type and body bytes of one request to a server of its own."""

    async def run():
        options = ServerOptions(down=down)
        async with serving(AnswerBook(()), options) as base_url, aiohttp.ClientSession() as session:
            whole = {"model": "steady/one", **ASKED.get(path, {}), **body}
            async with session.post(base_url + path, json=whole, headers=STEADY) as response:
                return response.status, response.content_type, await response.read()

    return asyncio.run(run())


def events(raw):
    """Return the data of every event."""
    lines = [line.removeprefix("data: ") for line in raw.decode().splitlines() if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


@pytest.mark.parametrize("path", list(TOLD))
def test_every_api_says_what_chat_says(path):
    """The same words, the same model."""
    chat = json.loads(ask("/chat/completions")[2])
    status, content_type, raw = ask(path)
    body = json.loads(raw)
    assert (status, content_type) == (200, "application/json")
    assert TOLD[path](body) == TOLD["/chat/completions"](chat) != ""
    assert body["model"] == "steady/one"
    assert body["usage"]


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/responses", lambda all_: "".join(e["delta"] for e in all_ if e["type"] == "response.output_text.delta")),
        ("/messages", lambda all_: "".join(e["delta"]["text"] for e in all_ if e["type"] == "content_block_delta")),
        ("/completions", lambda all_: "".join(event["choices"][0]["text"] for event in all_)),
    ],
)
def test_a_stream_adds_up_to_the_whole(path, told):
    """Every piece together is the text of the answer."""
    status, content_type, raw = ask(path, stream=True)
    assert (status, content_type) == (200, "text/event-stream")
    assert told(events(raw)) == TOLD[path](json.loads(ask(path)[2]))


def test_a_streamed_response_ends_with_the_whole():
    """Numbered from zero, opened and closed in order."""
    all_ = events(ask("/responses", stream=True)[2])
    assert [event["sequence_number"] for event in all_] == list(range(len(all_)))
    assert [all_[0]["type"], all_[-1]["type"]] == ["response.created", "response.completed"]
    assert all_[-1]["response"] == json.loads(ask("/responses")[2])


def test_a_streamed_message_opens_and_closes():
    """Head, block, end, each once."""
    kinds = [event["type"] for event in events(ask("/messages", stream=True)[2])]
    block = ["content_block_start", "content_block_delta", "content_block_stop"]
    assert kinds == ["message_start", *block, "message_delta", "message_stop"]


def test_embeddings_are_vectors_of_the_text_alone():
    """Deterministic, one for each input, as long as asked for, packed or not."""
    one = json.loads(ask("/embeddings")[2])["data"][0]["embedding"]
    both = json.loads(ask("/embeddings", model="weak/x", input=[PROMPT, "Other"])[2])["data"]
    packed = json.loads(ask("/embeddings", encoding_format="base64", dimensions=8)[2])["data"][0]["embedding"]
    assert len(one) == 8
    assert all(-1 <= number < 1 for number in one)
    assert [item["index"] for item in both] == [0, 1]
    assert both[0]["embedding"] == one != both[1]["embedding"]
    assert struct.unpack("<8f", base64.b64decode(packed)) == pytest.approx(one, rel=1e-6)
    assert len(json.loads(ask("/embeddings", dimensions=3)[2])["data"][0]["embedding"]) == 3


@pytest.mark.parametrize("path", [path.removeprefix("/v1") for path in ENDPOINTS])
def test_errors_pass_as_they_are(path):
    """An outage, an unknown model and a page of HTML are no other API's business."""
    assert ask(path, down=("steady/one",))[0] == 503
    assert ask(path, model="nobody")[0] == 404
    assert ask(path, model="scenario/html_502")[:2] == (502, "text/html")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/responses", {"input": None}),
        ("/messages", {"messages": "x"}),
        ("/completions", {"prompt": 3}),
        ("/embeddings", {"input": None}),
        *((path, {"model": 3}) for path in ASKED),
    ],
)
def test_a_body_that_is_no_request_is_a_400(path, body):
    """Never a 500."""
    assert ask(path, **body)[0] == 400


def test_what_a_request_says_reaches_the_model():
    """Instructions, limit, schema and tools, wherever the API keeps them."""
    schema = {"type": "object"}
    raw = {
        "model": "m",
        "input": [{"role": "user", "content": [{"type": "input_text", "text": "a"}]}],
        "instructions": "be brief",
        "max_output_tokens": 7,
        "text": {"format": {"type": "json_schema", "name": "n", "schema": schema}},
        "tools": [{"type": "function", "name": "look"}],
        "stream": True,
    }
    order = order_at("/v1/responses", raw)
    assert (order.user_text, order.roles, order.max_tokens) == ("a", ("system", "user"), 7)
    assert (order.format, order.schema, order.tool_names) == ("json_schema", schema, ("look",))
    assert not order.is_stream
    message = {"model": "m", "system": "s", "messages": [{"role": "user", "content": "b"}], "max_tokens": 5}
    assert order_at("/v1/messages", message).max_tokens == 5
    assert order_at("/v1/messages", message).roles == ("system", "user")
    with pytest.raises(OrderError):
        order_at("/v1/messages", {"model": "m"})


def test_tool_calls_are_told():
    """As an item of the response, as a block of the message, with their arguments as that API has them."""
    call = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"city": "Oslo"}'}}
    choice = {"message": {"content": None, "tool_calls": [call]}, "finish_reason": "tool_calls"}
    chat = {"id": "i", "model": "m", "created": 1, "choices": [choice]}
    answer = Answer(pieces=(json.dumps(chat).encode(),))
    (item,) = json.loads(answer_at("/v1/responses", {}, answer).pieces[0])["output"]
    assert (item["type"], item["call_id"], item["arguments"]) == ("function_call", "call_1", '{"city": "Oslo"}')
    message = json.loads(answer_at("/v1/messages", {}, answer).pieces[0])
    assert message["content"] == [{"type": "tool_use", "id": "call_1", "name": "look", "input": {"city": "Oslo"}}]
    assert message["stop_reason"] == "tool_use"
    streamed = events(b"".join(answer_at("/v1/messages", {"stream": True}, answer).pieces))
    assert json.loads(streamed[2]["delta"]["partial_json"]) == {"city": "Oslo"}
    streamed = events(b"".join(answer_at("/v1/responses", {"stream": True}, answer).pieces))
    assert streamed[2]["type"] == "response.function_call_arguments.delta"


@pytest.mark.parametrize("body", [b"", b"[]", b'{"choices": []}', b'{"choices": [{"message": 3}]}', b"<html>"])
def test_a_malformed_answer_stays_malformed(body):
    """What is broken in chat is broken everywhere, byte for byte."""
    answer = Answer(pieces=(body,))
    assert answer_at("/v1/responses", {"stream": True}, answer) is answer


@pytest.mark.parametrize("path", list(ENDPOINTS))
def test_no_oddity_of_a_provider_breaks_a_translation(path):
    """Every scenario comes back as something, streamed or not."""
    for name in SCENARIOS:
        for stream in (False, True):
            answer = scenario_answer(name, route="m", hint_scale=1.0)
            raw = {"model": "m", "stream": stream, **ASKED[path.removeprefix("/v1")]}
            assert answer_at(path, raw, answer).pieces, name


def test_a_cut_answer_is_incomplete():
    """Each API has its own word for it."""
    chat = {"choices": [{"message": {"content": "Half"}, "finish_reason": "length"}]}
    answer = Answer(pieces=(json.dumps(chat).encode(),))
    response = json.loads(answer_at("/v1/responses", {}, answer).pieces[0])
    assert (response["status"], response["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    assert json.loads(answer_at("/v1/messages", {}, answer).pieces[0])["stop_reason"] == "max_tokens"
