"""Conversations with tools over real sockets: call, result, answer; what ends them, and what each turn is worth."""

from __future__ import annotations

import pytest
import yaml

from evalkit.api.measuring import RunOptions, run
from evalkit.api.project import load_project, opened_store
from evalkit.domain.outcome import Kind
from evalkit.domain.score import Score

N = 30
TOOL = {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}
SUITE = {
    "version": 1,
    "name": "talks",
    "task": "talks",
    "request": {
        "tools": [TOOL],
        "turns": [
            {
                "user": "What is the weather like in {{ city }} today? One word, please.",
                "tool_results": {"get_weather": {"sky": "rain"}},
                "expect": {"expected": "{{ sky }}", "scorers": [{"exact": {"normalise": "casefold"}}]},
            },
            {"user": "Thank you. And which city did I ask about?"},
        ],
    },
    "cases": [
        {"id": f"talk-{i}", "vars": {"city": f"Town {i}", "sky": "rain"}, "expected": f"Town {i}"} for i in range(N)
    ],
    "primary": "exact",
    "scorers": ["exact"],
    "gates": [{"metric": "exact", "at_least": 0.5}, {"metric": "turn1.exact", "at_least": 0.5}],
}
PRICE = {"input_usd_per_mtok": 1, "output_usd_per_mtok": 2}
MODELS = [
    {"id": name, "route": f"{name}/m", "capabilities": {"tools": True}, "price": PRICE} for name in ("steady", "weak")
]


@pytest.fixture
def talk(a_project):
    """Give a function: a project of conversations, measured; the result, and outcome and scores by model."""

    def measure(models=MODELS, **gateway):
        root = a_project(models=models, gateway=gateway)
        (root / "suites/sums/suite.yaml").unlink()
        path = root / "suites/talks/suite.yaml"
        path.parent.mkdir()
        path.write_text(yaml.safe_dump(SUITE), encoding="utf-8")
        (root / "policy.yaml").write_text(yaml.safe_dump({"version": 1, "tasks": {"talks": {}}}), encoding="utf-8")
        project = load_project(root)
        result = run(project, RunOptions())
        with opened_store(project) as store:
            outcomes = list(store.outcomes(result.run.run_id))
            scores = {one.call_key: one.scores for one in store.scores(result.run.run_id)}
        return result, {
            model["id"]: [(o, {s.metric: s for s in scores[o.call_key]}) for o in outcomes if o.model_id == model["id"]]
            for model in models
        }

    return measure


def test_call_result_answer(talk):
    """A sound model looks, answers, and goes on: three requests, two turns, one outcome, everything added up."""
    result, found = talk()
    assert len(found["steady"]) == N
    for outcome, scores in found["steady"]:
        assert [turn.user_turn for turn in outcome.turns] == [0, 0, 1]
        assert outcome.turns[0].reading.tool_calls[0].name == "get_weather"
        assert (outcome.turns[1].reading.text, outcome.text) == ("rain", outcome.case_id.replace("talk-", "Town "))
        assert {name: score.value for name, score in scores.items()} == {"exact": 1.0, "turn1.exact": 1.0}
        parts = [turn.reading.usage.total_tokens for turn in outcome.turns]
        assert outcome.usage.total_tokens == sum(parts)
        assert outcome.cost.usd > 0
    assert next(v for v in result.decision.verdicts if v.model_id == "steady").status == "eligible"


def test_tool_calls_that_end_it(talk):
    """A model that does not look, or looks where nothing is, gets 0 with the reason; nobody else is blamed."""
    _, found = talk()
    ended = [(outcome, scores) for outcome, scores in found["weak"] if len(outcome.turns) == 1]
    assert len(ended) > N / 2
    reasons = set()
    for outcome, scores in ended:
        assert outcome.kind is Kind.OK
        assert not outcome.is_missing
        assert {score.value for score in scores.values()} == {0.0}
        reasons.update(finding for score in scores.values() if isinstance(score, Score) for finding in score.findings)
    assert {"missing_tool_call", "unexpected_tool_call"} <= reasons


def test_the_plan_counts_every_request(a_project, talk):
    """Prompts that are sent again and answers that go back are in the tokens; at most is at most."""
    result, found = talk()
    (planned,) = [cell for cell in result.plan.cells if cell.cell.model_id == "steady"]
    spent = sum(outcome.cost.usd for outcome, _ in found["steady"])
    assert planned.cell.mode == "tools"
    assert sum(outcome.usage.prompt_tokens for outcome, _ in found["steady"]) < planned.prompt_tokens
    assert spent < planned.usd_at_most


def test_a_streamed_conversation(talk):
    """Calls that arrive in pieces are put together, answered, and gone on from."""
    streamed = {**MODELS[0], "adapt": {"extra_body": {"stream": True, "stream_options": {"include_usage": True}}}}
    _, found = talk([streamed])
    for outcome, scores in found["steady"]:
        assert [turn.user_turn for turn in outcome.turns] == [0, 0, 1]
        assert "stream" in outcome.flags
        assert {score.value for score in scores.values()} == {1.0}
        assert outcome.usage.total_tokens > 0
