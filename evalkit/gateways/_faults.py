"""What went wrong on the way, as one of three kinds and a short phrase.

Phrases are our own, with at most the operating system's word for an error number or OpenSSL's for a certificate:
text of the server never gets in, and nothing of the request does, so a key cannot.
"""

from __future__ import annotations

import errno
import os

import aiohttp
import httpx

from evalkit.domain.outcome import Kind
from evalkit.gateways._body import BodyCutError, BodyRefusedError

__all__ = ["OUTSIDE_FAILURES", "fault_kind_and_detail"]

OUTSIDE_FAILURES = (httpx.HTTPError, aiohttp.ClientError, OSError, BodyCutError, BodyRefusedError)
"""Every way the outside world fails; `TimeoutError` is an OSError. Anything else is a bug and crashes."""

_FAILURE_PHRASES: tuple[tuple[type[Exception], str], ...] = (
    (aiohttp.ClientConnectorDNSError, "host name not resolved"),
    (aiohttp.ClientSSLError, "TLS handshake failed"),
    (aiohttp.ServerDisconnectedError, "connection closed before an answer"),
    (aiohttp.ClientResponseError, "answer is not HTTP"),
)
_ERRNO_PHRASES = {
    errno.ECONNREFUSED: "connection refused",
    errno.ECONNRESET: "connection reset",
    errno.EPIPE: "connection reset",
}


def fault_kind_and_detail(error: Exception, *, is_event_stream: bool) -> tuple[Kind, str]:
    """Return the kind and a one-line phrase for an exception among `OUTSIDE_FAILURES`.

    Args:
        error: as raised by the transport, or by reading the body.
        is_event_stream: whether a 200 with an event stream had begun: a cut is then `stream_cut`.
    """
    # httpx-aiohttp maps every broken connection to ConnectTimeout; only aiohttp's own exception tells them apart.
    cause = error.__cause__ if isinstance(error, httpx.HTTPError) and error.__cause__ else error
    if isinstance(cause, TimeoutError):
        return Kind.TIMEOUT, _timeout_phrase(cause)
    if isinstance(cause, BodyRefusedError):
        return Kind.CONNECTION, str(cause)
    kind = Kind.STREAM_CUT if is_event_stream else Kind.CONNECTION
    if isinstance(cause, (BodyCutError, aiohttp.ClientPayloadError)):
        return kind, "body cut short"
    return kind, _connection_phrase(cause)


def _timeout_phrase(error: TimeoutError) -> str:
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return "no connection in time"
    if isinstance(error, aiohttp.SocketTimeoutError):
        return "connection fell silent"
    return "no whole answer in time"


def _connection_phrase(error: BaseException) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        reason = getattr(error.certificate_error, "verify_message", "") or "not trusted"
        return f"TLS certificate refused: {reason}"
    for failure, phrase in _FAILURE_PHRASES:
        if isinstance(error, failure):
            return phrase
    return _os_phrase(error) if isinstance(error, OSError) else "connection failed"


def _os_phrase(error: OSError) -> str:
    if error.errno is None or error.errno <= 0:
        return "connection failed"
    return _ERRNO_PHRASES.get(error.errno) or f"connection failed: {os.strerror(error.errno).lower()}"
