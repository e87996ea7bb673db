"""What reaches the server before it is a request: half of one, none, and one no parser takes."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from evalkit.api.serving import ServeOptions, serving
from evalkit.clock import SystemClock
from evalkit.testing.eligibility import an_eligibility

LIMIT_S = 20
IDLE_LIMIT_S = 0.4


@pytest.fixture
def options(tmp_path):
    """A file in which model `a` may serve `qa`, and little patience."""
    made = an_eligibility({"qa": ["a"]}, now=SystemClock().now())
    path = tmp_path / "file.json"
    path.write_text(json.dumps(made.document()), encoding="utf-8")
    return ServeOptions(file=path, audience=made.audience, idle_limit_s=IDLE_LIMIT_S)


def said_to(options, *pieces, every_s=0.0):
    """Send the pieces over one connection; return all that comes back until the server closes it, and when."""

    async def talk():
        async with serving(options) as base_url:
            reader, writer = await asyncio.open_connection("127.0.0.1", int(base_url.rpartition(":")[2]))
            for piece in pieces:
                writer.write(piece)
                await asyncio.sleep(every_s)
            said = await reader.read()
            writer.close()
            return said

    started = time.monotonic()
    said = asyncio.run(asyncio.wait_for(talk(), LIMIT_S))
    return said, time.monotonic() - started


@pytest.mark.parametrize(
    "pieces", [[], [b"GET /healthz HTTP/1.1\r\n"], [b"GET /he", b"althz", b" HTTP/1.1\r\nhost: x\r\n"]]
)
def test_who_does_not_finish_is_left(options, pieces):
    """A connection without a whole head ends after the limit: many of them would take every one there is."""
    said, after_s = said_to(options, *pieces, every_s=0.1)

    assert said == b""
    assert after_s >= IDLE_LIMIT_S


@pytest.mark.parametrize(
    ("target", "status"),
    [
        (b"/v1/decide?task=qa&model=a", b"200"),
        (b"/v1/decide?task=qa&model=a#1", b"403"),
        (b"/v1/decide?task=qa&model=a#", b"403"),
        (b"/v1/tasks/qa#x/candidates", b"403"),
        (b"http://elsewhere/v1/decide?task=qa&model=a", b"404"),
        (b"//v1/decide?task=qa&model=a", b"404"),
    ],
)
def test_a_target_is_taken_as_written(options, target, status):
    """A proxy that pastes a caller's model into it must not get a yes for less than it pasted."""
    said, _ = said_to(options, b"GET %s HTTP/1.1\r\nhost: x\r\n\r\n" % target)

    assert said.split(b" ")[1] == status


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /%s HTTP/1.1\r\nhost: x\r\n\r\n" % (b"a" * 9000),
        b"GET / HTTP/1.1\r\nhost: x\r\n%s\r\n" % b"".join(b"x-%d: y\r\n" % number for number in range(500)),
        b"NONSENSE / HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
    ids=["long", "many headers", "no method", "two lengths"],
)
def test_what_no_parser_takes_is_told_the_client_alone(options, request_bytes, caplog, capfd):
    """An operator's log is not to be filled from outside."""
    said, _ = said_to(options, request_bytes)

    assert said.split(b" ")[1] == b"400"
    assert caplog.records == []
    assert "Traceback" not in capfd.readouterr().err
