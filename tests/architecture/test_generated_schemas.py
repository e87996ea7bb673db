"""The published schemas are those of the types, and accept what the loader accepts."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from evalkit.loading.project import load_project

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "schemas" / "evalkit"
FORMATS = ("case", "eligibility", "policy", "project", "roster", "suite", "waivers")

_spec = importlib.util.spec_from_file_location("write_schemas", ROOT / "tools" / "write_schemas.py")
write_schemas = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(write_schemas)


def faults(name: str, value: object) -> list[str]:
    """Return what the schema on disk has against a value."""
    validator = Draft202012Validator(json.loads((FOLDER / f"{name}.schema.json").read_text()))
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]


def test_there_is_one_schema_a_format():
    """No file is left over from a format that is gone."""
    assert sorted(path.name for path in FOLDER.iterdir()) == [f"{name}.schema.json" for name in FORMATS]


@pytest.mark.parametrize("name", FORMATS)
def test_the_schema_on_disk_is_what_the_types_say(name):
    """After a change of a type: python tools/write_schemas.py."""
    assert (FOLDER / f"{name}.schema.json").read_text() == write_schemas.rendered(write_schemas.schemas()[name])


@pytest.mark.parametrize("name", FORMATS)
def test_the_schema_is_a_schema(name):
    """Editors can read it."""
    Draft202012Validator.check_schema(json.loads((FOLDER / f"{name}.schema.json").read_text()))


def test_writing_twice_gives_the_same_bytes(tmp_path):
    """Nothing in them depends on the machine or the order."""
    write_schemas.write_schemas(tmp_path)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        path.name: path.read_text() for path in FOLDER.iterdir()
    }


FILES = {
    "evalkit.yaml": """
version: 1
environment: prod-north
gateway: {kind: litellm, base_url: "http://127.0.0.1:4000/v1", api_key_env: PROXY_KEY, vantage: north-1}
baseline_gateway: null
roster: roster.yaml
suites: ["suites/*/suite.yaml"]
policy: policy.yaml
store: "sqlite:///.evalkit/evalkit.db"
reports: reports/
limits: {concurrency: 64, budget_usd: 20, call_timeout_s: 60, max_attempts: 3}
signing: {private_key_env: SIGNING_KEY, key_id: team-2026}
""",
    "roster.yaml": """
version: 1
defaults: {capabilities: {tools: true, temperature: true}}
models:
  - id: large-1
    route: vendor/large-1-2026
    routes: {openrouter: vendor/large}
    provider: vendor
    host: null
    quantization: null
    served_as: []
    price: {input_usd_per_mtok: 2.5, output_usd_per_mtok: 10.0}
    context_tokens: 128000
    max_output_tokens: 16384
    capabilities: {structured: json_schema}
    adapt: {system_role: system, max_tokens_field: max_completion_tokens, extra_body: {}}
    limits: {concurrency: 16, requests_per_minute: 500, tokens_per_minute: 200000}
  - {id: open-70b, route: host-a/open-70b, api_key_file: /run/secrets/key}
  - {id: open-fp8-b, extends: open-70b, host: b, quantization: fp8, route: b/open-70b}
""",
    "suites/receipts/suite.yaml": """
version: 1
name: receipts
task: receipts
extends: ../_defaults.yaml
request:
  system: "You read receipts."
  prompt: "Give this receipt as JSON.\\n\\n{{ document }}"
  response: {schema: ../../schemas/answers/receipt.schema.json, modes: [json_schema, json_object, prompted]}
  temperature: 0
  max_output_tokens: 400
cases: cases.jsonl
trials: 1
primary: fields
payloads: full
scorers:
  - json_schema
  - fields: {numbers: {abs_tol: 0.01}}
gates:
  - {metric: json_schema, at_least: 0.90}
  - {metric: fields, at_least: 0.80}
  - {metric: refusal, at_most: 0.10}
  - {metric: latency_s, of: p95, at_most: 4.0}
  - {metric: cost_usd, of: per_success, at_most: 0.01}
