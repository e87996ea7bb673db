"""Data as scripts: a page on a disk may load a script beside it, but may fetch nothing.

A shard is one call with two strings, the second deflated JSON in base64: its alphabet holds no quote, no tag and no
line separator, so that whatever a model wrote cannot end the string, the script or the page.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["FOLDER", "CasePacker", "shard_file"]

FOLDER = "shards"
"""Where shards lie, beside the page that loads them."""

_LEVEL = 6
_TARGET_CHARS = 1_000_000
# Must be what the page allows: see `shardUrl` in app/data.js.
_NAME = re.compile(r"[A-Za-z0-9._-]{1,120}")


def shard_file(name: str, value: Any) -> tuple[str, bytes]:
    """Return (path, content) of the shard `name`.

    Raises:
        ValueError: for a name that is no plain file name, or a value JSON cannot hold.
    """
    return _file(name, _text(value))


class CasePacker:
    """Fills shards with cases in the order given, a megabyte of JSON each: what one look at a case has to load."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._texts: list[str] = []
        self._n_chars = 0
        self._n_cases = 0
        self.starts: list[int] = []
        """Number of the first case of each shard written."""

    def add(self, case: Any) -> Iterator[tuple[str, bytes]]:
        """Take a case; yield a shard when one is full."""
        if not self._texts:
            self.starts.append(self._n_cases)
        text = _text(case)
        self._texts.append(text)
        self._n_cases += 1
        self._n_chars += len(text)
        if self._n_chars >= _TARGET_CHARS:
            yield self._shard()

    def finish(self) -> Iterator[tuple[str, bytes]]:
        """Yield what is left."""
        if self._texts:
            yield self._shard()

    def _shard(self) -> tuple[str, bytes]:
        text = f"[{','.join(self._texts)}]"
        self._texts, self._n_chars = [], 0
        return _file(f"{self._prefix}-{len(self.starts) - 1}", text)


def _text(value: Any) -> str:
    # ASCII: half a surrogate pair, which a model can write and UTF-8 cannot, survives as an escape.
    return json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def _file(name: str, text: str) -> tuple[str, bytes]:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a shard")
    stream = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = stream.compress(text.encode("ascii")) + stream.flush()
    content = b'evalkitShard("%b","%b")\n' % (name.encode("ascii"), base64.b64encode(packed))
    return f"{FOLDER}/{name}.js", content
