"""Where a notification may go; what is wrong is said without the address."""

from __future__ import annotations

import pytest

from evalkit.api.serving import is_loopback
from evalkit.errors import InputError, Place
from evalkit.gateways.webhook import webhook_url


def url_of(text):
    """Return the address."""
    return webhook_url(text, is_loopback=is_loopback, place=Place(pointer="/x"))


@pytest.mark.parametrize(
    "text",
    ["https://hooks.example.com/T0/B0", " https://h.example/x#part ", "http://127.0.0.1:8/x", "http://localhost/x"],
)
def test_tls_or_this_machine(text):
    """Taken, without a fragment."""
    assert "#" not in str(url_of(text))


@pytest.mark.parametrize(
    "text",
    ["http://hooks.example.com/hidden", "http://10.0.0.1/hidden", "https://a:hidden@h.example/x", "ftp://h.example/hidden",
     "hidden", "https:///hidden", "https://h.example:99999999/hidden", "http://[::2]/hidden"],
)  # fmt: skip
def test_anything_else_is_refused_and_not_shown(text):
    """Plain HTTP beyond this machine, passwords, other schemes, no URL."""
    with pytest.raises(InputError) as caught:
        url_of(text)
    assert "hidden" not in str(caught.value)
