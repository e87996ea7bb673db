"""`evalkit judge check`, and what `plan`, `run`, `score` and `decide` make of a judge."""

from __future__ import annotations

import json

import pytest

JUDGE = """\
  - id: judge
    route: judge/0.97/0.95/strict
    provider: jury
    price: {input_usd_per_mtok: 1.0, output_usd_per_mtok: 4.0}
    capabilities: {structured: json_schema}
"""
KIN = "  - {id: kin, route: judge/1/1/kin, provider: first}\n"
RUBRIC = "{rubric: {judge: judge, pass_at: 1, reference: true, criteria: [{id: right, text: It names the colour.}]}}"
COLOUR = "suites/colour/suite.yaml"
FILE = "judges/colour.rubric.qualification.json"

RIGHT = ("red {i}", "It is red {i}.", "Red {i}", "The colour is red {i}, I think.")
WRONG = ("blue {i}", "It is blue {i}.", "No idea", "The fruit {i} has none.")


@pytest.fixture
def judged(shop):
    """The small project with a judge, whose verdict on colours is a gate."""
    shop.write("roster.yaml", f"{shop.text('roster.yaml')}judges:\n{JUDGE}{KIN}")
    shop.replace(COLOUR, old="scorers: [exact]", new=f"scorers: [exact, {RUBRIC}]")
    shop.replace(COLOUR, old="gates: [", new="gates: [{metric: rubric, at_least: 0.5}, ")
    return shop


