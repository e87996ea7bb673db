"""Every must-simulate row of the quirk catalogue, as bytes, is called by its name by the reader of the wire."""

from __future__ import annotations

import re

import pytest

from evalkit.domain.outcome import RETRYABLE
from evalkit.simulator.faults import FAULTS
from evalkit.simulator.scenarios import SCENARIOS, scenario_answer
from evalkit.wire.asked import Asked
from evalkit.wire.response import read_response

ASKED_FOR = {"drifted_alias": "sim/deepseek-chat", "other_family": "sim/llama-70b", "smaller_sibling": "sim/gpt-4o"}
ON_THE_WIRE = [name for name, scenario in SCENARIOS.items() if scenario.source != "QUIRKS 2, transport"]


def _reading(name, *, hint_scale=1.0):
    route = ASKED_FOR.get(name, "sim/gpt")
    answer = scenario_answer(name, route=route, hint_scale=hint_scale)
    # A 429 for a prompt beyond the window is an overflow; only the size of the prompt can tell.
    tokens = 2000 if name == "azure_overflow_429" else 10
    asked = Asked(route=route, context_tokens=1000, prompt_tokens_estimate=tokens)
    headers = {key.lower(): value for key, value in answer.headers.items()}
    return read_response(answer.status, headers, b"".join(answer.pieces), asked=asked)


@pytest.mark.parametrize("name", ON_THE_WIRE)
def test_the_wire_kind_is_what_the_catalogue_says(name):
    """The reader has not seen the persona code, only bytes."""
    reading = _reading(name)
    assert reading.kind is SCENARIOS[name].kind, reading.detail
    assert set(SCENARIOS[name].flags) <= set(reading.flags)


@pytest.mark.parametrize("name", list(SCENARIOS))
def test_every_scenario_cites_its_row(name):
    """No quirk is invented."""
    assert re.fullmatch(r"QUIRKS \d(\.\d+)?(, transport)?", SCENARIOS[name].source)


@pytest.mark.parametrize("section", [f"1.{number}" for number in range(1, 14)])
def test_every_section_of_the_catalogue_is_simulated(section):
    """No section is forgotten."""
    assert any(scenario.source == f"QUIRKS {section}" for scenario in SCENARIOS.values())


def test_hints_shrink_with_time():
    """At time scale 0 nobody waits; at 1 the hint is the provider's."""
    hinted = [name for name, spec in FAULTS.items() if spec.hint_s and spec.kind in RETRYABLE]
    assert hinted
    for name in hinted:
        assert _reading(name).retry_after_s == pytest.approx(FAULTS[name].hint_s)
        assert not _reading(name, hint_scale=0.0).retry_after_s


def test_no_placeholder_is_left_in_any_body():
    """What is replaced is replaced everywhere."""
    for name in SCENARIOS:
        answer = scenario_answer(name, route="sim/gpt", hint_scale=0.5)
        assert not re.search(rb"@(model|hint|hint_ms|go)@", b"".join(answer.pieces))
        assert "@" not in "".join(answer.headers.values())


def test_good_answers_keep_their_text_in_every_shape():
    """A stream and a body of the same answer read the same."""
    for name in ("stream_plain", "stream_comments", "stream_blocks", "stream_odd_data", "content_blocks", "bare_json"):
        assert _reading(name).text == '{"label": "billing"}', name


def test_calls_are_read_from_every_dialect():
    """The call is the same, whoever sends it and in how many pieces."""
    for name in ("finish_empty_with_calls", "call_without_id", "stream_call_in_parts", "stream_call_from_one",
                 "stream_call_without_index", "stream_interleaved"):  # fmt: skip
        (call,) = _reading(name).tool_calls
        assert (call.name, call.arguments) == ("lookup", '{"city":"Oslo"}'), name


def test_an_unknown_scenario_is_none():
    """The server then says the model does not exist."""
    assert scenario_answer("nothing-of-the-kind", route="x", hint_scale=1.0) is None
