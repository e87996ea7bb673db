"""What is fuzzed: each target makes input number i of a seed, and a check that may raise only what is promised.

A check returns whether the input was taken (True) or refused with one of our own errors (False): both are right.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from evalkit.canonical import digest_of
from evalkit.domain.outcome import Kind
from evalkit.errors import EvalkitError
from evalkit.loading.files import ProjectFiles
from evalkit.loading.project import load_project, resolve_suite
from evalkit.loading.rosters import load_roster
from evalkit.router.document import Expectations, check_document
from evalkit.simulator.endpoints import ENDPOINTS, answer_at, order_at
from evalkit.simulator.order import Answer, OrderError, order_from_object, parse_object
from evalkit.wire.json_text import parse_json_text
from evalkit.wire.response import Asked, read_response
from evalkit.wire.usage import cost_from_report, usage_flags, usage_from_report, usage_of_body
from torture import corpus
from torture.mutate import json_bytes, mutated_bytes, mutated_value

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from random import Random

_ASKED = Asked(route="lumen-2-small", cost_header="x-cost", context_tokens=8192, prompt_tokens_estimate=9000)
_STATUSES = (200, 200, 200, 201, 204, 246, 301, 400, 401, 403, 404, 413, 429, 446, 500, 502, 503, 529, 999)
_HEADERS = (
    {}, {"content-type": "application/json"}, {"Content-Type": "text/event-stream"}, {"retry-after": "nan"},
    {"retry-after": "Wed, 04 Nov 2026 10:00:00 GMT", "date": "x"}, {"x-cost": "-1"}, {"x-litellm-model-id": "\xff"},
)  # fmt: skip
_NOW = 1_800_000_000.0
_MAX_DETAIL = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One door that takes bytes from outside."""

    name: str
    says: str
    """What it is, for the page."""
    make: Callable[[Random], bytes]
    check: Callable[[bytes], bool]
    is_slow: bool = False
    """Loads files: a millisecond an input instead of a hundred microseconds."""


def _maker(seeds: Sequence[bytes], *, structured_share: float = 0.4) -> Callable[[Random], bytes]:
    """Return a maker that damages the bytes of a seed or, where it is JSON, its values."""
    values = [_value_or_none(seed) for seed in seeds]

    def make(rng: Random) -> bytes:
        at = rng.randrange(len(seeds))
        if values[at] is not None and rng.random() < structured_share:
            return json_bytes(mutated_value(values[at], rng=rng))
        return mutated_bytes(seeds[at], others=seeds, rng=rng)

    return make


def _value_or_none(seed: bytes) -> Any:
    try:
        return json.loads(seed)
    except ValueError:
        return None


def _check_reading(data: bytes, *, status: int, headers: dict[str, str]) -> bool:
    reading = read_response(status, headers, data, asked=_ASKED)
    assert reading.kind in set(Kind)
    assert len(reading.detail) <= _MAX_DETAIL
    for text in (reading.text, reading.reasoning, reading.refusal, reading.finish_reason, reading.error_code):
        (text or "").encode()
    assert reading.cost_usd is None or reading.cost_usd >= 0
    if reading.kind is Kind.OK:
        assert status // 100 == 2
        assert reading.text or reading.tool_calls
    return reading.kind is Kind.OK


def _varied(data: bytes) -> tuple[int, dict[str, str]]:
    """Return status and headers that follow from the bytes, so that an input is its bytes alone."""
    mark = sum(data[:64]) + len(data)
    return _STATUSES[mark % len(_STATUSES)], dict(_HEADERS[mark % len(_HEADERS)])


def _read_answer(data: bytes) -> bool:
    status, headers = _varied(data)
    return _check_reading(data, status=status, headers=headers)


def _read_stream(data: bytes) -> bool:
    return _check_reading(data, status=200, headers={"content-type": "text/event-stream"})


def _read_error(data: bytes) -> bool:
    status, headers = _varied(data)
    return _check_reading(data, status=status if status >= 300 else 429, headers=headers)


def _read_json_text(data: bytes) -> bool:
    found = parse_json_text(data.decode("utf-8", "replace"))
    assert (found.level is None) == (found.value is None and bool(found.problem)) or found.level is not None
    parse_json_text(data.decode("utf-8", "replace"), accept=lambda value: isinstance(value, dict) and "label" in value)
    return found.level is not None


