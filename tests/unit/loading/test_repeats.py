"""Cases that ask the same are one cluster: copies are no evidence."""

from __future__ import annotations

import pytest

from evalkit.errors import Place
from evalkit.loading.repeats import split_questions, with_repeats_clustered
from evalkit.testing.builders import a_case, a_suite

PROMPT = {"prompt": "What is the capital of {{ country }}?", "max_output_tokens": 9}


def clusters(*cases, **request):
    """Return the clusters of the cases once repeats share one."""
    suite = a_suite(cases=cases, request=PROMPT | request)
    return [case.cluster_id for case in with_repeats_clustered(suite).cases]


def asked(name, country, **fields):
    """Return a case that asks for a capital."""
    return a_case(name, vars={"country": country}, **fields)


def test_different_questions_stay_apart():
    """As they were written, and with the digest they had."""
    suite = a_suite(cases=[asked("a", "Peru"), asked("b", "Chad", cluster="africa")], request=PROMPT)
    assert with_repeats_clustered(suite).digest == suite.digest


@pytest.mark.parametrize("again", ["Peru", " Peru\n", "Peru "])
def test_copies_share_the_cluster_of_the_first(again):
    """Whatever their ids, and though white space differs."""
    assert clusters(asked("a", "Peru"), asked("b", again), asked("c", "Chad")) == ["a", "a", "c"]
    assert clusters(asked("a", "Peru", cluster="x"), asked("b", again)) == ["x", "x"]


def test_what_the_prompt_does_not_show_makes_no_other_question():
    """A running number in the file is not in the prompt."""
    cases = [a_case(f"c{n}", vars={"country": "Peru", "row": n}) for n in range(3)]
    assert clusters(*cases) == ["c0", "c0", "c0"]
    assert clusters(*cases, system="Row {{ row }}.") == ["c0", "c1", "c2"]


def test_prompts_that_show_nothing_are_told_apart_by_all_variables():
    """The application may say something else instead."""
    cases = [a_case(f"c{n}", vars={"row": n // 2}) for n in range(4)]
    assert clusters(*cases, prompt="stub") == ["c0", "c0", "c2", "c2"]


@pytest.mark.parametrize("fields", [{"schema": {"type": "string"}}, {"max_output_tokens": 3}, {"skip": "broken"}])
def test_another_way_to_ask_is_another_question(fields):
    """A schema of its own, a length of its own; and what is skipped is not asked at all."""
    assert clusters(asked("a", "Peru"), asked("b", "Peru", **fields)) == ["a", "b"]


def test_a_cluster_that_was_given_stays_and_is_told():
    """Somebody meant something by it: which, they have to say."""
    suite = a_suite(cases=[asked("a", "Peru", cluster="x"), asked("b", "Peru", cluster="y")], request=PROMPT)
    assert with_repeats_clustered(suite).digest == suite.digest
    (error,) = split_questions(suite, place_of=lambda index: Place(file="cases.jsonl", line=index + 1))
    assert "'a' and 'b' ask the same, and are in the clusters 'x' and 'y'" in str(error)
    assert error.place.line == 2
