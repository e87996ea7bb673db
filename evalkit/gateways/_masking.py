"""Takes keys out of what a gateway sent back: some quote the request they refuse, and what comes back is stored.

A model never sees the key of the request that carried its prompt. Where the key stands in an answer, a gateway put it
there, whatever the status says; so every body is cleaned, and one that quotes no key stays as it is, byte for byte.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import httpx

__all__ = ["Masker", "secrets_of_request"]

_MASK = "[api key]"

_NO_SECRETS = frozenset({"accept", "accept-language", "http-referer", "origin", "referer", "user-agent", "x-title"})
"""Headers whose values people know, so that an honest answer may hold them."""


class Masker:
    """Replaces secrets, in each spelling in which a gateway may quote them.

    Args:
        secrets: keys, and whatever else is nobody's business.
        least: a shorter one is left alone: placeholders such as "EMPTY" stand in honest messages too.
    """

    def __init__(self, secrets: Iterable[str], *, least: int) -> None:
        forms = {form for secret in secrets if len(secret) >= least for form in _spellings(secret)}
        # The longest first: one may be the beginning of another.
        self._forms = tuple(form.encode() for form in sorted(forms, key=lambda form: (-len(form), form)))

    def __repr__(self) -> str:
        """Return how much is masked, never what."""
        return f"Masker(n_forms={len(self._forms)})"

    def clean(self, data: bytes) -> bytes:
        """Return the bytes without the secrets."""
        for form in self._forms:
            if form in data:
                data = data.replace(form, _MASK.encode())
        return data

    def clean_headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Return the headers with their values cleaned."""
        return {name: self.clean(value.encode()).decode() for name, value in headers.items()}


def secrets_of_request(url: httpx.URL, headers: Mapping[str, str]) -> Iterator[str]:
    """Yield what may be secret in an address and in a user's own headers: any value, as names tell too little."""
    yield from (value for _, value in url.params.multi_items())
    for name, value in headers.items():
        if name.lower() not in _NO_SECRETS:
            yield value
            # `Bearer …`, `Basic …`: the second word alone is quoted more often than both.
            yield value.rpartition(" ")[2]


def _spellings(secret: str) -> Iterator[str]:
    yield secret
    for escaped in (json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]):
        yield escaped
        yield escaped.replace("/", "\\/")
    yield quote(secret, safe="")
    yield quote_plus(secret)
