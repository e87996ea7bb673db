"""Failures without a server to cause them on demand: each still gets its kind and its phrase."""

from __future__ import annotations

import errno

import aiohttp
import httpx
import pytest

from evalkit.domain.outcome import Kind
from evalkit.gateways._faults import OUTSIDE_FAILURES, fault_kind_and_detail


def wrapped(cause):
    """Return what the transport raises for a failure of aiohttp: a timeout, whatever the failure was."""
    error = httpx.ConnectTimeout("hostile\ntext")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "kind", "detail"),
    [
        (TimeoutError(), Kind.TIMEOUT, "no whole answer in time"),
        (wrapped(aiohttp.ServerDisconnectedError()), Kind.CONNECTION, "connection closed before an answer"),
        (wrapped(aiohttp.ClientOSError(errno.ECONNRESET, "x")), Kind.CONNECTION, "connection reset"),
        (wrapped(aiohttp.ClientOSError(errno.EPIPE, "x")), Kind.CONNECTION, "connection reset"),
        (OSError(errno.EHOSTUNREACH, "x"), Kind.CONNECTION, "connection failed: no route to host"),
        (wrapped(aiohttp.ClientConnectionResetError("Cannot write")), Kind.CONNECTION, "connection failed"),
        (aiohttp.ClientError("hostile\ntext"), Kind.CONNECTION, "connection failed"),
        (httpx.ReadError("hostile\ntext"), Kind.CONNECTION, "connection failed"),
    ],
)
def test_a_failure_has_a_kind_and_a_phrase_of_ours(error, kind, detail):
    """No text of an exception gets through: it may quote what a server sent, or what was sent to it."""
    assert isinstance(error, OUTSIDE_FAILURES)
    assert fault_kind_and_detail(error, is_event_stream=False) == (kind, detail)


@pytest.mark.parametrize("error", [aiohttp.ClientPayloadError(), wrapped(aiohttp.ServerDisconnectedError())])
def test_a_stream_that_began_is_cut(error):
    """However a stream breaks off, it is one kind."""
    assert fault_kind_and_detail(error, is_event_stream=True)[0] is Kind.STREAM_CUT


def test_a_stream_that_stalls_is_a_timeout():
    """Too slow is not cut off."""
    assert fault_kind_and_detail(TimeoutError(), is_event_stream=True)[0] is Kind.TIMEOUT
