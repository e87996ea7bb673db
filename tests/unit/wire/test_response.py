"""One exchange, one reading: what a success can still be, in every dialect of the facts pages."""

from __future__ import annotations

import json

import pytest

from evalkit.domain.outcome import IdentityClass, Kind, Usage
from evalkit.wire.response import MAX_BODY_BYTES, Asked, read_response


def completion(content="Paris.", *, finish="stop", choice=None, top=None, **message):
    """Return a whole completion; keywords go into the message."""
    return {
        "id": "c1",
        "object": "chat.completion",
        "model": "gpt-4o",
        "choices": [
            {
                "index": 0,
                "finish_reason": finish,
                "message": {"role": "assistant", "content": content, **message},
                **(choice or {}),
            }
        ],
        "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
        **(top or {}),
    }


def read(body, *, status=200, headers=None, **asked):
    """Read a plain answer: a value is sent as JSON, text and bytes as they are."""
    raw = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
    return read_response(status, headers or {}, raw, asked=Asked(**{"route": "gpt-4o", **asked}))


CALL = {"id": "call_1", "type": "function", "function": {"name": "find", "arguments": '{"a":1}'}}


def test_a_plain_answer():
    """The ordinary completion is ok, with text, finish, usage and identity."""
    reading = read(completion())
    assert (reading.kind, reading.text, reading.finish_reason) == (Kind.OK, "Paris.", "stop")
    assert reading.usage == Usage(prompt_tokens=5, completion_tokens=2, total_tokens=7)
    assert reading.identity.identity_class is IdentityClass.SELF_REPORTED
    assert (reading.status, reading.flags, reading.detail) == (200, (), "")


@pytest.mark.parametrize(
    "text", ["{'a': 1}", '{"a": ', "```json\n{}\n```", "no JSON at all", "I cannot help with that."]
)
def test_what_the_answer_says_is_not_the_wires_business(text):
    """Broken JSON, fences and refusals in text are findings of the score stage: on the wire they are ok."""
    assert read(completion(text)).kind is Kind.OK


ENDINGS = [
    ("length", Kind.TRUNCATED), ("max_tokens", Kind.TRUNCATED), ("MAX_TOKENS", Kind.TRUNCATED),
    ("model_length", Kind.TRUNCATED), ("model_context_window_exceeded", Kind.TRUNCATED), ("pause_turn", Kind.TRUNCATED),
    (2, Kind.TRUNCATED), (1, Kind.OK), ("stop", Kind.OK), ("end_turn", Kind.OK), ("eos", Kind.OK), ("", Kind.OK),
    (None, Kind.OK), ("COMPLETE", Kind.OK), ("something_new", Kind.OK), ("content_filter", Kind.SAFETY_BLOCK),
    ("SAFETY", Kind.SAFETY_BLOCK), ("RECITATION", Kind.SAFETY_BLOCK), ("MODEL_ARMOR", Kind.SAFETY_BLOCK),
    ("BLOCKLIST", Kind.SAFETY_BLOCK), ("PROHIBITED_CONTENT", Kind.SAFETY_BLOCK), ("SPII", Kind.SAFETY_BLOCK),
    ("ERROR_TOXIC", Kind.SAFETY_BLOCK), ("guardrail_intervened", Kind.SAFETY_BLOCK), ("refusal", Kind.REFUSAL),
    ("error", Kind.PROVIDER_ERROR), ("insufficient_system_resource", Kind.PROVIDER_OVERLOADED),
    ("MALFORMED_FUNCTION_CALL", Kind.TOOL_CALL_MALFORMED), ("UNEXPECTED_TOOL_CALL", Kind.TOOL_CALL_MALFORMED),
    ("content_filter: SAFETY", Kind.SAFETY_BLOCK), ("content_filter: RECITATION", Kind.SAFETY_BLOCK),
    ("content_filter: OTHER", Kind.SAFETY_BLOCK), ("Content-Filtered", Kind.SAFETY_BLOCK),
    ("function_call_filter: MALFORMED_FUNCTION_CALL", Kind.TOOL_CALL_MALFORMED),
    ("FinishReason.MAX_TOKENS", Kind.TRUNCATED),
]  # fmt: skip


@pytest.mark.parametrize(("finish", "kind"), ENDINGS)
def test_finish_reasons_of_every_provider(finish, kind):
    """Each spelling of an ending, with text present, means one kind."""
    assert read(completion(finish=finish)).kind is kind


