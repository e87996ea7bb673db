"""Each gateway starts in front of the simulator, serves one call for one request upstream, and stops again."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import pytest

QUESTION = "What is 2 plus 5? Answer with the number."
"""Case `sum-2` of the project the simulator knows."""
ANSWER = "7"

TENSORZERO_CONFIG = """
[gateway]
disable_pseudonymous_usage_analytics = true
observability.enabled = false

[models.one]
routing = ["upstream"]

[models.one.providers.upstream]
type = "openai"
model_name = "steady/one"
api_base = "{base_url}/"
api_key_location = "env::UPSTREAM_KEY"

[functions.sums]
type = "chat"

[functions.sums.variants.first]
type = "chat_completion"
model = "one"
"""
TENSORZERO_SCRIPT = """
import json, sys
from tensorzero import TensorZeroGateway
with TensorZeroGateway.build_embedded(config_file=sys.argv[1]) as gateway:
    answer = gateway.inference(
        function_name="sums", input={"messages": [{"role": "user", "content": sys.argv[2]}]}
    )
    print(json.dumps({"variant": answer.variant_name, "text": answer.content[0].text}))
"""


SDK_SCRIPT = """
import sys
from openai import OpenAI
client, asked = OpenAI(base_url=sys.argv[1], api_key="none", max_retries=0), {"model": "steady/one"}
said = [client.responses.create(**asked, input=sys.argv[2]).output_text]
said.append(client.completions.create(**asked, prompt=sys.argv[2]).choices[0].text)
with client.responses.stream(**asked, input=sys.argv[2]) as stream:
    said.append(stream.get_final_response().output_text)
chunks = client.completions.create(**asked, prompt=sys.argv[2], stream=True)
said.append("".join(chunk.choices[0].text for chunk in chunks))
said.append(str(len(client.embeddings.create(**asked, input=sys.argv[2]).data[0].embedding)))
print(",".join(said))
"""


def post(url, body, **headers):
    """Return status, headers and raw body of one request."""
    headers = {"content-type": "application/json", **headers}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.status, answer.headers, answer.read()


def chat(base_url, model, **headers):
    """Ask the question over HTTP; return status, headers and body."""
    body = {"model": model, "messages": [{"role": "user", "content": QUESTION}]}
    status, headers, raw = post(f"{base_url}/chat/completions", body, **headers)
    return status, headers, json.loads(raw)


def text_of(body):
    """Return what the model said."""
    return body["choices"][0]["message"]["content"]


def is_alive(pid):
    """Return whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture(scope="module")
def litellm(start_litellm, upstream):
    """Start one proxy for all tests here: a group by way of OpenAI's API, one by way of Anthropic's."""
    where = {"api_key": "os.environ/UPSTREAM_KEY", "max_retries": 0}
    by_openai = {"model": "openai/steady/one", "api_base": upstream.base_url, **where}
    by_anthropic = {"model": "anthropic/steady/one", "api_base": upstream.base_url.removesuffix("/v1"), **where}
    config = {
        "model_list": [
            {"model_name": "sums", "litellm_params": by_openai},
            {"model_name": "messages", "litellm_params": by_anthropic},
        ],
        "router_settings": {"num_retries": 0, "disable_cooldowns": True},
    }
    gateway = start_litellm(config, environ={"UPSTREAM_KEY": "none"})
    yield gateway
    gateway.stop()
    assert not is_alive(gateway.pid)


def test_litellm_serves(litellm, upstream):
    """One chat call, one request upstream."""
    before, before_all = upstream.count().get("steady/one", 0), upstream.total()

    status, headers, body = chat(litellm.base_url, "sums", authorization=f"Bearer {litellm.key}")

    assert (status, text_of(body)) == (200, ANSWER)
    assert headers["x-litellm-model-group"] == "sums"
    assert upstream.count()["steady/one"] == before + 1
    assert upstream.total() == before_all + 1


def test_litellm_finds_an_upstream_down(litellm, upstream):
    """503 to the client, one request counted, and service again after."""
    upstream.set_down(["steady/one"])
    before = upstream.count().get("steady/one", 0)
    try:
        with pytest.raises(urllib.error.HTTPError) as failed:
            chat(litellm.base_url, "sums", authorization=f"Bearer {litellm.key}")
    finally:
        upstream.set_down([])
    failed.value.close()
    assert failed.value.code == 503
    assert upstream.count()["steady/one"] == before + 1
    assert chat(litellm.base_url, "sums", authorization=f"Bearer {litellm.key}")[0] == 200


