"""An eligibility document as it would be written, and ways to write it."""

from __future__ import annotations

import copy

import pytest

from evalkit.canonical import canonical_json, digest_of

GENERATED_AT = 1_800_000_000.0
"""2027-01-15T08:00:00Z."""

_DOCUMENT = {
    "format": "evalkit.eligibility/1",
    "audience": "prod",
    "generated_at": "2027-01-15T08:00:00Z",
    "valid_until": "2027-01-17T08:00:00Z",
    "default": "deny",
    "simulated": False,
    "gateway": {"kind": "litellm", "vantage": "eu"},
    "run": {"id": "r", "evalkit": "1", "suites": {}, "roster": "sha256:0", "policy": "sha256:0"},
    "providers": {},
    "models": {
        "a": {"route": "openai/a", "provider": "openai", "context_tokens": 1000},
        "b": {"route": "mistral/b", "provider": "mistral", "context_tokens": None},
    },
    "tasks": {
        "qa": {
            "critical": False,
            "pin": "a",
            "on_expiry": "deny",
            "candidates": [
                {
                    "model": "a",
                    "measured_at": "2027-01-15T07:00:00Z",
                    "valid_until": "2027-01-16T08:00:00Z",
                    "admitted_by": "evidence",
                    "request": {"mode": "json_schema", "adapt": {}},
                    "coverage": 1.0,
                    "gates": [],
                },
                {
                    "model": "b",
                    "measured_at": "2027-01-15T07:30:00Z",
                    "valid_until": "2027-01-17T08:00:00Z",
                    "admitted_by": "waiver",
                    "request": {"mode": "text", "adapt": {}},
                    "coverage": 0.96,
                    "gates": [],
                },
            ],
            "rejected": [],
        },
        "closed": {"critical": True, "pin": None, "on_expiry": "deny", "candidates": [], "rejected": []},
    },
}


def _signed_off(document):
    """Return the document with the digest of what it says now."""
    payload = {key: value for key, value in document.items() if key not in {"digest", "signature"}}
    return {**payload, "digest": digest_of(payload)}


@pytest.fixture
def document():
    """A document of its own for every test; `digest` is right."""
    return _signed_off(copy.deepcopy(_DOCUMENT))


@pytest.fixture
def data_of():
    """Bytes of a document after its digest was made right again."""
    return lambda document: canonical_json(_signed_off(document)) + b"\n"


@pytest.fixture
def generated_at():
    """Unix seconds at which the document was made."""
    return GENERATED_AT
