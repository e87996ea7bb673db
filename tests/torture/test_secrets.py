"""Canary keys in every place, a gateway that quotes them all, and a search of everything that was written."""

from __future__ import annotations

import json

import pytest
from torture.canaries import Canaries, hunt
from torture.chaos import Weather, write_project

from evalkit.api.measuring import run
from evalkit.api.project import load_project, opened_store

PERSONAL = {
    "mail": "jane.roe@example.org",
    "phone": "+44 20 7946 0958",
    "card": "4111 1111 1111 1111",
    "iban": "DE89 3704 0044 0532 0130 00",
    "key": "sk-live0123456789abcdefghij",
}


@pytest.mark.slow
def test_no_canary_anywhere():
    """No file, no stored outcome and no output of any command holds a key, however the gateway quotes it."""
    hunted = hunt(seed=11, is_short=True)
    assert hunted.problems == []
    # The gateway did quote them, and the search did search.
    assert hunted.n_echoed > 5
    assert hunted.n_files > 20
    assert hunted.n_commands > 15


def test_the_search_finds_what_is_there():
    """A canary in plain, in base64 and as a URL spells it is found."""
    canaries = Canaries(1)
    assert list(canaries.found_in(b"x" + canaries.by_place["header"].encode() + b"x")) == ["header"]


@pytest.mark.parametrize(
    ("mode", "hidden"), [("redacted", PERSONAL.values()), ("digest", [*PERSONAL.values(), "plus"])]
)
def test_personal_data_never_reaches_the_disk(tmp_path, fault_port, mode, hidden):
    """`redacted` keeps the words around it, `digest` no words at all; neither file nor what it unpacks to holds it."""
    base_url = Weather(faults="late", percent=0, seed=len(mode)).base_url(fault_port)
    root = write_project(tmp_path / "project", n_cases=15, gateway={"base_url": base_url}, payloads=mode)
    path = root / "suites" / "sums" / "suite.yaml"
    suite = json.loads(path.read_text(encoding="utf-8"))
    suite["request"]["prompt"] += " Contact: " + ", ".join(PERSONAL.values())
    path.write_text(json.dumps(suite), encoding="utf-8")
    project = load_project(root)
    result = run(project)
    with opened_store(project) as store:
        kept = repr(list(store.outcomes(result.run.run_id)))
    files = [one.read_bytes() for one in (root / ".evalkit").iterdir()]
    for text in hidden:
        assert text not in kept
        assert not any(text.encode() in data for data in files)
    assert ("[iban]" in kept) == (mode == "redacted")
    assert result.recording.n_answered == 45
