"""`tool_calls`: native and written calls, what makes one right, and what is only forgiven by the lenient metric."""

from __future__ import annotations

import json

import pytest

from evalkit.domain.outcome import Kind, Reading, ToolCall, Turn
from evalkit.domain.score import Unscored
from evalkit.errors import InputError
from evalkit.plugins import ScorerContext, load_plugin
from evalkit.testing.builders import a_case, a_suite, an_outcome

WEATHER = {
    "name": "get_weather",
    "parameters": {
        "type": "object",
        "properties": {
            "city": {"type": "string"},
            "days": {"type": "integer"},
            "height": {"type": "number"},
            "units": {"type": "array", "items": {"type": "number"}},
            "where": {"type": "object"},
            "strict": {"type": "boolean"},
        },
        "required": ["city"],
    },
}
BOOK = {"name": "hotel.book", "parameters": {"type": "object", "properties": {"nights": {"type": "integer"}}}}
PARIS = {"name": "get_weather", "arguments": {"city": "Paris"}}


def graded(expected, *calls, text=None, tools=(WEATHER, BOOK), expect="answer", **params):
    """Return (strict, lenient) for native calls, each (name, arguments as text or JSON), or for a text."""
    case = a_case(expected=expected, expect=expect)
    request = {"prompt": "?", "tools": list(tools)} if tools else {"prompt": "?"}
    suite = a_suite(cases=[case], request=request, scorers=[{"name": "tool_calls", "params": params}])
    scorer = load_plugin("scorers", "tool_calls")(ScorerContext(params=params, suite=suite))
    made = tuple(ToolCall(name=n, arguments=a if isinstance(a, str) else json.dumps(a)) for n, a in calls)
    reading = Reading(kind=Kind.OK, text=text, tool_calls=made)
    return scorer.score(case, an_outcome(case.id, turns=(Turn(reading=reading),)), ())


def values(*args, **kwargs):
    """Return the two values."""
    return tuple(entry.value for entry in graded(*args, **kwargs))


@pytest.mark.parametrize(
    ("given", "wanted", "also", "value"),
    [
        ({"city": "Paris"}, {"city": "Paris"}, {}, 1),
        ({"city": "paris."}, {"city": "Paris"}, {}, 1),
        ({"city": "New-York"}, {"city": "new york"}, {}, 1),
        ({"city": "Rome"}, {"city": "Paris"}, {}, 0),
        ({"city": "Paris, France"}, {"city": "Paris"}, {"city": ["Paris, France"]}, 1),
        ({}, {"city": "Paris"}, {}, 0),
        ({}, {"city": "Paris"}, {"city": [""]}, 0),  # the tool itself demands it
        ({"city": "Paris"}, {"city": "Paris", "days": 3}, {}, 0),
        ({"city": "Paris"}, {"city": "Paris", "days": 3}, {"days": [""]}, 1),
        ({"city": "Paris", "days": 1}, {"city": "Paris"}, {"days": [1]}, 1),
        ({"city": "Paris", "days": 2}, {"city": "Paris"}, {"days": [1]}, 0),
        ({"city": "Paris", "days": 1}, {"city": "Paris"}, {}, 0),
        ({"city": "Paris", "days": 3.0}, {"city": "Paris", "days": 3}, {}, 0),
        ({"city": "Paris", "days": "3"}, {"city": "Paris", "days": 3}, {}, 0),
        ({"city": "Paris", "days": True}, {"city": "Paris", "days": 1}, {}, 0),
        ({"city": "Paris", "height": 3}, {"city": "Paris", "height": 3.0}, {}, 1),
        ({"city": "Paris", "height": 3.0}, {"city": "Paris", "height": 3}, {}, 1),
        ({"city": "Paris", "strict": 1}, {"city": "Paris", "strict": True}, {}, 0),
        ({"city": "Paris", "strict": True}, {"city": "Paris", "strict": True}, {}, 1),
        ({"city": "Paris", "units": [1, 2]}, {"city": "Paris", "units": [1.0, 2.0]}, {}, 1),
        ({"city": "Paris", "units": [2, 1]}, {"city": "Paris", "units": [1, 2]}, {}, 0),
        ({"city": "Paris", "where": {"a": "B"}}, {"city": "Paris", "where": {"a": "b"}}, {}, 1),
        ({"city": "Paris", "where": {"a": 1, "b": 2}}, {"city": "Paris", "where": {"a": 1}}, {}, 0),
    ],
)
def test_arguments(given, wanted, also, value):
    """Required, unknown, typed and allowed: both metrics judge the arguments of a native call alike."""
    expected = [{"name": "get_weather", "arguments": wanted, "also": also}]
    assert values(expected, ("get_weather", given)) == (value, value)