def write_labels(path, *, n=30, right=RIGHT, wrong=WRONG):
    """Write labels: for each case so many answers that people pass, and fail."""
    rows = [
        {"case_id": f"f{i}", "answer": text.format(i=i), "passes": passes, "model": model}
        for i in range(n)
        for texts, passes, model in ((right, True, "alpha"), (wrong, False, ""))
        for text in texts
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def labels(tmp_path):
    """A file of 240 labels, half of them passes."""
    return write_labels(tmp_path / "labels.jsonl")


def test_a_judge_that_agrees_qualifies(evalkit, judged, labels):
    """Agreement, kappa and both rates are shown, a file is written, and the exit code is 0."""
    said = evalkit.on(judged)("judge", "check", "colour", "--labels", labels)

    assert said.code == 0, said.err
    assert said.out.startswith("SIMULATED colour/rubric by judge: 240 labels\n")
    for words in ("Cohen's kappa 0.9", "(TPR): 0.9", "(TNR): 0.9", "alpha: n=120", "(nobody): n=120", "qualifies:"):
        assert words in said.out
    assert json.loads(judged.text(FILE))["counts"]["both_pass"] > 100


def test_json(evalkit, judged, labels):
    """The same as one document."""
    document = evalkit.on(judged)("judge", "check", "colour", "--labels", labels, "--json").document

    assert (document["metric"], document["judges"], document["shortfall"]) == ("rubric", ["judge"], "")
    assert document["agreement"]["n"] == 240
    assert document["agreement"]["tpr"]["lower"] < document["agreement"]["tpr"]["value"]
    assert document["kappa_of_panel"] is None


def test_nothing_is_asked_twice(evalkit, judged, labels):
    """The same check again sends nothing and finds the same."""
    check = ("judge", "check", "colour", "--labels", labels, "--json")
    first = evalkit.on(judged)(*check).document
    again = evalkit.on(judged)(*check).document

    assert (first["recording"]["n_sent"], again["recording"]["n_sent"]) == (240, 0)
    assert first["agreement"] == again["agreement"]


def test_a_check_is_no_run(evalkit, judged, labels):
    """Nothing that looks at runs sees it."""
    evalkit.on(judged)("judge", "check", "colour", "--labels", labels)

    assert "evalkit run" in evalkit.on(judged)("report").err
    assert evalkit.on(judged)("runs", "--json").document == {"runs": []}


def test_the_whole_way(evalkit, judged, labels):
    """Measured and judged, undecided until the judge qualifies, decided after, undecided when the rubric changes."""
    planned = evalkit.on(judged)("plan", "--json").document
    assert [(one["judge_id"], one["n_calls"]) for one in planned["asked"]] == [("judge", 60)]
    ran = evalkit.on(judged)("run", "--json").document
    assert ran["asked"]["n_sent"] <= 60
    decide = ("decide", "-o", judged.path("e.json"), "--json")

    before = evalkit.on(judged)(*decide).document["document"]["tasks"]["colour"]
    assert [one["reasons"][0]["code"] for one in before["rejected"]] == ["judge_unqualified"] * 2
    evalkit.on(judged)("judge", "check", "colour", "--labels", labels)
    after = evalkit.on(judged)(*decide).document["document"]["tasks"]["colour"]
    assert "alpha" in [one["model"] for one in after["candidates"]]
    assert {"judged"} <= {gate["method"] for one in after["candidates"] for gate in one["gates"]}

    judged.replace(COLOUR, old="It names the colour.", new="It names the colour of the fruit.")
    stale = evalkit.on(judged)(*decide).document["document"]["tasks"]["colour"]
    assert {one["reasons"][0]["code"] for one in stale["rejected"]} == {"scores_stale"}
    assert evalkit.on(judged)("score", "--ask", "--json").document["asked"]["n_sent"] > 0
    changed = evalkit.on(judged)(*decide).document["document"]["tasks"]["colour"]
    assert {one["reasons"][0]["code"] for one in changed["rejected"]} == {"judge_unqualified"}


def test_plan_shows_the_questions(evalkit, judged):
    """What judges may cost stands beside what the models cost."""
    said = evalkit.on(judged)("plan")
    assert "and at most 60 questions to judges, at most USD" in said.out


def test_too_few_labels_is_exit_code_3(evalkit, judged, tmp_path):
    """It is said how many there are and how many are needed; the file is written all the same."""
    labels = write_labels(tmp_path / "few.jsonl", n=10)
    said = evalkit.on(judged)("judge", "check", "colour", "--labels", labels)

    assert said.code == 3
    assert "does not qualify: 80 labels, and 200 are needed" in said.out
    assert judged.path(FILE).exists()


def test_a_judge_like_a_coin_is_exit_code_1(evalkit, judged, labels):
    """A judge that passes everything tells nothing."""
    judged.replace("roster.yaml", old="judge/0.97/0.95/strict", new="judge/1/0/blind")
    said = evalkit.on(judged)("judge", "check", "colour", "--labels", labels)

    assert said.code == 1
    assert "not surely better than a coin" in said.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nosuch",), "no suite is named 'nosuch'"),
        (("greeting",), "no scorer of 'greeting' asks a judge"),
        (("colour", "--metric", "exact"), "'exact' is no judge metric"),
    ],
)
def test_wrong_names(evalkit, judged, labels, arguments, words):
    """What does not exist is named, with what does."""
    said = evalkit.on(judged)("judge", "check", *arguments, "--labels", labels)

    assert said.code == 2
    assert words in said.err
    assert "next: " in said.err


def test_missing_and_wrong_labels(evalkit, judged, tmp_path):
    """The file, or the line of it, is named; nothing is asked."""
    missing = evalkit.on(judged)("judge", "check", "colour", "--labels", tmp_path / "none.jsonl", "--json")
    assert (missing.code, missing.error["kind"]) == (2, "NotFoundError")
    (tmp_path / "wrong.jsonl").write_text('{"case_id": "f0", "answer": "red"}\n', encoding="utf-8")
    wrong = evalkit.on(judged)("judge", "check", "colour", "--labels", tmp_path / "wrong.jsonl")
    assert wrong.code == 2
    assert "wrong.jsonl:1: /passes" in wrong.err


