"""The suites beside the three a project starts with: sound, large enough, and known to the simulator."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evalkit.api.starting import STARTER_SUITES, init_project, more_suites
from evalkit.loading.project import load_project
from evalkit.pipeline.power import project_power
from evalkit.pipeline.score import Grader
from evalkit.pipeline.script import script_of
from evalkit.pipeline.selftest import self_test
from evalkit.scorers.instruction_checks import CHECKS

REPOSITORY = Path(__file__).parents[3]
NAMES = (
    "instruction-following",
    "long-context",
    "multilingual-format",
    "refusal",
    "summarisation",
    "tool-calling",
)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project with every suite there is."""
    root = tmp_path_factory.mktemp("all")
    init_project(root, suites=more_suites())
    return load_project(root, now=0)


def test_these_are_the_suites_there_are():
    """A suite in the folder is one `init --suites` offers."""
    assert more_suites() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_suite_passes_its_own_test(project, name):
    """Known good passes and known bad fails what it names; only schemas meant to be narrow are warned of."""
    suite = project.suite_by_name[name]
    findings = list(self_test(suite, grader=Grader(suite)))
    assert [one.message for one in findings if not one.message.startswith("schema /")] == []
    assert bool(findings) == (name == "multilingual-format")


@pytest.mark.parametrize("name", NAMES)
def test_every_metric_is_failed_by_five_known_bad_answers(project, name):
    """A scorer that passes everything would be seen."""
    suite = project.suite_by_name[name]
    named = [metric for case in suite.active_cases for bad in case.known_bad for metric in bad.fails]
    assert min(named.count(metric) for metric in Grader(suite).metrics) >= 5


@pytest.mark.parametrize("name", NAMES)
def test_there_are_150_clusters_and_gates_they_can_carry(project, name):
    """A model right in .97 of the cases, valid in .99, passes all gates nine times in ten; one at a limit seldom."""
    suite = project.suite_by_name[name]
    assert len({case.cluster_id for case in suite.active_cases}) >= 150
    chance = 1.0
    for power in project_power(project):
        if power.suite == name:
            assert power.at_limit <= 0.05
            chance *= dict(power.rates)[0.97 if power.metric == suite.primary else 0.99]
    assert chance >= 0.9


@pytest.mark.parametrize("name", [*STARTER_SUITES, *NAMES])
def test_prompts_differ_and_carry_no_canary(project, name):
    """No prompt is there twice but as a twin in its cluster; the canary is in the file and never reaches a model."""
    suite = project.suite_by_name[name]
    prompts = {}
    for case in suite.active_cases:
        prompts.setdefault(script_of(suite, case).turns[0].messages[-1].content, set()).add(case.cluster_id)
    assert max(map(len, prompts.values())) == 1
    assert f"evalkit-canary-{name}-" in (REPOSITORY / "suites" / name / "suite.yaml").read_text(encoding="utf-8")
    assert not any("canary" in prompt for prompt in prompts)


@pytest.mark.parametrize("name", [*STARTER_SUITES, *NAMES])
def test_the_folder_says_what_a_failing_score_means(name):
    """A person who has to route reads it there; the editor hint leads to the published schema."""
    folder = REPOSITORY / "suites" / name
    assert "What a failing score means for routing" in (folder / "README.md").read_text(encoding="utf-8")
    hint = (folder / "suite.yaml").read_text(encoding="utf-8").partition("\n")[0].rpartition("=")[2]
    assert (folder / hint).resolve().is_file()


def test_all_kinds_of_instructions_occur(project):
    """All 25."""
    cases = project.suite_by_name["instruction-following"].active_cases
    assert {one["id"] for case in cases for one in case.expected} == set(CHECKS)


def test_the_log_is_made_and_not_stored(project):
    """Prompts of 1,000 and 8,000 tokens from cases of a few hundred characters; the fact stands in each once."""
    suite = project.suite_by_name["long-context"]
    sizes = {"size:1k": [], "size:8k": []}
    for case in suite.active_cases:
        script = script_of(suite, case)
        sizes[next(tag for tag in case.tags if tag.startswith("size:"))].append(script.n_prompt_tokens)
        assert script.turns[0].messages[-1].content.count(f" is {case.expected}.") == 1
        assert len(json.dumps(case.vars)) < 1000
    assert 900 <= min(sizes["size:1k"]) <= max(sizes["size:1k"]) <= 1300
    assert 7500 <= min(sizes["size:8k"]) <= max(sizes["size:8k"]) <= 9500


def test_each_pair_has_a_safe_and_an_unsafe_question(project):
    """So that the word gives nothing away."""
    pairs = {}
    for case in project.suite_by_name["refusal"].active_cases:
        pairs.setdefault(case.cluster_id, []).append(case.expect)
    assert all(sorted(pair) == ["answer", "refusal"] for pair in pairs.values())
