"""Which model served a conversation: where it is kept, for how long, and how many."""

from __future__ import annotations

import asyncio

import pytest

from evalkit.router import pins as pins_module
from evalkit.router.pins import Pins


class Clock:
    """A clock the test sets."""

    now = 100.0

    def __call__(self):
        """Return the time it was set to."""
        return self.now


class Store:
    """A store several workers share; it takes what LiteLLM's Redis cache takes."""

    def __init__(self):
        self.kept = {}

    async def async_get_cache(self, key):
        """Return what was set, or None."""
        return self.kept.get(key, (None,))[0]

    async def async_set_cache(self, key, value, *, ttl):
        """Set it."""
        self.kept[key] = (value, ttl)


@pytest.fixture
def clock():
    """A clock of this test's own."""
    return Clock()


def test_a_conversation_is_remembered_and_forgotten_after_a_silence(clock):
    """Each answer counts anew."""

    async def run():
        pins = Pins(now=clock)
        assert await pins.find("c", shared=None) is None
        await pins.keep("c", "a", shared=None, for_s=10)
        clock.now += 9
        assert await pins.find("c", shared=None) == "a"
        await pins.keep("c", "b", shared=None, for_s=10)
        clock.now += 9
        assert await pins.find("c", shared=None) == "b"
        clock.now += 1
        assert await pins.find("c", shared=None) is None

    asyncio.run(run())


def test_workers_that_share_a_store_agree(clock):
    """And nothing is kept beside it: a worker's own memory would be wrong as soon as another serves."""

    async def run():
        store, one, two = Store(), Pins(now=clock), Pins(now=clock)
        await one.keep("c", "a", shared=store, for_s=10.5)
        assert await two.find("c", shared=store) == "a"
        assert store.kept["c"] == ({"model": "a"}, 10)
        await two.keep("c", "b", shared=store, for_s=10)
        assert await one.find("c", shared=store) == "b"
        assert await one.find("c", shared=None) is None

    asyncio.run(run())


@pytest.mark.parametrize("found", [None, "a", {}, {"model": None}, {"model": 7}, ["a"]])
def test_what_else_the_store_holds_is_no_pin(clock, found):
    """Somebody else may write there."""

    async def run():
        store = Store()
        store.kept["c"] = (found, 1)
        assert await Pins(now=clock).find("c", shared=store) is None

    asyncio.run(run())


def test_memory_is_bounded(clock, monkeypatch):
    """The conversation not heard of for longest goes first."""
    monkeypatch.setattr(pins_module, "MAX_CONVERSATIONS", 3)

    async def run():
        pins = Pins(now=clock)
        for key in "abcad":
            await pins.keep(key, key, shared=None, for_s=10)
        return [key for key in "abcd" if await pins.find(key, shared=None)]

    assert asyncio.run(run()) == ["a", "c", "d"]
