"""Where a suite may use a judge's opinion, and where it would decide more than it can."""

from __future__ import annotations

import pytest

SUITE = "suites/greeting/suite.yaml"
CASES = "suites/greeting/cases.jsonl"
SCORERS = "scorers:\n  - exact\n"
RUBRIC = "rubric: {judge: judge, pass_at: 1, criteria: [{id: kind, text: It is kind.}]"
MODEL_GATES = "model_gates:\n  - {metric: rubric, at_least: 0.5}\n"
JUDGES = "judges:\n  - {id: judge, route: jury/one, provider: jury}\n"


@pytest.fixture
def judged(folder):
    """A project whose suite has a rubric beside its own scorers; `more` are further keys of the entry."""

    def build(*, more="", gate="{metric: rubric, at_least: 0.5}", primary="exact"):
        folder.write("roster.yaml", (folder.root / "roster.yaml").read_text("utf-8") + JUDGES)
        folder.replace(SUITE, SCORERS, f"{SCORERS}  - {RUBRIC}{more}}}\n")
        folder.replace(SUITE, "gates:\n", f"gates:\n  - {gate}\n")
        folder.replace(SUITE, "primary: exact", f"primary: {primary}")
        return folder

    return build


def test_a_judge_may_gate(judged):
    """A yes or no beside other metrics; the project says whom to ask."""
    project = judged().load()
    assert [judge.id for judge in project.roster.judges] == ["judge"]
    assert project.judges.gateway_kind == "openai"


@pytest.mark.parametrize("more", [", weight: 2", ", negate: true"])
def test_what_bends_a_metric_is_refused(judged, more):
    """The labels are about the metric as the judge gives it."""
    (error,) = judged(more=more).errors()
    assert "'rubric' asks somebody, so it takes no" in str(error)


def test_scorers_of_a_single_case_bend_nothing_either(judged):
    """With the line of the case."""
    folder = judged()
    own = '"scorers": [{"name": "rubric", "weight": 1, "params": {"judge": "judge", "pass_at": 1, "criteria": '
    own += '[{"id": "kind", "text": "It is kind."}]}}], '
    folder.replace(CASES, '{"id": ', "{" + own + '"id": ')
    (error,) = folder.errors()
    assert "takes no weight" in str(error)
    assert "cases.jsonl:1" in str(error)


def test_a_gate_on_a_share_is_refused(judged):
    """With the place of the gate, and what to add."""
    folder = judged()
    folder.replace(SUITE, "pass_at: 1, ", "")
    (error,) = folder.errors()
    assert "share of a judge's opinion" in str(error)
    assert "pass_at" in error.next_step


def test_an_opinion_is_no_primary_beside_an_incumbent(judged):
    """Whoever the judge likes would be non-inferior."""
    assert any("the task has an incumbent" in str(error) for error in judged(primary="rubric").errors())


def test_an_opinion_takes_no_model_out_by_one_case(judged):
    """Critical cases are decided by `primary`, and one verdict must not be enough."""
    folder = judged(primary="rubric")
    folder.replace("policy.yaml", "    incumbent: alpha\n", "")
    folder.load()
    folder.replace(CASES, '{"id": ', '{"critical": true, "id": ')
    (error,) = folder.errors()
    assert "is critical, and one opinion of a judge must not be enough" in str(error)


def test_an_opinion_is_no_success_to_divide_by(judged):
    """A cost per success counts `primary`."""
    folder = judged(primary="rubric", gate="{metric: cost_usd, of: per_success, at_most: 1}")
    folder.replace("policy.yaml", "    incumbent: alpha\n", "")
    (error,) = folder.errors()
    assert "a cost per success counts 'rubric'" in str(error)


def test_a_model_gate_on_an_opinion_is_refused(judged):
    """People confirm a judge for one suite at a time: no gate over all suites rests on it."""
    folder = judged()
    folder.write("policy.yaml", (folder.root / "policy.yaml").read_text("utf-8") + MODEL_GATES)
    (error,) = folder.errors()
    assert "'rubric' is a judge's opinion" in str(error)
    assert "policy.yaml" in str(error)
    assert "people labelled" in error.next_step


def test_a_judge_is_not_asked_about_a_turn(judged):
    """Only the last answer of a conversation is, so nothing else may seem to be."""
    folder = judged()
    turn = f"{{user: hi, expect: {{expected: hi, scorers: [{{{RUBRIC}}}}}]}}}}"
    prompt = next(line for line in (folder.root / SUITE).read_text("utf-8").splitlines() if "prompt:" in line)
    folder.replace(SUITE, prompt, f"  turns: [{turn}, {{user: bye}}]")
    found = [error for error in folder.errors() if "asks somebody about an answer" in str(error)]
    assert len(found) == 1
    assert "suite.yaml" in str(found[0])
