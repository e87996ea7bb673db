"""How much of a run is the HTTP client: the same cases through three loops, side by side, in one run.

Each loop asks the fixed-answer server for every case, parses the completion and checks the answer against its
schema with jsonschema-rs (`--bare`: neither parses nor checks); nothing is stored. Every measurement is a process of
its own, so peak memory is the loop's.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import jsonschema_rs
from harness import Row, median_of, print_table, row_from_json, start_server
from server import MODEL, SCHEMA

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Ask = Callable[[int], Awaitable[bytes]]

DOCUMENT = "Invoice INV-2026-00417 of 14 March 2026, Northwind Paper & Packaging to Harbour Street Books. " * 5
N_WARM_UP = 200
LOOPS = ("aiohttp", "httpx over aiohttp", "evalkit gateway")
REFERENCE = "aiohttp"


def body_of(case: int) -> bytes:
    """Return a request of about 600 bytes, different for every case."""
    messages = [
        {"role": "system", "content": "You extract invoice fields."},
        {"role": "user", "content": f"Case {case}. {DOCUMENT}"},
    ]
    return json.dumps({"model": MODEL, "messages": messages, "temperature": 0, "max_tokens": 400}).encode()


@dataclass(frozen=True, kw_only=True)
class Work:
    """What every loop is given to do."""

    base_url: str
    n_cases: int
    concurrency: int
    is_bare: bool = False
    """Ask only; neither parse nor check."""


def answer_checker(*, is_bare: bool) -> Callable[[bytes], bool]:
    """Return what is done with every answer; it must come out true."""
    if is_bare:
        return bool
    validator = jsonschema_rs.validator_for(SCHEMA)

    def is_valid(body: bytes) -> bool:
        completion = json.loads(body)
        return validator.is_valid(json.loads(completion["choices"][0]["message"]["content"]))

    return is_valid


async def drive(ask: Ask, work: Work, *, n_cases: int) -> None:
    """Ask every case once, `work.concurrency` at a time, and check each answer."""
    is_valid = answer_checker(is_bare=work.is_bare)
    cases = iter(range(n_cases))

    async def take_cases() -> None:
        for case in cases:
            if not is_valid(await ask(case)):
                raise SystemExit("the fixed answer does not match its own schema")

    await asyncio.gather(*(take_cases() for _ in range(work.concurrency)))


async def measure(ask: Ask, work: Work, *, name: str) -> Row:
    """Warm the connections up, then time the cases."""
    await drive(ask, work, n_cases=max(N_WARM_UP, work.concurrency))
    wall, cpu = time.perf_counter(), time.process_time()
    await drive(ask, work, n_cases=work.n_cases)
    wall_s, cpu_s = time.perf_counter() - wall, time.process_time() - cpu
    peak_rss_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Row(name=name, n_cases=work.n_cases, wall_s=wall_s, cpu_s=cpu_s, peak_rss_mb=peak_rss_mb)


async def run_aiohttp(work: Work) -> Row:
    """Plain aiohttp: the ceiling that the gateway is compared with."""
    import aiohttp  # noqa: PLC0415  each process pays, in time and memory, for its own loop only

    url = f"{work.base_url}/chat/completions"
    headers = {"content-type": "application/json", "authorization": "Bearer bench"}
    connector = aiohttp.TCPConnector(limit=work.concurrency)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def ask(case: int) -> bytes:
            async with session.post(url, data=body_of(case), headers=headers) as reply:
                return await reply.read()

        return await measure(ask, work, name="aiohttp")


async def run_httpx(work: Work) -> Row:
    """httpx as an application uses it, client layer and all, over the aiohttp transport."""
    import httpx  # noqa: PLC0415  as above
    from httpx_aiohttp import HttpxAiohttpClient  # noqa: PLC0415  as above

    url = f"{work.base_url}/chat/completions"
    headers = {"content-type": "application/json", "authorization": "Bearer bench"}
    limits = httpx.Limits(max_connections=work.concurrency, max_keepalive_connections=work.concurrency)
    async with HttpxAiohttpClient(limits=limits, timeout=60) as client:

        async def ask(case: int) -> bytes:
            reply = await client.post(url, content=body_of(case), headers=headers)
            return reply.content

        return await measure(ask, work, name="httpx over aiohttp")


async def run_evalkit(work: Work) -> Row:
    """The gateway evalkit records with."""
    from evalkit.domain.project import GatewayConfig, Limits  # noqa: PLC0415  as above
    from evalkit.gateways.openai import build  # noqa: PLC0415  as above
    from evalkit.plugins import GatewayContext, Reply, Request  # noqa: PLC0415  as above

    config = GatewayConfig(kind="openai", base_url=work.base_url)
    limits = Limits(concurrency=work.concurrency)
    gateway = build(GatewayContext(config=config, limits=limits, read_key=lambda: "bench"))

    async def ask(case: int) -> bytes:
        request = Request(
            body=body_of(case), digest="", timeout_s=60.0, suite="bench", case_id=str(case), model_id=MODEL
        )
        reply = await gateway.send(request)
        if not isinstance(reply, Reply):
            raise SystemExit(f"the bench server failed: {reply.detail}")
        return reply.body

    try:
        return await measure(ask, work, name="evalkit gateway")
    finally:
        await gateway.aclose()


RUNNERS = dict(zip(LOOPS, (run_aiohttp, run_httpx, run_evalkit), strict=True))


def measure_apart(name: str, work: Work) -> Row:
    """Run one loop in its own process and return what it measured."""
    command = [
        sys.executable, __file__, "--loop", name, "--base-url", work.base_url,
        "--n", str(work.n_cases), "--concurrency", str(work.concurrency), *(["--bare"] if work.is_bare else []),
    ]  # fmt: skip
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return row_from_json(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=10_000, help="cases a loop")
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--delay-ms", type=float, default=0.0, help="of the server, before each answer")
    parser.add_argument("--repeats", type=int, default=3, help="odd; loops take turns, the median is shown")
    parser.add_argument("--bare", action="store_true", help="the client alone: neither parse nor check answers")
    parser.add_argument("--loop", choices=LOOPS, help=argparse.SUPPRESS)
    parser.add_argument("--base-url", help=argparse.SUPPRESS)
    options = parser.parse_args()
    work = Work(
        base_url=options.base_url or "", n_cases=options.n, concurrency=options.concurrency, is_bare=options.bare
    )
    if options.loop:
        print(asyncio.run(RUNNERS[options.loop](work)).as_json())
        return
    with start_server(delay_ms=options.delay_ms) as server:
        here = replace(work, base_url=server.base_url)
        # Turn by turn: what else the machine does then falls on every loop alike.
        turns = [measure_apart(name, here) for _ in range(options.repeats) for name in LOOPS]
        n_served = server.count()
    rows = [median_of([row for row in turns if row.name == name]) for name in LOOPS]
    what = "client alone" if work.is_bare else "with schema check"
    print(f"{what}, n = {options.n:,}, concurrency = {options.concurrency}, delay = {options.delay_ms:g} ms")
    print_table(rows, reference=REFERENCE)
    print(f"the server answered {n_served:,} requests, warm-up included")


if __name__ == "__main__":
    main()
