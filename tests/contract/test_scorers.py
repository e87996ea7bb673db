"""Every installed scorer holds to the contract plugin authors get."""

from __future__ import annotations

import json
import time

import pytest

from evalkit.domain.judging import Judges
from evalkit.domain.outcome import Identity
from evalkit.domain.roster import Roster
from evalkit.domain.score import Score, Unscored
from evalkit.plugins import ScorerContext, load_plugin, plugin_names
from evalkit.testing.builders import a_case, a_model, a_suite, an_outcome
from evalkit.testing.contract_scorer import ScorerContract

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string", "pattern": "^[A-Z]"}, "tags": {"type": "array", "uniqueItems": True}},
    "required": ["name"],
}
ADA = {"name": "Ada", "born": 1815, "tags": ["x", {"y": 1.5}]}

CALL = [{"name": "get_weather", "arguments": {"city": "Paris", "days": [1, {"a": None}]}}]
INSTRUCTIONS = {
    "detectable_content:number_placeholders": {"num_placeholders": 0},
    "detectable_format:number_highlighted_sections": {"num_highlights": 2},
    "length_constraints:number_sentences": {"relation": "less than", "num_sentences": 5},
    "change_case:capital_word_frequency": {"capital_relation": "less than", "capital_frequency": 3},
    "keywords:forbidden_words": {"forbidden_words": ["rock"]},
    "language:response_language": {"language": "en"},
}

# scorer, parameters, expected, an answer worth 1
SITUATIONS = [
    ("json_schema", {}, None, '{"name": "Ada"}'),
    ("exact", {}, "Paris", "Paris"),
    ("exact", {"field": "/answer"}, ["Rome", "Paris"], '{"answer": "Paris"}'),
    ("contains", {}, "Paris", "It is Paris."),
    ("contains", {"all": ["a", "b"]}, None, "abc"),
    ("regex", {}, r"^\w+$", "Paris"),
    ("regex", {"pattern": r"(\w+\s*)+Paris", "fullmatch": True}, None, "Great Paris"),
    ("number", {"pick": "last"}, 42, "6 times 7 is 42"),
    ("number", {"field": "answer", "pick": "only"}, 42, '{"answer": "$42"}'),
    ("choice", {}, "yes", "yes"),
    ("choice", {"field": "answer", "labels": ["A", "B"]}, "A", '{"answer": "A"}'),
    ("fields", {}, ADA, json.dumps(ADA)),
    ("fields", {"arrays": "set", "ignore": ["/born"]}, ADA, json.dumps(ADA)),
    (
        "instructions",
        {},
        [{"id": name, "kwargs": kwargs} for name, kwargs in INSTRUCTIONS.items()],
        "This is *a* *test*",
    ),
    ("refusal_text", {}, "Paris", "Paris is the capital."),
    ("edit_similarity", {}, ["Paris", "Rome"], "Paris"),
    ("rouge", {"stem": True}, "the capital is Paris", "The capital is Paris."),
    ("bleu", {}, "The capital of it is Paris.", "The capital of it is Paris."),
    ("squad", {}, ["Paris", "Rome"], "the paris."),
    ("squad", {"field": "answer"}, None, '{"answer": "not in the text"}'),
    ("abstain", {}, "Paris", "Paris"),
    ("abstain", {"field": "answer", "phrases": ["?"]}, "Paris", '{"answer": "Paris"}'),
    ("tool_calls", {}, CALL, json.dumps(CALL)),
    ("tool_calls", {"accept": "lenient"}, [], "No tool fits."),
    ("fields", {"arrays": {"align": "id"}}, [{"id": 1}, {"id": 2}], '[{"id": 2}, {"id": 1}]'),
    ("rubric", {"judge": "judge"}, ["It is a city.", "It is in France."], "Paris."),
    ("rubric", {"judges": ["judge", "second"], "combine": "majority", "pass_at": 1}, ["It is a city."], "Paris."),
    ("pairwise", {"judge": "judge"}, "Rome.", "Paris."),
    ("groundedness", {"judge": "judge", "context": "question"}, None, "Forty-two."),
    ("similarity", {"embedder": "judge", "served_as": "embedder-1", "dimensions": 2}, "Paris", "Paris."),
]