@pytest.mark.parametrize(
    ("native", "kind"),
    [
        ("SAFETY", Kind.SAFETY_BLOCK),
        ("MALFORMED_FUNCTION_CALL", Kind.TOOL_CALL_MALFORMED),
        ("network_error", Kind.PROVIDER_ERROR),
        ("MAX_TOKENS", Kind.TRUNCATED),
        ("STOP", Kind.OK),
        ("completed", Kind.OK),
    ],
)
def test_a_laundered_finish_reason_is_seen_through(native, kind):
    """Where a gateway says `stop` and keeps the native reason, the worse of the two counts, wherever it is kept."""
    assert read(completion(choice={"native_finish_reason": native})).kind is kind
    fields = {"provider_specific_fields": {"native_finish_reason": native}}
    assert read(completion(choice=fields)).kind is kind


def test_a_refusal_that_litellm_filed_as_a_filter():
    """The native reason tells a model's refusal from a platform's block."""
    body = completion(
        None, finish="content_filter", choice={"provider_specific_fields": {"native_finish_reason": "refusal"}}
    )
    assert read(body).kind is Kind.REFUSAL


@pytest.mark.parametrize(
    ("finish", "native", "kind"),
    [
        ("error", "SAFETY", Kind.SAFETY_BLOCK),
        ("error", "MALFORMED_FUNCTION_CALL", Kind.TOOL_CALL_MALFORMED),
        ("content_filter", "MALFORMED_FUNCTION_CALL", Kind.TOOL_CALL_MALFORMED),
        ("error", "upstream_502", Kind.PROVIDER_ERROR),
        ("length", "SAFETY", Kind.TRUNCATED),
    ],
)
def test_the_exact_native_reason_behind_a_vague_one(finish, native, kind):
    """`error` and `content_filter` stand for several native reasons; the exact one decides."""
    assert read(completion("x", finish=finish, choice={"native_finish_reason": native})).kind is kind


@pytest.mark.parametrize(
    "fields", [{"refusal": "I will not."}, {"provider_specific_fields": {"refusal": "I will not."}}]
)
def test_refusal_field_where_openai_and_where_litellm_put_it(fields):
    """A refusal field is a refusal, kept apart from the text."""
    reading = read(completion(None, **fields))
    assert (reading.kind, reading.refusal, reading.text) == (Kind.REFUSAL, "I will not.", None)
    assert {"refusal_field", "content_null"} <= set(reading.flags)


def test_an_empty_refusal_field_is_none():
    """Snowflake sends an empty refusal with every answer."""
    assert read(completion(refusal="")).kind is Kind.OK


@pytest.mark.parametrize("content", [None, "", " ", "\n\n", "\u200b", [], [{"type": "text", "text": ""}]])
def test_stop_without_content_is_never_ok(content):
    """Nothing to see, no call and no refusal is empty, whatever the finish reason claims."""
    assert read(completion(content)).kind is Kind.EMPTY
    assert read(completion(content, finish="tool_calls")).kind is Kind.EMPTY


def test_blank_json_mode():
    """DeepSeek replaces an answer that is no JSON by spaces."""
    reading = read(completion(" " * 40))
    assert reading.kind is Kind.EMPTY
    assert "blank_json_mode" in reading.flags


def test_answer_in_reasoning():
    """A server may file the JSON under reasoning: still empty, but said so."""
    reading = read(completion("", reasoning_content='{"answer": 4}'))
    assert reading.kind is Kind.EMPTY
    assert "answer_in_reasoning" in reading.flags


def test_reasoning_budget():
    """A cap used up by reasoning is truncation with its own flag."""
    usage = {
        "prompt_tokens": 5,
        "completion_tokens": 9,
        "total_tokens": 14,
        "completion_tokens_details": {"reasoning_tokens": 9},
    }
    reading = read(completion("", finish="length", top={"usage": usage}))
    assert reading.kind is Kind.TRUNCATED
    assert "reasoning_budget" in reading.flags


def test_unclosed_reasoning_is_truncated_whatever_the_finish_reason():
    """An answer that never left `<think>` is no answer."""
    reading = read(completion("<think>Let me see"))
    assert reading.kind is Kind.TRUNCATED
    assert {"in_think", "reasoning_in_content"} <= set(reading.flags)
    assert reading.text == "<think>Let me see"


def test_closed_reasoning_alone_is_empty():
    """Reasoning without an answer after it is empty."""
    assert read(completion("<think>Done.</think>\n")).kind is Kind.EMPTY


def test_inline_reasoning_stays_in_the_text_and_is_known_apart():
    """The text is as sent; the reasoning is readable beside it."""
    reading = read(completion("<think>2+2</think>\n4"))
    assert (reading.kind, reading.text, reading.reasoning) == (Kind.OK, "<think>2+2</think>\n4", "2+2")


