"""The simulator's gateway: the same wire, its own latency, and always labelled."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from evalkit.errors import InputError
from evalkit.gateways.simulator import build


def ask(serving, exchanging, request, *, latency=None):
    """Return the reply, and the headers the server saw."""

    async def handler(_request):
        return web.json_response({}, headers={} if latency is None else {"X-Simulated-Latency-S": latency})

    async def run():
        async with serving(handler) as served:
            reply = await exchanging(build, served.base_url, kind="simulator", request=request)
            return reply, served.requests[0].headers

    return asyncio.run(run())


def test_the_reported_latency_replaces_the_measured_one(serving, exchanging, a_request):
    """Verdicts on latency then depend on the seed alone."""
    reply, _ = ask(serving, exchanging, a_request(), latency="1234.5")
    assert reply.latency_s == 1234.5


@pytest.mark.parametrize("latency", [None, "", "soon", "nan", "inf", "-1"])
def test_a_latency_that_makes_no_sense_is_measured_instead(serving, exchanging, a_request, latency):
    """Without a usable header the wall time holds."""
    reply, _ = ask(serving, exchanging, a_request(), latency=latency)
    assert 0 < reply.latency_s < 5


def test_the_coordinates_of_the_call_are_sent(serving, exchanging, a_request):
    """The simulator draws its answer from trial and attempt."""
    _, headers = ask(serving, exchanging, a_request(trial=3, attempt=2))
    assert (headers["x-evalkit-trial"], headers["x-evalkit-attempt"]) == ("3", "2")


def test_the_profile_says_simulated(a_context):
    """Nothing measured on it can be mistaken for evidence."""
    profile = build(a_context("http://127.0.0.1:9/v1", kind="simulator")).profile
    assert (profile.kind, profile.is_simulated, profile.accepts_evalkit_headers) == ("simulator", True, True)


def test_without_an_address_it_is_refused(a_context):
    """The embedded server has to run before its gateway is built."""
    with pytest.raises(InputError, match="'simulator' has no base_url"):
        build(a_context(None, kind="simulator"))
