"""The plain allow list: every candidate in order, nobody else, and never more than one model by a route."""

from __future__ import annotations

import csv
import io
import json

import pytest

from evalkit.errors import InputError
from evalkit.plugins import load_plugin, plugin_names
from evalkit.testing.eligibility import an_eligibility

ODD = 'odd,"route"'


def a_file(**differing):
    """Return a document: `qa` is served by b, then a; `closed` by nobody."""
    defaults = {
        "models": {"b": {"route": ODD, "provider": None}},
        "candidates": {"a": {"valid_until": "2027-01-17T08:00:00Z", "request": {"mode": "json_schema", "adapt": {}}}},
    }
    return an_eligibility({"closed": [], "qa": ["b", "a"]}, **(defaults | differing)).document()


def exported(document):
    """The files, by name."""
    return dict(load_plugin("exporters", "allowlist")().export(document))


def test_it_is_registered():
    """Found by its name, as an outsider's would be."""
    assert "allowlist" in plugin_names("exporters")


def test_json_lists_every_task():
    """In the file's order; a task without candidates stays in, empty, and so denies."""
    document = a_file()
    whole = json.loads(exported(document)["allowlist.json"])
    assert {key: value for key, value in whole.items() if key != "tasks"} == {
        "default": "deny",
        "audience": "prod",
        "simulated": False,
        "generated_at": "2027-01-15T08:00:00Z",
        "source": document["digest"],
    }
    assert next(iter(whole["tasks"].items())) == ("closed", [])
    assert [(row["position"], row["model"], row["route"]) for row in whole["tasks"]["qa"]] == [
        (0, "b", ODD),
        (1, "a", "openai/a"),
    ]
    assert whole["tasks"]["qa"][1]["mode"] == "json_schema"


def test_csv_says_the_same():
    """One row a candidate; awkward routes survive."""
    text = exported(a_file())["allowlist.csv"].decode()
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [(row["task"], row["position"], row["model"]) for row in rows] == [("qa", "0", "b"), ("qa", "1", "a")]
    assert rows[0]["route"] == ODD
    assert rows[0]["provider"] == ""
    assert rows[1]["valid_until"] == "2027-01-17T08:00:00Z"


def test_nobody_at_all_is_a_header():
    """A file that admits nobody exports as one that admits nobody."""
    files = exported(an_eligibility({"qa": []}).document())
    assert files["allowlist.csv"] == b"task,position,model,route,provider,valid_until,mode\n"
    assert json.loads(files["allowlist.json"])["tasks"] == {"qa": []}


@pytest.mark.parametrize("route", ["openai/*", "*", "a*b"])
def test_a_wildcard_is_refused(route):
    """A route that stands for several models would let in some that were never measured."""
    with pytest.raises(InputError, match="wildcard"):
        exported(a_file(models={"a": {"route": route}}))
