"""Loading a project: what is resolved, and how each broken file is reported."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path

import pytest

from evalkit.errors import InputError, NotFoundError
from evalkit.loading.config import load_config
from evalkit.loading.project import resolve_suite

SUITE = "suites/greeting/suite.yaml"
CASES = "suites/greeting/cases.jsonl"


def test_a_right_project_loads(folder):
    """Every part is there, and the name is the folder's."""
    project = folder.load()
    assert project.name == "shop"
    assert [model.id for model in project.roster.models] == ["alpha", "alpha-fp8"]
    assert len(project.suite_by_name["greeting"].cases) == 40
    assert project.policy.tasks["greeting"].pin == "alpha"


def test_a_date_in_a_waiver_stays_a_date(folder):
    """A date means its end, so it must not become that day's first moment."""
    assert type(folder.load().waivers[0].until) is date


def test_a_project_without_waivers_has_none(folder):
    """The default waivers file may be missing."""
    (folder.root / "waivers.yaml").unlink()
    assert folder.load().waivers == ()


def test_a_named_waivers_file_must_exist(folder):
    """Only the default name may be missing."""
    folder.replace("evalkit.yaml", "limits:", "waivers: exceptions.yaml\nlimits:")
    assert isinstance(folder.error(), NotFoundError)


def test_the_project_file_loads_alone(folder):
    """`load_config` reads nothing else."""
    (folder.root / "roster.yaml").unlink()
    assert load_config(folder.root).limits.concurrency == 8


def test_another_config_name_is_read(folder):
    """The project file may have any name."""
    (folder.root / "evalkit.yaml").rename(folder.root / "nightly.yaml")
    assert folder.load("nightly.yaml").config.environment == "staging"


def test_one_suite_loads_by_itself(folder):
    """A suite needs neither roster nor policy."""
    (folder.root / "policy.yaml").unlink()
    assert resolve_suite(folder.root / SUITE, folder.root).name == "greeting"


def test_one_suite_is_checked_too(folder):
    """A suite loaded by itself is held to the same rules."""
    folder.replace(SUITE, "primary: exact", "primary: exakt")
    with pytest.raises(InputError, match="did you mean 'exact'"):
        resolve_suite(folder.root / SUITE, folder.root)


def test_every_problem_is_told_at_once(folder):
    """Mistakes in four files are four errors of one exception."""
    folder.replace("roster.yaml", "route: lab/alpha", "rout: lab/alpha")
    folder.replace("policy.yaml", "pin: alpha", "pinn: alpha")
    folder.replace("waivers.yaml", "action: hold", "action: postpone")
    folder.replace(SUITE, "primary: exact", "primary: exakt")
    files = {error.place.file for error in folder.errors()}
    assert files == {"roster.yaml", "policy.yaml", "waivers.yaml", SUITE}


def test_wrong_cases_do_not_hide_a_wrong_suite(folder):
    """The suite file is validated although its cases are broken."""
    folder.replace(SUITE, "version: 1", "version: 1\ntrails: 2")
    folder.write(CASES, '{"id": "a b"}\n')
    assert {(error.place.file, error.place.line) for error in folder.errors()} == {(SUITE, 2), (CASES, 1)}


def test_str_of_the_errors_begins_each_on_its_own_line(folder):
    """The exception prints every error with its place."""
    folder.write(CASES, '{"id": "a b"}\n{"id": "c d"}\n')
    with pytest.raises(InputError) as caught:
        folder.load()
    heads = [line for line in str(caught.value).splitlines() if not line.startswith("  next")]
    assert [head.split(": ")[0] for head in heads] == [f"{CASES}:1", f"{CASES}:2"]


