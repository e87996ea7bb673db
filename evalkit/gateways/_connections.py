"""The connection pool: kept alive, bounded, and never handing one call's late bytes to the next."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiohttp

if TYPE_CHECKING:
    from ssl import SSLContext

    from aiohttp.client_reqrep import ConnectionKey
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

__all__ = ["open_session"]

# Some gateways report whole traces in one header; aiohttp's default of 8 kB makes such an answer an error.
_MAX_HEADER_BYTES = 2**16
# aiohttp's own default, written down: long enough to be reused, short enough to end before most servers hang up.
_KEEP_ALIVE_S = 15.0


def open_session(*, ssl_context: SSLContext, n_connections: int) -> aiohttp.ClientSession:
    """Return a session that opens at most `n_connections` and keeps no cookie; call it on the running loop."""
    connector = _Connector(limit=n_connections, ssl=ssl_context, keepalive_timeout=_KEEP_ALIVE_S)
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        max_line_size=_MAX_HEADER_BYTES,
        max_field_size=_MAX_HEADER_BYTES,
    )


class _Connector(aiohttp.TCPConnector):
    """Gives out only idle connections on which nothing has arrived since they were given back.

    aiohttp looks for surplus bytes when a connection is returned, not when it is taken again (3.14): a server that
    sends more than it promised a moment later would answer the next call, another case, with them.
    """

    async def _get(self, key: ConnectionKey, traces: list[Trace]) -> Connection | None:
        while (connection := await super()._get(key, traces)) is not None:
            protocol = connection.protocol
            if protocol is not None and not protocol.should_close:
                return connection
            connection.close()
        return None
