"""Everything a server can do wrong comes back as a fault with the right kind, and the connection is gone."""

from __future__ import annotations

import asyncio
import datetime as dt
import gzip
import ipaddress
import ssl
import tracemalloc

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from evalkit.domain.outcome import Kind
from evalkit.gateways.openai import build
from evalkit.plugins import Fault, Reply

KEY = "sk-0123456789abcdef0123456789"
GZIP_HEAD = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n"


def answer_of(body: bytes, *, head: bytes = b"HTTP/1.1 200 OK\r\n", length: int | None = None) -> bytes:
    """Return a raw response, under a wrong length if one is given."""
    return head + b"Content-Length: %d\r\n\r\n" % (len(body) if length is None else length) + body


@pytest.fixture(scope="module")
def self_signed(tmp_path_factory):
    """Return a server-side TLS context for 127.0.0.1 that nobody has reason to trust."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    start = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(days=36_500))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
    )
    pem = tmp_path_factory.mktemp("tls") / "server.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem.write_bytes(secret + builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pem)
    return context


def fault_for(serving_bytes, exchanging, data, **server):
    """Return what comes back when a server answers with these bytes."""

    async def run():
        async with serving_bytes(data, **server) as served:
            return await exchanging(build, served.base_url, keys=(KEY,))

    return asyncio.run(run())


def test_a_slow_answer_is_a_timeout_and_its_connection_is_closed(serving, a_context, a_request):
    """The total bounds a call from first byte sent to last byte read, and nothing of it stays open."""

    async def handler(_request):
        await asyncio.sleep(30)

    async def run():
        async with serving(handler) as served:
            gateway = build(a_context(served.base_url))
            fault = await gateway.send(a_request(timeout_s=0.1))
            await served.wait_until_idle()
            await gateway.aclose()
            return fault

    fault = asyncio.run(run())
    assert (fault.kind, fault.detail) == (Kind.TIMEOUT, "no whole answer in time")
    assert 0.1 <= fault.latency_s < 1


def test_a_body_that_trickles_is_a_timeout(serving, exchanging, a_request):
    """Bytes that keep coming do not stretch the total."""

    async def handler(request):
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.01)

    async def run():
        async with serving(handler) as served:
            return await exchanging(build, served.base_url, request=a_request(timeout_s=0.2))

    fault = asyncio.run(run())
    assert fault.kind is Kind.TIMEOUT
    assert fault.latency_s < 1


def test_silence_is_bounded_by_the_configured_limit(serving, exchanging, a_request):
    """A call with a long total still ends when nothing comes for `limits.call_timeout_s`."""

    async def handler(_request):
        await asyncio.sleep(30)

    async def run():
        async with serving(handler) as served:
            request = a_request(timeout_s=20)
            return await exchanging(build, served.base_url, request=request, limits={"call_timeout_s": 0.1})

    fault = asyncio.run(run())
    assert (fault.kind, fault.detail) == (Kind.TIMEOUT, "connection fell silent")
    assert fault.latency_s < 2


def test_a_connection_that_is_not_accepted_in_time_is_a_timeout(exchanging, full_backlog_url):
    """`limits.connect_timeout_s` bounds connecting alone."""
    fault = asyncio.run(exchanging(build, full_backlog_url, limits={"connect_timeout_s": 0.1}))
    assert (fault.kind, fault.detail) == (Kind.TIMEOUT, "no connection in time")
    assert fault.latency_s < 2


def test_a_connection_closed_before_the_answer_is_a_connection_fault(serving_bytes, exchanging):
    """A server that hangs up says nothing about a model; the transport would call it a timeout."""
    fault = fault_for(serving_bytes, exchanging, b"")
    assert (fault.kind, fault.detail) == (Kind.CONNECTION, "connection closed before an answer")


def test_a_reset_in_the_body_is_a_connection_fault(serving_bytes, exchanging):
    """Half a body is no body."""
    fault = fault_for(serving_bytes, exchanging, answer_of(b'{"a":', length=500), is_reset=True)
    assert isinstance(fault, Fault)
    assert fault.kind is Kind.CONNECTION
    assert fault.detail in {"body cut short", "connection reset"}


def test_a_content_length_beyond_the_body_is_a_cut(serving_bytes, exchanging):
    """What was promised and did not come is missing, even when what came parses."""
    fault = fault_for(serving_bytes, exchanging, answer_of(b"{}", length=3))
    assert (fault.kind, fault.detail) == (Kind.CONNECTION, "body cut short")


@pytest.mark.parametrize("is_late", [False, True])
def test_bytes_beyond_the_content_length_never_answer_the_next_call(serving_bytes, a_context, a_request, is_late):
    """What a server sends too much, at once or a moment later, is not taken for another case's answer."""
    surplus = answer_of(b'"surplus"')
    data, late = (answer_of(b"{}"), surplus) if is_late else (answer_of(b"{}") + surplus, b"")

    async def run():
        async with serving_bytes(data, is_closed=False, late=late) as served:
            gateway = build(a_context(served.base_url))
            answers = []
            for _ in range(3):
                answers.append(await gateway.send(a_request()))
                await asyncio.sleep(0.05)
            await gateway.aclose()
            return answers

    assert [answer.body for answer in asyncio.run(run())] == [b"{}"] * 3


