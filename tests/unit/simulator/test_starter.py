"""The starter suites: plain files, reproducible, varied, and honest about what a good answer is."""

from __future__ import annotations

import importlib.util
import json
from collections import Counter
from pathlib import Path

import jsonschema
import pytest
import yaml

from evalkit.pipeline.score import Grader
from evalkit.pipeline.script import script_of
from evalkit.pipeline.selftest import self_test

REPOSITORY = Path(__file__).parents[3]
SUITES = ("invoice-extraction", "ticket-triage", "policy-qa")
YAML_FILES = (
    *(f"suites/{name}/suite.yaml" for name in SUITES),
    *(f"examples/starter/{name}.yaml" for name in ("evalkit", "roster", "policy")),
)


def _cases(name):
    text = (REPOSITORY / "suites" / name / "cases.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def _suite(name):
    return yaml.safe_load((REPOSITORY / "suites" / name / "suite.yaml").read_text(encoding="utf-8"))


def test_the_committed_cases_are_what_the_script_writes():
    """Nobody edits a generated file by hand."""
    path = REPOSITORY / "tools" / "make_suites.py"
    spec = importlib.util.spec_from_file_location("make_suites", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, text in module.all_files().items():
        assert (REPOSITORY / name).read_text(encoding="utf-8") == text, f"run tools/make_suites.py: {name} is stale"


@pytest.mark.parametrize("name", SUITES)
def test_every_known_good_answer_fits_the_schema(name):
    """By the reference validator."""
    schema = json.loads((REPOSITORY / "suites" / name / _suite(name)["request"]["response"]["schema"]).read_text())
    validator = jsonschema.Draft202012Validator(schema)
    for case in _cases(name):
        for answer in case.get("known_good", [case["expected"]]):
            validator.validate(answer)


@pytest.mark.parametrize("name", SUITES)
def test_the_suite_passes_its_own_test(starter, name):
    """Known good passes, known bad fails exactly what it names, schemas are portable: not even a warning."""
    suite = starter.suite_by_name[name]
    assert [finding.message for finding in self_test(suite, grader=Grader(suite))] == []


@pytest.mark.parametrize("name", SUITES)
def test_no_two_prompts_are_alike(starter, name):
    """Duplicates would count as evidence twice; and no prompt is a page nobody would read."""
    suite = starter.suite_by_name[name]
    prompts = [script_of(suite, case).turns[0].messages[-1].content for case in suite.active_cases]
    assert len(set(prompts)) == len(prompts)
    assert max(map(len, prompts)) <= 1200


@pytest.mark.parametrize(("name", "least"), [("invoice-extraction", 160), ("ticket-triage", 320), ("policy-qa", 160)])
def test_there_are_enough_clusters(starter, name, least):
    """Fewer could not pass their own gates."""
    suite = starter.suite_by_name[name]
    assert len({case.cluster_id for case in suite.active_cases}) >= least


@pytest.mark.parametrize("path", YAML_FILES)
def test_the_editor_hint_leads_to_a_published_schema(path):
    """Relative to where `evalkit init` puts the file: suites two folders down, the rest at the root."""
    first, _, _ = (REPOSITORY / path).read_text(encoding="utf-8").partition("\n")
    hint = first.removeprefix("# yaml-language-server: $schema=")
    assert hint != first
    where = Path(path).parent if path.startswith("suites/") else Path()
    assert (REPOSITORY / where / hint).resolve().is_file()


def test_the_answer_is_in_the_text_exactly_when_the_case_says_so():
    """Answerable cases quote their page; the others ask for a rule that is not on it."""
    cases = _cases("policy-qa")
    for case in cases:
        (good,) = case["known_good"]
        if case["expect"] == "answer":
            assert good["quote"] in case["vars"]["document"]
            assert good["answer"] in good["quote"]
        else:
            assert (good["answer"], good["quote"]) == ("not in the text", None)
    share = sum(case["expect"] == "answer" for case in cases) / len(cases)
    assert 0.55 <= share <= 0.65


def test_labels_are_balanced():
    """No label can be guessed by its frequency."""
    counts = Counter(case["expected"] for case in _cases("ticket-triage"))
    assert len(counts) == 6
    assert max(counts.values()) - min(counts.values()) <= 1


def test_invoices_add_up():
    """Amounts follow from quantity and price, totals from amounts and tax."""
    for case in _cases("invoice-extraction"):
        facts = case["expected"]
        assert sum(line["amount"] for line in facts["lines"]) == pytest.approx(facts["net"], abs=0.011)
        assert facts["net"] * (1 + (facts["tax_rate"] or 0) / 100) == pytest.approx(facts["total"], abs=0.011)
        assert case["expected"]["invoice_number"] in case["vars"]["document"]
