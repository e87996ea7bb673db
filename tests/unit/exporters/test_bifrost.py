"""Bifrost: the configuration has the structure of its documented schema, and its lists let in candidates only.

The structure below was read, field by field, from maximhq/bifrost `transports/config.schema.json` (003ecc6a) and
`docs/deployment-guides/config-json/governance.mdx` (0a0583fb), of about 2.0.0-prerelease2. It holds only what this
exporter may write. Nothing of it was run.
"""

from __future__ import annotations

import json
import re

import pytest
from jsonschema import Draft202012Validator

from evalkit.errors import InputError
from evalkit.plugins import load_plugin
from evalkit.testing.eligibility import an_eligibility

TEXT = {"type": "string", "minLength": 1}
MODEL = {"type": "string", "minLength": 1, "not": {"anyOf": [{"pattern": r"[*]"}, {"pattern": "^regex:"}]}}
MODELS = {"type": "array", "items": MODEL, "minItems": 1, "uniqueItems": True}
VARIABLE = {"type": "string", "pattern": "^env\\.[A-Za-z_][A-Za-z0-9_]*$"}


def closed(required, optional=()):
    """An object of these fields and no others."""
    fields = {**required, **dict(optional)}
    return {"type": "object", "properties": fields, "required": list(required), "additionalProperties": False}


def listed(item):
    """A list of items."""
    return {"type": "array", "items": item}


NETWORK = closed(
    {},
    {
        "base_url": {"type": "string", "pattern": "^https?://[^/]+(/.*[^/])?$"},
        "default_request_timeout_in_seconds": {"type": "integer", "minimum": 1},
        "max_retries": {"type": "integer", "minimum": 0},
        "retry_backoff_initial": {"type": "integer", "minimum": 100},
        "retry_backoff_max": {"type": "integer", "minimum": 100},
    },
)
PATHS = {"type": "string", "pattern": "^/"}
CUSTOM = closed(
    {
        "base_provider_type": {"enum": ["openai", "anthropic"]},
        "allowed_requests": closed({"chat_completion": {"const": True}, "chat_completion_stream": {"const": True}}),
        "request_path_overrides": closed({"chat_completion": PATHS, "chat_completion_stream": PATHS}),
    }
)
PROVIDER = closed(
    {"keys": listed(closed({"name": TEXT, "value": VARIABLE, "models": MODELS, "weight": {"type": "number"}}))},
    {"network_config": NETWORK, "custom_provider_config": CUSTOM},
)
KEY = closed(
    {
        "id": TEXT,
        "name": TEXT,
        "description": TEXT,
        "value": VARIABLE,
        "is_active": {"const": True},
        "expires_at": {"type": "string", "pattern": "Z$"},
        "provider_configs": listed(
            closed(
                {"provider": TEXT, "weight": {"type": ["number", "null"]}, "allowed_models": MODELS, "key_ids": MODELS}
            )
        ),
    }
)
RULE = closed(
    {
        "id": TEXT,
        "name": TEXT,
        "enabled": {"const": True},
        "cel_expression": TEXT,
        "targets": listed(closed({"provider": TEXT, "model": MODEL, "weight": {"exclusiveMinimum": 0, "maximum": 1}})),
        "fallbacks": listed(MODEL),
        "scope": {"const": "virtual_key"},
        "scope_id": TEXT,
        "priority": {"type": "integer"},
    }
)
BUDGET = closed(
    {
        "id": TEXT,
        "max_limit": {"type": "number"},
        "reset_duration": {"type": "string", "pattern": "^[1-9][0-9]*[smhd]$"},
    },
    {"virtual_key_id": TEXT},
)
CONFIG = closed(
    {
        "$schema": {"const": "https://www.getbifrost.ai/schema"},
        "version": {"const": 2},
        "config_store": closed({"enabled": {"const": False}}),
        "client": closed({"enforce_auth_on_inference": {"const": True}, "allow_direct_keys": {"const": False}}),
        "providers": {"type": "object", "additionalProperties": PROVIDER},
        "governance": closed(
            {
                "virtual_keys": listed(KEY),
                "routing_rules": listed(RULE),
                "budgets": listed(BUDGET),
                "providers": listed(closed({"name": TEXT, "budget_id": TEXT})),
            }
        ),
    }
)

MODELS_HERE = {
    "claude": {"route": "anthropic/claude-4", "provider": "anthropic"},
    "llama": {"route": "together/meta/llama-3", "provider": "together"},
}
PROVIDERS = {"together": {"kind": "openai", "api_base": "https://api.together.example:8443/v1"}}


