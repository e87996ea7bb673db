"""The reference page of gateways says what is sent, and its configurations can be used as they stand."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from evalkit.domain.project import GatewayConfig, Limits
from evalkit.domain.roster import Roster
from evalkit.plugins import GatewayContext, load_plugin, plugin_names
from evalkit.testing.builders import a_model
from evalkit.wire.asked import Asked
from evalkit.wire.identity import RAW_MODEL_HEADER, identify

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "gateways.md").read_text(encoding="utf-8")
BLOCKS = [yaml.safe_load(block) for block in re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)]
KINDS = ("litellm", "portkey", "openrouter", "tokenmix")


def section(kind):
    """Return what the page says of a kind."""
    return PAGE.split(f"## `{kind}`\n")[1].split("\n## ")[0]


def profile_of(kind, **config):
    """Return the profile of a kind as a project gets it."""
    config = GatewayConfig(kind=kind, **{"base_url": "http://127.0.0.1:1/v1", **config})
    return load_plugin("gateways", kind)(GatewayContext(config=config, limits=Limits(), read_key=lambda: None)).profile


def names_in(value):
    """Yield every key of nested objects."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield name
            yield from names_in(inner)


def test_the_documented_proxy_is_attested_with_the_documented_roster():
    """Whoever copies both gets a decision: the name the callback exports is one the roster knows."""
    (deployments,) = [block["model_list"] for block in BLOCKS if "model_list" in block]
    upstream = {one["model_name"]: one["litellm_params"]["model"].partition("/")[2] for one in deployments}
    (models,) = [
        Roster.model_validate({"version": 1, **block}).models
        for block in BLOCKS
        if "models" in block and {model["route"] for model in block["models"]} == set(upstream)
    ]
    for model in models:
        asked = Asked(route=model.route_for("litellm"), model_field="echo", upstream_names=model.upstream_names)
        headers = {"x-litellm-model-id": "a", RAW_MODEL_HEADER: upstream[model.route]}
        assert identify(model.route, asked=asked, headers=headers).identity_class == "attested", model.id


def test_every_kind_has_a_row():
    """The first table has each kind of this distribution."""
    assert [kind for kind in plugin_names("gateways") if f"| `{kind}` |" not in PAGE] == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_switch_is_explained(kind):
    """What a kind puts into bodies and headers stands in its section."""
    profile = profile_of(kind)
    model = a_model(provider="openai", host="deepinfra", quantization="fp8")
    body = {**profile.extra_body, **profile.body_for(model)}
    sent = [*names_in(body), *profile.extra_headers, *profile.headers_for(model)]
    assert [name for name in sent if name not in section(kind)] == []


@pytest.mark.parametrize("kind", KINDS)
def test_the_table_tells_the_profile(kind):
    """Worth of `model` and the header with the cost are those of the code."""
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{kind}` |"))
    profile = profile_of(kind)
    assert f"| `{profile.model_field}` |" in row
    assert (profile.cost_header or "") in row


def test_gateway_configurations_can_be_used():
    """Each `gateway:` block is a configuration of its kind."""
    configs = [block["gateway"] for block in BLOCKS if "gateway" in block]
    assert sorted(config["kind"] for config in configs) == sorted(KINDS)
    for config in configs:
        assert profile_of(**config).kind == config["kind"]


def test_models_can_be_asked_for():
    """The roster entries shown for OpenRouter are pinned to their hosts."""
    shown = next(block["models"] for block in BLOCKS if "host" in block.get("models", [{}])[0])
    models = Roster.model_validate({"version": 1, "models": shown}).models
    pins = [profile_of("openrouter").body_for(model)["provider"]["only"] for model in models]
    assert pins == [["deepinfra"], ["openai"]]


def test_the_proxys_configuration_is_a_clean_room():
    """One deployment in each group, nothing retried or cooled down, keys by name only, and the callback."""
    config = next(block for block in BLOCKS if "model_list" in block)
    groups = [deployment["model_name"] for deployment in config["model_list"]]
    assert len(groups) == len(set(groups))
    assert config["router_settings"] == {"num_retries": 0, "disable_cooldowns": True}
    assert config["litellm_settings"]["callbacks"] == ["evalkit.router.litellm_hook.evaluation"]
    keys = [deployment["litellm_params"]["api_key"] for deployment in config["model_list"]]
    assert all(key.startswith("os.environ/") for key in keys)
    assert "*" not in json.dumps(config)
