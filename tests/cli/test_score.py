"""`evalkit score`: stored answers again, at no cost."""

from __future__ import annotations


def test_grades_the_latest_run(evalkit, measured):
    """Every suite says how many answers were graded."""
    said = evalkit.on(measured)("score")

    assert said.code == 0
    assert said.out == "colour: 60 answers graded\ngreeting: 60 answers graded\n"


def test_json(evalkit, measured):
    """Counts come as one document."""
    assert evalkit.on(measured)("score", "--json").document == {"graded": {"colour": 60, "greeting": 60}}


def test_changed_scorer_changes_the_verdict(evalkit, measured):
    """A laxer scorer admits, without a new call, the model the strict one kept out."""
    measured.replace(
        "suites/greeting/suite.yaml", old="scorers: [json_schema,", new="scorers: [json_schema: {accept: lenient},"
    )
    stale = evalkit.on(measured)("decide", "-o", measured.path("e.json"), "--json").document["document"]

    evalkit.on(measured)("score")
    scored = evalkit.on(measured)("decide", "-o", measured.path("e.json"), "--json").document["document"]

    assert stale["tasks"]["greeting"]["candidates"] == []
    assert [one["model"] for one in scored["tasks"]["greeting"]["candidates"]] == ["alpha", "beta"]


def test_changed_prompt_leaves_nothing_to_grade(evalkit, measured):
    """Answers to other questions are left alone, and that is said."""
    measured.replace("suites/greeting/suite.yaml", old="Say hello", new="Say hi")
    measured.replace("suites/colour/suite.yaml", old="Which colour", new="What colour")

    said = evalkit.on(measured)("score")

    assert said.code == 0
    assert said.out.startswith("nothing to grade")


def test_unknown_run(evalkit, measured):
    """A run nobody made is refused."""
    said = evalkit.on(measured)("score", "nosuch", "--json")

    assert said.code == 2
    assert said.error["kind"] == "NotFoundError"


def test_no_run(evalkit, shop):
    """Without a run the next step is to make one."""
    said = evalkit.on(shop)("score")

    assert said.code == 2
    assert "next: evalkit run" in said.err
