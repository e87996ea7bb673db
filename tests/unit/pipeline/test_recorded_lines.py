"""Recorded answers are found again: a replay of what was recorded asks for nothing else."""

from __future__ import annotations

import asyncio
import gzip
import json

import pytest

from evalkit.domain.outcome import Kind
from evalkit.gateways.recorded import RecordedPairs, pair_file
from evalkit.pipeline.plan import plan
from evalkit.pipeline.record import record
from evalkit.pipeline.recorded_lines import recorded_lines
from evalkit.testing.builders import a_case, a_model, a_suite

TOOL = {"name": "look_up", "parameters": {"type": "object", "properties": {"n": {"type": "number"}}}}
CONVERSATION = {
    "system": "You help.",
    "turns": [
        {"user": "Look up {{ n }}.", "tools": [TOOL], "tool_results": {"look_up": {"found": 7}}},
        {"user": "And in words?"},
    ],
}


@pytest.fixture
def measured(a_project, a_recorder):
    """Give a function: measure a project through a gateway; its outcomes in order."""

    def _measured(project, gateway, *, is_replay=False):
        recorder, run_id = a_recorder(gateway, project, is_replay=is_replay)
        asyncio.run(record(plan(project), run_id, recorder=recorder))
        return list(recorder.ledger.outcomes(run_id))

    return _measured


def write(folder, lines):
    """Write lines to the files of their pairs."""
    files = {}
    for line in lines:
        files.setdefault(pair_file(folder, line["suite"], line["model"]), []).append(json.dumps(line))
    for path, rows in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress("\n".join(rows).encode()))


def a_tool_call(request, reply):
    """Return a tool call at the first turn, and words at the second."""
    messages = json.loads(request.body)["messages"]
    if messages[-1]["content"] == "And in words?":
        return reply(text=f"seven \u00fc {len(messages)}")
    call = {"id": "x1", "type": "function", "function": {"name": "look_up", "arguments": '{"n": 1}'}}
    return reply(text=None, message={"tool_calls": [call]}, finish_reason="tool_calls")


@pytest.mark.parametrize("request_spec", [{"prompt": "Say {{ n }}"}, CONVERSATION], ids=["prompt", "conversation"])
def test_what_was_recorded_is_replayed(a_project, measured, scripted, a_reply, tmp_path, request_spec):
    """Through another kind of gateway, with its own switches and routes, the same answers come back, turn by turn."""
    cases = [a_case(f"c{n}", vars={"n": n}) for n in range(5)]
    suites = [a_suite(cases=cases, request=request_spec, trials=2)]
    models = [
        a_model("one", routes={"scripted": "gw/one"}),
        a_model("two", adapt={"system_role": "user", "extra_body": {"top_k": 1}}),
    ]
    live = a_project(suites=suites, models=models, gateway={"kind": "openai", "base_url": "http://127.0.0.1:1/v1"})
    replay = a_project(suites=suites, models=models, gateway={"kind": "replay", "recordings": "x"})
    gateway = scripted(lambda request: a_tool_call(request, a_reply), model_field="echo", extra_body={"cache": False})
    answered = measured(live, gateway)
    assert {outcome.kind for outcome in answered} == {Kind.OK}
    write(tmp_path, recorded_lines(plan(replay), answered))
    again = measured(replay, RecordedPairs(tmp_path), is_replay=True)
    assert [(one.case_id, one.trial, one.kind, one.text) for one in again] == [
        (one.case_id, one.trial, one.kind, one.text) for one in answered
    ]
    assert [len(one.turns) for one in again] == [len(one.turns) for one in answered]


def test_another_prompt_is_not_found(a_project, measured, scripted, a_reply, tmp_path):
    """One word, one parameter: exactly the calls that changed are missing."""
    cases = [a_case(f"c{n}", vars={"n": n}) for n in range(3)]
    before = a_project(suites=[a_suite(cases=cases, request={"prompt": "Say {{ n }}"})])
    write(tmp_path, recorded_lines(plan(before), measured(before, scripted(lambda _request: a_reply()))))
    changed = [cases[0], a_case("c1", vars={"n": "one"}), a_case("c2", vars={"n": 2}, max_output_tokens=9)]
    after = a_project(suites=[a_suite(cases=changed, request={"prompt": "Say {{ n }}"})])
    found = {one.case_id: one for one in measured(after, RecordedPairs(tmp_path), is_replay=True)}
    assert found["c0"].kind is Kind.OK
    assert {case_id: one.is_missing for case_id, one in found.items()} == {"c0": False, "c1": True, "c2": True}
    assert {one.reading.error_code for one in found.values() if one.is_missing} == {"recording_missing"}


def test_faults_are_not_recorded(a_project, measured, scripted, a_reply, a_fault):
    """What nobody answered is no answer; a refusal is one."""
    cases = [a_case(f"c{n}", vars={"n": n}) for n in range(3)]
    project = a_project(suites=[a_suite(cases=cases, request={"prompt": "Say {{ n }}"})])
    answers = {"c0": a_fault(Kind.TIMEOUT), "c1": a_reply(text=None, message={"refusal": "No."}), "c2": a_reply()}
    outcomes = measured(project, scripted(lambda request: answers[request.case_id]))
    assert sorted(line["case_id"] for line in recorded_lines(plan(project), outcomes)) == ["c1", "c2"]
