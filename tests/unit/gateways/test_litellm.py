"""The LiteLLM profile: what is switched off in each request, and what counts as proof of the callback."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from evalkit.errors import InputError
from evalkit.gateways.litellm import build
from evalkit.plugins import Reply
from evalkit.testing.builders import a_model


def test_retries_fallbacks_and_cache_are_off(a_context):
    """The switches are those the proxy honours in a request; `max_retries` is none of them."""
    profile = build(a_context("http://127.0.0.1:1/v1")).profile
    cache = {"no-cache": True, "no-store": True}
    assert profile.extra_body == {"num_retries": 0, "disable_fallbacks": True, "cache": cache}
    assert (profile.kind, profile.model_field, profile.attests) == ("litellm", "echo", False)
    assert profile.cost_header == "x-litellm-response-cost"


def test_nothing_depends_on_the_model(a_context):
    """A model needs neither provider nor host: the proxy's own configuration knows them."""
    profile = build(a_context("http://127.0.0.1:1/v1")).profile
    assert (profile.body_for(a_model()), profile.headers_for(a_model())) == ({}, {})


@pytest.mark.parametrize(
    "extra",
    [{"num_retries": 2}, {"disable_fallbacks": False}, {"cache": {"no-cache": False}}, {"fallbacks": ["other"]}],
    ids=lambda extra: next(iter(extra)),
)
def test_extras_that_would_undo_a_switch_are_refused(a_context, extra):
    """Extras are laid over the switches: a cache that is on again would be measured in place of the model."""
    profile = build(a_context("http://127.0.0.1:1/v1")).profile
    with pytest.raises(InputError, match=next(iter(extra))) as caught:
        profile.body_for(a_model(adapt={"extra_body": extra}))
    assert "adapt.extra_body" in str(caught.value)


def test_other_extras_pass(a_context):
    """What a model needs besides, and a switch said once more, is the roster's business."""
    profile = build(a_context("http://127.0.0.1:1/v1")).profile
    extras = {"reasoning_effort": "low", "num_retries": 0, "cache": {"no-cache": True, "no-store": True}}
    assert profile.body_for(a_model(adapt={"extra_body": extras})) == {}


def test_the_answers_name_may_be_declared_upstreams(a_context):
    """Who has LiteLLM keep the raw name in the body says so in the project file."""
    assert build(a_context("http://127.0.0.1:1/v1", model_field="upstream")).profile.model_field == "upstream"


def test_the_proxy_waits_longer_than_we_do(serving, exchanging):
    """A deployment's own shorter timeout would cut answers that are still in time."""

    async def run():
        async with serving() as served:
            await exchanging(build, served.base_url, limits={"call_timeout_s": 30})
            return served.requests[0].headers["x-litellm-timeout"]

    assert asyncio.run(run()) == "35"


def test_the_users_headers_win(serving, exchanging):
    """Whatever the project file sets is sent as it is."""

    async def run():
        async with serving() as served:
            await exchanging(build, served.base_url, headers={"X-LiteLLM-Timeout": "2"})
            return served.requests[0].headers.getall("x-litellm-timeout")

    assert asyncio.run(run()) == ["2"]


@pytest.mark.parametrize(
    ("status", "body", "is_proof"),
    [
        (403, b'{"error": {"code": "403", "provider_specific_fields": {"error": {"code": "evalkit_probe"}}}}', True),
        (403, b'{"error": {"code": "evalkit_probe"}}', True),
        (403, b"{\"error\": {\"message\": \"{'error': {'code': 'evalkit_probe'}}\"}}", True),
        (403, b'{"error": {"code": "evalkit_ineligible"}}', False),
        (400, b'{"error": {"message": "Invalid model name passed in model=evalkit/identity-probe"}}', False),
        (200, b'{"choices": [{"message": {"content": "evalkit_probe"}}]}', False),
        (500, b"Internal Server Error", False),
    ],
)
def test_only_the_callbacks_refusal_is_proof(a_context, status, body, is_proof):
    """403 with the callback's own code, however the proxy wraps it; never an answer, never LiteLLM's own refusal."""
    probe = build(a_context("http://127.0.0.1:1/v1")).profile.identity_probe
    reply = Reply(status=status, headers={}, body=body, latency_s=0.1)
    assert probe.is_proof(reply) is is_proof


def test_the_probe_names_a_model_that_exists_nowhere(a_context):
    """Without the callback the proxy refuses the name by itself: nothing goes upstream either way."""
    profile = build(a_context("http://127.0.0.1:1/v1")).profile
    assert profile.identity_probe.route == "evalkit/identity-probe"
    assert profile.identity_probe.headers == {"x-evalkit-probe": "identity"}
    assert "evalkit.router.litellm_hook.evaluation" in profile.identity_cure


def test_probe_headers_are_sent(serving, exchanging, a_context, a_request):
    """The probe goes through the same gateway as any request."""

    async def handler(_request):
        return web.json_response({"error": {"code": "evalkit_probe"}}, status=403)

    async def run():
        async with serving(handler) as served:
            probe = build(a_context(served.base_url)).profile.identity_probe
            reply = await exchanging(build, served.base_url, request=a_request(headers=probe.headers))
            return probe.is_proof(reply), served.requests[0].headers["x-evalkit-probe"]

    assert asyncio.run(run()) == (True, "identity")


def test_a_base_url_is_needed(a_context):
    """A proxy has no well-known address."""
    with pytest.raises(InputError, match="no base_url"):
        build(a_context(None, kind="litellm"))
