"""A small project that loads without a complaint, and ways to break one thing in it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

from evalkit.errors import InputError
from evalkit.loading.problems import ProjectErrors
from evalkit.loading.project import load_project

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()

CONFIG = """\
version: 1
environment: staging
gateway: {kind: openai, base_url: "http://127.0.0.1:9/v1", api_key_env: GATEWAY_KEY}
suites: ["suites/*/suite.yaml"]
limits:
  concurrency: 8
  budget_usd: 5
"""

ROSTER = """\
version: 1
defaults: {capabilities: {tools: true}}
models:
  - id: alpha
    route: lab/alpha
    provider: lab
    capabilities: {structured: json_schema}
  - id: alpha-fp8
    extends: alpha
    host: cheapcloud
    quantization: fp8
    capabilities: {seed: true}
"""

POLICY = """\
version: 1
defaults: {valid_for: 50h}
providers: {lab: {spend_cap: {usd: 10, per: 1d}}}
tasks:
  greeting:
    pin: alpha
    incumbent: alpha
    failover:
      retries: 1
      upstream_timeout_s: 10
      client_timeout_s: 60
"""

WAIVERS = """\
version: 1
waivers:
  - {task: greeting, model: alpha, action: hold, reason: vendor outage, by: ops, until: 2026-03-10}
"""

SUITE = """\
version: 1
name: greeting
task: greeting
request:
  system: "Be polite."
  prompt: "Greet {{ name }}."
  max_output_tokens: 40
cases: cases.jsonl
primary: exact
scorers:
  - exact
  - contains: {as: mentions, any: [hello]}
gates:
  - {metric: exact, at_least: 0.9}
  - {metric: refusal, at_most: 0.1}
  - {metric: exact, at_least: 0.8, where: {tag: formal}}
"""


def case_lines(n_cases: int = 40) -> str:
    """Return JSON Lines; every case is its own cluster and formal."""
    rows = (
        {"id": f"c{i}", "vars": {"name": f"Ada {i}"}, "expected": f"Hello Ada {i}", "tags": ["formal"]}
        for i in range(n_cases)
    )
    return "".join(json.dumps(row) + "\n" for row in rows)


class ProjectFolder:
    """A project on disk."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("evalkit.yaml", CONFIG).write("roster.yaml", ROSTER).write("policy.yaml", POLICY)
        self.write("waivers.yaml", WAIVERS).write("suites/greeting/suite.yaml", SUITE)
        self.write("suites/greeting/cases.jsonl", case_lines())

    def write(self, name: str, text: str) -> ProjectFolder:
        """Write a file, and the folders above it."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text), encoding="utf-8")
        return self

    def replace(self, name: str, old: str, new: str) -> ProjectFolder:
        """Change the first place where `old` stands in a file."""
        text = (self.root / name).read_text(encoding="utf-8")
        assert old in text, f"{old!r} is not in {name}"
        return self.write(name, text.replace(old, new, 1))

    def load(self, config_name: str = "evalkit.yaml"):
        """Load the project, ten days before its waiver ends."""
        return load_project(self.root, now=NOW, config_name=config_name)

    def errors(self) -> tuple[InputError, ...]:
        """Load, and return what was refused; a lone InputError counts as one."""
        with pytest.raises(InputError) as caught:
            self.load()
        assert caught.value.exit_code == 2
        return caught.value.errors if isinstance(caught.value, ProjectErrors) else (caught.value,)

    def error(self) -> InputError:
        """Return the one error there is."""
        errors = self.errors()
        assert len(errors) == 1, [str(error) for error in errors]
        return errors[0]


@pytest.fixture
def folder(tmp_path) -> ProjectFolder:
    """A whole project in a folder of its own."""
    return ProjectFolder(tmp_path / "shop")