@pytest.mark.parametrize(
    ("calls", "expected", "finding"),
    [
        ([("get_weather", {"city": "Rome"})], [PARIS], "tool_call:value"),
        ([("get_weather", {"city": 1})], [PARIS], "tool_call:type"),
        ([("get_weather", {})], [PARIS], "tool_call:missing_argument"),
        ([("get_weather", {"city": "Paris", "x": 1})], [PARIS], "tool_call:unknown_argument"),
        ([("hotel_book", {})], [PARIS], "tool_call:name"),
        ([("get_weather", {"city": "Paris"})] * 2, [PARIS], "tool_call:count"),
        ([("get_weather", {"city": "Paris"})], [], "tool_call:unwanted"),
        ([], [PARIS], "tool_call:none"),
        ([("get_weather", "{city: Paris")], [PARIS], "tool_call:malformed"),
    ],
)
def test_faults_are_named(calls, expected, finding):
    """What is wrong with a call is there for machines."""
    strict, lenient = graded(expected, *calls)
    assert finding in strict.findings
    assert (strict.value, lenient.value) == (0, 0)
    assert strict.rationale


def test_dots_and_underscores_are_one_name():
    """A provider that takes no dots in names is not at fault."""
    expected = [{"name": "hotel.book", "arguments": {"nights": 2}}]
    assert values(expected, ("hotel_book", {"nights": 2})) == (1, 1)


def test_another_spelling_of_a_name_is_only_forgiven():
    """`functions.Get-Weather` names no tool; the lenient metric sees which one was meant."""
    assert values([PARIS], ("functions.Get-Weather", {"city": "Paris"})) == (0, 1)


def test_parallel_calls_come_in_any_order():
    """Order is free, and overlapping alternatives are shared out as well as they can be."""
    expected = [
        {"name": "get_weather", "arguments": {"city": "Paris"}, "also": {"city": ["Rome"]}},
        {"name": "get_weather", "arguments": {"city": "Paris"}},
    ]
    calls = [("get_weather", {"city": "Paris"}), ("get_weather", {"city": "Rome"})]
    assert values(expected, *calls) == (1, 1)
    assert values(expected, *reversed(calls)) == (1, 1)
    assert values(expected, calls[1], calls[1]) == (0, 0)


def test_no_call_is_right_where_none_is_expected():
    """Irrelevance: prose passes, a call fails, and so does one that leaked into the text."""
    assert values([], text="I have no tool for that.") == (1, 1)
    assert values([], text="[]") == (1, 1)
    assert values(None, text="Which city?", expect="abstain") == (1, 1)
    assert values([], text='<tool_call>{"name": "get_weather", "arguments": {"city": "Paris"}}') == (0, 0)


@pytest.mark.parametrize(
    "text",
    [
        '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call>',
        '<tool_call>{"name": "get_weather", "arguments": {"city": "Paris"}}',
        '<|python_start|>{"name": "get_weather", "parameters": {"city": "Paris"}}<|python_end|>',
        '<|python_tag|>{"name": "get_weather", "parameters": {"city": "Paris"}}<|eom_id|>',
        '[TOOL_CALLS][{"name": "get_weather", "arguments": {"city": "Paris"}}]',
        "<function=get_weather><parameter=city>Paris</parameter></function>",
        "<tool_call>\n<function=get_weather>\n<parameter=city>\nParis\n</parameter>\n</function>\n</tool_call>",
        '<function=get_weather>{"city": "Paris"}</function>',
        'I will look.\n```json\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n```',
        '{"name": "get_weather", "parameters": {"city": "Paris"}}',
        '{"tool_calls": [{"function": {"name": "get_weather", "arguments": "{\\"city\\":\\"Paris\\"}"}}]}',
    ],
)
def test_leaked_calls(text):
    """A call written as text is no call; the lenient metric reads it, in every form seen in the wild."""
    strict, lenient = graded([PARIS], text=text)
    assert (strict.value, lenient.value) == (0, 1)
    assert "tool_call:as_text" in strict.findings


