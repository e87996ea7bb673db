"""Points of the criteria an answer meets; criteria of the suite or of the case; real stored verdicts."""

from __future__ import annotations

import gzip
import json

import pytest

from evalkit.domain.score import Score
from evalkit.errors import InputError
from evalkit.plugins import ScorerContext, load_plugin
from evalkit.testing.builders import a_case, a_suite, an_outcome
from evalkit.wire.judging import fenced_parts

CRITERIA = [
    {"id": "names_it", "text": "It names the number.", "points": 3},
    {"id": "explains", "text": "It explains why."},
    {"id": "rambles", "text": "It talks about something else.", "points": -2},
]


def verdict(**met):
    """Return a judge's reply."""
    return json.dumps({name: {"explanation": f"{name}?", "met": value} for name, value in met.items()})


@pytest.mark.parametrize(
    ("met", "value", "findings"),
    [
        ((True, True, False), 1.0, ()),
        ((True, False, False), 0.75, ("criterion:explains",)),
        ((False, True, False), 0.25, ("criterion:names_it",)),
        ((True, True, True), 0.5, ("criterion:rambles",)),
        ((False, False, True), 0.0, ("criterion:names_it", "criterion:explains", "criterion:rambles")),
        ((False, True, True), 0.0, ("criterion:names_it", "criterion:rambles")),
    ],
)
def test_points(ask, met, value, findings):
    """Met points over positive points, cut to [0, 1]; what counts against the answer is named and explained."""
    said = verdict(**dict(zip(("names_it", "explains", "rambles"), met, strict=True)))
    entry = ask("rubric", "42", says=lambda _: said, judge="judge", criteria=CRITERIA)
    assert (entry.value, entry.findings) == (value, findings)
    assert all(name.removeprefix("criterion:") in entry.rationale for name in findings)


@pytest.mark.parametrize(("pass_at", "value"), [(0.75, 1.0), (0.76, 0.0)])
def test_pass_mark(ask, pass_at, value):
    """From the mark on an answer passes, below it does not."""
    said = verdict(names_it=True, explains=False, rambles=False)
    entry = ask("rubric", "42", says=lambda _: said, judge="judge", criteria=CRITERIA, pass_at=pass_at)
    assert entry.value == value


def test_pass_mark_forgives_rounding(ask):
    """Ten tenths are one."""
    criteria = [{"id": f"c{n}", "text": "?", "points": 0.1} for n in range(10)]
    said = verdict(**{f"c{n}": True for n in range(10)})
    assert ask("rubric", "42", says=lambda _: said, judge="judge", criteria=criteria, pass_at=1).value == 1.0


def test_a_case_brings_its_own_criteria(ask):
    """As texts, or as objects with points."""
    expected = ["It is right.", {"id": "long", "text": "It is long.", "points": 3}]
    entry = ask("rubric", "42", says=lambda _: verdict(c1=True, long=False), judge="judge", expected=expected)
    assert entry.value == 0.25


def test_the_judge_sees_task_reference_and_answer(ask):
    """The system text belongs to the task; the reference is shown only when asked for."""
    seen = []

    def says(call):
        seen.append(fenced_parts(call.script.turns[0].messages[0].content))
        return verdict(names_it=True, explains=True, rambles=False)

    ask("rubric", "Well, 42.", says=says, judge="judge", criteria=CRITERIA, expected=42, reference=True)
    ask("rubric", "Well, 42.", says=says, judge="judge", criteria=CRITERIA, expected=42)
    task = "Be brief.\n\nWhat is six times seven?"
    assert seen == [
        {"TASK": task, "REFERENCE": "42", "ANSWER": "Well, 42."},
        {"TASK": task, "ANSWER": "Well, 42."},
    ]


@pytest.mark.parametrize(
    ("params", "expected", "message"),
    [
        ({}, None, "needs criteria in `expected`"),
        ({}, "It is right.", "needs criteria in `expected`"),
        ({}, [1], "needs criteria in `expected`"),
        ({}, [{"id": "a"}], "a criterion of 'rubric' is wrong"),
        ({}, [{"id": "a", "text": "b"}, {"id": "a", "text": "c"}], "given twice"),
        ({}, [{"id": "a", "text": "b", "points": -1}], "no criterion has positive points"),
        ({"criteria": [{"id": "a", "text": "b", "points": 0}]}, None, "0 points"),
        ({"criteria": [{"id": "a b", "text": "b"}]}, None, "criteria.0.id"),
        ({"reference": True}, ["a"], "cannot be both"),
        ({"reference": True, "criteria": CRITERIA}, None, "shows the judge `expected`"),
    ],
)
def test_wrong_criteria_are_refused(judges, params, expected, message):
    """A rubric that cannot be scored is the author's mistake, told before a run."""
    params = {"judge": "judge", **params}
    suite = a_suite(cases=[a_case(expected=expected)], scorers=[{"name": "rubric", "params": params}])
    with pytest.raises(InputError, match=message):
        load_plugin("scorers", "rubric")(ScorerContext(params=params, suite=suite, judges=judges()))


