"""A case is found again by the words of its prompt, however they are wrapped."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.domain.suite import Suite
from evalkit.errors import InputError
from evalkit.pipeline.script import script_of
from evalkit.simulator.book import AnswerBook, book_from_project


def _prompt(starter, suite_name, index=0):
    suite = starter.suite_by_name[suite_name]
    case = suite.cases[index]
    return case, script_of(suite, case).turns[0].messages[-1].content


def test_every_active_case_of_the_starter_is_in_the_book(starter, book):
    """No case is left without an answer, and each finds itself."""
    n_cases = 0
    for suite in starter.suites:
        for case in suite.active_cases:
            question = book.find(script_of(suite, case).turns[0].messages[-1].content)
            assert (question.suite, question.case_id) == (suite.name, case.id)
            n_cases += 1
    assert len(book) == n_cases


@pytest.mark.parametrize(
    "wrap",
    [
        "{}\n",
        "  \n{}\n\n",
        "You are a helpful assistant.\n\n{}",
        '{}\n\nAnswer with JSON that fits this schema:\n{{"type": "object"}}',
    ],
)
@pytest.mark.parametrize("suite", ["invoice-extraction", "ticket-triage", "policy-qa"])
def test_a_wrapped_prompt_is_found(starter, book, suite, wrap):
    """A demoted system text in front, a schema behind and other white space do not hide a case."""
    case, prompt = _prompt(starter, suite, index=7)
    assert book.find(wrap.format(prompt)).case_id == case.id


@given(st.text(max_size=200))
def test_text_of_nobody_is_unknown(book, text):
    """Words that are in no prompt find nothing, and nothing raises."""
    assert book.find(text) is None


def test_a_book_survives_json(book):
    """Writing and reading gives the same book, on one line."""
    written = book.to_json()
    assert "\n" not in written
    assert AnswerBook.from_json(written).to_json() == written


def test_the_words_of_the_prompt_are_not_kept(starter, book):
    """The book holds digests: prompts may be private."""
    _, prompt = _prompt(starter, "ticket-triage")
    assert max(prompt.splitlines(), key=len) not in book.to_json()


@pytest.mark.parametrize(
    "text", ["", "{}", "[1]", '[{"text": "x"}]', '[{"text": "x", "anchors": [], "question": {"a": 1}}]']
)
def test_what_is_no_book_is_refused(text):
    """A broken pipe or a wrong file says what is wrong."""
    if text == "{}":
        assert len(AnswerBook.from_json(text)) == 0
        return
    with pytest.raises(InputError, match="not an answer book"):
        AnswerBook.from_json(text)


def test_decisive_keys_and_labels_come_from_the_scorers(starter, book):
    """A wrong answer has to be wrong where it is scored."""
    ticket = book.find(_prompt(starter, "ticket-triage")[1])
    policy = book.find(_prompt(starter, "policy-qa")[1])
    assert (ticket.decisive, len(ticket.labels)) == (("label",), 6)
    assert policy.decisive == ("answer",)


def test_each_turn_of_a_conversation_is_a_question_of_its_own():
    """Only the last turn is what the case expects."""
    suite = Suite.model_validate({
        "version": 1, "name": "talk", "task": "talk", "primary": "exact", "scorers": ["exact"],
        "gates": [{"metric": "exact", "at_least": 0.5}],
        "request": {"turns": [{"user": "My name is {{ name }}, remember it."},
                              {"user": "What is my name, please tell me?"}]},
        "cases": [{"id": "one", "vars": {"name": "Ada"}, "expected": "Ada"}],
    })  # fmt: skip

    class _Project:
        suites = (suite,)

    found = book_from_project(_Project())
    first = found.find("My name is Ada, remember it.")
    assert (first.turn, first.expected) == (0, None)
    second = found.find("What is my name, please tell me?")
    assert (second.turn, second.right_answer) == (1, "Ada")


def test_turns_that_read_alike_are_told_apart_by_what_was_said_before():
    """Every case ends with the same question; all that the user said says which case it is."""
    tool = {"name": "look_up", "parameters": {"type": "object", "properties": {"name": {"type": "string"}}}}
    suite = Suite.model_validate({
        "version": 1, "name": "talk", "task": "talk", "primary": "exact", "scorers": ["exact"],
        "gates": [{"metric": "exact", "at_least": 0.5}],
        "request": {"tools": [tool], "turns": [{"user": "My name is {{ name }}.", "tool_results": {"look_up": 1}},
                                               {"user": "What is my name, please tell me?"}]},
        "cases": [{"id": n, "vars": {"name": n}, "expected": n, "known_good": [{"turns": ["hi", n]}]}
                  for n in ("Ada", "Bob")],
    })  # fmt: skip

    class _Project:
        suites = (suite,)

    found = AnswerBook.from_json(book_from_project(_Project()).to_json())
    question = found.find("My name is Bob.", "What is my name, please tell me?")
    assert (question.case_id, question.right_answer, question.tool_calls) == ("Bob", "Bob", ())
    assert found.find("My name is Bob.").tool_calls == ({"name": "look_up", "arguments": {"name": "unknown"}},)
