"""The server over real HTTP, in this process: paths, keys, labels, faults of the connection, time."""

from __future__ import annotations

import asyncio
import io
import json
import time

import aiohttp
import pytest

from evalkit.domain.outcome import Kind
from evalkit.domain.project import GatewayConfig, Limits
from evalkit.errors import InputError
from evalkit.gateways.simulator import build
from evalkit.plugins import Fault, GatewayContext, Request
from evalkit.simulator.book import AnswerBook
from evalkit.simulator.options import ServerOptions
from evalkit.simulator.personas import PERSONAS
from evalkit.simulator.server import serving

NO_BOOK = AnswerBook(())


def in_server(work, *, book=NO_BOOK, **options):
    """Run `work(session, base_url)` against a server of its own."""

    async def run():
        async with serving(book, ServerOptions(**options)) as base_url, aiohttp.ClientSession() as session:
            return await work(session, base_url)

    return asyncio.run(run())


def a_body(model="sim/gpt", **changes):
    """Return a chat completion request."""
    return {"model": model, "messages": [{"role": "user", "content": "Hello there"}]} | changes


async def post(session, base_url, body, **headers):
    """Return (status, headers, body bytes)."""
    async with session.post(f"{base_url}/chat/completions", json=body, headers=headers) as response:
        return response.status, response.headers, await response.read()


@pytest.mark.parametrize("model", [persona.route for persona in PERSONAS] + ["scenario/html_502", "nobody"])
def test_every_answer_is_labelled_simulated(model):
    """No answer can be taken for evidence."""
    status, headers, _ = in_server(lambda session, url: post(session, url, a_body(model)))
    assert status in {200, 400, 404, 429, 500, 502, 503, 529}
    assert headers["x-evalkit-simulated"] == "1"
    assert float(headers["x-simulated-latency-s"]) > 0