JUDGES = Judges(
    Roster(version=1, models=[a_model()], judges=[a_model(name, provider=name) for name in ("judge", "second")]),
    gateway_kind="openai",
)


def a_reply(call):
    """Return the best that can be said to a scorer's question."""
    properties = (call.parameters.schema or {}).get("properties", {})
    verdict = {name: {"explanation": "it does", "met": True} for name in properties}
    if "better" in properties:
        verdict = {"explanation": "it is", "better": "AB"[call.trial]}
    text = json.dumps([[0.6, 0.8], [0.6, 0.8]] if call.endpoint == "embeddings" else verdict)
    return an_outcome(
        call.case_id,
        text=text,
        call_key=call.key,
        model_id=call.model_id,
        asked_about=call.asked_about,
        identity=Identity(served_model="embedder-1"),
    )


@pytest.mark.parametrize(("name", "params", "expected", "answer"), SITUATIONS, ids=lambda value: str(value)[:30])
class TestInstalledScorers(ScorerContract):
    """The contract, in each situation."""

    @pytest.fixture(autouse=True)
    def _situation(self, name, params, expected, answer):
        self.case = a_case(expected=expected)
        other = a_case("case-2", expected="no")
        request = {"prompt": "?", "response": {"schema": PERSON}}
        suite = a_suite(cases=[self.case, other], scorers=["other"], request=request)
        self.build = lambda: load_plugin("scorers", name)(ScorerContext(params=params, suite=suite, judges=JUDGES))
        self.good_answer = answer

    def make_scorer(self):
        """Return the installed scorer."""
        return self.build()

    def make_case(self):
        """Return the case of the situation."""
        return self.case

    def make_replies(self, calls):
        """Return replies to a scorer that asks."""
        return tuple(map(a_reply, calls))


def test_every_built_in_scorer_is_held_to_the_contract():
    """No scorer of this distribution is left out."""
    built_in = {
        name for name in plugin_names("scorers") if load_plugin("scorers", name).__module__.startswith("evalkit.")
    }
    assert built_in == {name for name, *_ in SITUATIONS}


class _Careless:
    """A scorer that breaks one rule, to see that the contract notices."""

    metrics = ("careless",)

    def __init__(self, entries):
        self.entries = entries

    def ask(self, case, outcome):
        return ()

    def score(self, case, outcome, replies):
        return self.entries()


def _contract_for(entries):
    contract = ScorerContract()
    contract.good_answer = "x"
    contract.make_case = a_case
    contract.make_scorer = lambda: _Careless(entries)
    return contract


def test_contract_notices_a_missing_metric():
    """A scorer that leaves a declared metric out fails the contract."""
    with pytest.raises(AssertionError, match="declared"):
        _contract_for(tuple).test_survives_hostile_answers()


def test_contract_notices_a_changing_score():
    """A scorer that says something else the second time fails the contract."""
    values = iter(range(10**6))
    contract = _contract_for(lambda: (Score("careless", 1 / (1 + next(values))),))
    with pytest.raises(AssertionError, match="second time"):
        contract.test_is_pure()


def test_contract_notices_words_that_cannot_be_stored():
    """A scorer that quotes half a character fails the contract."""
    with pytest.raises(AssertionError, match="UTF-8"):
        _contract_for(lambda: (Score("careless", 1.0, "\ud800"),)).test_survives_hostile_answers()


def test_contract_notices_a_slow_scorer():
    """A scorer that is busy for more than a second fails the contract."""

    def busily():
        started_s = time.process_time()
        while time.process_time() - started_s < 1.05:
            pass
        return (Score("careless", 1.0),)

    with pytest.raises(AssertionError, match="of the processor"):
        _contract_for(busily).test_hostile_answers_take_no_time()


def test_contract_needs_a_scorer_and_a_case():
    """An author who forgets to say what is tested is told so."""
    for missing in (ScorerContract().make_scorer, ScorerContract().make_case):
        with pytest.raises(NotImplementedError):
            missing()


def test_contract_takes_a_reason_instead_of_a_number():
    """Unscored with a reason holds to the contract, without one it does not."""
    _contract_for(lambda: (Unscored("careless", "no_idea"),)).test_survives_hostile_answers()
    with pytest.raises(AssertionError, match="no reason"):
        _contract_for(lambda: (Unscored("careless", ""),)).test_survives_hostile_answers()
