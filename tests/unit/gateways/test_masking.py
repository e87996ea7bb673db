"""Secrets are taken out in every spelling, and nothing else is touched."""

from __future__ import annotations

import json
from urllib.parse import quote

import httpx
import pytest

from evalkit.gateways._masking import Masker, secrets_of_request

KEY = 'sk/pro"j+é-0123456789'


@pytest.mark.parametrize(
    "quoted", [KEY, json.dumps(KEY), json.dumps(KEY, ensure_ascii=False).replace("/", "\\/"), quote(KEY, safe="")]
)
def test_every_spelling_is_masked(quoted):
    """As it is, inside JSON, with escaped slashes, and in a URL."""
    cleaned = Masker([KEY], least=16).clean(b"x " + quoted.encode() + b" y").decode()
    assert "0123456789" not in cleaned
    assert "[api key]" in cleaned


def test_the_longer_of_two_goes_first():
    """A key that begins like another leaves no rest behind."""
    masker = Masker(["sk-0123456789abcdef", "sk-0123456789abcdef-longer"], least=16)
    assert masker.clean(b"sk-0123456789abcdef-longer") == b"[api key]"


def test_short_ones_stay():
    """A placeholder's letters stand in honest messages."""
    assert Masker(["EMPTY"], least=16).clean(b"EMPTY") == b"EMPTY"


def test_a_repr_shows_none():
    """It can be logged."""
    assert KEY not in repr(Masker([KEY], least=16))


def test_what_of_a_request_is_secret():
    """Values of the query, and of headers that are not public by nature, with and without their scheme."""
    url = httpx.URL("http://h/v1?key=a&b=c")
    headers = {"Authorization": "Basic zzz", "Referer": "https://me.example"}
    assert set(secrets_of_request(url, headers)) == {"a", "c", "Basic zzz", "zzz"}
