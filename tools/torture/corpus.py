"""What fuzzing starts from: real shapes of the wire, the starter project, and an eligibility file."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from evalkit.testing.eligibility import an_eligibility

ROOT = Path(__file__).parents[2]
_WIRE = ROOT / "tests" / "data_fixtures" / "wire"

ANSWERS = (
    '{"label": "billing"}',
    'Here is the result:\n\n```json\n{"label": "billing", "n": [1, 2.5e3, null]}\n```\nLet me know!',
    '``` json\n{"a": "\\(x\\)"}\n```</s></s>',
    '<think>\nhm\n</think>\n\n{"a": "b\nc", "d": true,}',
    "“answer”: {'x': 1}",
    '[{"type": "text", "text": "hi"}, -0.0, 1e400, NaN]',
    '{"reasoning": "…", "answer": 42} trailing [1, {"answer": 43}]',
)


@cache
def exchanges() -> tuple[dict[str, Any], ...]:
    """Return answers of gateways, each with status and headers."""
    lines = (_WIRE / "exchanges.jsonl").read_text(encoding="utf-8").splitlines()
    return tuple(json.loads(line) for line in lines)


@cache
def errors() -> tuple[tuple[int, bytes], ...]:
    """Return status and body of every error a provider or gateway was seen to send."""
    found = []
    for name in ("errors.jsonl", "provider_errors.jsonl"):
        for line in (_WIRE / name).read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            body = row.get("body", row)
            found.append((int(row.get("status", 400)), (body if isinstance(body, str) else json.dumps(body)).encode()))
    return tuple(found)


def usages() -> tuple[bytes, ...]:
    """Return usage objects in the spellings that providers use."""
    details = {"cached_tokens": 3, "reasoning_tokens": 2}
    reports: tuple[dict[str, Any], ...] = (
        {"prompt_tokens": 21, "completion_tokens": 8, "total_tokens": 29, "prompt_tokens_details": details},
        {"input_tokens": 9.0, "output_tokens": 1, "output_tokens_details": details, "cost": 0.002},
        {"prompt_tokens": 1, "cost": {"total_cost": "0.1"}, "is_byok": True,
         "cost_details": {"upstream_inference_cost": 0.4}},
    )  # fmt: skip
    bodies = ({"usage": reports[0]}, {"x_groq": {"usage": reports[1]}}, {"choices": [{"usage": reports[2]}]})
    return tuple(json.dumps(value).encode() for value in (*reports, *bodies))


def requests() -> tuple[bytes, ...]:
    """Return requests to every endpoint the simulator serves."""
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "2+2"}]},
    ]
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    function = {"name": "lookup", "parameters": schema}
    return tuple(
        json.dumps({"model": "sim/azure", **more}).encode()
        for more in (
            {"messages": messages, "max_tokens": 5, "stream": True, "stream_options": {"include_usage": True}},
            {"messages": messages, "response_format": {"type": "json_schema", "json_schema": {"schema": schema}}},
            {"messages": messages, "tools": [{"type": "function", "function": function}], "tool_choice": "auto"},
            {"input": messages, "max_output_tokens": 9, "text": {"format": {"type": "json_object"}}},
            {"prompt": ["a", "b"], "max_tokens": 3, "system": "x"},
            {"input": ["a", "b"], "dimensions": 8, "encoding_format": "base64"},
        )
    )


def loaded(name: str) -> Any:
    """Return a YAML file of the starter project or suites as plain values."""
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def small_suite() -> dict[str, Any]:
    """Return a suite that uses most of what a suite may say, small enough to be loaded often."""
    case = {"id": "a", "vars": {"x": 1}, "expected": {"n": 2}, "tags": ["t"], "cluster": "c", "critical": True,
            "known_bad": [{"answer": "no", "fails": ["json_schema"]}]}  # fmt: skip
    schema = {"type": "object", "required": ["n"], "properties": {"n": {"type": "number", "pattern": "^a+$"}}}
    return {
        "version": 1, "name": "small", "task": "small", "primary": "fields", "trials": 1, "payloads": "full",
        "request": {"system": "You count.", "prompt": "Say {{ x }} {% if x %}twice{% endif %}", "temperature": 0,
                    "response": {"schema": schema, "modes": ["json_schema", "prompted"]}, "max_output_tokens": 9},
        "cases": [case, {**case, "id": "b"}],
        "scorers": ["json_schema", {"fields": {"numbers": {"abs_tol": 0.1}}}],
        "gates": [{"metric": "fields", "at_least": 0.0}, {"metric": "latency_s", "of": "p95", "at_most": 4.0}],
    }  # fmt: skip


def eligibility() -> dict[str, Any]:
    """Return an eligibility file's document."""
    built = an_eligibility({"triage": ["gpt-4o", "small"], "legal": []})
    return json.loads(built.model_dump_json(exclude_none=False))
