"""Pairs of asked and served names over all providers, with the class of evidence each deserves."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalkit.wire.identity import identify
from evalkit.wire.model_names import likeness
from evalkit.wire.response import Asked

FIXTURE = Path(__file__).parents[2] / "data_fixtures" / "wire" / "served_models.tsv"
PAIRS = [tuple(line.split("\t")) for line in FIXTURE.read_text(encoding="utf-8").splitlines()[1:]]


@pytest.mark.parametrize(("deserved", "asked", "served"), PAIRS)
def test_class_of_a_pair(deserved, asked, served):
    """Same stem is self-reported, another family, size, generation or variant a swap, the rest unverifiable."""
    assert identify(served, asked=Asked(route=asked)).identity_class == deserved


@pytest.mark.parametrize(("deserved", "asked", "served"), PAIRS)
def test_every_name_vouches_for_itself(deserved, asked, served):
    """A name is equal to itself, in capitals and behind a vendor's path too."""
    assert deserved
    for name in (asked, served):
        assert likeness(name, name.upper()) == "equal"
        assert likeness(name, f"vendor/{name}") in {"equal", "same", "unknown"}


def test_a_size_gives_a_nameless_server_away():
    """A path or id proves nothing, but a wrong size in it does."""
    assert likeness("llama-3.1-70b", "/models/ours") == "unknown"
    assert likeness("llama-3.1-70b", "/models/ours-8b") == "different"


@pytest.mark.parametrize(
    ("asked", "served", "found"),
    [
        ("gpt-4o-2024-08-06", "gpt-4o-0806", "same"),
        ("mistral-large-2411", "mistral-large-20241118", "same"),
        ("gpt-4o-2024-08-06", "gpt-4o-1120", "different"),
    ],
)
def test_dates_of_other_lengths(asked, served, found):
    """A date may leave its year or its day out; what it says must still agree."""
    assert likeness(asked, served) == found