def files_of(tasks, **fields):
    """The files, the configuration parsed and checked against its structure."""
    fields = {"models": MODELS_HERE, "providers": PROVIDERS} | fields
    files = dict(load_plugin("exporters", "bifrost")().export(an_eligibility(tasks, **fields).document()))
    assert sorted(files) == ["bifrost/config.json", "bifrost/notes.txt"]
    config = json.loads(files["bifrost/config.json"])
    Draft202012Validator(CONFIG).validate(config)
    return config, files["bifrost/notes.txt"].decode()


def exported(tasks, **fields):
    """The configuration."""
    return files_of(tasks, **fields)[0]


def test_a_task_is_a_virtual_key():
    """Its models by provider, the provider's key by name, the caller's own by variable; nobody's task has none."""
    (key,) = exported({"qa": ["gpt", "claude", "mini"], "closed": []})["governance"]["virtual_keys"]
    assert key.pop("description").startswith("written by evalkit from eligibility file ")
    assert key == {
        "id": "evalkit-qa",
        "name": "evalkit task qa",
        "value": "env.EVALKIT_VK_QA",
        "is_active": True,
        "expires_at": "2027-01-16T08:00:00Z",
        "provider_configs": [
            {
                "provider": "openai",
                "weight": None,
                "allowed_models": ["gpt", "mini"],
                "key_ids": ["evalkit-openai"],
            },
            {
                "provider": "anthropic",
                "weight": None,
                "allowed_models": ["claude-4"],
                "key_ids": ["evalkit-anthropic"],
            },
        ],
    }


def test_a_key_ends_with_the_first_measurement():
    """A candidate past its end would still be served."""
    early = {"claude": {"valid_until": "2027-01-15T09:00:00Z"}}
    first, second = exported({"qa": ["gpt", "claude"], "code": ["gpt"]}, candidates=early)["governance"]["virtual_keys"]
    assert first["expires_at"] == "2027-01-15T09:00:00Z"
    assert second["expires_at"] == "2027-01-16T08:00:00Z"


def test_a_rule_fixes_the_order():
    """Whatever the caller asks for, the first candidate is tried, then the others as they stand."""
    (rule,) = exported({"qa": ["llama", "gpt", "claude"]})["governance"]["routing_rules"]
    assert rule["cel_expression"] == "true"
    assert (rule["scope"], rule["scope_id"]) == ("virtual_key", "evalkit-qa")
    assert rule["targets"] == [{"provider": "together", "model": "meta/llama-3", "weight": 1.0}]
    assert rule["fallbacks"] == ["openai/gpt", "anthropic/claude-4"]


def test_a_provider_has_its_models_and_its_key():
    """Those of all tasks; the key is the name of a variable."""
    config = exported({"qa": ["gpt"], "code": ["mini", "gpt"]}, providers={"openai": {"api_key_env": "OUR_KEY"}})
    assert config["providers"]["openai"] == {
        "keys": [{"name": "evalkit-openai", "value": "env.OUR_KEY", "models": ["gpt", "mini"], "weight": 1.0}],
        "network_config": {
            "default_request_timeout_in_seconds": 10,
            "max_retries": 2,
            "retry_backoff_initial": 1000,
            "retry_backoff_max": 8000,
        },
    }


def test_a_provider_bifrost_does_not_know_is_built_on_one_it_does():
    """For chat alone, because nothing else was measured."""
    config = exported({"qa": ["llama"]})
    provider = config["providers"]["together"]
    assert provider["network_config"]["base_url"] == "https://api.together.example:8443"
    assert provider["custom_provider_config"] == {
        "base_provider_type": "openai",
        "allowed_requests": {"chat_completion": True, "chat_completion_stream": True},
        "request_path_overrides": {
            "chat_completion": "/v1/chat/completions",
            "chat_completion_stream": "/v1/chat/completions",
        },
    }


def test_a_known_provider_elsewhere():
    """Bifrost adds /v1 by itself."""
    config = exported({"qa": ["gpt"]}, providers={"openai": {"api_base": "https://eu.example/proxy/v1"}})
    assert config["providers"]["openai"]["network_config"]["base_url"] == "https://eu.example/proxy"
    with pytest.raises(InputError, match="does not end in /v1"):
        exported({"qa": ["gpt"]}, providers={"openai": {"api_base": "https://eu.example/openai"}})


