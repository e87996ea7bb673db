"""The Portkey profile: one target, one try, and a configuration of the user's own that is looked into."""

from __future__ import annotations

import asyncio
import json

import pytest

from evalkit.errors import InputError
from evalkit.gateways.portkey import build
from evalkit.testing.builders import a_model

URL = "http://127.0.0.1:1/v1"
CONFIG = "x-portkey-config"


def headers_sent(serving, exchanging, a_request, **context):
    """Return the headers one request arrives with, its model's own among them."""

    async def run():
        async with serving() as served:

            def built(given):
                gateway = build(given)
                asked.append(gateway.profile.headers_for(a_model(provider="openai")))
                return gateway

            asked = []
            await exchanging(built, served.base_url, **context)
            await exchanging(built, served.base_url, request=a_request(headers=asked[0]), **context)
            return served.requests[1].headers

    return asyncio.run(run())


def test_one_target_one_try(serving, exchanging, a_request):
    """The configuration says nothing of targets or caches, and that nothing is retried."""
    headers = headers_sent(serving, exchanging, a_request, limits={"call_timeout_s": 30})
    assert json.loads(headers[CONFIG]) == {"retry": {"attempts": 0}}
    assert headers["x-portkey-provider"] == "openai"
    assert headers["x-portkey-request-timeout"] == "35000"
    assert headers["x-portkey-cache-force-refresh"] == "true"


def test_nothing_is_put_into_the_body(a_context):
    """Portkey is told everything in headers; what it does not know in a body it passes on."""
    profile = build(a_context(URL)).profile
    assert (dict(profile.extra_body), profile.body_for(a_model())) == ({}, {})
    assert (profile.kind, profile.model_field, profile.cost_header) == ("portkey", "upstream", None)


def test_the_users_headers_win(serving, exchanging, a_request):
    """Each name arrives once, with the user's value; no provider is added to one that is given."""
    own = {"X-Portkey-Provider": "azure-openai", "X-Portkey-Request-Timeout": "9", "X-Portkey-Trace-Id": "t"}
    headers = headers_sent(serving, exchanging, a_request, headers=own)
    assert headers.getall("x-portkey-provider") == ["azure-openai"]
    assert headers.getall("x-portkey-request-timeout") == ["9"]
    assert headers["x-portkey-trace-id"] == "t"


def test_a_model_without_provider_is_refused(a_context):
    """Portkey would answer 400 to each of its calls: the message names the model and the cure."""
    profile = build(a_context(URL)).profile
    with pytest.raises(InputError, match=r"model 'lonely' names no provider(.|\n)*x-portkey-provider"):
        profile.headers_for(a_model(id="lonely", provider=None))


@pytest.mark.parametrize(
    ("model", "headers"),
    [
        ({"route": "@team-openai/gpt-4o"}, {}),
        ({"routes": {"portkey": "@team-openai/gpt-4o"}}, {}),
        ({}, {"x-portkey-virtual-key": "openai-main"}),
        ({}, {"X-Portkey-Provider": "openai"}),
        ({}, {CONFIG: "pc-eval-1234"}),
        ({}, {CONFIG: '{"provider": "openai", "api_key": "k"}'}),
        ({}, {CONFIG: '{"strategy": {"mode": "single"}, "targets": [{"provider": "openai", "api_key": "k"}]}'}),
    ],
)
def test_a_provider_named_elsewhere_is_enough(a_context, model, headers):
    """Hosted slugs, virtual keys and configurations say where requests go."""
    profile = build(a_context(URL, headers=headers)).profile
    assert profile.headers_for(a_model(provider=None, **model)) == {}


def test_a_configuration_without_provider_still_needs_one(a_context):
    """It replaces ours and is sent with the model's provider beside it."""
    profile = build(a_context(URL, headers={CONFIG: '{"custom_host": "http://127.0.0.1:1"}'})).profile
    assert profile.headers_for(a_model(provider="openai")) == {"x-portkey-provider": "openai"}
    with pytest.raises(InputError, match="names no provider"):
        profile.headers_for(a_model(provider=None))


TARGET = {"provider": "openai", "api_key": "secret-key-of-mine"}


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({**TARGET, "retry": {"attempts": 2}}, "retries"),
        ({"strategy": {"mode": "fallback"}, "targets": [TARGET]}, "'fallback'"),
        ({"strategy": {"mode": "loadbalance"}, "targets": [TARGET]}, "'loadbalance'"),
        ({"strategy": {"mode": "conditional"}, "targets": [TARGET]}, "'conditional'"),
        ({"strategy": {"mode": "single"}, "targets": [TARGET, TARGET]}, "more than one target"),
        ({**TARGET, "cache": {"mode": "simple"}}, "caches"),
        ({**TARGET, "cache": "semantic"}, "caches"),
        ({**TARGET, "override_params": {"model": "other"}}, "names the model"),
        ({**TARGET, "overrideParams": {"model": "other"}}, "names the model"),
        ({"targets": [{"targets": [{**TARGET, "retry": {"attempts": 1}}]}]}, "/targets/0/targets/0"),
    ],
)
def test_a_configuration_that_would_be_measured_is_refused(a_context, config, reason):
    """At any depth and in both spellings; the reason is told, the configuration and its keys are not."""
    with pytest.raises(InputError, match=reason) as caught:
        build(a_context(URL, headers={"X-Portkey-Config": json.dumps(config)}))
    assert "secret-key-of-mine" not in str(caught.value)
    assert "x-portkey-config" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("eval-config", "neither JSON nor the id"),
        ("", "neither JSON nor the id"),
        ("[1]", "no object"),
        ("[" * 100_000, "neither JSON nor the id"),
        ('{"targets": [' * 30 + "{}" + "]}" * 30, "nested deeper"),
    ],
)
def test_a_configuration_nobody_can_read_is_refused(a_context, text, reason):
    """What cannot be looked into is no clean room, save the id of a hosted configuration."""
    with pytest.raises(InputError, match=reason):
        build(a_context(URL, headers={CONFIG: text}))


def test_a_configuration_of_harmless_parts_is_taken(a_context):
    """Switches that are off, other parameters and odd targets do no harm."""
    config = {**TARGET, "retry": {"attempts": 0}, "cache": None, "override_params": {"seed": 1}, "targets": ["x"]}
    assert build(a_context(URL, headers={CONFIG: json.dumps(config)})).profile.headers_for(a_model()) == {}