def test_the_book_answers_a_known_prompt(starter, book):
    """A right answer over the wire is the known good one; the system text may stand in front of the prompt."""
    suite = starter.suite_by_name["ticket-triage"]
    case = suite.cases[3]
    prompt = suite.request.prompt.replace("{{ options }}", case.vars["options"]).replace(
        "{{ ticket }}", case.vars["ticket"]
    )
    body = a_body("sim/gpt", messages=[{"role": "user", "content": f"{suite.request.system}\n\n{prompt}"}],
                  response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": {}}})  # fmt: skip
    _, _, raw = in_server(
        lambda s, u: post(s, u, body, **{"x-evalkit-trial": "0", "x-evalkit-attempt": "1"}), book=book
    )
    assert json.loads(json.loads(raw)["choices"][0]["message"]["content"]) == case.known_good[0]


def test_an_unknown_model_is_not_found():
    """404 with the code providers use."""
    status, _, raw = in_server(lambda session, url: post(session, url, a_body("sim/nobody")))
    assert (status, json.loads(raw)["error"]["code"]) == (404, "model_not_found")


def test_without_headers_every_call_is_a_new_trial():
    """Counted per model and prompt: identical requests from a foreign client differ, and begin anew with the server."""

    async def twice(session, url):
        return [await post(session, url, a_body()) for _ in range(2)]

    first, second = in_server(twice)
    again, _ = in_server(twice)
    assert first[1]["x-simulated-latency-s"] != second[1]["x-simulated-latency-s"]
    assert first[1]["x-simulated-latency-s"] == again[1]["x-simulated-latency-s"]


def test_concurrency_and_order_change_nothing():
    """Trial and attempt in headers make the answer independent of everything else."""

    async def all_at_once(session, url, order):
        bodies = {index: a_body(messages=[{"role": "user", "content": f"prompt {index}"}]) for index in order}
        headers = {"x-evalkit-trial": "0", "x-evalkit-attempt": "0"}
        answers = await asyncio.gather(*(post(session, url, bodies[index], **headers) for index in order))
        return {index: (status, raw) for index, (status, _, raw) in zip(order, answers, strict=True)}

    forward = in_server(lambda session, url: all_at_once(session, url, range(60)))
    backward = in_server(lambda session, url: all_at_once(session, url, range(59, -1, -1)))
    assert forward == backward


def test_a_wrong_or_missing_key_is_a_401():
    """When a key is wanted, it is wanted for everything below /v1."""

    async def tries(session, url):
        keys = [{}, {"authorization": "Bearer wrong"}, {"authorization": "Bearer right"}]
        return [(await post(session, url, a_body("scenario/bare_json"), **key))[0] for key in keys]

    assert in_server(tries, key="right") == [401, 401, 200]


def test_models_health_and_count():
    """What is there, whether it lives, and how often it was asked."""

    async def look(session, url):
        await post(session, url, a_body("sim/gpt"))
        await post(session, url, a_body("scenario/bare_json"))
        root = url.removesuffix("/v1")
        found = []
        for path in (f"{url}/models", f"{root}/healthz", f"{root}/count", f"{root}/nowhere"):
            async with session.get(path) as response:
                found.append((response.status, await response.json()))
        return found

    models, health, count, nowhere = in_server(look)
    assert {"sim/gpt", "scenario/html_502"} <= {model["id"] for model in models[1]["data"]}
    assert health == (200, {"status": "ok", "questions": 0})
    assert count[1] == {"requests": 2, "models": {"scenario/bare_json": 1, "sim/gpt": 1}, "total": 3}
    assert nowhere[0] == 404


async def control(session, base_url, path, routes):
    """PUT a switch; returns status and body."""
    async with session.put(base_url.removesuffix("/v1") + path, json={"routes": routes}) as response:
        return response.status, await response.json()


async def counted(session, base_url):
    """Return what `GET /count` says."""
    async with session.get(base_url.removesuffix("/v1") + "/count") as response:
        return await response.json()


def test_a_route_that_is_down_is_overloaded_and_counted():
    """503 in the words of the API until the set is replaced; nothing else is touched."""

    async def work(session, url):
        put = await control(session, url, "/down", ["steady/one", "scenario/bare_json"])
        down = [await post(session, url, a_body(model)) for model in ("steady/one", "scenario/bare_json", "steady/two")]
        await control(session, url, "/down", [])
        up = await post(session, url, a_body("steady/one"))
        return put, down, up, await counted(session, url)

    put, down, up, count = in_server(work)
    assert put == (200, {"routes": ["scenario/bare_json", "steady/one"]})
    assert [status for status, _, _ in down] == [503, 503, 200]
    assert json.loads(down[0][2])["error"]["code"] == "server_is_overloaded"
    assert up[0] == 200
    assert count["models"] == {"scenario/bare_json": 1, "steady/one": 2, "steady/two": 1}


def test_routes_can_be_down_from_the_start():
    """As an option of the server."""
    assert in_server(lambda s, u: post(s, u, a_body("steady/one")), down=("steady/one",))[0] == 503


def test_a_switch_that_names_nobody_is_refused():
    """400, the name in the message, and what was switched stays."""

    async def work(session, url):
        await control(session, url, "/down", ["steady/one"])
        refused = [await control(session, url, "/down", ["sim/gtp"]), await control(session, url, "/serve-as", ["x"])]
        return refused, (await post(session, url, a_body("steady/one")))[0]

    refused, status = in_server(work)
    assert [answer[0] for answer in refused] == [400, 400]
    assert "sim/gtp" in refused[0][1]["error"]["message"]
    assert status == 503


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("route", ["steady/one", "sim/azure", "scenario/bare_json"])
def test_a_route_can_answer_under_another_name(route, stream):
    """The text is the same; only the name differs, whole or streamed."""
    steady = {"x-evalkit-trial": "0", "x-evalkit-attempt": "0"}

    async def work(session, url):
        before = await post(session, url, a_body(route, stream=stream), **steady)
        await control(session, url, "/serve-as", {route: "cheap-model"})
        return before, await post(session, url, a_body(route, stream=stream), **steady)

    before, after = in_server(work)
    own_name = b'"model":"%s"' % {"sim/azure": "azure"}.get(route, route).encode()
    assert own_name in before[2]
    assert after[2] == before[2].replace(own_name, b'"model":"cheap-model"')


def test_every_request_is_counted_whatever_it_is():
    """Unknown paths, other methods, broken bodies, wrong keys: what reached the upstream reached it."""

    async def work(session, url):
        for path, body in (("/v1/images", b'{"model": "a"}'), ("/v1/chat/completions", b"{"), ("/elsewhere", b"")):
            async with session.post(url.removesuffix("/v1") + path, data=body) as response:
                assert response.status in {401, 404}
        async with session.get(f"{url}/models") as response:
            assert response.status == 401
        await post(session, url, a_body("steady/one"))
        return await counted(session, url)

    assert in_server(work, key="right") == {"requests": 2, "models": {"a": 1, "steady/one": 1}, "total": 5}


def test_counts_survive_concurrency():
    """Not one request is lost, however many arrive together."""

    async def work(session, url):
        bodies = [a_body(f"steady/{number % 7}", stream=number % 2 == 0) for number in range(700)]
        await asyncio.gather(*(post(session, url, body) for body in bodies))
        return await counted(session, url)

    count = in_server(work)
    assert count == {"requests": 700, "models": {f"steady/{number}": 100 for number in range(7)}, "total": 700}


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b'{"model": 3}', b"\xff"])
def test_a_body_that_is_no_request_is_a_400(raw):
    """Never a 500."""

    async def send(session, url):
        async with session.post(f"{url}/chat/completions", data=raw) as response:
            return response.status

    assert in_server(send) == 400


