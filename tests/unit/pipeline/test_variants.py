"""Variants: what is planned beside what decides."""

from __future__ import annotations

import pytest

from evalkit.domain.run import STREAM, plain_name, variant_name
from evalkit.pipeline.plan import plan
from evalkit.pipeline.variants import extended, with_variants
from evalkit.testing.builders import a_case, a_model, a_suite

LATE = ({"metric": "exact", "at_least": 0.1}, {"metric": "ttft_s", "at_most": 1})


@pytest.fixture
def planned(a_project):
    """Give a function: a plan with its variants; keywords are those of the suite."""

    def build(*, n=3, model=None, ablate_modes=False, gateway=None, **suite):
        cases = [a_case(f"c{i}") for i in range(n)]
        config = {} if gateway is None else {"gateway": gateway}
        project = a_project(suites=[a_suite(cases=cases, **suite)], models=[model or a_model()], **config)
        return with_variants(plan(project), project, ablate_modes=ablate_modes)

    return build


def test_names_come_apart_again():
    """A variant's name says which suite it is of; a suite's own name says that it is none."""
    assert plain_name(variant_name("qa", STREAM)) == ("qa", STREAM)
    assert plain_name("qa") == ("qa", "")


def test_without_variants_the_plan_is_the_same(planned, a_project):
    """Digest and all, so that an unfinished run of it is found again."""
    project = a_project(suites=[a_suite(cases=[a_case(f"c{i}") for i in range(3)])])
    plain = plan(project)
    assert extended(plain, []) is plain
    assert planned().digest == plain.digest
    assert planned(gates=LATE).digest != plain.digest


def test_streams_go_over_the_cases_until_there_are_enough(planned):
    """Three cases, seven streams: the third time around is another trial, and every key is new."""
    made = planned(gates=LATE, stream_probe={"n": 7})
    calls = list(made.calls_of("gpt-4o"))
    streams = calls[3:]
    assert [call.parameters.is_streamed for call in calls] == [False] * 3 + [True] * 7
    assert [call.trial for call in streams] == [0, 0, 0, 1, 1, 1, 2]
    assert {call.suite for call in streams} == {"qa#stream"}
    assert len({call.key for call in calls}) == 10
    assert (made.n_calls, made.n_aside) == (10, 7)


def test_of_a_conversation_the_first_request_is_streamed(planned):
    """A first token needs no second turn, and no tool has to answer."""
    tool = {"name": "f", "parameters": {"type": "object"}}
    request = {"tools": [tool], "turns": [{"user": "one", "tool_results": {"f": 1}}, {"user": "two"}]}
    made = planned(gates=LATE, request=request)
    graded, stream = (call.script for call in (next(made.calls_of("gpt-4o")), [*made.calls_of("gpt-4o")][-1]))
    assert (graded.most_requests, stream.most_requests) == (4, 1)
    assert made.cells[1].max_output_tokens == 60 * 1024


@pytest.mark.parametrize(
    "given",
    [
        {"model": a_model(capabilities={"streaming": False, "structured": "json_schema"})},
        {"gateway": {"kind": "replay", "recordings": "answers.jsonl"}},
    ],
)
def test_nobody_is_asked_to_stream_who_cannot(planned, given):
    """A model that does not stream, and recordings, which have no clock."""
    assert planned(gates=LATE, **given).n_aside == 0


def test_a_model_with_none_of_the_modes_is_asked_in_none(planned):
    """It is unsupported without a call, ablation or not."""
    schema = {"type": "object"}
    request = {"prompt": "{{ question }}", "response": {"schema": schema, "modes": ["json_schema", "json_object"]}}
    made = planned(request=request, model=a_model(capabilities={"structured": "none"}), ablate_modes=True)
    assert (made.n_calls, [one.code for one in made.unsupported]) == (0, ["unsupported_mode"])