def test_a_whitespace_loop():
    """A grammar that kept the model writing blanks is truncation of its own kind."""
    reading = read(completion('{"a": 1,' + "\n " * 300, finish="length"))
    assert reading.kind is Kind.TRUNCATED
    assert "degenerate_whitespace" in reading.flags


def test_masking_and_recitation_are_told_apart():
    """A guardrail that rewrites and a recitation stop are both blocks, flagged by what happened."""
    assert "safety_block:masked" in read(completion("{ADDRESS} is big", finish="guardrail_intervened")).flags
    assert "safety_block:recitation" in read(completion(None, finish="RECITATION")).flags


@pytest.mark.parametrize(
    "content",
    [
        [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "4"}],
        [{"type": "thinking", "thinking": "hm"}, {"type": "output_text", "text": "4"}],
        [{"type": "reasoning", "summary": [{"text": "hm"}]}, "4"],
    ],
)
def test_list_content(content):
    """Blocks are joined, thinking goes to the reasoning."""
    reading = read(completion(content))
    assert (reading.kind, reading.text, reading.reasoning) == (Kind.OK, "4", "hm")
    assert {"list_content", "reasoning_field"} <= set(reading.flags)


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_reasoning_fields(name):
    """Either spelling of the reasoning field is read, and its twin is not counted twice."""
    assert read(completion(**{name: "hm"})).reasoning == "hm"
    assert read(completion(reasoning="hm", reasoning_content="hm")).reasoning == "hm"


def test_tool_calls_win_over_the_finish_reason():
    """Calls make an answer, under `stop` and under no finish reason too."""
    for finish in ("tool_calls", "stop", "", None):
        reading = read(completion(None, finish=finish, tool_calls=[CALL]))
        assert reading.kind is Kind.OK
        assert [(call.name, call.arguments, call.call_id) for call in reading.tool_calls] == [
            ("find", '{"a":1}', "call_1")
        ]
        assert ("tool_finish_mismatch" in reading.flags) == (finish != "tool_calls")


def test_parallel_calls_that_all_say_index_zero_stay_apart():
    """In a whole message the position counts, not the index."""
    calls = [CALL | {"index": 0}, CALL | {"index": 0, "id": "call_2"}]
    assert len(read(completion(None, tool_calls=calls)).tool_calls) == 2


def test_a_wanted_call_that_is_missing_is_flagged():
    """Whether prose is a fault is the scorer's business; the wire only says that a call was wanted."""
    reading = read(completion(), wants_tool_call=True)
    assert (reading.kind, "tool_call_missing" in reading.flags) == (Kind.OK, True)


def test_arguments_sent_as_an_object_are_text_again():
    """A server that parses arguments for us gets them printed back."""
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": {"a": [1]}}}
    reading = read(completion(None, tool_calls=[call]))
    assert json.loads(reading.tool_calls[0].arguments) == {"a": [1]}
    assert "tool_args_not_text" in reading.flags


def test_an_error_inside_a_200_is_an_error():
    """The body's own code decides; nothing of it is a model's answer."""
    assert read({"id": None, "choices": None, "error": {"code": 429, "message": "slow"}}).kind is Kind.RATE_LIMITED
    assert read({"error": {"code": 502, "message": "Provider returned error"}}).kind is Kind.PROVIDER_ERROR
    assert read({"error": "model 'x' not found"}).kind is Kind.MODEL_UNAVAILABLE
    assert read({"error": "it broke"}).kind is Kind.PROVIDER_ERROR
    assert read([{"error": {"code": 503, "status": "UNAVAILABLE", "message": "x"}}]).kind is Kind.PROVIDER_OVERLOADED


def test_an_error_inside_a_choice_is_an_error():
    """OpenRouter puts it there once generation has begun."""
    body = completion("half an ans", finish="error", choice={"error": {"code": 502, "message": "upstream died"}})
    reading = read(body)
    assert (reading.kind, reading.detail) == (Kind.PROVIDER_ERROR, "upstream died")


@pytest.mark.parametrize(
    "body",
    [
        {"choices": None},
        {"choices": []},
        {},
        [],
        "null",
        "17",
        '"text"',
        "",
        "<html>hi</html>",
        '{"choices": [',
        "\x00",
    ],
)
def test_a_200_that_is_no_completion(body):
    """Null choices, no choices, pages and half bodies are provider errors, never an empty answer."""
    assert read(body).kind is Kind.PROVIDER_ERROR


