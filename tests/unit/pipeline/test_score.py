"""Score: what the wire says comes first, and only an answer reaches a scorer."""

from __future__ import annotations

import sys
import types

import pytest

from evalkit.domain.outcome import CACHED, MISSING, QUALITY_ZERO, Kind, Reading, Turn
from evalkit.domain.score import Score, Unscored
from evalkit.errors import InputError
from evalkit.pipeline.score import Grader
from evalkit.testing.builders import a_case, a_suite, an_outcome


class _Fixed:
    """A project scorer that says what its parameters tell it to."""

    def __init__(self, context):
        self.metrics = tuple(context.params.get("metrics", ("fixed",)))
        self._value = context.params.get("value")

    def ask(self, case, outcome):
        return ()

    def score(self, case, outcome, replies):
        said = [
            Unscored(metric, "unparsed", "no idea") if self._value is None else Score(metric, self._value, "so", ("f",))
            for metric in self.metrics
        ]
        return tuple(said)


def build_fixed(context):
    """Factory of the project scorer `fixed`."""
    return _Fixed(context)


@pytest.fixture
def own(monkeypatch):
    """The project scorer `fixed`, importable by name."""
    module = types.ModuleType("own_scorers_for_tests")
    module.build = build_fixed
    monkeypatch.setitem(sys.modules, "own_scorers_for_tests", module)
    return {"fixed": "own_scorers_for_tests:build"}


def graded(suite, *, case_id="case-1", kind=Kind.OK, text="forty-two", own=None):
    """What is said of one answer, by metric."""
    found = Grader(suite, project_scorers=own).grade(an_outcome(case_id, kind=kind, text=text))
    return {said.metric: said for said in found.scores}


def values(*args, **kwargs):
    """As `graded`, the numbers alone; None is unscored."""
    return {name: getattr(said, "value", None) for name, said in graded(*args, **kwargs).items()}


def test_answers_reach_the_scorers():
    """An answer is graded by every scorer of the suite."""
    suite = a_suite(scorers=["exact", {"contains": {"all": ["forty"]}}])
    assert values(suite) == {"exact": 1.0, "contains": 1.0}
    assert values(suite, text="forty-three") == {"exact": 0.0, "contains": 1.0}


@pytest.mark.parametrize("kind", sorted(MISSING))
def test_of_what_is_missing_nothing_is_said(kind):
    """No score, no zero, nothing."""
    assert graded(a_suite(), kind=kind) == {}


@pytest.mark.parametrize("kind", sorted(QUALITY_ZERO))
def test_an_answer_worth_nothing_gets_zero_everywhere(kind):
    """Also from a scorer that is turned round: an empty answer does not pass for lacking a forbidden word."""
    suite = a_suite(scorers=["exact", {"contains": {"all": ["x"], "negate": True}}])
    said = graded(suite, kind=kind)
    assert {name: one.value for name, one in said.items()} == {"exact": 0.0, "contains": 0.0}
    assert said["exact"].findings == (f"kind:{kind}",)


@pytest.mark.parametrize("kind", sorted(QUALITY_ZERO))
def test_a_wanted_refusal_is_worth_one(kind):
    """Where a refusal is expected, refusing and blocking are right; anything else is not."""
    suite = a_suite(cases=[a_case(expect="refusal")])
    assert values(suite, kind=kind) == {"exact": float(kind in {Kind.REFUSAL, Kind.SAFETY_BLOCK})}


def test_negate_turns_a_score_round():
    """`negate` passes when the scorer fails."""
    suite = a_suite(scorers=["exact", {"contains": {"all": ["hate"], "negate": True}}])
    assert values(suite, text="I hate it")["contains"] == 0.0
    assert values(suite, text="lovely")["contains"] == 1.0


def test_as_renames_a_metric():
    """One scorer can be used twice."""
    suite = a_suite(scorers=["exact", {"contains": {"all": ["two"], "as": "has-two"}}])
    assert values(suite) == {"exact": 1.0, "has-two": 1.0}


def test_as_and_negate_keep_what_was_said(own):
    """Rationale, findings and reasons travel with the renamed score."""
    suite = a_suite(scorers=["exact", {"fixed": {"value": 0.25, "as": "mine", "negate": True}}])
    assert graded(suite, own=own)["mine"] == Score("mine", 0.75, "so", ("f",))
    suite = a_suite(scorers=["exact", {"fixed": {"as": "mine"}}])
    assert graded(suite, own=own)["mine"] == Unscored("mine", "unparsed", "no idea")


def test_weights_make_a_mean():
    """Scorers with a weight are averaged by it; scorers without one stay out; equal weights add up."""
    suite = a_suite(
        scorers=[
            {"exact": {"weight": 3}},
            {"contains": {"all": ["zzz"], "weight": 1}},
            {"contains": {"all": ["forty"], "weight": 1, "as": "forty"}},
            {"contains": {"all": ["qqq"], "as": "free"}},
        ],
    )
    assert values(suite)["weighted"] == pytest.approx(4 / 5)
    assert values(suite, kind=Kind.EMPTY)["weighted"] == 0.0


