"""What goes out: the case's prompt untouched, everything else bent as the roster says."""

from __future__ import annotations

import json

import pytest

from evalkit.domain.call import Message, Parameters, Script, ScriptTurn
from evalkit.domain.outcome import Kind, Reading, ToolCall
from evalkit.domain.roster import Adapt
from evalkit.domain.suite import ToolSpec
from evalkit.wire.request import BodyOptions, continue_messages, opening_messages, request_body

HELLO = [{"role": "user", "content": "Hi"}]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def script(*messages, system="Be brief.", tool_results=None):
    """Build a script of one turn; messages are (role, content) or the user's text."""
    turn = tuple(
        Message(role="user", content=one) if isinstance(one, str) else Message(role=one[0], content=one[1])
        for one in messages
    )
    return Script(turns=(ScriptTurn(messages=turn, tool_results=tool_results),), system=system)


def parameters(mode="text", **fields):
    """Build parameters with a cap of 50 tokens."""
    return Parameters(mode=mode, max_output_tokens=50, **fields)


def open_with(*messages, mode="text", schema=None, system="Be brief.", role="system"):
    """Return the opening messages as (role, content), and the flags."""
    sent, flags = opening_messages(
        script(*messages, system=system), parameters=parameters(mode, schema=schema), adapt=Adapt(system_role=role)
    )
    return [(one["role"], one["content"]) for one in sent], flags


def body_of(mode="text", *, options=None, adapt=None, messages=None, **fields):
    """Return the body as the server reads it."""
    raw = request_body(
        "gpt-4o", messages or HELLO, parameters=parameters(mode, **fields), adapt=adapt or Adapt(), options=options
    )
    return json.loads(raw)


def test_system_and_prompt():
    """The plain case: one system message, then the prompt; no flags."""
    assert open_with("Hi") == ([("system", "Be brief."), ("user", "Hi")], ())
    assert open_with("Hi", system=None) == ([("user", "Hi")], ())


def test_developer_role():
    """System texts carry the role the model wants."""
    sent, flags = open_with(("user", "Hi"), ("system", "Late."), role="developer")
    assert (sent, flags) == ([("developer", "Be brief."), ("user", "Hi"), ("developer", "Late.")], ())


def test_leading_system_texts_become_one():
    """Strict backends take exactly one leading system message."""
    assert open_with(("system", "Two."), "Hi")[0] == [("system", "Be brief.\n\nTwo."), ("user", "Hi")]


def test_demoted_system_text():
    """Models without a system role get it in front of the first user message, and the flag says so."""
    sent, flags = open_with("Hi", ("assistant", "Yes?"), "Go on", role="user")
    assert sent == [("user", "Be brief.\n\nHi"), ("assistant", "Yes?"), ("user", "Go on")]
    assert flags == ("system_prompt_demoted",)
    assert open_with("Hi", role="user", system=None) == ([("user", "Hi")], ())
    assert open_with(("assistant", "Hm"), role="user")[0][0] == ("user", "Be brief.")


@pytest.mark.parametrize("mode", ["json_object", "prompted"])
@pytest.mark.parametrize("system", ["Be brief.", None])
def test_schema_in_words(mode, system):
    """Modes without a schema parameter describe it in the system text; the last user message stays the prompt."""
    sent, _ = open_with("Hi", mode=mode, schema=SCHEMA, system=system)
    assert sent[-1] == ("user", "Hi")
    role, words = sent[0]
    assert role == "system"
    assert "JSON" in words
    assert json.loads(words[words.index("{") :]) == SCHEMA


def test_json_mode_without_schema_still_says_json():
    """Several providers refuse JSON mode unless the word is in the prompt."""
    assert "JSON" in open_with("Hi", mode="json_object")[0][0][1]


@pytest.mark.parametrize("mode", ["text", "json_schema", "tools"])
def test_other_modes_add_no_words(mode):
    """Where the request itself carries the shape, the system text is the suite's alone."""
    assert open_with("Hi", mode=mode, schema=SCHEMA)[0][0] == ("system", "Be brief.")


def test_plain_body():
    """A plain body has what is needed and nothing else."""
    assert body_of() == {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 50}


def test_temperature_and_cap():
    """A temperature is sent when there is one, zero too; the cap has the name the model wants."""
    body = body_of(temperature=0.0, adapt=Adapt(max_tokens_field="max_completion_tokens"))
    assert (body["temperature"], body["max_completion_tokens"]) == (0.0, 50)
    assert "max_tokens" not in body


def test_response_formats():
    """Strict schema, JSON object, or nothing."""
    strict = body_of("json_schema", schema=SCHEMA, schema_name="place")["response_format"]
    assert strict == {"type": "json_schema", "json_schema": {"name": "place", "strict": True, "schema": SCHEMA}}
    assert body_of("json_object", schema=SCHEMA)["response_format"] == {"type": "json_object"}
    assert "response_format" not in body_of("prompted", schema=SCHEMA)


