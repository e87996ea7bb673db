"""The OpenRouter profile: one model on one host, and routes that would be something else tomorrow refused."""

from __future__ import annotations

import asyncio

import pytest

from evalkit.errors import InputError
from evalkit.gateways.openrouter import BASE_URL, build
from evalkit.testing.builders import a_model

URL = "http://127.0.0.1:1/v1"


@pytest.fixture
def pin(a_context):
    """Give a function: the switches of a model, written as its fields."""
    profile = build(a_context(URL)).profile
    return lambda **fields: profile.body_for(a_model(**{"route": "meta-llama/llama-3.1-70b-instruct", **fields}))


def test_host_and_quantisation_are_pinned(pin):
    """`only` and `order` both name the host: the account's own lists are merged into the first."""
    assert pin(host="deepinfra", quantization="fp8") == {
        "provider": {
            "allow_fallbacks": False,
            "require_parameters": True,
            "only": ["deepinfra"],
            "order": ["deepinfra"],
            "quantizations": ["fp8"],
        }
    }


def test_without_a_host_there_is_still_no_fallback(pin):
    """What the roster leaves open OpenRouter chooses, but only once, and never a host that drops a parameter."""
    assert pin() == {"provider": {"allow_fallbacks": False, "require_parameters": True}}


def test_compression_and_healing_are_off(a_context):
    """Both change what is measured: the prompt, or the JSON that came back."""
    profile = build(a_context(URL)).profile
    plugins = profile.extra_body["plugins"]
    assert {plugin["id"] for plugin in plugins} == {"context-compression", "response-healing"}
    assert not any(plugin["enabled"] for plugin in plugins)
    assert (profile.kind, profile.model_field, profile.attests) == ("openrouter", "upstream", True)


def test_the_record_is_asked_for_and_the_cache_is_not(serving, exchanging):
    """Without the first header nothing would attest; the second is what a cache bound to a key obeys."""

    async def run():
        async with serving() as served:
            await exchanging(build, served.base_url)
            return served.requests[0].headers

    headers = asyncio.run(run())
    assert (headers["X-OpenRouter-Metadata"], headers["X-OpenRouter-Cache"]) == ("enabled", "false")


@pytest.mark.parametrize(
    "route",
    [
        "openrouter/auto",
        "openrouter/auto-beta",
        "OpenRouter/Auto",
        "openrouter/free",
        "openrouter/fusion",
        "~anthropic/claude-sonnet-latest",
        "openai/gpt-4o:nitro",
        "openai/gpt-4o:floor",
        "openai/gpt-4o:exacto",
        "openai/gpt-4o:online",
        "@preset/mail",
        "openai/gpt-4o@preset/mail",
        "openai/gpt-4o,anthropic/claude-sonnet-4.5",
    ],
)
def test_moving_routes_are_refused(pin, route):
    """Each names the model, the route and why it is not one thing."""
    with pytest.raises(InputError, match="model 'mover' asks OpenRouter for") as caught:
        pin(id="mover", route=route)
    assert repr(route) in str(caught.value)
    with pytest.raises(InputError, match="model 'mover'"):
        pin(id="mover", routes={"openrouter": route})


@pytest.mark.parametrize(
    "route", ["openai/gpt-4o-2024-08-06", "deepseek/deepseek-r1:free", "anthropic/claude-3.7-sonnet:thinking"]
)
def test_variants_of_one_model_are_not_refused(pin, route):
    """A suffix that is a model of its own is asked for as it is."""
    assert pin(route=route)


def test_the_route_of_another_gateway_does_not_matter(pin):
    """Only what OpenRouter is asked for must not move."""
    assert pin(route="openrouter/auto", routes={"openrouter": "openai/gpt-4o"})


@pytest.mark.parametrize(
    ("extras", "named"),
    [
        ({"models": ["a/b"]}, "models"),
        ({"route": "fallback"}, "route"),
        ({"plugins": [{"id": "web"}]}, "plugins"),
        ({"transforms": ["middle-out"]}, "transforms"),
        ({"provider": {"allow_fallbacks": True}}, "provider.allow_fallbacks"),
        ({"provider": {"sort": "price", "zdr": True}}, "provider.sort"),
        ({"provider": "deepinfra"}, "provider"),
        ({"provider": {"only": ["x"]}, "models": []}, "models, provider.only"),
    ],
)
def test_extras_that_undo_the_pin_are_refused(pin, extras, named):
    """They would be laid over the switches: the message says which, and what to use instead."""
    with pytest.raises(InputError, match=f"model 'odd' has {named} in adapt.extra_body(.|\n)*`host`"):
        pin(id="odd", adapt={"extra_body": extras})


def test_preferences_that_only_narrow_are_taken(pin):
    """Who may keep the prompt is the user's to say."""
    assert pin(adapt={"extra_body": {"provider": {"data_collection": "deny", "zdr": True}, "seed": 1}})


@pytest.mark.parametrize(("given", "asked"), [(None, BASE_URL), (URL, URL)])
def test_the_address_is_known(a_context, given, asked):
    """A project names none, unless it uses another region or a proxy of its own."""
    assert repr(build(a_context(given, kind="openrouter"))).endswith(f"{asked}/chat/completions')")
