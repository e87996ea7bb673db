"""Invented small writing tasks under one to three verifiable instructions, each with an answer that follows them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

__all__ = ["instruction_cases"]

_PLACES = ["harbour", "bakery", "library", "orchard", "workshop", "tram depot", "lighthouse", "market hall", "mill"]
_PEOPLE = ["Ines", "Tomas", "Wren", "Yuki", "Mirela", "Jonas", "Priya", "Odile", "Samir", "Greta"]
_EVENTS = ["open day", "repair evening", "winter fair", "book swap", "night walk", "song contest", "seed exchange"]
_FORMS = ["a notice", "a short letter", "a few lines for the parish paper", "a text for a poster", "a welcome note"]


class _Topic(NamedTuple):
    place: str
    person: str
    event: str
    form: str

    @property
    def task(self) -> str:
        return f"Write {self.form} about the {self.event} at the {self.place}. {self.person} runs it."

    @property
    def plain(self) -> str:
        """An answer of six sentences in one paragraph, without a comma."""
        return (
            f"The {self.event} at the {self.place} is for all of us. {self.person} will be there to greet you. "
            "The doors open at nine in the morning. There is tea and there are small cakes for the guests. "
            f"You can bring a friend to the {self.place}. We look forward to the day."
        )


class _Rule(NamedTuple):
    identity: str
    words: str
    kwargs: dict[str, Any]
    follow: Callable[[str], str]
    """From an answer that does not follow the instruction to one that does."""


_ONE_LANGUAGE = {
    "de": ("German", "Der {event} ist für alle da und wir freuen uns auf den Tag. Die Türen sind um neun offen."),
    "fr": ("French", "Le {event} est pour tous et nous sommes dans la salle. Les portes sont ouvertes pour vous."),
    "es": ("Spanish", "El {event} es para todos y los amigos son parte del día. Las puertas se abren para la gente."),
}


def _keyword(rng: random.Random, _topic: _Topic) -> _Rule:
    words = rng.sample(["lantern", "gravel", "whistle", "copper", "velvet", "marble"], 2)
    return _Rule(
        "keywords:existence",
        f"Use the words {words[0]} and {words[1]}.",
        {"keywords": words},
        lambda text: f"{text} A {words[0]} and a {words[1]} mark the way.",
    )


def _frequency(rng: random.Random, _topic: _Topic) -> _Rule:
    word, n = rng.choice(["bicycle", "umbrella", "ribbon", "basket"]), rng.randrange(2, 5)
    return _Rule(
        "keywords:frequency",
        f"Use the word {word} at least {n} times.",
        {"relation": "at least", "keyword": word, "frequency": n},
        lambda text: text + f" There is a {word} for you." * n,
    )


def _forbidden(_rng: random.Random, _topic: _Topic) -> _Rule:
    return _Rule(
        "keywords:forbidden_words",
        "Do not use the words free and unique.",
        {"forbidden_words": ["free", "unique"]},
        lambda text: text,
    )


def _letters(rng: random.Random, _topic: _Topic) -> _Rule:
    letter, n = rng.choice("qzx"), rng.randrange(3, 7)
    return _Rule(
        "keywords:letter_frequency",
        f"The letter {letter} has to appear at least {n} times.",
        {"let_relation": "at least", "letter": letter, "let_frequency": n},
        lambda text: f"{text} The prize is named {letter * n}.",
    )


def _sentences(rng: random.Random, _topic: _Topic) -> _Rule:
    n = rng.choice((3, 4, 5))
    return _Rule(
        "length_constraints:number_sentences",
        f"Write at least {n} sentences.",
        {"relation": "at least", "num_sentences": n},
        lambda text: text,
    )


def _words(rng: random.Random, _topic: _Topic) -> _Rule:
    n = rng.choice((120, 130, 150, 180))
    return _Rule(
        "length_constraints:number_words",
        f"Stay below {n} words.",
        {"relation": "less than", "num_words": n},
        lambda text: text,
    )


def _paragraphs(rng: random.Random, _topic: _Topic) -> _Rule:
    n = rng.choice((2, 3))
    return _Rule(
        "length_constraints:number_paragraphs",
        f"Write {n} paragraphs, parted by a line with three asterisks: ***",
        {"num_paragraphs": n},
        lambda text: "\n***\n".join([text, *("We hope to see you.",) * (n - 1)]),
    )


def _first_word(rng: random.Random, _topic: _Topic) -> _Rule:
    word = rng.choice(["Meanwhile", "Afterwards", "Outside", "Finally"])
    return _Rule(
        "length_constraints:nth_paragraph_first_word",
        f"Write 2 paragraphs parted by one empty line; the second begins with the word {word}.",
        {"first_word": word, "num_paragraphs": 2, "nth_paragraph": 2},
        lambda text: f"{text}\n\n{word} we hope to see you.",
    )


def _placeholders(rng: random.Random, _topic: _Topic) -> _Rule:
    n = rng.choice((2, 3))
    return _Rule(
        "detectable_content:number_placeholders",
        f"Leave at least {n} gaps to be filled in, written in square brackets such as [name].",
        {"num_placeholders": n},
        lambda text: text + "".join(f" Ask for [{gap}]." for gap in ("name", "street", "number")[:n]),
    )


def _postscript(_rng: random.Random, _topic: _Topic) -> _Rule:
    return _Rule(
        "detectable_content:postscript",
        "Add a postscript that starts with P.S.",
        {"postscript_marker": "P.S."},
        lambda text: f"{text}\n\nP.S. Wear good shoes.",
    )


def _bullets(rng: random.Random, _topic: _Topic) -> _Rule:
    n = rng.choice((2, 3, 4))
    return _Rule(
        "detectable_format:number_bullet_lists",
        f"Close with exactly {n} bullet points that start with a hyphen.",
        {"num_bullets": n},
        lambda text: text + "".join(f"\n- {item}" for item in ("tea", "cakes", "music", "games")[:n]),
    )


def _highlights(rng: random.Random, _topic: _Topic) -> _Rule:
    n = rng.choice((2, 3))
    return _Rule(
        "detectable_format:number_highlighted_sections",
        f"Highlight at least {n} phrases with asterisks, *like this*.",
        {"num_highlights": n},
        lambda text: text + "".join(f" We have *{item}*." for item in ("good music", "old maps", "warm soup")[:n]),
    )


def _sections(rng: random.Random, _topic: _Topic) -> _Rule:
    n, name = rng.choice((2, 3)), rng.choice(["Part", "Section"])
    return _Rule(
        "detectable_format:multiple_sections",
        f"Divide it into {n} sections headed {name} 1, {name} 2 and so on.",
        {"section_spliter": name, "num_sections": n},
        lambda text: text + "".join(f"\n{name} {number}\nWe hope to see you." for number in range(1, n + 1)),
    )


def _title(_rng: random.Random, topic: _Topic) -> _Rule:
    return _Rule(
        "detectable_format:title",
        "Give it a title in double angle brackets, such as <<title>>.",
        {},
        lambda text: f"<<The {topic.event}>>\n{text}",
    )


def _end(rng: random.Random, _topic: _Topic) -> _Rule:
    phrase = rng.choice(["That is all for now.", "See you at the gate.", "Come as you are."])
    return _Rule(
        "startend:end_checker",
        f"The very last words are: {phrase}",
        {"end_phrase": phrase},
        lambda text: f"{text} {phrase}",
    )


def _quotation(_rng: random.Random, _topic: _Topic) -> _Rule:
    return _Rule("startend:quotation", "Put all of it in double quotation marks.", {}, lambda text: f'"{text}"')


def _capitals(rng: random.Random, _topic: _Topic) -> _Rule:
    n = rng.choice((2, 3))
    return _Rule(
        "change_case:capital_word_frequency",
        f"At least {n} words are in capital letters only.",
        {"capital_relation": "at least", "capital_frequency": n},
        lambda text: text + " COME ONE AND ALL.",
    )


def _comma(_rng: random.Random, _topic: _Topic) -> _Rule:
    return _Rule("punctuation:no_comma", "Do not use any comma.", {}, lambda text: text)


def _language(rng: random.Random, topic: _Topic) -> _Rule:
    code = rng.choice(sorted(_ONE_LANGUAGE))
    name, text = _ONE_LANGUAGE[code]
    return _Rule(
        "language:response_language",
        f"Answer in {name} only.",
        {"language": code},
        lambda _: text.format(event=topic.event.title()),
    )


def _upper(_rng: random.Random, _topic: _Topic) -> _Rule:
    return _Rule("change_case:english_capital", "Answer in English and in capital letters only.", {}, str.upper)


def _lower(_rng: random.Random, _topic: _Topic) -> _Rule:
    return _Rule("change_case:english_lowercase", "Answer in English and in small letters only.", {}, str.lower)


def _two(_rng: random.Random, _topic: _Topic) -> _Rule:
    return _Rule(
        "combination:two_responses",
        "Give two different versions, parted by six asterisks: ******",
        {},
        lambda text: f"{text}\n******\nIn short: {text}",
    )


def _repeat(_rng: random.Random, topic: _Topic) -> _Rule:
    return _Rule(
        "combination:repeat_prompt",
        f'First repeat this sentence word for word, then answer: "{topic.person} runs it."',
        {"prompt_to_repeat": f"{topic.person} runs it."},
        lambda text: f"{topic.person} runs it. {text}",
    )


def _json(_rng: random.Random, topic: _Topic) -> _Rule:
    return _Rule(
        "detectable_format:json_format",
        "The whole answer is one JSON object with the keys title and text.",
        {},
        lambda text: json.dumps({"title": topic.event, "text": text}),
    )


def _stance(_rng: random.Random, topic: _Topic) -> _Rule:
    return _Rule(
        "detectable_format:constrained_response",
        f"Then say whether children should come to the {topic.event}, with one of these sentences as it stands: "
        "My answer is yes. My answer is no. My answer is maybe.",
        {},
        lambda text: f"{text} My answer is yes.",
    )


_FIRST = (_upper, _lower, _language, _two, _json, _first_word, _paragraphs, _quotation, _end)
"""Rules on the whole of an answer: one of them at the most."""
_SILENT = (_forbidden, _sentences, _words, _comma)
"""Rules an answer without any effort follows: never alone."""
_MIDDLE = (_keyword, _frequency, _letters, _placeholders, _stance, _highlights, _capitals)
_LINES = (_title, _sections, _bullets, _postscript, _repeat)
_NO_COMPANY = {_upper, _lower, _language, _json, _two}
"""Rules whose answers leave no room for others."""
_SPOILT_BY_AN_OPENING = {"change_case:english_capital", "change_case:english_lowercase", "combination:repeat_prompt"}
"""What a friendly first line breaks, and loose reading forgives."""


def instruction_cases(rng: random.Random, *, n_clusters: int) -> list[dict[str, Any]]:
    """Return cases under one to three instructions; every twelfth is told twice, its twin in the same cluster."""
    cases: list[dict[str, Any]] = []
    seen: set[tuple[_Topic, tuple[str, ...]]] = set()
    while len(seen) < n_clusters:
        topic = _Topic(rng.choice(_PLACES), rng.choice(_PEOPLE), rng.choice(_EVENTS), rng.choice(_FORMS))
        rules = _rules(rng, topic, index=len(seen))
        key = (topic, tuple(rule.identity for rule in rules))
        if key in seen:
            continue
        seen.add(key)
        cases.append(_case(rules, topic, number=len(seen), is_first=True))
        if len(seen) % 12 == 0:
            cases.append(_case(rules, topic, number=len(seen), is_first=False))
    return [{"id": f"ins-{number:03d}", **case} for number, case in enumerate(cases, start=1)]


def _rules(rng: random.Random, topic: _Topic, *, index: int) -> list[_Rule]:
    """Return one to three rules that can be followed together, in the order in which the answer is made to."""
    lead = (*_FIRST, *_MIDDLE, *_LINES)[index % (len(_FIRST) + len(_MIDDLE) + len(_LINES))]
    makers = [lead]
    if lead not in _NO_COMPANY:
        makers += rng.sample(_SILENT, index % 3)
    if len(makers) == 2 and lead in _FIRST:
        makers.insert(0, rng.choice(_MIDDLE))
    return [make(rng, topic) for make in sorted(makers, key=lambda make: make in _FIRST)]


def _case(rules: list[_Rule], topic: _Topic, *, number: int, is_first: bool) -> dict[str, Any]:
    good = topic.plain
    for rule in rules:
        good = rule.follow(good)
    demands = [rule.words for rule in rules]
    words = " ".join((topic.task, *demands) if is_first else (*demands, topic.task))
    every = ["instructions_strict", "instructions_loose", "prompt_strict", "prompt_loose"]
    # Plain prose ignores the rule that leads; the metrics are shares, so one ignored rule fails them all.
    bad = [{"answer": topic.plain, "fails": every}]
    if {rule.identity for rule in rules} & _SPOILT_BY_AN_OPENING:
        bad.append({"answer": f"Here is the Text.\n{good}", "fails": [every[0], every[2]]})
    return {
        "cluster": f"topic-{number:03d}",
        "vars": {"request": words},
        "expected": [{"id": rule.identity, **({"kwargs": rule.kwargs} if rule.kwargs else {})} for rule in rules],
        "tags": [f"instructions:{len(rules)}", *(f"kind:{rule.identity.partition(':')[0]}" for rule in rules)],
        "known_good": [good],
        "known_bad": bad,
    }
