"""Compression with a dictionary, and dictionaries in the store."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.store.packing import Packer, train_dictionary, unpack


@given(st.lists(st.binary(max_size=5000), max_size=8), st.binary(max_size=5000))
def test_unpacking_gives_what_was_packed(samples, payload):
    """With any dictionary, none included."""
    dictionary = train_dictionary(samples)
    assert unpack(Packer(dictionary).pack(payload), dictionary) == payload


@given(st.lists(st.binary(min_size=1, max_size=40_000), min_size=1, max_size=6))
def test_dictionary_fits_the_window(samples):
    """A dictionary is at most 12 kB, however large and many the samples are."""
    assert 0 < len(train_dictionary(samples)) <= 12 * 1024


def test_packer_forgets_what_it_packed():
    """A packed payload needs no neighbour to be read."""
    packer = Packer(b"envelope")
    assert packer.pack(b"one") == packer.pack(b"one")


def test_cut_payload_is_an_error():
    """Half a payload is never taken for a whole one."""
    packed = Packer(b"").pack(b"a long enough answer " * 10)
    with pytest.raises(zlib.error, match="ends early"):
        unpack(packed[:-4], b"")
