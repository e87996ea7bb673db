"""TensorZero's file, read back as TOML. What it makes the gateway do is shown in tests/gateways."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.errors import InputError
from evalkit.exporters.tensorzero import _table
from evalkit.plugins import load_plugin
from evalkit.testing.eligibility import an_eligibility

JSON = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


def exported(tasks, **differing):
    """The files, by name."""
    document = an_eligibility(tasks, **differing).document()
    return {name: content.decode() for name, content in load_plugin("exporters", "tensorzero")().export(document)}


def config_of(tasks, **differing):
    """The gateway's configuration."""
    return tomllib.loads(exported(tasks, **differing)["tensorzero/tensorzero.toml"])


def test_one_function_a_task():
    """The first candidate is the experiment, the others its fallbacks in order."""
    entries = {"qa": {"failover": {"retries": 1}}}
    config = config_of({"qa": ["b", "a"], "closed": [], "sums": ["a"]}, entries=entries)

    assert set(config["functions"]) == {"qa", "sums"}
    assert config["functions"]["qa"]["type"] == "chat"
    assert config["functions"]["qa"]["experimentation"] == {
        "type": "static",
        "candidate_variants": ["b"],
        "fallback_variants": ["a"],
    }
    assert config["functions"]["qa"]["variants"]["b"] == {
        "type": "chat_completion",
        "model": "qa/b",
        "retries": {"num_retries": 1, "max_delay_s": 8.0},
    }


def test_only_candidates_are_in_the_file():
    """What is in it can be asked for by name: a model for each task it may serve, and no other."""
    models = {"b": {"provider": "local", "route": "local/big"}}
    terms = {"local": {"kind": "openai", "api_base": "http://10.0.0.1:8000/v1", "api_key_env": "LOCAL_KEY"}}
    config = config_of({"qa": ["a", "b"], "sums": ["b"], "closed": []}, models=models, providers=terms)

    assert set(config["models"]) == {"qa/a", "qa/b", "sums/b"}
    assert config["models"]["qa/b"] == {
        "routing": ["local"],
        "providers": {
            "local": {
                "type": "openai",
                "model_name": "big",
                "api_key_location": "env::LOCAL_KEY",
                "api_base": "http://10.0.0.1:8000/v1",
                "timeouts": {"non_streaming": {"total_ms": 10000}, "streaming": {"ttft_ms": 10000}},
            }
        },
    }


def test_shorthands_are_closed():
    """Every provider type that has one gets a key that is never set."""
    types = config_of({"qa": ["a"]})["provider_types"]

    assert {"openai", "anthropic", "mistral", "gcp_vertex_gemini"} <= set(types)
    found = {location for entry in types.values() for location in entry["defaults"].values()}
    assert found == {"env::EVALKIT_SHORTHANDS_ARE_CLOSED"}


def test_no_telemetry():
    """Nothing is sent but what was asked for."""
    assert config_of({"qa": ["a"]})["gateway"]["disable_pseudonymous_usage_analytics"] is True


def test_extra_body_becomes_pointers():
    """Names with slashes and tildes point where they should."""
    adapt = {"extra_body": {"a/b~c": {"x": [1, "two", None.__class__.__name__]}, "seed": 7}}
    config = config_of({"qa": ["a"]}, candidates={"a": {"request": {"mode": "text", "adapt": adapt}}})

    assert config["models"]["qa/a"]["providers"]["openai"]["extra_body"] == [
        {"pointer": "/a~1b~0c", "value": {"x": [1, "two", "NoneType"]}},
        {"pointer": "/seed", "value": 7},
    ]


def test_null_is_refused():
    """TOML has no word for it."""
    adapt = {"extra_body": {"stop": None}}
    with pytest.raises(InputError, match="TOML cannot say null"):
        exported({"qa": ["a"]}, candidates={"a": {"request": {"mode": "text", "adapt": adapt}}})


@given(st.dictionaries(st.text(), JSON, max_size=4), st.text())
def test_any_value_comes_back(values, name):
    """Whatever JSON can say but null, in values as in names, survives TOML."""
    read = tomllib.loads(_table(("a", name), values))

    assert read == {"a": {name: values}}


def test_names_of_tensorzeros_own_are_refused():
    """`::` is what shorthands are written with."""
    with pytest.raises(InputError, match="task named 'tensorzero::default'"):
        exported({"tensorzero::default": ["a"]})
    with pytest.raises(InputError, match="model named 'openai::gpt'"):
        exported({"qa": ["openai::gpt"]})


def test_a_file_that_admits_nobody():
    """No function, no model; the shorthands stay closed."""
    config = config_of({"qa": []})

    assert "functions" not in config
    assert "models" not in config
    assert config["provider_types"]


def test_a_key_the_gateway_looks_up_is_refused():
    """The shorthands would find it."""
    with pytest.raises(InputError, match="look 'OPENAI_API_KEY' up by themselves"):
        exported({"qa": ["a"]}, providers={"openai": {"api_key_env": "OPENAI_API_KEY"}})


def test_the_environment_has_names_only():
    """The providers' keys, once each."""
    lines = exported({"qa": ["a", "b"]})["tensorzero/tensorzero.env.example"].splitlines()

    assert [line for line in lines if not line.startswith("#")] == ["EVALKIT_OPENAI_API_KEY="]


def test_what_tensorzero_does_not_hold_is_said():
    """Caps, errors that go on, and what a caller may name."""
    files = exported({"qa": ["a"]}, entries={"qa": {"spend_cap": {"usd": 5, "per": "1d"}}})

    for words in ("spend cap of task qa", "after every error", "extra_body"):
        (line,) = [line for line in files["tensorzero/notes.txt"].splitlines() if words in line]
        assert f"# {line}\n" in files["tensorzero/tensorzero.toml"]
