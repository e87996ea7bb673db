"""Whole exchanges with labels: a few of our own, always; the recorded ones where the data set is at hand."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from evalkit.wire.response import Asked, read_response

OWN = Path(__file__).parents[2] / "data_fixtures" / "wire" / "exchanges.jsonl"
DATA = Path(os.environ.get("EVALKIT_DATA") or Path(__file__).parents[4] / "shared" / "data") / "wire"
USAGE = ("prompt_tokens", "completion_tokens", "total_tokens", "reasoning_tokens", "cached_tokens")
ARGUED: dict[str, str] = {}
"""Recorded exchanges whose label is held to be wrong, with the argument; none so far."""


def rows(path):
    """Return the lines of a JSON Lines file as values."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def told(reading):
    """Return what a reading says, in the shape of the labels."""
    usage = {name: getattr(reading.usage, name) for name in USAGE if getattr(reading.usage, name) is not None}
    calls = [{"name": call.name, "arguments": call.arguments} for call in reading.tool_calls]
    return {
        "text": None if reading.text is None else reading.text[:200],
        "finish_reason": reading.finish_reason,
        "served_model": reading.identity.served_model,
        "usage": usage or None,
        "tool_calls": calls or None,
        "retry_after_s": reading.retry_after_s,
    }


@pytest.mark.parametrize("row", rows(OWN), ids=lambda row: row["id"])
def test_own_exchange(row):
    """Kind, text, finish, usage, calls, hint and every expected flag are as labelled."""
    reading = read_response(row["status"], row["headers"], row["body"].encode(), asked=Asked(**row["asked"]))
    expect = row["expect"]
    assert reading.kind == expect["outcome"]
    assert set(expect["flags"]) <= set(reading.flags)
    said = told(reading)
    assert {name: said[name] for name in expect if name in said} == {
        name: expect[name] for name in expect if name in said
    }


@pytest.mark.data
def test_recorded_exchanges():
    """Every label of the recorded data set holds: kind, text, finish, model, usage, calls, all mechanical flags."""
    if not DATA.is_dir():
        pytest.skip(f"recorded data not found at {DATA}")
    mechanical = mechanical_flags((DATA / "README.md").read_text(encoding="utf-8"))
    wrong = {}
    for row in rows(DATA / "exchanges.jsonl"):
        differences = compare(row, mechanical)
        if differences and row["id"] not in ARGUED:
            wrong[row["id"]] = differences
    assert wrong == {}


def mechanical_flags(readme):
    """Return the names in the first column of the README's table of mechanical flags."""
    table = readme.split("### Mechanical flags")[1].split("### Judgement flags")[0]
    cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    return {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}


def compare(row, mechanical):
    """Return where our reading of a recorded exchange and its label differ."""
    response, expect = row["response"], row["expect"]
    asked = Asked(route=row["request"]["body"].get("model") or "")
    reading = read_response(response["status"], response["headers"], response["body"].encode(), asked=asked)
    said = told(reading)
    differences = {
        name: (said[name], expect.get(name))
        for name in ("text", "finish_reason", "served_model", "usage", "tool_calls")
        if said[name] != expect.get(name)
    }
    if reading.kind not in {expect["outcome"], *expect.get("also_acceptable", ())}:
        differences["kind"] = (str(reading.kind), expect["outcome"])
    if flags := (set(reading.flags) ^ set(expect["flags"])) & mechanical:
        differences["flags"] = sorted(flags)
    return differences
