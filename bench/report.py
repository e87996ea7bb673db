"""The HTML report at size: how long writing takes and in what memory, how large the folder is, how soon it is there.

A store is filled with made-up answers that compress about as badly as real ones (each prompt, each answer and each id
is different), for one night and the night before, and then `evalkit report` runs as a process of its own. With
Playwright installed (`make test-report` does) a headless Chromium opens the folder from the disk.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from server import SCHEMA

from evalkit.api.measuring import plan
from evalkit.api.project import load_project, opened_store
from evalkit.domain.outcome import Attempt, Cost, Identity, IdentityClass, Kind, Outcome, Reading, Timings, Turn, Usage
from evalkit.domain.run import Run, RunStatus
from evalkit.domain.score import Score, Scored, Unscored

try:
    from playwright.sync_api import sync_playwright
except ImportError:
    sync_playwright = None

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evalkit.domain.call import Call
    from evalkit.domain.project import Project

EVALKIT = Path(sys.executable).with_name("evalkit")
N_SUITES = 3
STARTED_AT = 1_790_000_000.0
LETTERS = "aeiourstlnmdpkg"


LEXICON = ["".join(random.Random(n).choices(LETTERS, k=2 + n % 9)) for n in range(4000)]
"""Words that are not English, so that no dictionary helps."""


def words(rng: random.Random, n: int) -> str:
    return " ".join(rng.choices(LEXICON, k=n))


def write_project(folder: Path, *, n_cases: int, n_models: int) -> None:
    """Write a project whose suites have `n_cases` cases each."""
    models = [
        {"id": f"model-{index}", "route": f"vendor/model-{index}", "provider": "vendor",
         "price": {"input_usd_per_mtok": 1 + index, "output_usd_per_mtok": 2 + index}}
        for index in range(n_models)
    ]  # fmt: skip
    files = {
        "evalkit.yaml": {
            "version": 1,
            "name": "bench",
            "gateway": {"kind": "openai", "base_url": "http://127.0.0.1:9/v1"},
        },
        "roster.yaml": {"version": 1, "models": models},
        "policy.yaml": {
            "version": 1,
            "tasks": {f"task-{k}": {"incumbent": "model-0", "max_candidates": 2} for k in range(N_SUITES)},
        },
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))
    rng = random.Random(1)
    for k in range(N_SUITES):
        suite = folder / "suites" / f"suite-{k}"
        suite.mkdir(parents=True)
        document = {
            "version": 1, "name": f"suite-{k}", "task": f"task-{k}", "primary": "exact",
            "request": {
                "system": "Answer with JSON.", "prompt": "Classify.\n\n{{ document }}", "response": {"schema": SCHEMA}
            },
            "cases": "cases.jsonl", "scorers": [{"exact": {}}, "json_schema"],
            "gates": [{"metric": "exact", "at_least": 0.8}, {"metric": "json_schema", "at_least": 0.9}],
        }  # fmt: skip
        (suite / "suite.yaml").write_text(json.dumps(document))
        with (suite / "cases.jsonl").open("w") as file:
            for n in range(n_cases):
                case = {"id": f"case-{k}-{n:05}", "vars": {"document": words(rng, 70)}, "expected": "label"}
                file.write(json.dumps({**case, "tags": [f"tag-{n % 7}"]}) + "\n")


def bodies_of(call: Call, text: str | None, rng: random.Random) -> tuple[bytes, bytes]:
    """Return a request and a response as they go over the wire."""
    script = call.script
    request = {
        "model": call.route,
        "messages": [
            {"role": "system", "content": script.system},
            *({"role": message.role, "content": message.content} for message in script.turns[0].messages),
        ],
        "temperature": 0,
        "max_completion_tokens": 400,
        "response_format": {"type": "json_schema", "schema": SCHEMA},
    }
    message = {"role": "assistant", "content": text, "refusal": None, "annotations": []}
    response = {
        "id": f"chatcmpl-{rng.getrandbits(120):030x}",
        "object": "chat.completion",
        "created": int(STARTED_AT) + call.sequence,
        "model": call.route,
        "system_fingerprint": f"fp_{rng.getrandbits(40):010x}",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": rng.randint(150, 260), "completion_tokens": rng.randint(40, 90)},
    }
    return json.dumps(request).encode(), json.dumps(response).encode()


def answered(call: Call, rng: random.Random, *, night: int) -> tuple[Outcome, Scored, int]:
    """Return a made-up outcome with its scores, and the bytes of its payload."""
    # Asked again at temperature 0, four answers of five are what they were.
    rng = random.Random(f"{call.key}/{night if rng.random() < 0.2 else 0}")
    draw = rng.random()
    kind = Kind.OK if draw < 0.97 else rng.choice([Kind.TRUNCATED, Kind.REFUSAL, Kind.TIMEOUT])
    is_right = draw < 0.95 - 0.02 * int(call.model_id.rpartition("-")[2])
    text = json.dumps({"label": words(rng, 1), "reason": words(rng, 40)}) if kind is Kind.OK else None
    request, response = bodies_of(call, text, rng)
    identity = Identity(identity_class=IdentityClass.SELF_REPORTED, served_model=call.route)
    latency_s = rng.lognormvariate(0, 0.5)
    reading = Reading(kind=kind, text=text, identity=identity, status=200)
    outcome = Outcome(
        call_key=call.key,
        suite=call.suite,
        case_id=call.case_id,
        cluster_id=call.cluster_id,
        model_id=call.model_id,
        trial=call.trial,
        sequence=call.sequence,
        mode=call.parameters.mode,
        kind=kind,
        turns=(Turn(reading=reading, request_body=request, response_body=response),),
        attempts=(Attempt(kind=kind, status=200, latency_s=latency_s),),
        usage=Usage(prompt_tokens=200, completion_tokens=60),
        cost=Cost(usd=0.0001 + rng.random() / 1e4, source="roster"),
        timings=Timings(
            started_at=STARTED_AT + 86_400 * night + call.sequence / 100,
            latency_s=latency_s,
            queue_s=rng.random() / 10,
        ),
        identity=identity,
    )
    return outcome, Scored(call_key=call.key, scores=tuple(scores_of(kind, is_right=is_right))), len(request + response)


def scores_of(kind: Kind, *, is_right: bool) -> Iterator[Score | Unscored]:
    for metric in ("exact", "json_parse", "json_tolerant", "json_schema"):
        if kind is Kind.TIMEOUT:
            yield Unscored(metric, f"missing:{kind}")
        else:
            yield Score(metric, float(kind is Kind.OK and (is_right or metric != "exact")))


def fill(project: Project, *, night: int) -> int:
    """Store one night and return the bytes of its payloads."""
    planned = plan(project)
    started_at = STARTED_AT + 86_400 * night
    run = Run(
        run_id=f"night-{night}", project=project.name, environment=project.config.environment,
        plan_digest=planned.digest, status=RunStatus.FINISHED, started_at=started_at, finished_at=started_at + 3600,
        gateway_kind="openai", cells=tuple(one.cell for one in planned.cells),
        suite_digests=tuple((suite.name, suite.digest) for suite in project.suites),
    )  # fmt: skip
    rng, n_bytes = random.Random(night), 0
    with opened_store(project) as store:
        store.open_run(run)
        for model_id in planned.model_ids:
            for batch in batches(planned.calls_of(model_id), 2000):
                made = [answered(call, rng, night=night) for call in batch]
                store.append(run.run_id, [outcome for outcome, _, _ in made], [scored for _, scored, _ in made])
                n_bytes += sum(size for _, _, size in made)
    return n_bytes


def batches(calls: Iterator[Call], size: int) -> Iterator[list[Call]]:
    batch: list[Call] = []
    for call in calls:
        batch.append(call)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def written(root: Path, folder: Path) -> tuple[float, float, float]:
    """Run `evalkit report` and return its seconds, those of the processor, and its peak resident megabytes."""
    started = time.perf_counter()
    process = subprocess.Popen([EVALKIT, "report", "--root", root, "-o", folder])
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit("evalkit report failed")
    return time.perf_counter() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def opened(folder: Path) -> Iterator[tuple[str, float]]:
    """Yield what a reader waits for, in milliseconds: a cold browser, the page from the disk."""
    if sync_playwright is None:
        print("no Playwright here: the folder was not opened", file=sys.stderr)
        return
    browser_path = os.environ.get("EVALKIT_CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto((folder / "index.html").as_uri())
        page.wait_for_selector("html[data-ready]")
        yield (
            "first screen drawn, all of it",
            page.evaluate("performance.getEntriesByName('evalkit-ready')[0].startTime"),
        )
        yield (
            "first contentful paint",
            page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime"),
        )
        for name, hash_, ready in (
            (
                "list of one suite's answers",
                "#/answers?suite=suite-1&show=failing",
                ".rows-table tbody tr:nth-child(5)",
            ),
            ("a case with every answer", "#/case/suite-1/case-1-00042?versus=before", ".card"),
            ("a task with its forests", "#/task/task-2", ".forest-table"),
        ):
            started = time.perf_counter()
            page.evaluate("(hash) => { location.hash = hash; }", hash_)
            page.wait_for_selector(ready)
            yield name, (time.perf_counter() - started) * 1000
        page.evaluate("location.hash = '#/answers?suite=suite-1'")
        page.wait_for_selector(".rows-table tbody tr:nth-child(5)")
        median, longest = page.evaluate(SCROLLING)
        yield "frame while jumping through the list, median of 60", median
        yield "frame while jumping through the list, longest of 60", longest
        yield "sorting all of the list", page.evaluate(SORTING)
        browser.close()


SCROLLING = """async () => {
  const box = document.querySelector(".rows"); const frames = []; let last = performance.now();
  for (let step = 0; step < 60; step += 1) {
    box.scrollTop += box.scrollHeight / 61;
    await new Promise(requestAnimationFrame);
    frames.push(performance.now() - last); last = performance.now();
  }
  frames.sort((one, other) => one - other);
  return [frames[30], frames[59]];
}"""
SORTING = """async () => {
  const started = performance.now();
  document.querySelector(".rows-table .sort").click();
  await new Promise(requestAnimationFrame);
  return performance.now() - started;
}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=120_000, help="results of the night; the night before has as many")
    parser.add_argument("--models", type=int, default=10)
    parser.add_argument("--keep", type=Path, help="leave project and report here")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = given.keep or Path(scratch)
        root.mkdir(parents=True, exist_ok=True)
        write_project(root, n_cases=given.n // (N_SUITES * given.models), n_models=given.models)
        project = load_project(root)
        n_bytes = [fill(project, night=night) for night in (0, 1)][-1]
        folder = root / "report"
        wall_s, cpu_s, peak_mb = written(root, folder)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        n_files = sum(path.is_file() for path in folder.rglob("*"))
        print(f"results {given.n:,}; raw payloads {n_bytes / 1e6:.0f} MB")
        print(f"written in {wall_s:.1f} s ({cpu_s:.1f} s of processor), peak {peak_mb:.0f} MB")
        print(f"folder {size / 1e6:.1f} MB in {n_files} files: {size / n_bytes:.3f} of the raw payloads")
        for name, ms in opened(folder):
            print(f"{name}: {ms:.0f} ms")


if __name__ == "__main__":
    main()
