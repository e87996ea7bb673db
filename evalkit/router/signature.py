"""Ed25519 over the format name, a newline and the digest. `cryptography` is imported only when keys are configured."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evalkit.errors import InputError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["KeyPair", "check_signature", "generate_keys", "public_key_of", "sign_document"]

_HINT = "pip install 'gateway-evalkit[signing]'"


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A signing key as text: 32 raw bytes each, base64. The private half never shows in a repr."""

    private: str
    public: str

    def __repr__(self) -> str:
        """Show the public half only."""
        return f"KeyPair(public={self.public!r})"


def generate_keys() -> KeyPair:
    """Return a new key pair."""
    ed25519 = _ed25519()
    private = ed25519.Ed25519PrivateKey.generate()
    return KeyPair(_text(private.private_bytes_raw()), _text(private.public_key().public_bytes_raw()))


def public_key_of(private: str) -> str:
    """Return the public half of a base64 private key.

    Raises:
        InputError: when the text is no such key.
    """
    return _text(_private(private).public_key().public_bytes_raw())


def sign_document(document: Mapping[str, Any], *, private: str, key_id: str) -> dict[str, Any]:
    """Return the document with its signature added.

    Raises:
        InputError: when the private key is not 32 bytes of base64.
    """
    value = _text(_private(private).sign(_message(document)))
    return {**document, "signature": {"alg": "Ed25519", "key_id": key_id, "value": value}}


def check_signature(document: Mapping[str, Any], *, public_keys: Mapping[str, str]) -> None:
    """Check the signature against the configured keys.

    Raises:
        RefusedError: unsigned, unknown_key or bad_signature.
    """
    signature = document.get("signature")
    if not isinstance(signature, dict):
        raise RefusedError("unsigned", "keys are configured and the file carries no signature")
    key_id = signature.get("key_id")
    if signature.get("alg") != "Ed25519" or not isinstance(key_id, str) or key_id not in public_keys:
        raise RefusedError("unknown_key", f"signed by {key_id!r}; configured: {', '.join(sorted(public_keys))}")
    try:
        ed25519 = _ed25519()
    except InputError as error:
        raise RefusedError("bad_signature", f"the signature cannot be checked: {error}") from error
    try:
        public = ed25519.Ed25519PublicKey.from_public_bytes(_raw(public_keys[key_id]))
        public.verify(_raw(str(signature.get("value"))), _message(document))
    except Exception as error:
        # cryptography raises its own InvalidSignature and ValueError for malformed parts: all mean the same here.
        raise RefusedError("bad_signature", f"the signature by {key_id!r} does not fit the content") from error


def _message(document: Mapping[str, Any]) -> bytes:
    return f"{document['format']}\n{document['digest']}".encode()


def _private(text: str) -> Any:
    ed25519 = _ed25519()
    try:
        return ed25519.Ed25519PrivateKey.from_private_bytes(_raw(text.strip()))
    except ValueError as error:
        problem = "the signing key is not 32 bytes of base64"
        raise InputError(problem, next_step="make one with `evalkit keygen`") from error


def _raw(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")


def _ed25519() -> Any:
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError as error:
        raise InputError("signing needs the package `cryptography`", next_step=_HINT) from error
    return ed25519
