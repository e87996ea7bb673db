"""The 25 verifiable instruction types of IFEval, each a function from a text and its arguments to followed or not.

Every check is linear in the text. Arguments were checked when the suite was built.

Source: Zhou et al., "Instruction-Following Evaluation for Large Language Models" (2023), section 2 and appendix A;
where the paper leaves a rule open, what recorded verdicts show.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from evalkit.scorers.languages import LANGUAGES, language_of
from evalkit.scorers.sentences import n_capital_words, n_sentences, n_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Arguments = Mapping[str, Any]

__all__ = ["CHECKS", "Check", "argument_problem"]

Kind = Literal["count", "relation", "text", "texts", "language"]


class Check(NamedTuple):
    """One instruction type: how it is decided, and what it needs to be told."""

    follows: Callable[[str, Arguments], bool]
    arguments: Mapping[str, Kind]


def argument_problem(check: Check, given: Mapping[str, Any]) -> str:
    """Return what is wrong with the arguments of an instruction; empty when nothing is."""
    missing = [name for name in check.arguments if name not in given]
    unknown = [name for name in given if name not in check.arguments]
    if missing or unknown:
        return f"takes {', '.join(check.arguments) or 'no arguments'}, found {', '.join(given) or 'none'}"
    wrong = [f"{name} is no {kind}" for name, kind in check.arguments.items() if not _IS[kind](given[name])]
    return "; ".join(wrong)


_RELATIONS = ("less than", "at least")

_IS: dict[Kind, Callable[[Any], bool]] = {
    "count": lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= 0,
    "relation": lambda value: value in _RELATIONS,
    "text": lambda value: isinstance(value, str) and bool(value.strip()),
    "texts": lambda value: isinstance(value, list) and bool(value) and all(map(_IS["text"], value)),
    "language": lambda value: value in LANGUAGES,
}


def _holds(n: int, relation: str, limit: int) -> bool:
    return n < limit if relation == "less than" else n >= limit


# keywords


def _has_keywords(text: str, arguments: Arguments) -> bool:
    folded = text.lower()
    return all(word.lower() in folded for word in arguments["keywords"])


def _keyword_frequency(text: str, arguments: Arguments) -> bool:
    n = text.lower().count(arguments["keyword"].lower())
    return _holds(n, arguments["relation"], arguments["frequency"])


def _avoids_words(text: str, arguments: Arguments) -> bool:
    words = "|".join(re.escape(word) for word in arguments["forbidden_words"])
    return re.search(rf"\b(?:{words})\b", text, re.IGNORECASE) is None


def _letter_frequency(text: str, arguments: Arguments) -> bool:
    n = text.lower().count(arguments["letter"].lower())
    return _holds(n, arguments["let_relation"], arguments["let_frequency"])


# language and case


def _in_language(text: str, arguments: Arguments) -> bool:
    return language_of(text) == str(arguments["language"])


def _all_capitals(text: str, _arguments: Arguments) -> bool:
    return text.isupper() and language_of(text) == "en"


def _all_lowercase(text: str, _arguments: Arguments) -> bool:
    return text.islower() and language_of(text) == "en"


def _capital_words(text: str, arguments: Arguments) -> bool:
    return _holds(n_capital_words(text), arguments["capital_relation"], arguments["capital_frequency"])


# length


def _word_count(text: str, arguments: Arguments) -> bool:
    return _holds(n_words(text), arguments["relation"], arguments["num_words"])


def _sentence_count(text: str, arguments: Arguments) -> bool:
    return _holds(n_sentences(text), arguments["relation"], arguments["num_sentences"])


def _paragraph_count(text: str, arguments: Arguments) -> bool:
    parts = text.split("***")
    inner = parts[1:-1]
    n_ends = sum(bool(part.strip()) for part in (parts if len(parts) == 1 else (parts[0], parts[-1])))
    n_filled = len(inner) + n_ends
    return all(part.strip() for part in inner) and n_filled == int(arguments["num_paragraphs"])


_WORD_END = re.compile(r"[.,?!'\"]")


def _first_word_of_paragraph(text: str, arguments: Arguments) -> bool:
    paragraphs = text.split("\n\n")
    n_filled = sum(bool(paragraph.strip()) for paragraph in paragraphs)
    nth = arguments["nth_paragraph"]
    if n_filled != arguments["num_paragraphs"] or not 1 <= nth <= n_filled:
        return False
    words = paragraphs[nth - 1].split(maxsplit=1)
    first = _WORD_END.split(words[0].lstrip("'\""), maxsplit=1)[0] if words else ""
    return bool(words) and first.lower() == str(arguments["first_word"]).lower()


# content


def _placeholders(text: str, arguments: Arguments) -> bool:
    return sum(1 for _ in _bracketed(text)) >= int(arguments["num_placeholders"])


def _bracketed(text: str) -> Iterator[str]:
    """Yield what stands in square brackets within a line; found by hand, since a pattern would be quadratic."""
    for line in text.split("\n"):
        at = 0
        while (start := line.find("[", at)) >= 0 and (end := line.find("]", start)) >= 0:
            yield line[start : end + 1]
            at = end + 1


_POSTSCRIPTS = {"p.p.s": re.compile(r"p\.\s?p\.\s?s"), "p.s.": re.compile(r"p\.\s?s\.")}


def _postscript(text: str, arguments: Arguments) -> bool:
    marker = arguments["postscript_marker"].lower()
    pattern = _POSTSCRIPTS.get(marker)
    return marker in text.lower() if pattern is None else pattern.search(text.lower()) is not None


# format


def _bullets(text: str, arguments: Arguments) -> bool:
    lines = [line.lstrip() for line in text.split("\n")]
    n = sum(line.startswith("-") or (line.startswith("*") and line[1:2] != "*") for line in lines)
    return n == int(arguments["num_bullets"])


_STANCES = ("My answer is yes.", "My answer is no.", "My answer is maybe.")


def _constrained(text: str, _arguments: Arguments) -> bool:
    return any(stance in text for stance in _STANCES)


_EMPHASIS = re.compile(r"\*[^\n*]*\*")
_STRONG = re.compile(r"\*\*[^\n*]*\*\*")


def _highlights(text: str, arguments: Arguments) -> bool:
    found = [*_EMPHASIS.findall(text), *_STRONG.findall(text)]
    return sum(bool(part.strip("*").strip()) for part in found) >= int(arguments["num_highlights"])


def _sections(text: str, arguments: Arguments) -> bool:
    n = sum(1 for _ in re.finditer(rf"{re.escape(arguments['section_spliter'])}\s?\d+", text))
    return n >= int(arguments["num_sections"])


_FENCES = ("```json", "```Json", "```JSON", "```")


def _json_only(text: str, _arguments: Arguments) -> bool:
    body = text.strip()
    for fence in _FENCES:
        body = body.removeprefix(fence)
    try:
        json.loads(body.removesuffix("```").strip())
    except (ValueError, RecursionError):
        return False
    return True


def _title(text: str, _arguments: Arguments) -> bool:
    return any(_titled(line) for line in text.split("\n"))


def _titled(line: str) -> bool:
    start, end = line.find("<<"), line.rfind(">>")
    return 0 <= start < end and bool(line[start:end].lstrip("<").rstrip(">").strip())


# combinations, start and end, punctuation


_N_RESPONSES = 2


def _two_responses(text: str, _arguments: Arguments) -> bool:
    parts = [part.strip() for part in text.split("******")]
    filled = [part for part in parts if part]
    return all(parts[1:-1]) and len(filled) == _N_RESPONSES and filled[0] != filled[1]


def _repeats_prompt(text: str, arguments: Arguments) -> bool:
    return text.strip().lower().startswith(arguments["prompt_to_repeat"].strip().lower())


def _ends_with(text: str, arguments: Arguments) -> bool:
    return text.strip().strip('"').lower().endswith(arguments["end_phrase"].strip().lower())


def _quoted(text: str, _arguments: Arguments) -> bool:
    body = text.strip()
    return len(body) > 1 and body[0] == body[-1] == '"'


def _no_comma(text: str, _arguments: Arguments) -> bool:
    return "," not in text


CHECKS: dict[str, Check] = {
    "keywords:existence": Check(_has_keywords, {"keywords": "texts"}),
    "keywords:frequency": Check(_keyword_frequency, {"relation": "relation", "keyword": "text", "frequency": "count"}),
    "keywords:forbidden_words": Check(_avoids_words, {"forbidden_words": "texts"}),
    "keywords:letter_frequency": Check(
        _letter_frequency, {"let_relation": "relation", "letter": "text", "let_frequency": "count"}
    ),
    "language:response_language": Check(_in_language, {"language": "language"}),
    "length_constraints:number_sentences": Check(_sentence_count, {"relation": "relation", "num_sentences": "count"}),
    "length_constraints:number_paragraphs": Check(_paragraph_count, {"num_paragraphs": "count"}),
    "length_constraints:number_words": Check(_word_count, {"relation": "relation", "num_words": "count"}),
    "length_constraints:nth_paragraph_first_word": Check(
        _first_word_of_paragraph, {"first_word": "text", "num_paragraphs": "count", "nth_paragraph": "count"}
    ),
    "detectable_content:number_placeholders": Check(_placeholders, {"num_placeholders": "count"}),
    "detectable_content:postscript": Check(_postscript, {"postscript_marker": "text"}),
    "detectable_format:number_bullet_lists": Check(_bullets, {"num_bullets": "count"}),
    "detectable_format:constrained_response": Check(_constrained, {}),
    "detectable_format:number_highlighted_sections": Check(_highlights, {"num_highlights": "count"}),
    "detectable_format:multiple_sections": Check(_sections, {"section_spliter": "text", "num_sections": "count"}),
    "detectable_format:json_format": Check(_json_only, {}),
    "detectable_format:title": Check(_title, {}),
    "combination:two_responses": Check(_two_responses, {}),
    "combination:repeat_prompt": Check(_repeats_prompt, {"prompt_to_repeat": "text"}),
    "startend:end_checker": Check(_ends_with, {"end_phrase": "text"}),
    "startend:quotation": Check(_quoted, {}),
    "change_case:capital_word_frequency": Check(
        _capital_words, {"capital_relation": "relation", "capital_frequency": "count"}
    ),
    "change_case:english_capital": Check(_all_capitals, {}),
    "change_case:english_lowercase": Check(_all_lowercase, {}),
    "punctuation:no_comma": Check(_no_comma, {}),
}
"""By the id the field uses."""