def test_tagged_arguments_take_the_declared_type():
    """Between tags everything is text: a number is read as one where one is declared."""
    expected = [{"name": "get_weather", "arguments": {"city": "5", "days": 3, "units": [1, 2]}}]
    text = "<function=get_weather><parameter=city>5</parameter><parameter=days>3</parameter><parameter=units>[1,2]"
    assert values(expected, text=text) == (0, 1)


@pytest.mark.parametrize(
    "arguments", ['{"city": "Paris",}', '"{\\"city\\": \\"Paris\\"}"', '```\n{"city": "Paris"}\n```']
)
def test_broken_arguments_are_only_forgiven(arguments):
    """Arguments that are JSON after repair fail strictly, with a finding."""
    strict, lenient = graded([PARIS], ("get_weather", arguments))
    assert (strict.value, lenient.value) == (0, 1)
    assert "tool_call:malformed" in strict.findings


def test_empty_arguments_are_none():
    """`""` is how several servers write a call without arguments."""
    assert values([{"name": "hotel.book"}], ("hotel_book", "")) == (1, 1)


def test_prose_beside_a_call_does_no_harm():
    """Many models explain what they do; the call counts."""
    assert values([PARIS], ("get_weather", {"city": "Paris"}), text="Let me look that up.") == (1, 1)


@pytest.mark.parametrize(
    ("text", "strict", "lenient"),
    [
        ('{"name": "get_weather", "arguments": {"city": "Paris"}}', 1, 1),
        ('[{"name": "get_weather", "arguments": {"city": "Paris"}}]', 1, 1),
        ('```json\n{"tool_calls": [{"name": "get_weather", "arguments": {"city": "Paris"}}]}\n```', 1, 1),
        ('Sure!\n{"name": "get_weather", "arguments": {"city": "Paris"}}\nDone', 0, 1),
        ('{"name": "get_weather", "parameters": {"city": "Paris"}}', 0, 1),
        ("<function=get_weather><parameter=city>Paris</parameter></function>", 0, 1),
        ('{"name": "get_weather", "arguments": {"city": "Rome"}}', 0, 0),
        ('{"city": "Paris"}', 0, 0),
        ("It is sunny.", 0, 0),
    ],
)
def test_written_calls(text, strict, lenient):
    """Without tools in the request the calls are JSON in the text, as the prompt asked."""
    assert values([PARIS], text=text, tools=()) == (strict, lenient)


def test_prompted_tools_bring_their_types():
    """A tool described in words is declared in the parameters, and then its types hold."""
    expected = [{"name": "get_weather", "arguments": {"city": "Paris", "height": 3}}]
    text = '{"name": "get_weather", "arguments": {"city": "Paris", "height": 3.0}}'
    assert values(expected, text=text, tools=()) == (0, 0)
    case = a_case(expected=expected)
    params = {"tools": [WEATHER]}
    suite = a_suite(cases=[case], scorers=[{"name": "tool_calls", "params": params}])
    scorer = load_plugin("scorers", "tool_calls")(ScorerContext(params=params, suite=suite))
    strict, lenient = scorer.score(case, an_outcome(text=text), ())
    assert (strict.value, lenient.value) == (1, 1)


@pytest.mark.parametrize("expected", [None, "get_weather", {"arguments": {}}, [{"name": "x", "args": {}}]])
def test_a_case_without_calls_is_refused(expected):
    """What cannot be compared is refused before anything is spent; met later, it has no score."""
    with pytest.raises(InputError, match="needs the calls"):
        graded(expected, text="x")
    scorer = load_plugin("scorers", "tool_calls")(ScorerContext(params={}, suite=a_suite()))
    assert all(isinstance(entry, Unscored) for entry in scorer.score(a_case(expected="x"), an_outcome(), ()))


def test_thousands_of_calls_are_wrong_not_slow():
    """A flood of calls is counted, not compared."""
    strict, _ = graded([PARIS], *[("get_weather", {"city": "Paris"})] * 5_000)
    assert "tool_call:count" in strict.findings
