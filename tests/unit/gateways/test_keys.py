"""Keys: read late and once, read again after a rejection, and never seen anywhere but in the header."""

from __future__ import annotations

import asyncio
import json

import pytest
from aiohttp import web

from evalkit.errors import InputError
from evalkit.gateways._keys import KeyRing
from evalkit.gateways.openai import build
from evalkit.plugins import Reply

OLD = "sk-old-0123456789abcdef"
NEW = "sk-new-0123456789abcdef"


class Source:
    """A key source that counts how often it is read."""

    def __init__(self, *keys, error=None):
        self.keys = keys
        self.error = error
        self.n_reads = 0

    def __call__(self):
        """Return the next key; the last one stays."""
        self.n_reads += 1
        if self.error is not None and self.n_reads > len(self.keys):
            raise self.error
        return self.keys[min(self.n_reads, len(self.keys)) - 1]


def only(key):
    """Return a handler that answers 401 to every other key."""

    async def handler(request):
        is_right = request.headers.get("authorization") == f"Bearer {key}"
        return web.json_response({}, status=200 if is_right else 401)

    return handler


def send(serving, a_context, a_request, *, handler, source, n_sends=1, **context):
    """Return the answers of concurrent sends, and the credentials the server saw."""

    async def run():
        async with serving(handler) as served:
            plain = a_context(served.base_url, **context)
            gateway = build(type(plain)(config=plain.config, limits=plain.limits, read_key=source,
                                        read_model_key=plain.read_model_key))  # fmt: skip
            answers = await asyncio.gather(*(gateway.send(a_request()) for _ in range(n_sends)))
            await gateway.aclose()
            return answers, [request.headers.get("authorization") for request in served.requests]

    return asyncio.run(run())


def test_the_key_is_sent_as_a_bearer_token(serving, a_context, a_request):
    """The gateway's key goes into the authorization header."""
    _, seen = send(serving, a_context, a_request, handler=only(OLD), source=Source(OLD))
    assert seen == [f"Bearer {OLD}"]


def test_without_a_key_nothing_is_sent(serving, a_context, a_request):
    """A gateway that needs no key gets no authorization header, and a 401 is not sent again."""
    source = Source(None)
    (answer,), seen = send(serving, a_context, a_request, handler=only(OLD), source=source)
    assert (answer.status, seen, source.n_reads) == (401, [None], 1)


def test_a_models_own_key_wins(serving, a_context, a_request):
    """A model with a key of its own never sends the gateway's, which is not even read."""
    source = Source(OLD)
    _, seen = send(serving, a_context, a_request, handler=only(NEW), source=source, read_model_key=lambda _id: NEW)
    assert (seen, source.n_reads) == ([f"Bearer {NEW}"], 0)


def test_a_key_is_read_when_first_needed_and_once(serving, a_context, a_request):
    """However many calls start at once, the source is read once."""
    source = Source(OLD, NEW)
    answers, seen = send(serving, a_context, a_request, handler=only(OLD), source=source, n_sends=10)
    assert {answer.status for answer in answers} == {200}
    assert set(seen) == {f"Bearer {OLD}"}
    assert source.n_reads == 1


def test_a_rotated_key_is_read_again_and_the_request_sent_once_more(serving, a_context, a_request):
    """After a 401, another key at the source makes the call succeed."""
    (answer,), seen = send(serving, a_context, a_request, handler=only(NEW), source=Source(OLD, NEW))
    assert answer.status == 200
    assert seen == [f"Bearer {OLD}", f"Bearer {NEW}"]


def test_a_rotation_under_load_reads_the_source_once_more(serving, a_context, a_request):
    """Twenty calls rejected together share one new reading."""
    source = Source(OLD, NEW)
    answers, _ = send(serving, a_context, a_request, handler=only(NEW), source=source, n_sends=20)
    assert {answer.status for answer in answers} == {200}
    assert source.n_reads == 2


def test_an_unchanged_key_is_not_sent_again(serving, a_context, a_request):
    """A 401 with the key that is still configured is the answer, and the source is asked only once more."""
    source = Source(OLD)
    answers, seen = send(serving, a_context, a_request, handler=only(NEW), source=source, n_sends=5)
    assert [answer.status for answer in answers] == [401] * 5
    assert (len(seen), source.n_reads) == (5, 2)


def test_a_new_key_that_is_rejected_too_is_the_end(serving, a_context, a_request):
    """One call is sent at most twice, whatever its source says."""
    (answer,), seen = send(serving, a_context, a_request, handler=only("x"), source=Source(OLD, NEW, "third"))
    assert answer.status == 401
    assert len(seen) == 2