def test_a_share_has_nothing_to_check(evalkit, judged, labels):
    """Without a pass mark there is no yes or no for people to confirm."""
    judged.replace(COLOUR, old="{metric: rubric, at_least: 0.5}, ", new="")
    judged.replace(COLOUR, old="pass_at: 1, ", new="")
    said = evalkit.on(judged)("judge", "check", "colour", "--labels", labels)

    assert said.code == 2
    assert "give the scorer pass_at" in said.err


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("judge: judge", "judge: nobody", "'nobody' is no judge of the roster"),
        ("judge: judge", "judge: kin", "no judge may judge 'alpha'"),
        ("judge: judge, pass_at: 1", "judge: judge", "share of a judge's opinion"),
        ("primary: exact", "primary: exact\npayloads: digest", "payloads: digest keeps no answer"),
    ],
)
def test_judges_that_may_not(evalkit, judged, old, new, words):
    """Unknown, of the candidate's family, without a pass mark, or with no answer to be shown: loading says so."""
    judged.replace(COLOUR, old=old, new=new)
    said = evalkit.on(judged)("validate")

    assert said.code == 2
    assert words in said.err
    assert COLOUR in said.err


def test_a_dead_gateway(evalkit, judged, labels):
    """Not one judge answers: exit code 4, and no file that says otherwise."""
    judged.use_gateway("http://127.0.0.1:9/v1")
    said = evalkit.on(judged)("judge", "check", "colour", "--labels", labels)

    assert said.code == 4
    assert "no judge answered a single call" in said.err
    assert not judged.path(FILE).exists()


class TestScoreAsk:
    """`evalkit score --ask`."""

    def test_asks_what_is_missing(self, evalkit, judged):
        """After a run there is nothing left; the answers are graded all the same."""
        evalkit.on(judged)("run", "--progress", "quiet")
        said = evalkit.on(judged)("score", "--ask")

        assert said.code == 0
        assert said.out.startswith("asked: 0 of 0 questions")
        assert "colour: 60 answers graded" in said.out

    def test_no_run(self, evalkit, judged):
        """There has to be one."""
        said = evalkit.on(judged)("score", "--ask")
        assert (said.code, "evalkit run" in said.err) == (2, True)

    def test_unknown_run(self, evalkit, judged):
        """And the one that is named."""
        evalkit.on(judged)("run", "--progress", "quiet", "colour", "-n", "2", "--fail-on", "never")
        said = evalkit.on(judged)("score", "nosuch", "--ask", "--json")
        assert (said.code, said.error["kind"]) == (2, "NotFoundError")

    def test_nobody_to_ask(self, evalkit, measured):
        """A project whose scorers ask nobody is told to leave the flag out."""
        said = evalkit.on(measured)("score", "--ask")
        assert said.code == 2
        assert "no scorer of this project asks anybody" in said.err

    def test_another_gateway(self, evalkit, judged):
        """A run of the simulator is not judged through a real gateway."""
        evalkit.on(judged)("run", "--progress", "quiet", "colour", "-n", "2", "--fail-on", "never")
        judged.use_gateway("http://127.0.0.1:9/v1")
        said = evalkit.on(judged)("score", "--ask")
        assert said.code == 2
        assert "was answered through 'simulator'" in said.err

    def test_imported_answers_are_judged_later(self, evalkit, judged, gateway):
        """Importing asks nobody; afterwards the project's own gateway is asked, here one that gives no verdict."""
        row = {"suite": "colour", "case_id": "f1", "model": "alpha", "output": "red 1"}
        judged.write("answers.jsonl", json.dumps(row) + "\n")
        assert evalkit.on(judged)("import", "responses", judged.path("answers.jsonl")).code == 0
        assert evalkit.on(judged)("score", "--ask").code == 2
        judged.use_gateway(gateway(served_as="judge"))
        document = evalkit.on(judged)("score", "--ask", "--json").document
        assert (document["asked"]["n_sent"], document["asked"]["n_missing"]) == (1, 0)
