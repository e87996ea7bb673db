"""Invented local news to be told in few words: what must be in the summary, and a dropped plan that must not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import random

__all__ = ["summary_cases"]

_PEOPLE = ["Okafor", "Brandl", "Castellan", "Andrade", "Voss", "Ekwall", "Lund", "Marchetti", "Thorne", "Nwosu",
           "Lindqvist", "Tremaine", "Achterberg", "Fenwick", "Santerre", "Brzoza"]  # fmt: skip
_FIRST = ["Ines", "Tomas", "Wren", "Yuki", "Mirela", "Jonas", "Priya", "Odile", "Samir", "Greta", "Asha", "Rufus"]
_TOWNS = ["Ostervik", "Calderbrook", "Nonnenau", "Vellmarch", "Tamsund", "Aldgrave", "Sorrelby", "Finnholm", "Drayport"]
_MONTHS = ["January", "February", "April", "June", "July", "August", "September", "October", "November"]


class _Story(NamedTuple):
    what: str
    opening: str
    money: str
    start: str
    dropped: str


_STORIES = (
    _Story("the roof of the reading room",
           "The reading room in {town} will get a new roof, and {name} is to see to it.",
           "The council has set aside {sum} euros, which {name} calls enough and not a cent more.",
           "Scaffolding goes up in {month}, after the swallows have left.",
           "A plan by {other}, at {dearer} euros, was dropped in spring: it would have closed the room for a year."),
    _Story("the ferry landing",
           "{name} has been asked to rebuild the ferry landing of {town}, which the ice took last winter.",
           "The harbour fund pays {sum} euros for piles, planks and a lamp.",
           "The first boat should tie up in {month}, tides permitting.",
           "{other} had drawn a floating landing for {dearer} euros; the harbour board said no to it."),
    _Story("the school garden",
           "Behind the school of {town} a garden is to be laid out, under the eye of {name}.",
           "Parents and shops gave {sum} euros between them, most of it in small coins.",
           "Digging begins in {month}, as soon as the old shed is gone.",
           "{other} would rather have built a car park for {dearer} euros, an idea that found two votes."),
    _Story("the tower clock",
           "The clock of {town} has stood still since the storm; {name} will make it go again.",
           "Repairs come to {sum} euros, and a foundry lends the crane.",
           "It should strike for the first time in {month}.",
           "An electric clock, offered by {other} for {dearer} euros, was turned down as too quiet."),
    _Story("the night bus",
           "{town} gets a night bus at last, and {name} will run it.",
           "The district gives {sum} euros for the first season.",
           "The line opens in {month} with two buses and four drivers.",
           "{other} had asked for {dearer} euros to run taxis instead, and was not chosen."),
    _Story("the paper mill museum",
           "The paper mill of {town} becomes a museum, with {name} as its first keeper.",
           "A foundation has promised {sum} euros for the water wheel alone.",
           "Doors open in {month}, with half of the rooms still empty.",
           "The flats that {other} wanted to put there for {dearer} euros will not be built."),
)  # fmt: skip
_FILLER = (
    "At the meeting there was soup, and it ran out early.",
    "Nobody spoke against it for long.",
    "The brass band played on the stairs, since it rained.",
    "Older people remember that something like it was tried before.",
    "The minutes will hang in the town hall window.",
    "A dog slept through all of the speeches.",
    "Questions from the back rows were mostly about noise.",
    "The vote was taken by hand and counted twice.",
    "Two neighbours have offered their barns as storage.",
    "The mayor was late and said so herself.",
)


def summary_cases(rng: random.Random, *, n_cases: int) -> list[dict[str, Any]]:
    """Return cases, every passage different: each is a cluster of its own."""
    return [_case(rng, index=index) for index in range(n_cases)]


def _case(rng: random.Random, *, index: int) -> dict[str, Any]:
    story = _STORIES[index % len(_STORIES)]
    family, other_family = rng.sample(_PEOPLE, 2)
    first, other_first = rng.sample(_FIRST, 2)
    amount = rng.randrange(120, 900) * 10 + rng.randrange(1, 10)
    facts = {
        "name": f"{first} {family}",
        "town": rng.choice(_TOWNS),
        "sum": str(amount),
        "month": rng.choice(_MONTHS),
        "other": f"{other_first} {other_family}",
        "dearer": str(amount * 2 + 1),
    }
    limit = rng.choice((35, 40, 45))
    told = [part.format(**facts) for part in (story.money, story.start, story.dropped, *rng.sample(_FILLER, 4))]
    rng.shuffle(told)
    article = " ".join([story.opening.format(**facts), *told])
    good = f"{facts['name']} takes on {story.what} in {facts['town']}: {facts['sum']} euros, from {facts['month']}."
    every = ["instructions_strict", "instructions_loose", "prompt_strict", "prompt_loose"]
    # Every passage has its own bad summary, so that nothing here depends on which case a model slips on.
    bad = [{"answer": good.replace(facts["sum"], facts["dearer"]), "fails": every}]
    if index % 15 == 0:
        bad += [
            {"answer": article, "fails": every},
            {"answer": f"{good} {facts['other']} had hoped for more.", "fails": every},
            {"answer": f"- {good}", "fails": ["prose"]},
        ]
    return {
        "id": f"sum-{index + 1:03d}",
        "vars": {"article": article, "limit": limit},
        "expected": [
            {"id": "length_constraints:number_words", "kwargs": {"relation": "less than", "num_words": limit + 1}},
            {
                "id": "keywords:existence",
                "kwargs": {"keywords": [family, facts["town"], facts["sum"], facts["month"]]},
            },
            {"id": "keywords:forbidden_words", "kwargs": {"forbidden_words": [other_family, facts["dearer"]]}},
        ],
        "tags": [f"limit:{limit}", f"story:{index % len(_STORIES) + 1}"],
        "known_good": [good],
        "known_bad": bad,
    }
