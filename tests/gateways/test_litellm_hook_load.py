"""Ten thousand requests while the file is replaced a hundred times: nobody is served by who was not eligible."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import time
from dataclasses import dataclass

import aiohttp
import pytest

from evalkit.canonical import write_atomically
from evalkit.testing.eligibility import an_eligibility

pytestmark = pytest.mark.slow

N_REQUESTS = int(os.environ.get("EVALKIT_HOOK_REQUESTS", "10000"))
N_VERSIONS = 100
PUBLISHED_AT = {round(number * N_REQUESTS / (N_VERSIONS + 1)) for number in range(1, N_VERSIONS + 1)}
"""The requests before which the file is replaced."""
N_CLIENTS = 16
"""Of each proxy's requests in flight at a time."""
CHECK_EVERY_S = 0.25
CHAT = [{"role": "user", "content": "What is 2 plus 5? Answer with the number."}]
GROUPS = {"qa": ["a"], "qa#1": ["b"], "qa#2": ["c"], "pool": ["a", "x", "c", "b"]}
OFFERS = [["a"], ["b"], ["c", "a"], [], ["b", "c"], ["c"], ["a", "b", "c"], ["b", "a"]]
"""What the versions say of the task, in turn: every model comes and goes, and once in eight there is nobody."""


@dataclass
class Version:
    """A version of the file, and when it may have been seen on disk, on the clock that requests are timed by."""

    eligible: frozenset[str]
    since: float
    until: float = float("inf")


@dataclass(frozen=True)
class Exchange:
    """One request."""

    status: int
    served_by: str | None
    live: str
    started: float
    ended: float


def config(base_url):
    """One group per position, and one that mixes; `x` is never eligible."""
    models = [(group, model) for group, models in GROUPS.items() for model in models]
    return {
        "model_list": [
            {
                "model_name": group,
                "litellm_params": {"model": f"openai/steady/{model}", "api_base": base_url, "api_key": "none"},
                "model_info": {"id": f"{group}:{model}", "evalkit_model": model},
            }
            for group, model in models
        ],
        "router_settings": {"num_retries": 0, "disable_cooldowns": True, "fallbacks": [{"qa": ["qa#1", "qa#2"]}]},
        "litellm_settings": {"callbacks": ["evalkit.router.litellm_hook.handler"]},
    }


class Publisher:
    """Replaces the file, each version a second younger than the one before, and notes when."""

    def __init__(self, path):
        self._path = path
        self._made_at = time.time() - 7200
        self._offers = itertools.cycle(OFFERS)
        self._turn = asyncio.Lock()
        self.versions: dict[str, Version] = {}
        """By the digits of the digest, in order."""

    async def publish_next(self):
        """Put the next version there, beside the requests."""
        async with self._turn:
            await asyncio.to_thread(self.publish)

    def publish(self):
        """Put the next version there."""
        self._made_at += 1
        made = an_eligibility({"qa": next(self._offers)}, now=self._made_at)
        offered = frozenset(each.model for each in made.tasks["qa"].candidates)
        data = json.dumps(made.document()).encode()
        version = Version(offered, time.monotonic())
        write_atomically(self._path, data)
        if self.versions:
            next(reversed(self.versions.values())).until = time.monotonic()
        self.versions[made.digest.removeprefix("sha256:")[:12]] = version


async def client(session, gateway, numbers, *, exchanges, publisher):
    """Take the next number and ask, until they run out: both groups, every third streamed, half in conversations."""
    for number in numbers:
        if number in PUBLISHED_AT:
            await publisher.publish_next()
        body = {"model": "pool" if number % 2 else "qa", "messages": CHAT, "stream": number % 3 == 0}
        headers = {"authorization": f"Bearer {gateway.key}", "x-evalkit-task": "qa"}
        headers |= {"x-evalkit-session": f"s{number % 200}"} if number % 4 > 1 else {}
        started = time.monotonic()
        async with session.post(f"{gateway.base_url}/chat/completions", json=body, headers=headers) as answer:
            await answer.read()
            name = answer.headers.get("x-litellm-model-id", "").rpartition(":")[2] if answer.status == 200 else None
            live = answer.headers.get("x-evalkit-eligibility", "")
        exchanges.append(Exchange(answer.status, name, live, started, time.monotonic()))


async def run(gateways, publisher):
    """Ask and replace at the same time."""
    numbers, exchanges = iter(range(N_REQUESTS)), []
    limit = aiohttp.ClientTimeout(total=120)
    async with aiohttp.ClientSession(timeout=limit, connector=aiohttp.TCPConnector(limit=0)) as session:
        clients = (
            client(session, gateway, numbers, exchanges=exchanges, publisher=publisher)
            for gateway in gateways
            for _ in range(N_CLIENTS)
        )
        await asyncio.gather(*clients)
    return exchanges


def test_nobody_is_served_by_who_was_not_eligible(start_litellm, upstream, tmp_path, record_property):
    """Each answer names the version that let it through: the model is in it, and it was there when it was looked at."""
    publisher = Publisher(tmp_path / "eligibility.json")
    publisher.publish()
    environ = {"EVALKIT_ELIGIBILITY_FILE": str(tmp_path / "eligibility.json"), "EVALKIT_AUDIENCE": "prod"}
    gateways = [start_litellm(config(upstream.base_url), environ=environ, with_evalkit=True) for _ in range(2)]
    before = upstream.count()

    started = time.monotonic()
    exchanges = asyncio.run(run(gateways, publisher))
    record_property("requests_per_s", round(len(exchanges) / (time.monotonic() - started), 1))

    assert len(exchanges) == N_REQUESTS
    assert len(publisher.versions) == N_VERSIONS + 1
    assert {each.status for each in exchanges} == {200, 403}
    served = [each for each in exchanges if each.status == 200]
    asked = {name: n - before.get(name, 0) for name, n in upstream.count().items()}
    assert asked.get("steady/x", 0) == 0
    assert sum(asked.values()) == len(served)
    for each in served:
        version = publisher.versions[each.live]
        assert each.served_by in version.eligible, (each, version)
        assert version.since <= each.ended
        assert version.until >= each.started - CHECK_EVERY_S, (each, version)
    # The file was followed, not just obeyed once: nearly every version let somebody through or refused somebody.
    assert len({each.live for each in exchanges}) > 0.8 * N_VERSIONS
    assert {each.served_by for each in served} == {"a", "b", "c"}
    record_property("served", len(served))
