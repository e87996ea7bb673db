"""Response bodies in bounded memory: what a server sends is hostile, and a small gzip can unpack to anything."""

from __future__ import annotations

import zlib

__all__ = ["MAX_BODY_BYTES", "BodyBuffer", "BodyCutError", "BodyRefusedError"]

MAX_BODY_BYTES = 32 * 2**20
"""Largest body that is read, counted after decompression."""

_GZIP = 16 + zlib.MAX_WBITS


class BodyRefusedError(Exception):
    """The body cannot be taken: too large, or in an encoding that was not asked for or is broken."""


class BodyCutError(Exception):
    """The compressed body ended before its own end mark."""


class BodyBuffer:
    """Collects the chunks of one body and unpacks them as they come.

    Args:
        encoding: value of `content-encoding`; `""`, `identity`, `gzip` and `x-gzip` are understood.
        max_bytes: most that is kept, after decompression.

    Raises:
        BodyRefusedError: when the encoding is another one.
    """

    __slots__ = ("_chunks", "_inflater", "_max_bytes", "_n_bytes")

    def __init__(self, encoding: str, *, max_bytes: int = MAX_BODY_BYTES) -> None:
        self._chunks: list[bytes] = []
        self._n_bytes = 0
        self._max_bytes = max_bytes
        self._inflater = zlib.decompressobj(_GZIP) if encoding in {"gzip", "x-gzip"} else None
        if self._inflater is None and encoding not in {"", "identity"}:
            raise BodyRefusedError("body in a content encoding that was not asked for")

    def feed(self, chunk: bytes) -> bytes:
        """Take the next chunk as it came from the wire; return what it holds, unpacked.

        Raises:
            BodyRefusedError: when the body grows past the limit or is not gzip after all.
        """
        if self._inflater is None:
            self._keep(chunk)
            return chunk
        n_before = len(self._chunks)
        try:
            self._inflate(chunk)
            return b"".join(self._chunks[n_before:])
        except zlib.error as error:
            raise BodyRefusedError("body is not the gzip it says it is") from error

    def finish(self) -> bytes:
        """Return the whole body.

        Raises:
            BodyCutError: when a gzip stream has begun and not ended.
        """
        # An empty body carries no gzip at all, whatever its header says: a bare 401 is no cut answer.
        if self._inflater is not None and not self._inflater.eof and self._chunks:
            raise BodyCutError
        return b"".join(self._chunks)

    def _inflate(self, data: bytes) -> None:
        inflater = self._inflater
        while data and inflater is not None:
            if inflater.eof:
                # A gzip file may have several members, one behind the other.
                self._inflater = inflater = zlib.decompressobj(_GZIP)
            # One byte more than may be kept is enough to know: that is all a bomb ever unpacks to.
            self._keep(inflater.decompress(data, self._max_bytes - self._n_bytes + 1))
            data = inflater.unconsumed_tail or inflater.unused_data

    def _keep(self, chunk: bytes) -> None:
        self._n_bytes += len(chunk)
        if self._n_bytes > self._max_bytes:
            self._chunks.clear()
            raise BodyRefusedError("body too large")
        self._chunks.append(chunk)
