"""Finding plugins, and saying what is missing."""

from __future__ import annotations

import sys

import pytest

from evalkit.errors import InputError
from evalkit.plugins import load_plugin


def test_a_missing_extra_is_named(monkeypatch):
    """A scorer whose library is not installed says which extra brings it."""
    monkeypatch.delitem(sys.modules, "evalkit.scorers.edit_similarity", raising=False)
    monkeypatch.setitem(sys.modules, "rapidfuzz.distance", None)
    with pytest.raises(InputError, match=r"'edit_similarity' needs the package 'rapidfuzz.distance'") as caught:
        load_plugin("scorers", "edit_similarity")
    assert caught.value.next_step == "pip install 'gateway-evalkit[text]'"
