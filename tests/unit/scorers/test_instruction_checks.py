"""The 25 instruction types, each followed and not."""

from __future__ import annotations

import pytest

from evalkit.scorers.instruction_checks import CHECKS, argument_problem

SENTENCES = {"relation": "less than", "num_sentences": 3}
WORDS = {"relation": "at least", "num_words": 3}

SITUATIONS = [
    ("keywords:existence", {"keywords": ["sun", "C++"]}, "The SUN and c++", "The sun"),
    ("keywords:frequency", {"relation": "at least", "keyword": "war", "frequency": 2}, "War, wars", "war"),
    ("keywords:frequency", {"relation": "less than", "keyword": "war", "frequency": 2}, "war", "war war"),
    ("keywords:forbidden_words", {"forbidden_words": ["rock", "a.b"]}, "rocks and a-b", "Rock!"),
    (
        "keywords:letter_frequency",
        {"let_relation": "at least", "letter": "#", "let_frequency": 2},
        "#a #b",
        "#a",
    ),
    ("language:response_language", {"language": "de"}, "Das ist der Weg und das Ziel", "This is the way"),
    ("language:response_language", {"language": "kn"}, "ನಮಸ್ಕಾರ", "12345"),
    ("length_constraints:number_sentences", SENTENCES, "Dr. Who came at 5 p.m. today. He left.", "Ab. Cd? Ef!"),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 2}, "a\n***\nb", "a\n***\n***\nb"),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 2}, "***\na\n***\nb\n***", "a"),
    ("length_constraints:number_words", WORDS, "one two-three", "one two"),
    (
        "length_constraints:nth_paragraph_first_word",
        {"first_word": "summer", "num_paragraphs": 2, "nth_paragraph": 2},
        "a\n\n'Summer, is",
        "a\n\nThe summer",
    ),
    (
        "length_constraints:nth_paragraph_first_word",
        {"first_word": "summer", "num_paragraphs": 2, "nth_paragraph": 2},
        "a\n\nsummer!",
        "a\n\nb\n\nsummer",
    ),
    ("detectable_content:number_placeholders", {"num_placeholders": 2}, "[a] to [[b]", "[a] to [b\n]"),
    ("detectable_content:postscript", {"postscript_marker": "P.S."}, "Bye\np. s. more", "Bye\nPS more"),
    ("detectable_content:postscript", {"postscript_marker": "P.P.S"}, "P.P.S more", "P.S. more"),
    ("detectable_content:postscript", {"postscript_marker": "N.B."}, "n.b. more", "nb more"),
    ("detectable_format:number_bullet_lists", {"num_bullets": 2}, "* a\n  - b\n** c", "* a"),
    ("detectable_format:constrained_response", {}, "Well. My answer is no.", "My answer: no."),
    ("detectable_format:number_highlighted_sections", {"num_highlights": 2}, "*a* and **b**", "*a* and * *"),
    (
        "detectable_format:multiple_sections",
        {"section_spliter": "Day", "num_sections": 2},
        "Day 1 x\nDay2 y",
        "day 1\nDay two",
    ),
    ("detectable_format:json_format", {}, '```json\n{"a": 1}\n```', "{a: 1}"),
    ("detectable_format:title", {}, "<<Home>>", "<< >>\n<Home>"),
    ("combination:two_responses", {}, "a\n******\nb", "a\n******\na"),
    ("combination:two_responses", {}, "******a******b******", "a******\n******b"),
    ("combination:repeat_prompt", {"prompt_to_repeat": "Say Hi. "}, " say hi. Hi!", "Hi! Say hi."),
    ("startend:end_checker", {"end_phrase": "That is all."}, 'x "that is ALL."', "That is all. x"),
    ("startend:quotation", {}, ' "a" ', '"'),
    (
        "change_case:capital_word_frequency",
        {"capital_relation": "at least", "capital_frequency": 3},
        "I SAY (NO)",
        "I say NO",
    ),
    ("change_case:english_capital", {}, "THIS IS THE WAY", "THIS is THE WAY"),
    ("change_case:english_lowercase", {}, "this is the way", "das ist der weg und das ziel"),
    ("punctuation:no_comma", {}, "a; b", "a, b"),
]


@pytest.mark.parametrize(("name", "arguments", "followed", "ignored"), SITUATIONS)
def test_followed_and_ignored(name, arguments, followed, ignored):
    """Each type, on a text that follows it and on one that does not."""
    check = CHECKS[name]
    assert not argument_problem(check, arguments)
    assert check.follows(followed, arguments)
    assert not check.follows(ignored, arguments)


def test_every_type_is_shown():
    """None of the 25 types in nine groups is left out."""
    assert len(CHECKS) == 25
    assert len({name.partition(":")[0] for name in CHECKS}) == 9
    assert {name for name, *_ in SITUATIONS} == set(CHECKS)
