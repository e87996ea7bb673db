"""`--public-key ID=KEY`: whose signature an eligibility file must carry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["keys_from_pairs", "public_key_option"]

_KEY_BYTES = 32


def public_key_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--public-key`; give what it collects to `keys_from_pairs`."""
    return click.option(
        "--public-key",
        "keys",
        multiple=True,
        metavar="ID=KEY",
        help="Base64 Ed25519 public key by key id; with any, an unsigned file is refused.",
    )(function)


def keys_from_pairs(pairs: tuple[str, ...]) -> dict[str, str]:
    """Return key id to base64 public key.

    Raises:
        click.BadParameter: for a pair that holds no such key.
    """
    found = {}
    for pair in pairs:
        key_id, _, key = pair.partition("=")
        if not key_id or not _is_public_key(key):
            raise click.BadParameter(
                f"{key_id!r}: write ID=KEY, where KEY is the 32 bytes of base64 that `evalkit keygen` prints",
                param_hint="--public-key",
            )
        found[key_id] = key
    return found


def _is_public_key(text: str) -> bool:
    import base64

    try:
        return len(base64.b64decode(text, validate=True)) == _KEY_BYTES
    except ValueError:
        return False