@pytest.mark.parametrize(
    ("supported", "uncontradicted", "value"), [(True, True, 1.0), (False, True, 0.5), (False, False, 0.0)]
)
def test_groundedness(ask, supported, uncontradicted, value):
    """A rubric about the text the case brings along, which the judge is shown."""

    def says(call):
        assert fenced_parts(call.script.turns[0].messages[0].content)["CONTEXT"] == "It is 42."
        return verdict(supported=supported, uncontradicted=uncontradicted)

    assert ask("groundedness", "42", says=says, judge="judge", expected=None).value == value


def test_groundedness_needs_its_text(judges):
    """A case without the context cannot be grounded in it."""
    params = {"judge": "judge", "context": "page"}
    suite = a_suite(scorers=[{"name": "groundedness", "params": params}])
    with pytest.raises(InputError, match="needs the text 'page'"):
        load_plugin("scorers", "groundedness")(ScorerContext(params=params, suite=suite, judges=judges()))


@pytest.mark.data
def test_stored_verdicts_of_a_real_judge(data, judges):
    """883 verdicts on riddles become the share of their met criteria, and no empty answer reaches the judge.

    Three empty answers have full marks from the real judge.

    The judge's own total is no sum of its criteria; where it has one, no or all criteria met, totals agree in 99%.
    """
    folder = data / "outputs" / "misguided_attention"
    cases = {
        case["case_id"]: case for case in map(json.loads, (folder / "cases.jsonl").read_text("utf-8").splitlines())
    }
    n_empty = n_judged = n_plain = n_agree = n_full_marks_to_nothing = 0
    for path in sorted((folder / "responses").glob("*.jsonl.gz")):
        lines = (folder / "verdicts" / path.name.removesuffix(".gz")).read_text("utf-8").splitlines()
        verdicts = {(one["case_id"], one["trial"]): one for one in map(json.loads, lines)}
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for row in map(json.loads, file):
                stored = verdicts.get((row["case_id"], row["trial"]))
                texts = (stored or {}).get("criteria") or cases[row["case_id"]]["criteria"]
                case = a_case(row["case_id"], vars={"question": cases[row["case_id"]]["prompt"]}, expected=texts)
                scorer = rubric_of(case, judges())
                outcome = an_outcome(row["case_id"], text=row["output"], trial=row["trial"])
                calls = scorer.ask(case, outcome)
                if not (row["output"] or "").strip():
                    n_empty += 1
                    n_full_marks_to_nothing += bool(stored and stored["total_score"] == 1)
                    assert calls == ()
                    assert scorer.score(case, outcome, ())[0].value == 0
                    continue
                if stored is None:
                    assert scorer.score(case, outcome, ())[0].reason == "unjudged:not_asked"
                    continue
                (call,) = calls
                said = verdict(**{f"c{place}": met for place, met in enumerate(stored["met"], 1)})
                reply = an_outcome(row["case_id"], text=said, call_key=call.key, asked_about=call.asked_about)
                (entry,) = scorer.score(case, outcome, (reply,))
                assert isinstance(entry, Score)
                assert entry.value == pytest.approx(sum(stored["met"]) / len(stored["met"]))
                n_judged += 1
                if entry.value in {0.0, 1.0}:
                    n_plain += 1
                    n_agree += entry.value == stored["total_score"]
    assert (n_empty, n_full_marks_to_nothing) == (42, 3)
    assert n_judged + 33 == 916  # of the 916 stored verdicts 33 are on empty answers
    assert n_agree >= 0.99 * n_plain > 0.7 * n_judged


def rubric_of(case, judges):
    """Return a rubric whose criteria the case brings."""
    suite = a_suite(cases=[case], scorers=[{"name": "rubric", "params": {"judge": "judge"}}])
    return load_plugin("scorers", "rubric")(ScorerContext(params={"judge": "judge"}, suite=suite, judges=judges))