@pytest.mark.parametrize(
    ("status", "content_type", "kind"),
    [
        (200, "text/event-stream", Kind.STREAM_CUT),
        (200, "Text/Event-Stream; charset=utf-8", Kind.STREAM_CUT),
        (200, "application/json", Kind.CONNECTION),
        (500, "text/event-stream", Kind.CONNECTION),
    ],
)
def test_a_cut_is_a_stream_cut_only_in_a_stream_that_began(serving_bytes, exchanging, status, content_type, kind):
    """Only a model that had begun to answer can be cut off."""
    head = f"HTTP/1.1 {status} X\r\nContent-Type: {content_type}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    fault = fault_for(serving_bytes, exchanging, head + b"9\r\ndata: {}\n\r\n")
    assert (fault.kind, fault.detail) == (kind, "body cut short")


def test_a_gzip_bomb_is_refused_in_bounded_memory(serving, exchanging):
    """A small body that unpacks to 200 MB ends at the cap, without being unpacked."""
    bomb = gzip.compress(bytes(200 * 2**20))

    async def handler(_request):
        return web.Response(body=bomb, headers={"content-encoding": "gzip"})

    async def run():
        async with serving(handler) as served:
            tracemalloc.start()
            try:
                return await exchanging(build, served.base_url), tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()

    fault, peak_bytes = asyncio.run(run())
    assert (fault.kind, fault.detail) == (Kind.CONNECTION, "body too large")
    assert peak_bytes < 64 * 2**20


def test_a_large_plain_body_is_refused_and_its_connection_closed(serving, a_context, a_request):
    """The cap holds for bodies that are as large as they look, and nobody reads the rest."""

    async def handler(request):
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(40):
            await response.write(bytes(2**20))
        return response

    async def run():
        async with serving(handler) as served:
            gateway = build(a_context(served.base_url))
            fault = await gateway.send(a_request())
            await served.wait_until_idle()
            await gateway.aclose()
            return fault

    fault = asyncio.run(run())
    assert (fault.kind, fault.detail) == (Kind.CONNECTION, "body too large")


@pytest.mark.parametrize(
    ("data", "detail"),
    [
        (answer_of(b"not gzip", head=GZIP_HEAD), "body is not the gzip it says it is"),
        (answer_of(gzip.compress(b"{}" * 900, mtime=0)[:-9], head=GZIP_HEAD), "body cut short"),
        (
            answer_of(b"x", head=b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\n"),
            "body in a content encoding that was not asked for",
        ),
    ],
)
def test_a_body_that_cannot_be_unpacked_is_a_fault(serving_bytes, exchanging, data, detail):
    """Compressed bytes are never handed on as if they were an answer."""
    fault = fault_for(serving_bytes, exchanging, data)
    assert (fault.kind, fault.detail) == (Kind.CONNECTION, detail)


GARBAGE = [
    b"\x00\xff\xfe" * 50,
    b"SSH-2.0-OpenSSH_9.6\r\n",
    b"HTTP/9.9 abc\r\n\r\n",
    b"HTTP/1.1 20000 OK\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: minus\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}x",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n{}\r\n",
    b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nSet-Cookie: a=\x01b; Path\r\nContent-Length: 2\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\nContent-Type: \xff/\xfe; charset=nope\r\nContent-Length: 2\r\n\r\n{}",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    b"HTTP/1.1 302 Found\r\nLocation: http://[broken\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip, gzip\r\nContent-Length: 2\r\n\r\n{}",
    b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello",
]


@pytest.mark.parametrize("data", GARBAGE, ids=range(len(GARBAGE)))
def test_garbage_never_raises(serving_bytes, exchanging, data):
    """Whatever bytes a server sends, something is returned, and its detail is one short line without the key."""
    answer = fault_for(serving_bytes, exchanging, data)
    assert isinstance(answer, (Reply, Fault))
    if isinstance(answer, Fault):
        assert answer.kind in {Kind.CONNECTION, Kind.TIMEOUT}
        assert "\n" not in answer.detail
        assert 0 < len(answer.detail) < 100
        assert KEY not in answer.detail


def test_a_name_that_does_not_resolve_is_a_connection_fault(exchanging):
    """DNS failing is the network's fault, not the model's."""
    fault = asyncio.run(exchanging(build, "http://no-such-host.invalid/v1"))
    assert (fault.kind, fault.detail) == (Kind.CONNECTION, "host name not resolved")


def test_a_certificate_nobody_vouches_for_is_refused(serving, exchanging, self_signed):
    """TLS is verified unless the configuration says otherwise, and the fault says why."""

    async def run():
        async with serving(tls=self_signed) as served:
            return await exchanging(build, served.base_url)

    fault = asyncio.run(run())
    assert fault.kind is Kind.CONNECTION
    assert fault.detail.startswith("TLS certificate refused: ")


def test_verification_can_be_switched_off(serving, exchanging, self_signed):
    """`verify_tls: false` talks to a gateway with a home-made certificate."""

    async def run():
        async with serving(tls=self_signed) as served:
            return await exchanging(build, served.base_url, verify_tls=False)

    assert asyncio.run(run()).status == 200


def test_https_to_a_plain_server_is_a_connection_fault(serving, exchanging):
    """A wrong scheme is told as a handshake that failed."""

    async def run():
        async with serving() as served:
            return await exchanging(build, served.base_url.replace("http:", "https:"))

    fault = asyncio.run(run())
    assert fault.kind is Kind.CONNECTION
    assert fault.detail == "TLS handshake failed"
