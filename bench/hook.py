"""What the live callback costs a request: LiteLLM proxies with and without it, asked in turn.

    python bench/hook.py                 # 400 pairs of requests, one at a time
    python bench/hook.py --n 1000

Needs the LiteLLM of `make test-gateways`. All proxies stand in front of the same fixed-answer server, on the same
machine, and get the same requests: a request to one is followed by the same request to the other.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import secrets
import socket
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import yaml
from harness import start_server

from evalkit.testing.eligibility import an_eligibility

ROOT = Path(__file__).parents[1]
LITELLM = ROOT / ".gateways" / "litellm" / "bin" / "litellm"
N_WARM = 50
START_LIMIT_S = 180.0


def config(base_url: str, callbacks: list[str]) -> dict:
    """Return a configuration of 20 tasks with two candidates each; one of them is asked."""
    groups = [(f"task-{number}{mark}", model) for number in range(20) for mark, model in (("", "a"), ("#1", "b"))]
    return {
        "model_list": [
            {
                "model_name": group,
                "litellm_params": {"model": f"openai/{model}", "api_base": base_url, "api_key": "none"},
                "model_info": {"id": f"{group}:{model}", "evalkit_model": model},
            }
            for group, model in groups
        ],
        "router_settings": {"num_retries": 0, "fallbacks": [{f"task-{n}": [f"task-{n}#1"]} for n in range(20)]},
        "litellm_settings": {"callbacks": callbacks},
    }


@contextlib.contextmanager
def proxy(folder: Path, settings: dict, environ: dict[str, str]):
    """Run a proxy; gives a function that sends one request and returns its seconds."""
    folder.mkdir()
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    key = f"sk-{secrets.token_hex(24)}"
    own = {"LITELLM_MASTER_KEY": key, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "PYTHONPATH": str(ROOT)}
    command = [str(LITELLM), "--config", str(folder / "config.yaml"), "--host", "127.0.0.1", "--port", str(port)]
    with (folder / "log").open("wb") as log, subprocess.Popen(
        command, cwd=folder, env={"PATH": os.environ["PATH"], "HOME": str(folder), **own, **environ},
        stdout=log, stderr=log,
    ) as process:  # fmt: skip
        try:
            wait(port, process, folder / "log")
            yield sender(port, key, is_hooked=bool(environ))
        finally:
            process.terminate()


def wait(port: int, process: subprocess.Popen, log: Path) -> None:
    until = time.monotonic() + START_LIMIT_S
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/health/liveliness")
            if connection.getresponse().status == 200:
                return
        time.sleep(0.2)
    raise SystemExit(log.read_text()[-3000:])


def sender(port: int, key: str, *, is_hooked: bool):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    body = json.dumps({"model": "task-7", "messages": [{"role": "user", "content": "word " * 120}]})
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json",
               "x-evalkit-task": "task-7", "x-evalkit-session": "bench"}  # fmt: skip

    def send() -> float:
        started = time.perf_counter()
        connection.request("POST", "/v1/chat/completions", body, headers)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200, answer.status
        assert (answer.getheader("x-evalkit-eligibility") is not None) is is_hooked
        return time.perf_counter() - started

    return send


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=400)
    n = parser.parse_args().n
    with tempfile.TemporaryDirectory() as name, start_server() as server, contextlib.ExitStack() as stack:
        folder = Path(name)
        made = an_eligibility({f"task-{number}": ["a", "b"] for number in range(20)}, now=time.time() - 60)
        (folder / "eligibility.json").write_text(json.dumps(made.document()))
        environ = {"EVALKIT_ELIGIBILITY_FILE": str(folder / "eligibility.json"), "EVALKIT_AUDIENCE": "prod"}
        with_it = config(server.base_url, ["evalkit.router.litellm_hook.handler"])
        plain = config(server.base_url, [])
        # Two of the same differ by a millisecond, whichever it is: so two of each, in an order that favours neither.
        bare, hooked = [], []
        for number, (settings, given) in enumerate(((plain, {}), (with_it, environ), (with_it, environ), (plain, {}))):
            send = stack.enter_context(proxy(folder / str(number), settings, given))
            (hooked if given else bare).append(send)
        for _ in range(N_WARM):
            # In turn: a connection that is idle for some seconds is closed.
            for send in (*bare, *hooked):
                send()
        without, having = [], []
        for number in range(n):
            at, turn = number % 2, number // 2 % 2
            for send, seconds in ((bare[at], without), (hooked[at], having))[:: 1 if turn else -1]:
                seconds.append(send())
    print(f"{'proxy':<18}  {'p50 ms':>7}  {'p95 ms':>7}")
    for label, seconds in (("without callback", without), ("with callback", having)):
        cuts = statistics.quantiles(seconds, n=20)
        print(f"{label:<18}  {statistics.median(seconds) * 1000:>7.1f}  {cuts[18] * 1000:>7.1f}")
    added = statistics.median(b - a for a, b in zip(without, having, strict=True)) * 1000
    ratio = statistics.median(having) / statistics.median(without)
    print(f"added p50 of {n} pairs: {added:.2f} ms; p50 × {ratio:.2f}")


if __name__ == "__main__":
    main()
