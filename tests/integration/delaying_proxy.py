"""A gateway that adds a known time: passes chat completions on, and sleeps first for models of its choice.

A program of its own, so that its work does not take the time of the process that measures. It prints its base URL and
ends with its standard input. Arguments: where to pass requests on to, seconds to wait, a part of the models' routes.
"""

from __future__ import annotations

import asyncio
import json
import sys

import aiohttp
from aiohttp import web


async def serve(upstream: str, delay_s: float, slow: str) -> None:
    """Pass requests on until nobody listens any more."""
    async with aiohttp.ClientSession() as session:

        async def pass_on(request: web.BaseRequest) -> web.Response:
            body = await request.read()
            if slow in json.loads(body)["model"]:
                await asyncio.sleep(delay_s)
            async with session.post(f"{upstream}/chat/completions", data=body) as answer:
                return web.Response(body=await answer.read(), status=answer.status, content_type="application/json")

        runner = web.ServerRunner(web.Server(pass_on, access_log=None), shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        print(f"http://127.0.0.1:{runner.addresses[0][1]}/v1", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], float(sys.argv[2]), sys.argv[3]))