BROKEN = [
    # file to break, old text, new text, then where and what is told
    ("evalkit.yaml", "environment: staging", "enviroment: staging", ("evalkit.yaml", 2, "/enviroment"),
     "did you mean 'environment'"),
    ("evalkit.yaml", "concurrency: 8", "concurency: 8", ("evalkit.yaml", 6, "/limits/concurency"),
     "did you mean 'concurrency'"),
    ("evalkit.yaml", "concurrency: 8", "concurrency: many", ("evalkit.yaml", 6, "/limits/concurrency"), "'many'"),
    ("evalkit.yaml", "version: 1", "version: 2", ("evalkit.yaml", 1, "/version"), "2 is not allowed"),
    ("evalkit.yaml", "http://", "ftp://", ("evalkit.yaml", 3, "/gateway"), "must start with http"),
    ("evalkit.yaml", "kind: openai, ", "", ("evalkit.yaml", 3, "/gateway/kind"), "required key 'kind'"),
    ("evalkit.yaml", "suites/*", "suits/*", ("evalkit.yaml", 4, "/suites/0"), "no file matches"),
    ("evalkit.yaml", "suites/*", "../*", ("evalkit.yaml", 4, "/suites/0"), "out of the project"),
    ("evalkit.yaml", "limits:", "roster: team.yaml\nlimits:", ("evalkit.yaml", 5, "/roster"), "no file 'team.yaml'"),
    ("evalkit.yaml", "limits:", "policy: ../p.yaml\nlimits:", ("evalkit.yaml", 5, "/policy"), "outside the project"),
    ("evalkit.yaml", "limits:", "version: 1\nlimits:", ("evalkit.yaml", 5, ""), "given twice (first on line 1)"),
    ("evalkit.yaml", "limits:", "limits: [", ("evalkit.yaml", 7, None), "not valid YAML"),
    ("evalkit.yaml", "limits:", "baseline_gateway: {kind: openai, vantag: x}\nlimits:",
     ("evalkit.yaml", 5, "/baseline_gateway/vantag"), "did you mean 'vantage'"),
    ("evalkit.yaml", "limits:", "baseline_gateway: {kind: simulator}\nlimits:",
     ("evalkit.yaml", 1, ""), "baseline_gateway of kind 'simulator' reports recorded or simulated times"),
    ("evalkit.yaml", "limits:", "baseline_gateway: {kind: replay, recordings: tapes}\nlimits:",
     ("evalkit.yaml", 1, ""), "or set limits.baseline_calls to 0"),
    ("roster.yaml", "provider: lab", "providr: lab", ("roster.yaml", 6, "/models/0/providr"),
     "did you mean 'provider'"),
    ("roster.yaml", "defaults:", "defalts:", ("roster.yaml", 2, "/defalts"), "did you mean 'defaults'"),
    ("roster.yaml", "extends: alpha", "route: lab/x\n    provider: lab\n    extend: alpha",
     ("roster.yaml", 11, "/models/1/extend"), "did you mean 'extends'"),
    ("roster.yaml", "models:", "judges: [{id: j, route: r, provider: p, extend: alpha}]\nmodels:",
     ("roster.yaml", 3, "/judges/0/extend"), "did you mean 'extends'"),
    (SUITE, "task: greeting", "task: greeting\nextend: ../base.yaml", (SUITE, 4, "/extend"), "did you mean 'extends'"),
    ("roster.yaml", "tools: true", "tool: true", ("roster.yaml", 2, "/defaults/capabilities/tool"), "'tools'"),
    ("roster.yaml", "extends: alpha", "extends: alfa", ("roster.yaml", 9, "/models/1/extends"), "did you mean 'alpha'"),
    ("roster.yaml", "id: alpha-fp8", "id: alpha", ("roster.yaml", 8, "/models/1/id"), "given twice (first on line 4)"),
    ("roster.yaml", "host: cheapcloud\n    quantization: fp8", "adapt: {}", ("roster.yaml", 8, "/models/1"),
     "'alpha' and 'alpha-fp8' have the same route"),
    ("policy.yaml", "pin: alpha", "pin: alfa", ("policy.yaml", 6, "/tasks/greeting/pin"), "did you mean 'alpha'"),
    ("policy.yaml", "incumbent: alpha", "incumbent: beta", ("policy.yaml", 7, "/tasks/greeting/incumbent"), "no model"),
    ("policy.yaml", "pin: alpha", "on_expiry: pin_only", ("policy.yaml", 6, "/tasks/greeting/on_expiry"),
     "without a pin"),
    ("policy.yaml", "50h", "50 hours", ("policy.yaml", 2, "/defaults/valid_for"), "'50 hours'"),
    ("policy.yaml", "50h", "9999999d", ("policy.yaml", 2, "/defaults/valid_for"), "a duration is at most 366d"),
    ("evalkit.yaml", "concurrency: 8", "resume_within: 8785h", ("evalkit.yaml", 6, "/limits/resume_within"),
     "a duration is at most 366d"),
    ("evalkit.yaml", "concurrency: 8", "deadline: 9999999d", ("evalkit.yaml", 6, "/limits/deadline"),
     "a duration is at most 366d"),
    ("policy.yaml", "lab:", "lap:", ("policy.yaml", 3, "/providers/lap"), "did you mean 'lab'"),
    ("policy.yaml", "client_timeout_s: 60", "client_timeout_s: 30",
     ("policy.yaml", 11, "/tasks/greeting/failover/client_timeout_s"), "largest upstream_timeout_s that fits is 7"),
    ("policy.yaml", "retries: 1", "retry_on: [refusal]", ("policy.yaml", 8, "/tasks/greeting/failover"),
     "never retried"),
    ("waivers.yaml", "model: alpha", "model: beta", ("waivers.yaml", 3, "/waivers/0/model"), "'beta' is unknown"),
    ("waivers.yaml", "task: greeting", "task: greet", ("waivers.yaml", 3, "/waivers/0/task"),
     "did you mean 'greeting'"),
    ("waivers.yaml", "2026-03-10", "2026-03-41", ("waivers.yaml", 3, "/waivers/0/until"), "'2026-03-41' is no day"),
    ("waivers.yaml", "2026-03-10", "9999-12-31", ("waivers.yaml", 3, "/waivers/0"), "too far ahead"),
    ("waivers.yaml", "2026-03-10", "soon", ("waivers.yaml", 3, "/waivers/0/until"), "'soon'"),
    (SUITE, "max_output_tokens: 40", "max_tokens: 40", (SUITE, 7, "/request/max_tokens"),
     "did you mean 'max_output_tokens'"),
    (SUITE, "max_output_tokens: 40", "max_output_tokens: 0", (SUITE, 7, "/request/max_output_tokens"),
     "0 is not allowed"),
    (SUITE, "  prompt:", "  messages: [{role: user, content: hi}]\n  prompt:", (SUITE, 4, "/request"),
     "exactly one of"),
    (SUITE, "cases.jsonl", "cases.json", (SUITE, 8, "/cases"), "no file 'cases.json'"),
    (SUITE, "cases.jsonl", "suite.yaml", (SUITE, 8, "/cases"), "neither JSON Lines nor CSV"),
    (SUITE, "cases: cases.jsonl", "cases: 7", (SUITE, 8, "/cases"), "neither a list nor a file name"),
    (SUITE, "cases: cases.jsonl", "cases: []", (SUITE, 8, "/cases"), "there is no case"),
    (SUITE, "cases: cases.jsonl\n", "", (SUITE, 1, "/cases"), "required key 'cases'"),
    (SUITE, "- exact", "- exakt", (SUITE, 11, "/scorers/0"), "did you mean 'exact'"),
    (SUITE, "- exact", "- exact: 3", (SUITE, 11, "/scorers/0"), "not a mapping"),
    (SUITE, "- contains: {as: mentions, any: [hello]}", "- exact", (SUITE, 11, "/scorers/0"), "two scorers give"),
    (SUITE, "as: mentions", "as: refusal", (SUITE, 11, "/scorers/0"), "name of evalkit's own"),
    (SUITE, "any: [hello]", "anyy: [hello]", (SUITE, 12, "/scorers/1"), "anyy"),
    (SUITE, "primary: exact", "primary: refusal", (SUITE, 9, "/primary"), "is a measure"),
    (SUITE, "{metric: exact, at_least: 0.9}", "{metric: exacts, at_least: 0.9}", (SUITE, 14, "/gates/0"), "'exact'"),
    (SUITE, "tag: formal", "tag: fromal", (SUITE, 16, "/gates/2"), "did you mean 'formal'"),
    (SUITE, "exact, at_least: 0.9", "exact, at_least: 0.99", (SUITE, 14, "/gates/0"), "needs 299 clusters"),
    (SUITE, "task: greeting", "task: greetings", (SUITE, 3, "/task"), "is not in the policy"),
    (SUITE, "{{ name }}", "{{ nam }}", (CASES, 1, "/vars"), "does not give 'nam'"),
    (SUITE, "{{ name }}", "{{ name", (SUITE, 6, "/request/prompt"), "cannot be parsed"),
    (SUITE, 'prompt: "Greet {{ name }}."', "prompt: file:../../../p.txt", (SUITE, 6, "/request/prompt"), "outside"),
    (CASES, '"c1"', '"c0"', (CASES, 2, "/id"), "given twice (first on line 1)"),
    (CASES, '"c1"', "'c1'", (CASES, 2, None), "not valid JSON"),
    (CASES, '{"id": "c2"', '{"idd": "c2"', (CASES, 3, "/idd"), "unknown key 'idd'"),
    (CASES, '"expected": "Hello Ada 3"', '"expcted": "x"', (CASES, 4, "/expcted"), "did you mean 'expected'"),
    (CASES, '"name": "Ada 4"', '"nme": "Ada 4"', (CASES, 5, "/vars"), "'c4' does not give 'name'"),
    (CASES, '"expected": "Hello Ada 5"', '"schema": {"type": "strin"}', (CASES, 6, "/schema/type"), "strin"),
    (CASES, '"expected": "Hello Ada 5"', '"schema": {"$ref": "http://x.test/s"}', (CASES, 6, "/schema/$ref"),
     "http://x.test"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("file", "old", "new", "where", "fragment"), BROKEN, ids=[f"{row[0].split('/')[-1]}-{row[4]}" for row in BROKEN]
)
def test_a_broken_file_is_reported_where_it_is_broken(folder, file, old, new, where, fragment):
    """One error has the file, line and pointer of the mutation and names it; every error has a next step."""
    errors = folder.replace(file, old, new).errors()
    found = {(error.place.file, error.place.line, error.place.pointer): str(error) for error in errors}
    assert where in found, found
    assert fragment in found[where]
    assert all(error.next_step for error in errors)


def test_a_key_in_a_file_is_never_printed(folder):
    """Somebody who pastes a key into the file learns the right place, and the key is not repeated."""
    folder.replace("evalkit.yaml", "api_key_env: GATEWAY_KEY", "api_key: sk-very-secret")
    error = folder.error()
    assert "sk-very-secret" not in str(error)
    assert "api_key_env" in error.next_step


def test_an_over_long_value_is_cut(folder):
    """A message shows at most 120 characters of a value."""
    folder.replace("evalkit.yaml", "environment: staging", f"environment: [{'x, ' * 500}x]")
    assert "…" in str(folder.error())
    assert len(str(folder.error())) < 400


def test_a_suite_file_with_a_list_is_refused(folder):
    """The top of a file is a mapping."""
    folder.write("policy.yaml", "- version: 1\n")
    assert "a policy is a mapping" in str(folder.error())


def test_an_empty_file_is_refused(folder):
    """An empty file says what it should hold."""
    folder.write("roster.yaml", "")
    assert folder.error().place.file == "roster.yaml"


def test_a_policy_task_without_a_suite_is_refused(folder):
    """A task nobody measures could never admit a model."""
    folder.replace("policy.yaml", "tasks:", "tasks:\n  farewell: {failover: {retries: 0}}")
    assert "no suite serves the task 'farewell'" in str(folder.error())


def test_two_suites_of_one_name_are_refused(folder):
    """Evidence names metrics suite/metric, so a name belongs to one suite."""
    folder.write("suites/other/suite.yaml", (folder.root / SUITE).read_text())
    folder.write("suites/other/cases.jsonl", (folder.root / CASES).read_text())
    assert "already taken by suites/greeting/suite.yaml" in str(folder.error())


def test_a_suite_matched_twice_is_loaded_once(folder):
    """Overlapping patterns are no mistake."""
    folder.replace("evalkit.yaml", '["suites/*/suite.yaml"]', '["suites/*/suite.yaml", "suites/greeting/*.yaml"]')
    assert len(folder.load().suites) == 1


def test_a_link_to_nowhere_is_no_missing_suite(folder):
    """A suite that is gone would no longer gate what it serves: it is told, not passed over."""
    (folder.root / "suites" / "gone").mkdir()
    (folder.root / "suites" / "gone" / "suite.yaml").symlink_to("nothing.yaml")
    assert isinstance(folder.error(), NotFoundError)


def test_a_folder_that_cannot_be_read_is_told(folder, monkeypatch):
    """Globbing passes over it in silence."""
    shut = folder.root / "suites" / "shut"
    shut.mkdir()
    may = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: may(path, mode) and Path(path).name != "shut")
    error = folder.error()
    assert "the folder 'suites/shut' cannot be read" in str(error)
    assert "evalkit.yaml" in str(error)


def test_a_name_longer_than_the_system_takes_is_told(folder):
    """Found by fuzzing: a name of 300 letters."""
    folder.replace(SUITE, "cases: cases.jsonl", f"cases: {300 * 'a'}.jsonl")
    assert "cannot be followed" in str(folder.error())
