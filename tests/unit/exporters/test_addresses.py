"""Addresses: a provider's api_base in parts, or a refusal that names it."""

from __future__ import annotations

import pytest

from evalkit.errors import InputError
from evalkit.exporters.addresses import Address, address_of
from evalkit.exporters.routing import routing_from_document
from evalkit.testing.eligibility import an_eligibility


def address(api_base):
    """The address of a model whose provider is there."""
    document = an_eligibility({"qa": ["m"]}, providers={"openai": {"api_base": api_base}}).document()
    return address_of(routing_from_document(document).hops[0])


@pytest.mark.parametrize(
    ("api_base", "parts", "origin"),
    [
        ("https://API.example.com/v1/", (True, "api.example.com", 443, "/v1"), "https://api.example.com"),
        ("http://localhost:8000/v1", (False, "localhost", 8000, "/v1"), "http://localhost:8000"),
        ("https://a.example:8443", (True, "a.example", 8443, ""), "https://a.example:8443"),
        ("http://[::1]:80/v1", (False, "::1", 80, "/v1"), "http://[::1]"),
        ("http://10.0.0.7/openai/v1", (False, "10.0.0.7", 80, "/openai/v1"), "http://10.0.0.7"),
    ],
)
def test_an_address_in_parts(api_base, parts, origin):
    """Small letters, the scheme's own port where none is given, no slash at the end."""
    is_tls, hostname, port, path = parts
    found = address(api_base)
    assert found == Address(is_tls=is_tls, hostname=hostname, port=port, path=path)
    assert found.origin == origin
    assert found.is_ip == (hostname in {"::1", "10.0.0.7"})


def test_no_address_is_left_to_the_gateway():
    """The policy need not give one."""
    assert address(None) is None


@pytest.mark.parametrize(
    "api_base",
    [
        "https://a b.example/v1".replace(" ", "_"),
        "https:///v1",
        "https://a.example/v1?key=1",
        "https://a.example/v1#x",
        "https://a.example:0x50/v1",
        "https://a.example:70000/v1",
        "https://-a.example/v1",
        "http://[::1/v1",
    ],
)
def test_what_is_no_plain_address_is_refused(api_base):
    """It is named, with the provider and an example."""
    with pytest.raises(InputError, match="no plain address") as caught:
        address(api_base)
    assert repr(api_base) in caught.value.problem
    assert "'openai'" in caught.value.problem