def test_a_body_of_several_megabytes_is_read():
    """Long contexts are ordinary."""
    body = json.dumps(a_body("sim/gemini", messages=[{"role": "user", "content": "x" * 3_000_000}])).encode()

    async def send(session, url):
        async with session.post(f"{url}/chat/completions", data=io.BytesIO(body)) as response:
            return json.loads(await response.read())

    assert in_server(send)["usage"]["prompt_tokens"] == 750_001


def test_time_scale_makes_it_wait():
    """Service time × scale; the header stays unscaled."""

    async def timed(session, url):
        started = time.perf_counter()
        _, headers, _ = await post(session, url, a_body("scenario/bare_json"))
        return time.perf_counter() - started, float(headers["x-simulated-latency-s"])

    waited, told = in_server(timed, time_scale=0.5)
    assert told == 0.5
    assert 0.25 <= waited < 5


@pytest.mark.parametrize(
    ("scenario", "kind"),
    [
        ("reset", Kind.CONNECTION),
        ("half_body", Kind.CONNECTION),
        ("half_stream", Kind.STREAM_CUT),
        ("stall", Kind.TIMEOUT),
    ],
)
def test_faults_of_the_connection_reach_the_client(scenario, kind):
    """A reset, a cut and a silence are what they are called, through the real gateway."""

    async def send(_session, url):
        gateway = build(
            GatewayContext(config=GatewayConfig(kind="simulator", base_url=url), limits=Limits(), read_key=lambda: None)
        )
        body = json.dumps(a_body(f"scenario/{scenario}", stream=scenario == "half_stream")).encode()
        request = Request(body=body, digest="0" * 64, timeout_s=0.5, suite="s", case_id="c", model_id="m")
        try:
            return await gateway.send(request)
        finally:
            await gateway.aclose()

    answer = in_server(send)
    assert isinstance(answer, Fault)
    assert answer.kind is kind


def test_only_loopback_is_served():
    """It never listens where others could take it for a gateway."""
    with pytest.raises(InputError, match="does not listen"):
        in_server(post, host="0.0.0.0")


def test_a_taken_port_says_so():
    """With the next step."""

    async def again(_session, url):
        port = int(url.split(":")[2].split("/")[0])
        async with serving(NO_BOOK, ServerOptions(port=port)):
            return

    with pytest.raises(InputError, match="cannot listen"):
        in_server(again)
