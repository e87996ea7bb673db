"""Signatures: made by one key, over everything, and nothing else will do."""

from __future__ import annotations

import base64
import json
import sys

import pytest

from evalkit.canonical import canonical_json
from evalkit.errors import InputError, RefusedError
from evalkit.router.document import Expectations, check_document
from evalkit.router.signature import KeyPair, check_signature, generate_keys, public_key_of, sign_document

pytest.importorskip("cryptography")

KEYS = generate_keys()


@pytest.fixture
def signed(document):
    """The document, signed by `team`."""
    return sign_document(document, private=KEYS.private, key_id="team")


def code_of(document, **public_keys):
    """The code a signature is refused with; None when it is accepted."""
    try:
        check_signature(document, public_keys=public_keys)
    except RefusedError as error:
        return error.code
    return None


def test_a_signature_of_a_known_key_is_accepted(signed):
    """Among several keys, by its name."""
    assert code_of(signed, team=KEYS.public, other=generate_keys().public) is None


def test_signing_adds_the_signature_alone(document, signed):
    """The digest is not over the signature, so signing does not change it."""
    signature = signed.pop("signature")
    assert signed == document
    assert (signature["alg"], signature["key_id"]) == ("Ed25519", "team")


def test_another_key_of_the_same_name_is_refused(signed):
    """A name proves nothing."""
    assert code_of(signed, team=generate_keys().public) == "bad_signature"


def test_an_unknown_key_is_refused(signed):
    """And the message names both sides."""
    with pytest.raises(RefusedError, match="signed by 'team'; configured: a, b"):
        check_signature(signed, public_keys={"b": KEYS.public, "a": KEYS.public})


@pytest.mark.parametrize("signature", [None, "x", [], 7])
def test_no_signature_is_refused(signature, document):
    """With keys configured a file has to be signed."""
    assert code_of({**document, "signature": signature}, team=KEYS.public) == "unsigned"
    assert code_of(document, team=KEYS.public) == "unsigned"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"alg": "none"}, "unknown_key"),
        ({"alg": None}, "unknown_key"),
        ({"key_id": None}, "unknown_key"),
        ({"key_id": ["team"]}, "unknown_key"),
        ({"value": None}, "bad_signature"),
        ({"value": ""}, "bad_signature"),
        ({"value": "!!"}, "bad_signature"),
        ({"value": {"a": 1}}, "bad_signature"),
        ({"value": base64.b64encode(b"0" * 64).decode()}, "bad_signature"),
        ({"value": base64.b64encode(b"0" * 63).decode()}, "bad_signature"),
    ],
)
def test_a_spoilt_signature_is_refused(change, code, signed):
    """Every part of it, of any type."""
    signed["signature"].update(change)
    assert code_of(signed, team=KEYS.public) == code


@pytest.mark.parametrize("public", ["", "!!", "AAAA"])
def test_a_spoilt_public_key_refuses(public, signed):
    """A key that cannot be used accepts nothing."""
    assert code_of(signed, team=public) == "bad_signature"


@pytest.mark.parametrize("key", ["digest", "format"])
def test_the_signature_is_over_format_and_digest(key, signed):
    """A signature cannot be moved to another file or another format."""
    signed[key] = "other"
    assert code_of(signed, team=KEYS.public) == "bad_signature"


def test_a_changed_file_with_a_new_digest_is_refused(signed, document, data_of, generated_at):
    """Whoever can compute a digest still cannot sign."""
    expect = Expectations(audience="prod", public_keys={"team": KEYS.public})
    assert check_document(canonical_json(signed), expect=expect, now=generated_at) == signed
    document["tasks"]["qa"]["candidates"].pop(0)
    document["tasks"]["qa"]["pin"] = None
    forged = {**json.loads(data_of(document)), "signature": signed["signature"]}
    with pytest.raises(RefusedError, match="bad_signature"):
        check_document(canonical_json(forged), expect=expect, now=generated_at)


def test_without_keys_a_signature_is_not_looked_at(signed, generated_at):
    """An unsigned reader takes signed files, too."""
    signed["signature"]["value"] = "spoilt"
    assert check_document(canonical_json(signed), expect=Expectations(audience="prod"), now=generated_at)


def test_keys_do_not_show():
    """The private half is in no repr."""
    assert KEYS.private not in repr(KEYS)
    assert repr(KEYS) == f"KeyPair(public={KEYS.public!r})"


def test_the_public_half_follows_from_the_private_one():
    """Also with a line end, as a key file has it."""
    assert public_key_of(KEYS.private + "\n") == KEYS.public
    assert generate_keys() != KEYS
    assert len(base64.b64decode(KEYS.public)) == 32


@pytest.mark.parametrize("private", ["", "!!", "AAAA", "not base64 at all"])
def test_a_spoilt_private_key_is_an_input_error(private, document):
    """With the command that makes a new one."""
    with pytest.raises(InputError, match="evalkit keygen"):
        sign_document(document, private=private, key_id="team")
    with pytest.raises(InputError, match="32 bytes"):
        public_key_of(private)


def test_without_cryptography_nothing_is_accepted(monkeypatch, signed):
    """A signature that cannot be checked is refused; signing says what to install."""
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric", None)
    assert code_of(signed, team=KEYS.public) == "bad_signature"
    with pytest.raises(InputError, match="gateway-evalkit"):
        generate_keys()


def test_key_pairs_compare_by_value():
    """A pair is a value."""
    assert KeyPair(KEYS.private, KEYS.public) == KEYS