def test_caps_are_budgets():
    """Of a task, and of a provider that serves any."""
    config = exported(
        {"qa": ["gpt"]},
        providers={
            "openai": {"spend_cap": {"usd": 200, "per": "7d"}},
            "idle": {"spend_cap": {"usd": 1, "per": "1d"}},
        },
        entries={"qa": {"spend_cap": {"usd": 50, "per": "12h"}}},
    )
    assert config["governance"]["budgets"] == [
        {"id": "task-evalkit-qa", "virtual_key_id": "evalkit-qa", "max_limit": 50.0, "reset_duration": "12h"},
        {"id": "provider-openai", "max_limit": 200.0, "reset_duration": "7d"},
    ]
    assert config["governance"]["providers"] == [{"name": "openai", "budget_id": "provider-openai"}]


def test_nobody_at_all_reaches_nothing():
    """No key, no provider."""
    config = exported({"qa": []})
    assert config["providers"] == {}
    assert config["governance"]["virtual_keys"] == []


def test_the_notes_say_what_is_missing():
    """Denied tasks, fields the caller sends, caps that may not see a provider's cost; and that it is simulated."""
    config, notes = files_of(
        {"qa": ["llama"], "closed": []},
        simulated=True,
        entries={"qa": {"spend_cap": {"usd": 50, "per": "1d"}}},
        candidates={"llama": {"request": {"mode": "text", "adapt": {"extra_body": {"top_k": 1}}}}},
    )
    assert notes.startswith("SIMULATED")
    assert config["governance"]["virtual_keys"][0]["description"].startswith("SIMULATED")
    assert "denied: task closed" in notes
    assert "the caller sends: 'top_k' with requests to llama" in notes
    assert "caps may not see what together costs" in notes


@pytest.mark.parametrize(
    ("provider", "terms"),
    [
        ("acme", {}),
        ("acme", {"kind": "openai"}),
        ("acme", {"kind": "gemini", "api_base": "https://acme.example/v1"}),
        ("Acme", {"kind": "openai", "api_base": "https://acme.example/v1"}),
        ("a/b", {"kind": "openai", "api_base": "https://acme.example/v1"}),
        ("azure", {"kind": "openai", "api_base": "https://acme.example/v1"}),
        ("bedrock", {}),
    ],
)
def test_a_provider_that_needs_more_than_a_key_is_refused(provider, terms):
    """It is named, with what the policy lacks."""
    with pytest.raises(InputError, match=re.escape(f"reach provider {provider!r}")) as caught:
        exported({"qa": ["m"]}, models={"m": {"provider": provider}}, providers={provider: terms})
    assert "`api_base`" in caught.value.next_step


@pytest.mark.parametrize("differing", [{"retries": 1}, {"upstream_timeout_s": 5}])
def test_tasks_that_disagree_on_a_provider_are_refused(differing):
    """Bifrost keeps retries and the timeout once a provider; either value would be wrong for one task."""
    with pytest.raises(InputError, match="tasks 'qa' and 'code' differ"):
        exported({"qa": ["gpt"], "code": ["gpt"]}, entries={"code": {"failover": differing}})
    assert exported({"qa": ["gpt"], "code": ["claude"]}, entries={"code": {"failover": differing}})


def test_part_of_a_second_is_refused():
    """It is not rounded: the client's patience was reckoned with it."""
    with pytest.raises(InputError, match="whole seconds"):
        exported({"qa": ["gpt"]}, entries={"qa": {"failover": {"upstream_timeout_s": 2.5}}})


@pytest.mark.parametrize("name", ["regex:^gpt", "REGEX:.*"])
def test_a_pattern_is_refused(name):
    """Bifrost reads it as one, and would let in every model that matches."""
    with pytest.raises(InputError, match="would be a pattern"):
        exported({"qa": ["m"]}, models={"m": {"routes": {"upstream": name.replace("*", "+")}}})


@pytest.mark.parametrize(("one", "other"), [("a.b", "a_b"), ("QA", "qa")])
def test_tasks_that_fall_together_are_refused(one, other):
    """One key would open the other's models."""
    with pytest.raises(InputError, match="would both be called"):
        exported({one: ["gpt"], other: ["claude"]})


def test_models_in_the_same_words_are_refused():
    """Only one of them would ever be asked."""
    with pytest.raises(InputError, match="cannot tell them apart"):
        exported({"qa": ["fast", "slow"]}, models={"fast": {"route": "openai/gpt"}, "slow": {"route": "openai/gpt"}})


def test_one_provider_on_two_hosts_is_refused():
    """Bifrost reaches a provider at one address."""
    with pytest.raises(InputError, match="different hosts"):
        exported({"qa": ["a", "b"]}, models={"a": {"host": "east"}, "b": {"host": "west"}})
