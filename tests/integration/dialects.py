"""Servers that speak as hosted gateways are documented to speak: nothing hosted can be run here.

`OpenRouter` knows its record of attempts, comments that keep a connection open, errors under status 200 and in the
middle of a stream, cost in the usage and keys of one's own. `TokenMix` knows an address, a key and status codes,
because no more is documented. Both add up two numbers, as the suites here ask.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import re
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

COST_USD = 0.0003
FEE_USD = 0.00001
"""What OpenRouter takes of an answer that was made with the caller's own key."""
HOSTS = {"openai": "OpenAI", "anthropic": "Anthropic", "deepinfra": "DeepInfra", "mistral": "Mistral"}
OTHER_MODEL = "google/gemini-2.5-flash"

_SUM = re.compile(r"(\d+) plus (\d+)")
_COMMENT = b": OPENROUTER PROCESSING\n\n"


@contextlib.asynccontextmanager
async def serving(dialect) -> AsyncIterator[str]:
    """Serve a dialect on loopback, and give its base URL."""
    app = web.Application()
    app.router.add_post("/v1/chat/completions", dialect.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()


class Dialect:
    """A chat server that notes what it was asked, and behaves by model and by how often it was asked the same.

    Args:
        key: the one that is let in.
        habits: model name to behaviours, one for each time the same prompt is asked; the last one stays.
    """

    def __init__(self, key, habits) -> None:
        self.key = key
        self.habits = habits
        self.bodies = []
        self.headers = []
        self.answers = []
        """Bodies of every success that was no stream, as objects."""
        self._n_asked = {}

    async def answer(self, request):
        """Note the request, and let the model's next behaviour answer it."""
        body = await request.json()
        self.bodies.append(body)
        self.headers.append(request.headers.copy())
        if request.headers.get("Authorization") != f"Bearer {self.key}":
            return self.refusal(401, "No auth credentials found")
        asked = body["model"], json.dumps(body["messages"])
        n_before = self._n_asked.get(asked, 0)
        self._n_asked[asked] = n_before + 1
        habits = self.habits[body["model"]]
        return await getattr(self, habits[min(n_before, len(habits) - 1)])(request, body)

    def n_requests(self, model):
        """Return how often a model was asked."""
        return sum(body["model"] == model for body in self.bodies)

    def refusal(self, code, message, *, status=None, headers=None, metadata=None):
        """Return an error answer."""
        error = {"message": message, "code": code} | ({"metadata": metadata} if metadata else {})
        return web.json_response({"error": error}, status=status or code, headers=headers)

    def said(self, answer, **response):
        """Note a success and return it as JSON."""
        self.answers.append(answer)
        return web.json_response(answer, **response)


class TokenMix(Dialect):
    """An OpenAI-compatible answer, and the status codes that are named."""

    async def plain(self, _request, body, *, model=None):
        """Answer under the name that was asked for, without cost."""
        text, usage = sum_of(body), {"prompt_tokens": 20, "completion_tokens": 2, "total_tokens": 22}
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        name = body["model"] if model is None else model
        return self.said({
            "id": "1", "object": "chat.completion", "created": 1, "model": name, "choices": [choice], "usage": usage
        })  # fmt: skip

    async def unseen_failover(self, request, body):
        """Answer as another model: its name is the only sign."""
        return await self.plain(request, body, model="gpt-4o-mini")

    async def too_fast(self, _request, _body):
        """Refuse as over the key's requests a minute."""
        return self.refusal(429, "Request limit of the key reached", headers={"Retry-After": "0"})

    async def empty_wallet(self, _request, _body):
        """Refuse as out of money."""
        return self.refusal(402, "The wallet is empty")


class OpenRouter(Dialect):
    """A router with a record of what it did, given to those who ask for it."""

    _ids = itertools.count(1)

    async def plain(self, request, body):
        """Answer at the first attempt."""
        return self.said(self.completion(request, body))

    async def kept_alive(self, request, body):
        """Send comments before the JSON, as under slow answers."""
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        for _ in range(3):
            await response.write(_COMMENT)
            await asyncio.sleep(0.001)
        answer = self.completion(request, body)
        self.answers.append(answer)
        await response.write(json.dumps(answer).encode())
        return response

    async def own_key(self, request, body):
        """Answer with the caller's own key: `cost` is the fee, and the provider bills the rest."""
        answer = self.completion(request, body)
        answer["usage"] |= {"cost": FEE_USD, "is_byok": True, "cost_details": cost_details(COST_USD)}
        return self.said(answer)

    async def other_model(self, request, body):
        """Fall back to another model after the asked one failed."""
        tried = [(body["model"], 502), (OTHER_MODEL, 200)]
        return self.said(self.completion(request, body, model=OTHER_MODEL, tried=tried, strategy="fallback"))

    async def late_error(self, _request, _body):
        """Fail after the status had been sent: an error with a number, under 200."""
        metadata = {"provider_name": "Mistral", "raw": "upstream reset"}
        return self.refusal(502, "Provider returned error", status=200, metadata=metadata)

    async def too_fast(self, _request, _body):
        """Refuse as over the limit, with headers copied into the body and a hint."""
        metadata = {"headers": {"X-RateLimit-Limit": "20", "X-RateLimit-Remaining": "0"}}
        return self.refusal(429, "Rate limit exceeded", headers={"Retry-After": "0"}, metadata=metadata)

    async def in_flight(self, _request, _body):
        """Refuse because running requests have reserved the credit: this passes."""
        metadata = {"reason": "in_flight_budget_exhausted", "limit_source": "openrouter_in_flight_budget"}
        message = "Retry after in-flight requests settle"
        return self.refusal(402, message, headers={"Retry-After": "0"}, metadata=metadata)

    async def no_credit(self, _request, _body):
        """Refuse for want of credit: this stays."""
        return self.refusal(402, "Insufficient credits", metadata={"limit_source": "openrouter_credits"})

    async def streamed(self, request, body):
        """Stream the answer in pieces, with comments between them and the usage last."""
        whole = self.completion(request, body, kind="chat.completion.chunk")
        text = whole["choices"][0]["message"]["content"]
        rest = {name: whole.pop(name) for name in ("usage", "openrouter_metadata") if name in whole}
        pieces = [(text[:1], None), (text[1:], None), ("", "stop")]
        chunks = [whole | {"choices": [delta(piece, finish)]} for piece, finish in pieces]
        return await self.events(request, [*chunks, whole | rest | {"choices": [delta("", None)]}])

    async def broken_stream(self, request, body):
        """Fail in the middle of a stream: an event with an error, and the end."""
        whole = self.completion(request, body, kind="chat.completion.chunk")
        whole.pop("usage")
        error = {"code": 502, "message": "Upstream connection lost"}
        return await self.events(request, [
            whole | {"choices": [delta("1", None)]}, whole | {"error": error, "choices": [delta("", "error")]}
        ])  # fmt: skip

    async def events(self, request, chunks):
        """Send chunks as an event stream."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for chunk in chunks:
            await response.write(_COMMENT + b"data: " + json.dumps(chunk).encode() + b"\n\n")
        await response.write(b"data: [DONE]\n\n")
        return response

    def completion(self, request, body, *, model=None, tried=None, strategy="direct", kind="chat.completion"):
        """Return a completion with host, cost and, to those who asked for it, the record."""
        name, host = model or body["model"], host_of(body)
        message = {"role": "assistant", "content": sum_of(body), "refusal": None, "reasoning": None}
        finish = "stop"
        if "tools" in body and not any(one["role"] == "tool" for one in body["messages"]):
            function = {"name": body["tools"][0]["function"]["name"], "arguments": "{}"}
            message |= {"content": None, "tool_calls": [{"id": "call_1", "type": "function", "function": function}]}
            finish = "tool_calls"
        choice = {"index": 0, "finish_reason": finish, "native_finish_reason": finish, "message": message}
        answer = {
            "id": f"gen-{next(self._ids)}",
            "object": kind,
            "created": 1_800_000_000,
            "model": name,
            "provider": host,
            "system_fingerprint": None,
            "choices": [choice],
            "usage": {
                "prompt_tokens": 20,
                "completion_tokens": 2,
                "total_tokens": 22,
                "cost": COST_USD,
                "is_byok": False,
                "cost_details": cost_details(None),
            },
        }
        if request.headers.get("X-OpenRouter-Metadata") == "enabled":
            attempts = [{"model": one, "provider": host, "status": status} for one, status in tried or [(name, 200)]]
            answer["openrouter_metadata"] = {
                "requested": body["model"],
                "strategy": strategy,
                "attempt": len(attempts),
                "attempts": attempts,
                "endpoints": {"available": [{"model": name, "provider": host, "selected": True}], "total": 1},
                "is_byok": False,
                "region": None,
                "summary": f"available=1, selected={host}",
            }
        return answer


def sum_of(body):
    """Return the answer to the last question."""
    asked = [message["content"] for message in body["messages"] if message["role"] == "user"]
    first, second = _SUM.findall(asked[-1])[-1]
    return str(int(first) + int(second))


def host_of(body):
    """Return the host's display name: the pinned one, else one of the router's choice."""
    return HOSTS[(body["provider"].get("only") or ["openai"])[0]]


def cost_details(upstream_usd):
    """Return the breakdown of a cost; the upstream's part is told for keys of one's own only."""
    return {
        "upstream_inference_cost": upstream_usd,
        "upstream_inference_prompt_cost": 0.0,
        "upstream_inference_completions_cost": 0.0,
    }


def delta(text, finish):
    """Return a choice of a stream."""
    return {"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": finish}