def test_tools():
    """Tools are sent, and are never strict."""
    tools = (ToolSpec(name="find", description="Finds.", parameters=SCHEMA), ToolSpec(name="stop"))
    sent = body_of("tools", options=BodyOptions(tools=tools))["tools"]
    assert sent[0] == {
        "type": "function",
        "function": {"name": "find", "description": "Finds.", "parameters": SCHEMA, "strict": False},
    }
    assert sent[1]["function"] == {"name": "stop", "parameters": {"type": "object", "properties": {}}, "strict": False}


def test_streams_ask_for_usage():
    """Without the option most providers stream no usage at all."""
    body = body_of(options=BodyOptions(stream=True))
    assert (body["stream"], body["stream_options"]) == (True, {"include_usage": True})


def test_extras_are_merged_last_and_n_never_goes():
    """The model's extras win over the gateway's, both over ours; n is left out wherever it comes from."""
    options = BodyOptions(extra_body={"num_retries": 0, "seed": 1, "n": 3})
    body = body_of(temperature=0.0, options=options, adapt=Adapt(extra_body={"seed": 2, "temperature": 1, "n": 2}))
    assert (body["num_retries"], body["seed"], body["temperature"]) == (0, 2, 1)
    assert "n" not in body


def test_objects_among_the_extras_are_merged_key_by_key():
    """A preference of the model's own does not take the gateway's other switches away; lists are replaced whole."""
    options = BodyOptions(extra_body={"provider": {"allow_fallbacks": False, "zdr": False}, "tags": ["a"]})
    body = body_of(options=options, adapt=Adapt(extra_body={"provider": {"zdr": True}, "tags": ["b"]}))
    assert body["provider"] == {"allow_fallbacks": False, "zdr": True}
    assert body["tags"] == ["b"]
    assert options.extra_body["provider"]["zdr"] is False


def test_bytes_are_compact_utf8():
    """Text goes out as it is, not as escapes; what UTF-8 cannot hold is replaced, not raised."""
    raw = request_body("m", [{"role": "user", "content": "Größe"}], parameters=parameters(), adapt=Adapt())
    assert "Größe".encode() in raw
    assert b'": ' not in raw
    assert body_of(messages=({"role": "user", "content": "\ud800"},))["messages"][0]["content"] == "\ufffd"


def answered(text=None, *calls):
    """Build what came back."""
    return Reading(kind=Kind.OK, text=text, tool_calls=calls)


def continued(reading, *, results=None, before=None):
    """Continue a conversation of one message with the turn "Next"."""
    turn = ScriptTurn(messages=(Message(role="user", content="Next"),))
    return continue_messages([{"role": "user", "content": "Hi"}], reading, results=results, then=turn)


def test_the_answer_then_the_next_turn():
    """The answer goes back without its reasoning; nothing before it changes."""
    assert continued(answered("<think>hm</think>\nHello")) == [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": "Next"},
    ]


def test_tool_calls_get_their_results():
    """Each call is sent back and answered under its id; results that are no text are JSON."""
    calls = (ToolCall(name="find", arguments='{"q":1}', call_id="a"), ToolCall(name="add", arguments="", call_id="b"))
    sent = continued(answered(None, *calls), results={"find": {"hits": 2}, "add": "three"})
    assert sent[1]["content"] is None
    assert [(one["id"], one["function"]["arguments"]) for one in sent[1]["tool_calls"]] == [
        ("a", '{"q":1}'),
        ("b", "{}"),
    ]
    assert sent[2:4] == [
        {"role": "tool", "tool_call_id": "a", "content": '{"hits":2}'},
        {"role": "tool", "tool_call_id": "b", "content": "three"},
    ]


def test_calls_without_ids_and_unforeseen_calls():
    """Missing or repeated ids are made unique; a call the suite has no result for gets an error, so none stays open."""
    calls = tuple(ToolCall(name="find", arguments="{}", call_id=call_id) for call_id in ("", "x", "x"))
    sent = continued(answered("", *calls))
    ids = [one["id"] for one in sent[1]["tool_calls"]]
    assert len(set(ids)) == 3
    assert [one["tool_call_id"] for one in sent[2:5]] == ids
    assert "error" in json.loads(sent[2]["content"])


def test_results_without_a_next_turn():
    """After its calls the model answers, before anybody else says anything."""
    call = ToolCall(name="find", arguments="{}", call_id="a")
    sent = continue_messages(HELLO, answered(None, call), results={"find": "it"})
    assert [(one["role"], one["content"]) for one in sent[1:]] == [("assistant", None), ("tool", "it")]
