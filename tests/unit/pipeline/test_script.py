"""Scripts: every template rendered, nothing of any model in them."""

from __future__ import annotations

import pytest

from evalkit.domain.call import Message
from evalkit.errors import InputError
from evalkit.pipeline.script import CHARACTERS_PER_TOKEN, expected_of_turn, script_from_messages, script_of
from evalkit.testing.builders import a_case, a_suite

TOOL = {"name": "look_up", "parameters": {"type": "object"}}
OTHER_TOOL = {"name": "book", "parameters": {"type": "object"}}


def script(request, **case):
    """Return the script of a case under a request."""
    return script_of(a_suite(request=request), a_case(**case))


def test_a_prompt_is_one_user_message():
    """The plain case: the system text apart, one turn, variables filled in."""
    found = script({"system": "You know {{ topic }}.", "prompt": "Why {{ topic }}?"}, vars={"topic": "tides"})
    assert found.system == "You know tides."
    (turn,) = found.turns
    assert [(message.role, message.content) for message in turn.messages] == [("user", "Why tides?")]


def test_messages_keep_their_roles_and_order():
    """A hand-written conversation is sent as it was written, as one turn."""
    request = {
        "messages": [
            {"role": "user", "content": "Hello {{ name }}"},
            {"role": "assistant", "content": "Hello"},
            {"role": "user", "content": "Again"},
        ]
    }
    (turn,) = script(request, vars={"name": "Ann"}).turns
    shown = [(message.role, message.content) for message in turn.messages]
    assert shown == [("user", "Hello Ann"), ("assistant", "Hello"), ("user", "Again")]


def test_turns_carry_their_tools_and_results():
    """Each turn has its own tools, else the request's, and the results that answer the calls it provokes."""
    request = {
        "tools": [TOOL],
        "turns": [{"user": "one", "tool_results": {"look_up": 1}}, {"user": "two {{ x }}", "tools": [OTHER_TOOL]}],
    }
    first, second = script(request, vars={"x": 2}).turns
    assert ([tool.name for tool in first.tools], first.tool_results) == (["look_up"], {"look_up": 1})
    assert ([tool.name for tool in second.tools], second.messages[0].content) == (["book"], "two 2")


def test_a_case_may_have_its_own_tools():
    """Tools of the case replace those of the suite; an empty tuple takes them all away."""
    suite = a_suite(request={"prompt": "x", "tools": [TOOL]})
    own = a_suite(request={"prompt": "x", "tools": [OTHER_TOOL]}).request.tools
    assert [tool.name for tool in script_of(suite, a_case(tools=own)).turns[0].tools] == ["book"]
    assert script_of(suite, a_case(tools=())).turns[0].tools == ()


def test_a_missing_variable_names_suite_and_case():
    """A template that wants what the case does not give is the author's mistake, and says where."""
    with pytest.raises(InputError, match="qa: case case-1"):
        script({"prompt": "{{ question }}"}, vars={})


def test_the_token_estimate_counts_every_text():
    """System text and every turn count, at least one token."""
    found = script({"system": "x" * 40, "turns": [{"user": "y" * 40}, {"user": "z" * 40}]})
    assert found.n_prompt_tokens == 1 + 120 // CHARACTERS_PER_TOKEN


@pytest.mark.parametrize(
    "request_",
    [
        {"prompt": "b"},
        {"system": "s", "prompt": "a"},
        {"messages": [{"role": "assistant", "content": "a"}]},
        {"turns": [{"user": "a"}, {"user": "a"}]},
        {"prompt": "a", "tools": [TOOL]},
        {"turns": [{"user": "a", "tool_results": {"look_up": 1}}]},
    ],
)
def test_the_digest_covers_what_reaches_a_model(request_):
    """Another text, role, tool or tool result gives another digest; the same gives the same."""
    plain = script({"prompt": "a"})
    assert plain.digest == script({"prompt": "a"}).digest
    assert script(request_).digest != plain.digest


def test_an_application_speaks_for_the_suite():
    """Its messages replace all that the suite says; the tools stay, and tokens are estimated from what is sent."""
    suite = a_suite(request={"system": "You help.", "prompt": "{{ question }}", "tools": [{"name": "look_up"}]})
    messages = [Message(role="system", content="Short."), Message(role="user", content="x" * 40)]
    script = script_from_messages(suite, a_case(), messages)
    (turn,) = script.turns
    assert (script.system, turn.messages, [tool.name for tool in turn.tools]) == (None, tuple(messages), ["look_up"])
    assert script.n_prompt_tokens == 1 + 46 // 4


@pytest.mark.parametrize(
    ("request_spec", "messages"),
    [({"turns": [{"user": "a"}, {"user": "b"}]}, [Message(role="user", content="x")]), ({"prompt": "a"}, [])],
    ids=["conversation", "nothing"],
)
def test_what_cannot_replace_a_suites_words_is_refused(request_spec, messages):
    """A conversation has later questions, and no message is no question."""
    with pytest.raises(InputError, match="case case-1"):
        script_from_messages(a_suite(request=request_spec), a_case(), messages)


def test_what_a_turn_expects_is_filled_from_the_case():
    """Text is a template, at any depth; a variable alone stays what it is."""
    expect = {"expected": {"n": "{{ count }}", "text": ["about {{ count }}"]}, "scorers": ["exact"]}
    suite = a_suite(request={"turns": [{"user": "one", "expect": expect}, {"user": "two"}]})
    one, two = suite.request.turns
    case = a_case(vars={"count": 3})
    assert expected_of_turn(one, case) == {"n": 3, "text": ["about 3"]}
    assert expected_of_turn(two, case) is None
