"""The HTTP gateway against a real server: what it sends, what it returns, and what it leaves behind."""

from __future__ import annotations

import asyncio
import gzip
import json

import pytest
from aiohttp import web

from evalkit.domain.outcome import Kind
from evalkit.errors import InputError
from evalkit.gateways.openai import build
from evalkit.plugins import Fault, Reply


def test_the_body_goes_to_chat_completions_as_it_is(serving, exchanging, a_request):
    """The bytes of the request arrive untouched at {base_url}/chat/completions."""

    async def run():
        async with serving() as served:
            await exchanging(build, served.base_url)
            return served.requests[0], served.bodies[0]

    request, body = asyncio.run(run())
    assert (request.method, request.path) == ("POST", "/v1/chat/completions")
    assert body == a_request().body
    assert request.headers["content-type"] == "application/json"


def test_a_reply_is_what_came(serving, exchanging):
    """Status, body bytes and headers come back as sent, header names in lower case."""

    async def handler(_request):
        return web.Response(status=418, body=b' {"a":\n1} ', headers={"X-Thing": "One", "X-thing": "Two"})

    async def run():
        async with serving(handler) as served:
            return await exchanging(build, served.base_url)

    reply = asyncio.run(run())
    assert (reply.status, reply.body) == (418, b' {"a":\n1} ')
    assert set(reply.headers) == {name.lower() for name in reply.headers}
    assert "x-thing" in reply.headers
    assert reply.latency_s > 0
    assert reply.ttft_s is None


def test_repeated_headers_are_joined(serving_bytes, exchanging):
    """A header that comes twice keeps both values, and bytes that are not ASCII do no harm."""
    data = b"HTTP/1.1 200 OK\r\nX-A: one\r\nx-a: tw\xf6\r\nContent-Length: 2\r\n\r\n{}"

    async def run():
        async with serving_bytes(data) as served:
            return await exchanging(build, served.base_url)

    assert asyncio.run(run()).headers["x-a"] == "one, twö"


@pytest.mark.parametrize("status", [204, 302, 400, 401, 429, 500, 524])
def test_every_status_is_a_reply(serving, exchanging, status):
    """No status is an error here: reading it is the wire's work."""

    async def handler(_request):
        return web.Response(status=status)

    async def run():
        async with serving(handler) as served:
            return await exchanging(build, served.base_url)

    reply = asyncio.run(run())
    assert isinstance(reply, Reply)
    assert reply.status == status


def test_a_redirect_is_not_followed(serving, exchanging):
    """A 3xx is the answer; the address it names is never asked."""

    async def handler(request):
        raise web.HTTPTemporaryRedirect(str(request.url.with_path("/elsewhere")))

    async def run():
        async with serving(handler) as served:
            reply = await exchanging(build, served.base_url, keys=("secret-key-of-the-test",))
            return reply, [request.path for request in served.requests]

    reply, paths = asyncio.run(run())
    assert reply.status == 307
    assert paths == ["/v1/chat/completions"]


def test_cookies_are_not_kept(serving, a_context, a_request):
    """A cookie would tie calls together, so none is ever sent back."""

    async def handler(_request):
        return web.json_response({}, headers={"Set-Cookie": "affinity=1; Path=/"})

    async def run():
        async with serving(handler) as served:
            gateway = build(a_context(served.base_url))
            for _ in range(2):
                await gateway.send(a_request())
            await gateway.aclose()
            return [request.headers.get("cookie") for request in served.requests]

    assert asyncio.run(run()) == [None, None]


def test_headers_of_the_configuration_and_the_request_are_sent(serving, exchanging, a_request):
    """Extra headers reach the gateway; those of the request win."""

    async def run():
        async with serving() as served:
            headers = {"X-Team": "evaluation", "x-both": "config"}
            request = a_request(headers={"X-Both": "request"})
            await exchanging(build, served.base_url, headers=headers, request=request)
            return served.requests[0].headers

    headers = asyncio.run(run())
    assert headers["x-team"] == "evaluation"
    assert headers.getall("x-both") == ["request"]
    assert not any(name.lower().startswith("x-evalkit") for name in headers)


def test_a_query_in_the_base_url_is_kept(serving, exchanging):
    """Some gateways want a version in the query of every call."""

    async def run():
        async with serving() as served:
            await exchanging(build, f"{served.base_url}/?api-version=2")
            return served.requests[0].path_qs

    assert asyncio.run(run()) == "/v1/chat/completions?api-version=2"


def test_a_large_request_arrives_whole(serving, exchanging, a_request):
    """A prompt of several MB is sent in pieces, under its exact length."""
    body = json.dumps({"model": "m", "messages": "x" * 3_000_000}).encode()

    async def run():
        async with serving() as served:
            reply = await exchanging(build, served.base_url, request=a_request(body=body))
            return reply, served.bodies[0], served.requests[0].headers

    reply, arrived, headers = asyncio.run(run())
    assert reply.status == 200
    assert arrived == body
    assert headers["content-length"] == str(len(body))
    assert "transfer-encoding" not in headers


def test_gzip_is_unpacked(serving, exchanging):
    """A gzip answer gives the text it holds."""

    async def handler(_request):
        return web.Response(body=gzip.compress(b'{"a": 1}'), headers={"content-encoding": "gzip"})

    async def run():
        async with serving(handler) as served:
            reply = await exchanging(build, served.base_url)
            return reply, served.requests[0].headers["accept-encoding"]

    reply, accepted = asyncio.run(run())
    assert reply.body == b'{"a": 1}'
    assert accepted == "gzip"