def test_a_source_that_fails_when_read_again_leaves_the_401(serving, a_context, a_request):
    """A broken key command in the middle of a run does not end the run: the 401 is evidence enough."""
    source = Source(OLD, error=InputError("the command failed"))
    (answer,), _ = send(serving, a_context, a_request, handler=only(NEW), source=source)
    assert isinstance(answer, Reply)
    assert answer.status == 401


def test_a_source_that_fails_at_first_is_the_users_mistake(serving, a_context, a_request):
    """A key that is named and not there ends the run before anything is measured."""
    with pytest.raises(InputError, match="no such variable"):
        send(serving, a_context, a_request, handler=only(OLD), source=Source(error=InputError("no such variable")))


@pytest.mark.parametrize("key", ["", "two\nlines", " padded-secret", "kéy-secret", "secret\x00"])
def test_a_key_no_header_can_carry_is_refused_without_showing_it(a_context, key):
    """The message says whose key it is, never what it is."""
    ring = KeyRing(a_context("http://host/v1", keys=(key,)))
    with pytest.raises(InputError, match="the API key of the gateway") as caught:
        asyncio.run(ring.key_for("m1"))
    assert not key.strip() or key.strip() not in str(caught.value)


def test_no_key_shows_in_a_repr(serving, a_context, a_request):
    """Gateway and key ring can be logged: neither a key nor a secret in the query or the headers is in their repr."""

    async def run():
        async with serving() as served:
            base_url = f"{served.base_url}?key=query-secret"
            gateway = build(a_context(base_url, keys=(OLD,), headers={"api-key": "header-secret"}))
            await gateway.send(a_request())
            await gateway.aclose()
            return repr(gateway), repr(gateway._keys)

    shown = " ".join(asyncio.run(run()))
    assert "openai" in shown
    assert "secret" not in shown
    assert OLD not in shown


def test_an_error_body_that_quotes_the_key_is_masked(serving, a_context, a_request):
    """Some gateways repeat the key they refuse; bodies are stored, so it is taken out."""

    async def handler(request):
        return web.json_response({"error": f"bad key {request.headers['authorization']}"}, status=403)

    (answer,), _ = send(serving, a_context, a_request, handler=handler, source=Source(OLD))
    assert answer.body == b'{"error": "bad key Bearer [api key]"}'


@pytest.mark.parametrize("status", [200, 204, 302, 403, 500])
def test_a_quoted_key_is_masked_whatever_the_status(serving, a_context, a_request, status):
    """Some errors come with a 200. A model never saw the key: where it stands, the gateway put it."""

    async def handler(request):
        said = {"x-said": request.headers["authorization"]}
        return web.Response(
            text=request.headers["authorization"], status=int(request.headers["x-status"]), headers=said
        )

    (answer,), _ = send(
        serving, a_context, a_request, handler=handler, source=Source(OLD), headers={"x-status": str(status)}
    )
    assert OLD.encode() not in answer.body + repr(answer.headers).encode()
    assert answer.headers["x-said"] == "Bearer [api key]"


def test_an_answer_that_quotes_no_key_is_left_alone(serving, a_context, a_request):
    """A 200 is evidence, byte for byte, and a placeholder such as EMPTY is no key."""

    async def handler(request):
        return web.Response(text=request.headers["authorization"], status=int(request.headers["x-status"]))

    for status in ("200", "500"):
        (answer,), _ = send(
            serving, a_context, a_request, handler=handler, source=Source("EMPTY"), headers={"x-status": status}
        )
        assert answer.body == b"Bearer EMPTY"


def test_a_quoted_request_is_masked_too(serving, a_context, a_request):
    """A gateway that repeats the address and the headers it was sent tells nothing either, however it spells them."""
    secret = 'sk/proj+01"23456789abcdef'

    async def handler(request):
        seen = {"url": str(request.url), "headers": dict(request.headers)}
        return web.Response(text=json.dumps(seen).replace("/", "\\/") + secret, status=400)

    async def run():
        async with serving(handler) as served:
            base_url = f"{served.base_url}?key=query-secret-0123456789"
            headers = {
                "x-portal": secret,
                "cookie": "id=0123456789-secret",
                "authorization": "Basic dXNlcjpzZWNyZXQ9PQ",
            }
            gateway = build(a_context(base_url, keys=(OLD,), headers=headers))
            reply = await gateway.send(a_request())
            await gateway.aclose()
            return reply.body.decode()

    body = asyncio.run(run())
    for part in ("query-secret", "sk/proj", "sk\\/proj", "0123456789-secret", "dXNlcjpz", OLD):
        assert part not in body