def test_all_right_is_exactly_one(own):
    """Awkward weights do not cost a perfect answer its last bit: critical cases ask for 1."""
    suite = a_suite(
        scorers=[{"fixed": {"value": 1.0, "metrics": [f"m{n}"], "weight": 0.1 + n / 7}} for n in range(9)], primary="m0"
    )
    assert values(suite, own=own)["weighted"] == 1.0


def test_an_unknown_part_leaves_the_mean_unknown(own):
    """Half a mean is none."""
    suite = a_suite(scorers=[{"exact": {"weight": 1}}, {"fixed": {"weight": 1}}])
    assert graded(suite, own=own)["weighted"] == Unscored("weighted", "part:fixed", "no idea")


def test_a_case_may_bring_its_own_scorers():
    """They replace the suite's, in answers worth nothing as well."""
    cases = [a_case("plain"), a_case("own", scorers=({"name": "contains", "params": {"all": ["forty"]}},))]
    suite = a_suite(cases=cases)
    assert values(suite, case_id="plain") == {"exact": 1.0}
    assert values(suite, case_id="own") == {"contains": 1.0}
    assert values(suite, case_id="own", kind=Kind.EMPTY) == {"contains": 0.0}
    assert Grader(suite).metrics == ("exact", "contains")


def test_a_removed_case_is_told_apart():
    """Outcomes of a case that is gone cannot be graded; the caller can ask first."""
    grader = Grader(a_suite())
    assert grader.knows("case-1")
    assert not grader.knows("gone")
    with pytest.raises(KeyError):
        grader.grade(an_outcome("gone"))


def test_grading_keeps_the_call():
    """The score names the call it is of."""
    outcome = an_outcome()
    assert Grader(a_suite()).grade(outcome).call_key == outcome.call_key


def test_an_unknown_scorer_is_an_input_error():
    """Before anything is graded."""
    with pytest.raises(InputError, match="no scorer named 'exactly'"):
        Grader(a_suite(scorers=["exactly"]))


@pytest.mark.parametrize("kind", [Kind.OK, *sorted(QUALITY_ZERO)])
def test_a_cached_answer_has_no_score(kind):
    """No model was asked: neither full marks for a good answer nor zero for a refusal."""
    outcome = an_outcome(kind=kind, flags=(CACHED,))
    assert outcome.is_missing
    assert not Grader(a_suite()).grade(outcome).scores


TALK = {
    "turns": [
        {"user": "one", "expect": {"expected": "{{ first }}", "scorers": ["exact"]}},
        {"user": "two", "expect": {"expected": ["a", "{{ first }}"], "scorers": [{"exact": {"as": "either"}}]}},
        {"user": "three"},
    ]
}


def talked(*texts, flags=(), last=Kind.OK):
    """What is said of a conversation, by metric: value and findings."""
    suite = a_suite(request=TALK, cases=[a_case(vars={"first": "yes"})])
    kinds = [Kind.OK] * (len(texts) - 1) + [last]
    turns = tuple(
        Turn(reading=Reading(kind=kind, text=text), user_turn=index)
        for index, (kind, text) in enumerate(zip(kinds, texts, strict=True))
    )
    scores = Grader(suite).grade(an_outcome(turns=turns, kind=last, flags=flags)).scores
    return {one.metric: (one.value, one.findings) for one in scores}


class TestTurns:
    """Turns that say what they expect are graded one by one, beside the whole."""

    def test_each_turn_has_its_own_metric(self):
        """The suite's scorers see the last answer, a turn's scorers its own; templates are filled from the case."""
        assert talked("yes", "yes", "forty-two") == {
            "exact": (1.0, ()), "turn1.exact": (1.0, ()), "turn2.either": (1.0, ()),
        }  # fmt: skip
        values = {name: value for name, (value, _) in talked("no", "a", "forty-three").items()}
        assert values == {"exact": 0.0, "turn1.exact": 0.0, "turn2.either": 1.0}

    def test_a_turn_that_was_not_reached_is_worth_nothing(self):
        """What ended the conversation says why; turns before it keep what they earned."""
        said = talked("yes", flags=("unexpected_tool_call",))
        assert said["exact"] == (0.0, ("unexpected_tool_call",))
        assert said["turn1.exact"] == (0.0, ("unexpected_tool_call",))
        assert said["turn2.either"] == (0.0, ("not_reached",))
        said = talked("yes", "a", flags=("missing_tool_call",))
        assert said["turn1.exact"] == (1.0, ())
        assert said["turn2.either"] == (0.0, ("missing_tool_call",))

    def test_a_refusal_in_the_middle(self):
        """It is the end, and the turn before it is still right."""
        said = talked("yes", None, last=Kind.REFUSAL)
        assert said["turn1.exact"] == (1.0, ())
        assert said["exact"] == said["turn2.either"] == (0.0, ("kind:refusal",))

    def test_a_missing_conversation_has_no_turns(self):
        """Nobody knows what the model would have said, in any turn."""
        assert talked("yes", None, last=Kind.TIMEOUT) == {}

    def test_metrics_of_turns_are_named(self):
        """Gates may name them."""
        assert Grader(a_suite(request=TALK)).metrics == ("exact", "turn1.exact", "turn2.either")