def test_an_event_stream_is_timed_and_left_alone(serving, exchanging):
    """The bytes of a stream come back as they came, with the time of the first token: no comment, no empty chunk."""
    opening = b'data: {"choices": [{"delta": {"role": "assistant", "content": ""}}]}\n\n'
    token = b'data: {"choices": [{"delta": {"content": "Hi"}}]}\n\n'
    events = [b": ping\n\n", opening, token, b"data: [DONE]\n\n"]

    async def handler(request):
        response = web.StreamResponse(headers={"content-type": "text/event-stream; charset=utf-8"})
        await response.prepare(request)
        for event in events:
            await response.write(event)
            await asyncio.sleep(0.05)
        return response

    async def run():
        async with serving(handler) as served:
            return await exchanging(build, served.base_url)

    reply = asyncio.run(run())
    assert reply.body == b"".join(events)
    assert 0.1 <= reply.ttft_s <= reply.latency_s - 0.05


def test_connections_are_reused(serving, a_context, a_request):
    """Calls one after the other share a connection."""

    async def run():
        async with serving() as served:
            gateway = build(a_context(served.base_url))
            for _ in range(5):
                await gateway.send(a_request())
            await gateway.aclose()
            return len(served.peers)

    assert asyncio.run(run()) == 1


def test_the_concurrency_limit_holds(serving, a_context, a_request):
    """However many calls are started, the server never sees more than the limit at once."""

    async def handler(_request):
        await asyncio.sleep(0.02)
        return web.json_response({})

    async def run():
        async with serving(handler) as served:
            gateway = build(a_context(served.base_url, limits={"concurrency": 3}))
            await asyncio.gather(*(gateway.send(a_request()) for _ in range(12)))
            await gateway.aclose()
            return served.n_most, len(served.peers), len(served.requests)

    assert asyncio.run(run()) == (3, 3, 12)


def test_closing_gives_back_every_connection(serving, a_context, a_request):
    """After aclose the server has no connection left."""

    async def run():
        async with serving() as served:
            gateway = build(a_context(served.base_url))
            await asyncio.gather(*(gateway.send(a_request()) for _ in range(4)))
            n_before = served.open_connections()
            await gateway.aclose()
            await served.wait_until_idle()
            return n_before

    assert asyncio.run(run()) == 4


def test_cancelling_leaves_nothing_open(serving, a_context, a_request):
    """A cancelled call closes its connection at once and leaves no task, while the gateway lives on."""

    async def handler(request):
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"{")
        await asyncio.sleep(30)
        return response

    async def run():
        async with serving(handler) as served:
            gateway = build(a_context(served.base_url))
            calls = [asyncio.create_task(gateway.send(a_request())) for _ in range(8)]
            await served.wait_until_busy(8)
            await asyncio.sleep(0.05)
            for call in calls:
                call.cancel()
            results = await asyncio.gather(*calls, return_exceptions=True)
            await served.wait_until_idle()
            own = [task for task in asyncio.all_tasks() if "aiohttp/web" not in repr(task)]
            await gateway.aclose()
            return results, own

    results, own = asyncio.run(run())
    assert all(isinstance(result, asyncio.CancelledError) for result in results)
    assert len(own) == 1


def test_a_gateway_that_was_never_used_closes(a_context):
    """Closing before the first send is no error."""
    gateway = build(a_context("http://127.0.0.1:9/v1"))
    assert asyncio.run(gateway.aclose()) is None


@pytest.mark.parametrize(
    ("base_url", "says"),
    [
        (None, "has no base_url"),
        ("http://user:hunter2@host/v1", "user name or password"),
        ("http://host:99999999/v1", "not a URL"),
        ("http:///v1", "no host"),
        ("http://two..dots/v1", "not a URL"),
        (f"http://{'a' * 70}.example/v1", "not a URL"),
    ],
)
def test_an_unusable_base_url_is_refused(a_context, base_url, says):
    """A URL nothing can be sent to is the user's mistake, told before anything is sent and without secrets."""
    with pytest.raises(InputError, match=says) as caught:
        build(a_context(base_url))
    assert "hunter2" not in str(caught.value)
    assert "/gateway/base_url" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"), [("Content-Length", "3"), ("x bad", "v"), ("x-ok", "two\r\nlines"), ("accept-encoding", "br")]
)
def test_a_header_that_would_break_the_message_is_refused(a_context, name, value):
    """Framing is evalkit's own; a value with a line break could smuggle in another header."""
    with pytest.raises(InputError) as caught:
        build(a_context("http://host/v1", headers={name: value}))
    assert "two" not in str(caught.value)


def test_the_profile_follows_the_configuration(a_context):
    """The upstream's name is taken at its word unless the configuration says it is an echo."""
    plain = build(a_context("http://host/v1")).profile
    echo = build(a_context("http://host/v1", model_field="echo")).profile
    assert (plain.kind, plain.model_field, plain.is_simulated) == ("openai", "upstream", False)
    assert echo.model_field == "echo"


def test_nothing_listens_is_a_fault(exchanging, unused_port):
    """A refused connection is a connection fault in one short line."""
    fault = asyncio.run(exchanging(build, f"http://127.0.0.1:{unused_port}/v1"))
    assert isinstance(fault, Fault)
    assert (fault.kind, fault.detail) == (Kind.CONNECTION, "connection refused")
