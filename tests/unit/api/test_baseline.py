"""The baseline gateway: opened only when calls go there, with its own key, and its mistakes told at its own place."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from evalkit.api.gateways import build_baseline, build_gateway
from evalkit.errors import InputError
from evalkit.plugins import Request
from evalkit.testing.builders import a_model
from evalkit.testing.evidence import a_project

BODY = b'{"model": "m", "messages": []}'
REQUEST = Request(body=BODY, digest="0" * 64, timeout_s=10, suite="qa", case_id="c", model_id="gpt-4o")


def opened(project, build=build_baseline):
    """Open a gateway and return what it is, closed again."""

    async def run():
        async with build(project) as gateway:
            return gateway

    return asyncio.run(run())


def a_pair_of(base_url="http://127.0.0.1:9/v1", *, limits=None, models=(), **baseline):
    """Return a project with a gateway and a baseline gateway."""
    return a_project(
        models=models,
        gateway={"kind": "openai", "base_url": base_url},
        baseline_gateway={"kind": "openai", "base_url": base_url} | baseline,
        limits=limits or {},
    )


def test_without_one_there_is_none():
    """A project that names none opens none."""
    assert opened(a_project(gateway={"kind": "openai", "base_url": "http://127.0.0.1:9/v1"})) is None


def test_switched_off_it_is_not_even_opened():
    """`baseline_calls: 0`: no key is read, nothing is checked."""
    assert opened(a_pair_of(limits={"baseline_calls": 0}, api_key_env="NOBODY_SET_THIS")) is None


def test_it_is_a_gateway_of_its_own():
    """Kind and address are its own."""
    gateway = opened(a_pair_of("http://127.0.0.1:9/v1"))
    assert (gateway.profile.kind, "127.0.0.1:9" in repr(gateway)) == ("openai", True)


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({"base_url": None}, "/baseline_gateway/base_url"),
        ({"base_url": "http://user:word@host/v1"}, "/baseline_gateway/base_url"),
        ({"headers": {"host name": "x"}}, "/baseline_gateway/headers/host name"),
        ({"headers": {"x-team": "${NOBODY_SET_THIS}"}}, "/baseline_gateway/headers/x-team"),
        ({"api_key_env": "NOBODY_SET_THIS"}, "/baseline_gateway/api_key_env"),
    ],
)
def test_a_mistake_is_told_at_its_own_place(wrong, pointer):
    """The user is sent to the part of the file that is wrong, not to the gateway's."""
    with pytest.raises(InputError) as caught:
        opened(a_pair_of(**wrong))
    assert caught.value.place.pointer == pointer
    assert caught.value.next_step


def test_a_models_own_key_is_never_sent_there(monkeypatch):
    """It is a key for the gateway: at another address it would be given away."""
    monkeypatch.setenv("MODEL_KEY", "key-of-the-model-for-the-gateway")
    monkeypatch.setenv("BASELINE_KEY", "key-of-the-baseline-gateway")
    seen = []

    async def answer(request):
        seen.append(request.headers.get("authorization"))
        return web.json_response({})

    async def run():
        runner = web.ServerRunner(web.Server(answer))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        base_url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        project = a_pair_of(base_url, models=[a_model(api_key_env="MODEL_KEY")], api_key_env="BASELINE_KEY")
        try:
            async with build_gateway(project) as gateway, build_baseline(project) as baseline:
                await gateway.send(REQUEST)
                await baseline.send(REQUEST)
        finally:
            await runner.cleanup()

    asyncio.run(run())
    assert seen == ["Bearer key-of-the-model-for-the-gateway", "Bearer key-of-the-baseline-gateway"]


def test_an_error_elsewhere_keeps_its_place():
    """A kind nobody installed is no part of a gateway's own configuration."""
    with pytest.raises(InputError, match="no gateway named 'nosuch'"):
        opened(a_pair_of(kind="nosuch"))