def test_a_blocked_prompt_without_choices():
    """Gemini's prompt feedback passes through some gateways with no choice at all."""
    reading = read({"choices": [], "promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}})
    assert (reading.kind, "prompt_block" in reading.flags) == (Kind.SAFETY_BLOCK, True)


def test_another_model_voids_the_answer_before_its_content_counts():
    """Substitution comes before refusal, truncation and emptiness, and says who answered."""
    for body in (completion(), completion(None), completion(finish="length"), completion(None, refusal="no")):
        reading = read(body, route="claude-3-opus")
        assert reading.kind is Kind.SUBSTITUTED_MODEL
        assert reading.detail == "asked for claude-3-opus, answered by gpt-4o"


def test_a_guardrail_that_only_warned():
    """Portkey's 246 is a success that did not pass a guardrail."""
    reading = read(completion(), status=246)
    assert (reading.kind, "guardrail_failed" in reading.flags) == (Kind.OK, True)


def test_keep_alive_before_a_plain_body():
    """Blank lines and comments that keep a slow connection open do not spoil the JSON after them."""
    reading = read("\n\n" + json.dumps(completion()))
    assert (reading.kind, "body_lead_ws" in reading.flags) == (Kind.OK, True)
    assert read(": keep-alive\n\n: keep-alive\n\n" + json.dumps(completion())).kind is Kind.OK


def test_a_byte_order_mark_and_broken_bytes():
    """A mark before the body and bytes that are no UTF-8 inside it are survived."""
    assert read(b"\xef\xbb\xbf" + json.dumps(completion()).encode()).kind is Kind.OK
    assert read(json.dumps(completion("caf?")).encode().replace(b"?", b"\xff")).text == "caf\ufffd"


def test_a_body_too_large_is_not_read():
    """The limit holds before anything is parsed."""
    assert read(b" " * (MAX_BODY_BYTES + 1)).kind is Kind.PROVIDER_ERROR


def test_retry_hint_only_after_a_failure():
    """Anthropic and Hugging Face send `retry-after` with successes: it is flagged and not heeded."""
    ok = read(completion(), headers={"Retry-After": "30"})
    assert (ok.retry_after_s, "retry_after" in ok.flags) == (None, True)
    inside = read({"error": {"code": 429, "message": "x"}}, headers={"Retry-After": "30"})
    assert inside.retry_after_s is None
    assert read({}, status=429, headers={"Retry-After": "30"}).retry_after_s == 30


def test_should_not_retry_is_flagged():
    """`x-should-retry: false` reaches whoever decides on another attempt."""
    assert "should_not_retry" in read({}, status=503, headers={"x-should-retry": "false"}).flags


def test_a_refusal_block_is_a_refusal():
    """Refusals come as a content block too."""
    reading = read(completion([{"type": "refusal", "refusal": "No."}]))
    assert (reading.kind, reading.refusal) == (Kind.REFUSAL, "No.")
    assert read({"content": [], "stop_reason": "refusal"}).kind is Kind.REFUSAL


def test_a_tool_use_block_is_a_call():
    """Anthropic's own form of a call, passed through as content."""
    reading = read(completion([{"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}], finish="tool_use"))
    assert [(call.name, call.arguments, call.call_id) for call in reading.tool_calls] == [("f", '{"a": 1}', "t")]


def test_content_parsed_by_the_server_is_text_again():
    """A JSON value or a bare block where text belongs is still the answer."""
    assert json.loads(read(completion({"city": "Paris"})).text) == {"city": "Paris"}
    assert read(completion({"type": "text", "text": "Paris"})).text == "Paris"


def test_reasoning_in_side_fields():
    """LiteLLM's thinking blocks and OpenRouter's details are reasoning when no field is."""
    assert read(completion(thinking_blocks=[{"type": "thinking", "thinking": "hm"}])).reasoning == "hm"
    reading = read(completion(reasoning_details=[{"type": "reasoning.summary", "summary": "hm"}]))
    assert (reading.reasoning, reading.flags) == ("hm", ("reasoning_details",))
    assert read(completion(reasoning={"text": "hm"})).reasoning == "hm"


def test_a_custom_tool_call():
    """Calls of type custom carry free text instead of arguments."""
    call = {"id": "c", "type": "custom", "custom": {"name": "shell", "input": "ls"}}
    reading = read(completion(None, tool_calls=[call]))
    assert [(one.name, one.arguments) for one in reading.tool_calls] == [("shell", "ls")]
    assert "custom_tool_call" in reading.flags


def test_missing_parts_of_calls_are_flagged():
    """A call without id, type and arguments is a call all the same."""
    reading = read(completion(None, tool_calls=[{"function": {"name": "f"}}]))
    assert reading.kind is Kind.OK
    assert {"tool_id_empty", "tool_type_missing", "tool_args_empty"} <= set(reading.flags)


def test_a_fallback_block_is_flagged():
    """Anthropic says inside the content that another model took over."""
    assert "fallback_block" in read(completion([{"type": "fallback"}, {"type": "text", "text": "x"}])).flags
