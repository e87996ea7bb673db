"""Bodies in bounded memory: any split of any gzip unpacks to the same bytes, and the cap is exact."""

from __future__ import annotations

import contextlib
import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.gateways._body import BodyBuffer, BodyCutError, BodyRefusedError


def read(data: bytes, *, encoding="gzip", size=1 << 16, max_bytes=1 << 20) -> bytes:
    """Return what a buffer makes of data that comes in chunks of `size` bytes."""
    buffer = BodyBuffer(encoding, max_bytes=max_bytes)
    for at in range(0, len(data), size):
        buffer.feed(data[at : at + size])
    return buffer.finish()


@given(members=st.lists(st.binary(max_size=300), min_size=1, max_size=3), size=st.integers(1, 64))
def test_any_split_of_any_gzip_unpacks_to_the_same(members, size):
    """Neither chunk boundaries nor several members change what comes out."""
    assert read(b"".join(map(gzip.compress, members)), size=size) == b"".join(members)


@given(data=st.binary(min_size=1, max_size=300), cut=st.integers(1, 300))
def test_a_gzip_without_its_end_is_cut(data, cut):
    """A compressed body that stops early is never taken for a whole one."""
    packed = gzip.compress(data)
    with pytest.raises(BodyCutError):
        read(packed[: max(1, len(packed) - cut)])


@given(data=st.binary(max_size=300), at=st.integers(0, 400), flip=st.integers(1, 255))
def test_a_damaged_gzip_never_gives_other_bytes(data, at, flip):
    """One wrong byte anywhere is refused or cut, or changes nothing that matters; nothing else is raised."""
    packed = bytearray(gzip.compress(data))
    packed[at % len(packed)] ^= flip
    with contextlib.suppress(BodyRefusedError, BodyCutError):
        assert read(bytes(packed)) == data


@pytest.mark.parametrize("encoding", ["", "identity", "gzip", "x-gzip"])
def test_the_cap_is_exact(encoding):
    """A body of just the cap is read, one byte more is refused, packed or not."""
    is_packed = encoding.endswith("gzip")
    just, over = bytes(1000), bytes(1001)
    assert read(gzip.compress(just) if is_packed else just, encoding=encoding, max_bytes=1000) == just
    with pytest.raises(BodyRefusedError, match="too large"):
        read(gzip.compress(over) if is_packed else over, encoding=encoding, max_bytes=1000)


def test_an_empty_body_may_call_itself_gzip():
    """A 401 without a body is whole, whatever its headers say."""
    assert read(b"") == b""


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip", "zstd"])
def test_an_encoding_that_was_not_asked_for_is_refused(encoding):
    """What cannot be unpacked is not an answer."""
    with pytest.raises(BodyRefusedError, match="not asked for"):
        BodyBuffer(encoding)