def _read_usage(data: bytes) -> bool:
    value = _value_or_none(data)
    report = value if isinstance(value, dict) else {"prompt_tokens": value, "cost": value}
    inner, _ = usage_of_body(report)
    for usage in (report, inner):
        read = usage_from_report(usage)
        usage_flags(read)
        assert read.prompt_tokens is None or 0 <= read.prompt_tokens <= 2**53
        cost = cost_from_report(usage, {"x-cost": data[:20].decode("latin-1")}, header="X-Cost")
        assert cost is None or 0 <= cost < float("inf")
    return isinstance(value, dict)


def _read_request(data: bytes) -> bool:
    try:
        raw = parse_object(data)
    except OrderError:
        return False
    is_taken = False
    for path in ("", *ENDPOINTS):
        try:
            order = order_at(path, raw) if path else order_from_object(raw)
        except OrderError:
            continue
        is_taken = True
        assert order.prompt_tokens > 0
        if path:
            answer_at(path, raw, Answer(pieces=(b'{"choices":[{"message":{"content":"hi"}}]}',)))
    return is_taken


def _read_eligibility(data: bytes) -> bool:
    sealed = data
    value = _value_or_none(data)
    if isinstance(value, dict) and len(data) % 2:
        # Every other file gets a digest that holds, as a careless writer's would: the checks behind it count too.
        try:
            body = {key: item for key, item in value.items() if key not in {"digest", "signature"}}
            sealed = json.dumps({**value, "digest": digest_of(body)}).encode()
        except (ValueError, TypeError):
            sealed = data
    try:
        check_document(sealed, expect=Expectations(audience="prod", allow_simulated=True), now=_NOW)
    except EvalkitError:
        return False
    return True


def wire_targets() -> tuple[Target, ...]:
    """Return the targets that need no file."""
    bodies = [row["body"].encode() for row in corpus.exchanges()]
    streams = [body for body in bodies if body.lstrip().startswith((b"data:", b"event:", b":"))]
    document = corpus.eligibility()
    return (
        Target(name="answers", says="answers of a gateway, any status and headers", make=_maker(bodies),
               check=_read_answer),
        Target(name="streams", says="reassembly of event streams", make=_maker(streams), check=_read_stream),
        Target(name="errors", says="classification of error answers", make=_maker([b for _, b in corpus.errors()]),
               check=_read_error),
        Target(name="json_text", says="JSON in a model's answer",
               make=_maker([text.encode() for text in corpus.ANSWERS]), check=_read_json_text),
        Target(name="usage", says="tokens and cost as reported", make=_maker(corpus.usages(), structured_share=0.7),
               check=_read_usage),
        Target(name="requests", says="requests to the simulator, every endpoint",
               make=_maker(corpus.requests(), structured_share=0.6), check=_read_request),
        Target(name="eligibility", says="the eligibility file a router reads",
               make=_maker([json_bytes(document)], structured_share=0.8), check=_read_eligibility),
    )  # fmt: skip


def loading_targets(folder: Path) -> tuple[Target, ...]:
    """Return the targets that load files; `folder`, best in memory, holds the one that is being read."""
    roster, policy = corpus.loaded("examples/starter/roster.yaml"), corpus.loaded("examples/starter/policy.yaml")
    roster["models"] = roster["models"][:2]
    policy["tasks"] = {"small": policy["tasks"]["ticket-triage"]}
    suite = corpus.small_suite()

    def target(name: str, says: str, *, value: Any, load: Callable[[], object]) -> Target:
        def check(data: bytes) -> bool:
            (folder / f"{name}.yaml").write_bytes(data)
            try:
                load()
            except EvalkitError as error:
                str(error)
                return False
            return True

        seeds = (json_bytes(value), yaml.safe_dump(value, sort_keys=False).encode())
        return Target(name=name, says=says, make=_maker(seeds, structured_share=0.7), check=check, is_slow=True)

    (folder / "one.yaml").write_bytes(json_bytes({**suite, "gates": suite["gates"][:1]}))
    config = {"version": 1, "gateway": {"kind": "simulator"}, "roster": "r.yaml", "policy": "policy.yaml",
              "suites": ["one.yaml"], "waivers": None}  # fmt: skip
    (folder / "r.yaml").write_bytes(json_bytes(roster))
    (folder / "evalkit.yaml").write_bytes(json_bytes(config))
    loads: dict[str, tuple[str, Any, Callable[[], object]]] = {
        "suite": ("suite files, with cases and schemas", suite, lambda: resolve_suite(folder / "suite.yaml", folder)),
        "roster": ("rosters", roster, lambda: load_roster("roster.yaml", ProjectFiles(folder))),
        "policy": ("policies, with the project around them", policy, lambda: load_project(folder, now=0)),
    }
    return tuple(target(name, says, value=value, load=load) for name, (says, value, load) in loads.items())