""",
    "policy.yaml": """
version: 1
defaults: {confidence: 0.95, min_coverage: 0.95, valid_for: 50h, min_identity: self_reported, rank_by: cost}
providers: {vendor: {spend_cap: {usd: 200, per: 1d}}}
tasks:
  receipts:
    critical: true
    pin: large-1
    incumbent: large-1
    non_inferiority_margin: 0.10
    max_candidates: 3
    on_expiry: deny
    on_pin_lost: failover
    failover: {retries: 2, retry_on: [rate_limited, provider_overloaded, timeout],
               switch_on: [quota_exhausted, auth_error, model_unavailable],
               upstream_timeout_s: 10, client_timeout_s: 120, session: sticky}
    latency: {p95_s: 4.0}
    spend_cap: {usd: 50, per: 1d}
""",
    "waivers.yaml": """
version: 1
waivers:
  - {task: receipts, model: open-70b, action: deny, reason: licence under review, by: legal, until: "2026-03-01"}
""",
}  # fmt: skip
FORMAT_OF = {
    "evalkit.yaml": "project",
    "roster.yaml": "roster",
    "suites/receipts/suite.yaml": "suite",
    "policy.yaml": "policy",
    "waivers.yaml": "waivers",
}
CASE = {
    "id": "r0",
    "vars": {"document": "Total 4.20"},
    "expected": {"total": 4.2},
    "expect": "answer",
    "cluster": "k0",
    "tags": ["short"],
    "critical": True,
    "schema": {"type": "object"},
    "max_output_tokens": 50,
    "scorers": ["json_schema", {"fields": {"numbers": {"abs_tol": 0.01}}}],
    "known_good": [{"total": 4.2}],
    "known_bad": [{"answer": {"total": 5}, "fails": ["fields"]}],
}


@pytest.mark.parametrize("file", FILES)
def test_a_full_example_satisfies_its_schema(file):
    """Editors do not underline what the loader accepts."""
    assert faults(FORMAT_OF[file], yaml.safe_load(FILES[file])) == []


def test_a_full_case_satisfies_its_schema():
    """Every key of a case is in its schema, short scorers included."""
    assert faults("case", CASE) == []


def test_the_full_examples_load(tmp_path):
    """What the schemas accept here, the loader accepts as a whole project."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    answer = {"type": "object", "properties": {"total": {"type": "number"}}, "required": ["total"]}
    (tmp_path / "schemas/answers").mkdir(parents=True)
    (tmp_path / "schemas/answers/receipt.schema.json").write_text(json.dumps(answer))
    (tmp_path / "suites/_defaults.yaml").write_text("request: {temperature: 0.3}\n")
    plain = [{"id": f"r{i}", "vars": {"document": f"{i}"}, "expected": {"total": i}} for i in range(1, 200)]
    lines = "".join(json.dumps(case) + "\n" for case in (CASE, *plain))
    (tmp_path / "suites/receipts/cases.jsonl").write_text(lines)
    project = load_project(tmp_path, now=1_772_000_000)  # four days before its waiver ends
    assert project.suites[0].request.response.schema_ == answer
    assert project.suites[0].request.temperature == 0
    assert project.roster.by_id["open-fp8-b"].api_key_file == "/run/secrets/key"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("project", {"version": 1}),
        ("roster", {"version": 1, "models": [{"route": "r"}]}),
        ("suite", {"version": 1, "name": "a"}),
        ("policy", {"version": 1, "tasks": {}}),
        ("waivers", {"version": 1, "waivers": [{"task": "a"}]}),
        ("case", {"vars": {}}),
        ("case", {"id": "a", "scorers": [{"a": {}, "b": {}}]}),
        ("eligibility", {"format": "evalkit.eligibility/2"}),
    ],
)
def test_a_schema_refuses_what_the_loader_refuses(name, value):
    """A schema that accepts everything would be useless."""
    assert faults(name, value)