ONE_TURN = [{"role": "user", "content": QUESTION}]


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize("group", ["sums", "messages"])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/chat/completions", {"messages": ONE_TURN}),
        ("/responses", {"input": QUESTION}),
        ("/messages", {"messages": ONE_TURN, "max_tokens": 50}),
        ("/completions", {"prompt": QUESTION}),
    ],
)
def test_litellm_translates_every_api(litellm, upstream, path, body, group, is_stream):
    """Whatever the client speaks and whatever goes upstream, the answer arrives by one request."""
    before = upstream.total()

    whole = {"model": group, **body, "stream": is_stream}
    status, headers, raw = post(f"{litellm.base_url}{path}", whole, authorization=f"Bearer {litellm.key}")

    kind = "text/event-stream" if is_stream else "application/json"
    assert (status, headers.get_content_type()) == (200, kind), raw
    assert f'"{ANSWER}"'.encode() in raw.replace(b" ", b""), raw
    assert upstream.total() == before + 1


def test_litellm_embeds(litellm, upstream):
    """The vector the simulator made arrives, though the client asked for numbers and LiteLLM may ask for base64."""
    direct = json.loads(post(f"{upstream.base_url}/embeddings", {"model": "steady/one", "input": QUESTION})[2])
    bearer = {"authorization": f"Bearer {litellm.key}"}
    _, _, raw = post(f"{litellm.base_url}/embeddings", {"model": "sums", "input": QUESTION}, **bearer)
    assert json.loads(raw)["data"][0]["embedding"] == pytest.approx(direct["data"][0]["embedding"], rel=1e-6)


def test_the_official_client_reads_the_simulator(litellm_python, upstream, tmp_path):
    """OpenAI's own library, as LiteLLM carries it, takes every answer for what it should be."""
    command = [litellm_python, "-c", SDK_SCRIPT, upstream.base_url, QUESTION]
    done = subprocess.run(
        command, env={"HOME": str(tmp_path)}, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().split(",") == [ANSWER] * 4 + ["8"]


def test_portkey_serves_and_stops(start_portkey, upstream):
    """One chat call, one request upstream, no port open to the network, and no process left."""
    gateway = start_portkey()
    before_steady, before = upstream.count().get("steady/two", 0), upstream.total()

    to = {"x-portkey-provider": "openai", "x-portkey-custom-host": upstream.base_url, "authorization": "Bearer none"}
    status, headers, body = chat(gateway.base_url, "steady/two", **to)

    assert (status, text_of(body)) == (200, ANSWER)
    assert headers["x-portkey-provider"] == "openai"
    assert upstream.count()["steady/two"] == before_steady + 1
    assert upstream.total() == before + 1
    assert listening_addresses(gateway.pid) == {"127.0.0.1"}
    gateway.stop()
    assert not is_alive(gateway.pid)


def test_tensorzero_serves_in_its_own_process(tensorzero_python, upstream, tmp_path):
    """The embedded gateway: one inference, one request upstream."""
    config = tmp_path / "tensorzero.toml"
    config.write_text(TENSORZERO_CONFIG.format(base_url=upstream.base_url), encoding="utf-8")
    before = upstream.total()

    done = subprocess.run(
        [tensorzero_python, "-c", TENSORZERO_SCRIPT, config, QUESTION],
        env={"UPSTREAM_KEY": "none", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {"variant": "first", "text": ANSWER}
    assert upstream.total() == before + 1


def listening_addresses(pid):
    """Return the IPv4 and IPv6 addresses a process listens on, from the kernel's tables."""
    inodes = set()
    for entry in (Path("/proc") / str(pid) / "fd").iterdir():
        target = str(entry.readlink())
        if target.startswith("socket:["):
            inodes.add(target.removeprefix("socket:[").removesuffix("]"))
    found = set()
    for table, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        for line in (Path("/proc") / str(pid) / "net" / table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                words = bytes.fromhex(fields[1].partition(":")[0])
                in_order = b"".join(words[at : at + 4][::-1] for at in range(0, len(words), 4))
                found.add(socket.inet_ntop(family, in_order))
    return found


def test_the_wheel_is_in_litellms_environment(litellm_with_evalkit, litellm_python):
    """Installed without its dependencies, the router's side imports beside LiteLLM's own packages."""
    script = "import evalkit.router.reader as reader; print(reader.__file__)"
    done = subprocess.run(
        [litellm_python, "-c", script], cwd="/", capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "site-packages" in done.stdout
