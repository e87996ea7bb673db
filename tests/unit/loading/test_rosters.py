"""Rosters: defaults under every model, extends by id."""

from __future__ import annotations

import pytest

from evalkit.errors import InputError
from evalkit.loading.files import ProjectFiles
from evalkit.loading.rosters import load_roster


@pytest.fixture
def load(tmp_path):
    """Return the roster of a text."""

    def loaded(text: str):
        (tmp_path / "roster.yaml").write_text(text)
        return load_roster("roster.yaml", ProjectFiles(tmp_path))[0]

    return loaded


def test_own_keys_win_over_the_base_and_the_base_over_defaults(load):
    """Mappings merge key by key, whatever the order in the file."""
    roster = load("""
version: 1
defaults: {provider: none, capabilities: {tools: true, seed: true}, context_tokens: 1000}
models:
  - {id: small, extends: big, route: r/small, capabilities: {seed: false}}
  - {id: big, route: r/big, provider: lab, capabilities: {structured: json_object}}
""")
    small = roster.by_id["small"]
    assert (small.route, small.provider, small.context_tokens) == ("r/small", "lab", 1000)
    assert (small.capabilities.tools, small.capabilities.seed) == (True, False)
    assert small.capabilities.structured == "json_object"


@pytest.mark.parametrize(
    ("text", "line", "fragment"),
    [
        ("models:\n  - {id: a, route: r, extends: b}\n  - {id: b, route: s, extends: a}", 2, "in a circle"),
        ("models:\n  - {id: a, route: r, extends: a}", 2, "in a circle"),
        ("models:\n  - {id: a, route: r, extends: [a]}", 2, "no model of this roster"),
        ("models:\n  - {id: a}", 2, "'route' is missing"),
        ("models:\n  - {route: a}", 2, "'id' is missing"),
        ("models:\n  - a", 2, "'a' is not allowed"),
        ("models: a", 1, "'a' is not allowed"),
        ("models: []", 1, "at least 1 item"),
        ("defaults: {route: r}\nmodels:\n  - {id: a}", 1, "cannot hold 'route'"),
        ("defaults: [1]\nmodels:\n  - {id: a, route: r}", 1, "not a mapping"),
        ("models:\n  - {id: a, route: r, api_key: sk-1234}", 2, "unknown key 'api_key' with value (not shown)"),
        ("models:\n  - {id: a, route: r, api_key_env: A, api_key_file: b}", 2, "at most one of"),
        ("models:\n  - {id: a, route: r, price: {input_usd_per_mtok: free, output_usd_per_mtok: 1}}", 2, "'free'"),
    ],
)
def test_a_wrong_roster_is_told_with_its_line(load, text, line, fragment):
    """The first error names the line."""
    with pytest.raises(InputError) as caught:
        load(f"{text}\nversion: 1\n")
    assert fragment in str(caught.value)
    assert caught.value.place.line == line


def test_no_defaults_are_fine(load):
    """An empty key says nothing."""
    assert load("version: 1\ndefaults:\nmodels: [{id: a, route: r}]").by_id["a"].route == "r"


def test_judges_are_entries_like_models(load):
    """Defaults lie under them, they may extend a model, and they are no candidates."""
    roster = load("""
version: 1
defaults: {capabilities: {tools: true}}
models: [{id: a, route: lab/a, provider: lab}]
judges: [{id: b, extends: a, route: lab/b, family: other}]
""")
    assert [model.id for model in roster.models] == ["a"]
    (judge,) = roster.judges
    assert (judge.provider, judge.family, judge.capabilities.tools) == ("lab", "other", True)
    assert [model.id for model in roster.everyone] == ["a", "b"]
    assert (list(roster.by_id), list(roster.judge_by_id)) == (["a"], ["b"])


def test_one_id_is_one_thing(load):
    """A judge that is also a candidate has two entries, with two ids."""
    with pytest.raises(InputError, match="the model id 'a' is given twice"):
        load("""
version: 1
models: [{id: a, route: lab/a}]
judges: [{id: a, route: lab/a}]
""")
