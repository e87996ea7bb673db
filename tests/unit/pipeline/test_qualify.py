"""Labels and verdicts become counts, and the judge's names go with them."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from evalkit.domain.judging import Label, LabelCounts, Labels
from evalkit.domain.outcome import Identity, Kind
from evalkit.domain.roster import Roster
from evalkit.pipeline.instruments import instruments_of
from evalkit.pipeline.qualify import held_against, only_metric, question_keys, questions_of
from evalkit.pipeline.score import Grader
from evalkit.testing.builders import a_case, a_model, a_suite, an_outcome

CRITERIA = [{"id": "right", "text": "It is right."}]


def labels(*rows):
    """Return labels from (case id, answer, passes, model)."""
    return Labels(
        tuple(Label(case_id=case, answer=answer, passes=passes, model=model) for case, answer, passes, model in rows),
        digest="sha256:labels",
    )


@pytest.fixture
def judged(a_project):
    """Return the builder of a project with two judges, graded by these scorers."""

    def build(*scorers):
        suite = a_suite(cases=[a_case("a"), a_case("b")], scorers=["exact", *scorers])
        project = a_project(suites=[suite], models=[a_model("one", provider="x")])
        judges = [a_model(name, provider=name) for name in ("judge", "second")]
        return replace(project, roster=Roster(version=1, models=project.roster.models, judges=judges))

    return build


def held(project, found, says, *, metric="rubric"):
    """Return how the judge did when `says` gives its verdict (None: it could not be reached) by answer text."""
    (suite,) = project.suites
    grader = Grader(only_metric(suite, metric, project=project), judges=project.judges)
    replies = {}
    for label in found.labels:
        (calls,) = [questions_of(suite, Labels((label,), ""), grader=grader, held=())]
        for judge_id, by_key in calls.items():
            for key, call in by_key.items():
                replies[key] = reply(call, says(judge_id, label))
    instrument = instruments_of(project, suite)[metric]
    return held_against(
        suite, found, grader=grader, replies=replies, metric=metric, instrument=instrument, gateway_kind="openai"
    )


def reply(call, met):
    """Return a verdict, or a timeout for None."""
    own = {"call_key": call.key, "model_id": call.model_id, "asked_about": call.asked_about}
    if met is None:
        return an_outcome(call.case_id, kind=Kind.TIMEOUT, **own)
    text = json.dumps({"right": {"explanation": "so", "met": met}})
    return an_outcome(call.case_id, text=text, identity=Identity(served_model=f"{call.model_id}-1"), **own)


def test_counts_are_what_both_said(judged):
    """Four cells, unjudged answers apart, a table for each model, and the name the judge answered under."""
    project = judged({"rubric": {"judge": "judge", "pass_at": 1, "criteria": CRITERIA}})
    found = labels(
        ("a", "yes", True, "one"),
        ("a", "yes!", True, ""),
        ("a", "no", False, "one"),
        ("b", "maybe", False, "one"),
        ("b", "hardly", True, "elsewhere"),
        ("b", "unheard", True, "one"),
        ("b", " ", False, "one"),
    )
    verdicts = {"yes": True, "yes!": True, "no": False, "maybe": True, "hardly": False, "unheard": None}
    result = held(project, found, lambda _judge, label: verdicts[label.answer])
    qualification = result.qualification
    # The blank answer reached no judge, and counts as failed by it all the same.
    assert qualification.counts == LabelCounts(both_pass=2, only_judge=1, only_people=1, both_fail=2)
    assert qualification.n_unjudged == 1
    assert qualification.n_by_model == {"": 1, "elsewhere": 1, "one": 4}
    assert qualification.served == {"judge": ("judge-1",)}
    assert (qualification.labels, qualification.gateway_kind) == ("sha256:labels", "openai")
    assert dict(result.by_model)[""] == LabelCounts(both_pass=1, only_judge=0, only_people=0, both_fail=0)
    assert result.kappa_of_panel is None


def test_judges_are_compared_with_each_other(judged):
    """With several judges their agreement among themselves is shown: here none beyond chance."""
    panel = {"judges": ["judge", "second"], "pass_at": 1, "criteria": CRITERIA}
    project = judged({"rubric": panel})
    found = labels(*(("a", f"answer {number}", True, "one") for number in range(8)))
    result = held(project, found, lambda judge_id, label: (judge_id == "judge") == label.answer[-1].isdigit())
    assert result.kappa_of_panel == pytest.approx(-1.0)
    agreeing = held(project, found, lambda _judge, label: int(label.answer[-1]) % 2 == 0)
    assert agreeing.kappa_of_panel == pytest.approx(1.0)


def test_only_the_metric_that_is_checked_is_asked_about(judged):
    """Another judge metric of the suite is not paid for."""
    rubric = {"judge": "judge", "pass_at": 1, "criteria": CRITERIA}
    project = judged({"rubric": rubric}, {"pairwise": {"judge": "second"}})
    (suite,) = project.suites
    grader = Grader(only_metric(suite, "rubric", project=project), judges=project.judges)
    found = questions_of(suite, labels(("a", "yes", True, "one")), grader=grader, held=())
    assert set(found) == {"judge"}


def test_nothing_is_asked_twice(judged):
    """What is held is left out, and the keys of all of it are the same every time."""
    project = judged({"rubric": {"judge": "judge", "pass_at": 1, "criteria": CRITERIA}})
    (suite,) = project.suites
    grader = Grader(suite, judges=project.judges)
    found = labels(("a", "yes", True, "one"), ("b", "no", False, ""))
    keys = question_keys(suite, found, grader=grader)
    assert len(set(keys)) == 2
    assert keys == question_keys(suite, found, grader=grader)
    assert questions_of(suite, found, grader=grader, held=set(keys)) == {}
    assert [*questions_of(suite, found, grader=grader, held={keys[0]})["judge"]] == [keys[1]]
