"""Invented errands for nine small tools: one call, one of many, several at once, none, and values that may differ."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

if TYPE_CHECKING:
    import random

__all__ = ["tool_cases"]

_SUITE = Path(__file__).parents[1] / "suites" / "tool-calling" / "suite.yaml"
_ROOMS = ["Amber", "Birch", "Cedar", "Dune", "Elder", "Fjord", "Grove", "Heath"]
_TOWNS = ["Ostervik", "Calderbrook", "Nonnenau", "Puerto Lirio", "Vellmarch", "Tamsund", "Aldgrave", "Sorrelby"]
_PEOPLE = ["Ines Okafor", "Tomas Brandl", "Wren Castellan", "Yuki Andrade", "Mirela Voss", "Jonas Ekwall"]
_ITEMS = ["envelopes", "toner", "chalk", "name badges", "masking tape", "tea lights", "paper cups", "batteries"]
_PLANTS = ["fern", "olive tree", "lemon tree", "ficus", "orchid", "rosemary"]
_COLOURS = ["red", "green", "blue", "white", "yellow"]
_CURRENCIES = ["CHF", "EUR", "GBP", "SEK", "USD"]
_OPENINGS = ["", "Hello! ", "Quick one: ", "When you have a moment: ", "For this afternoon: ", "I am on the move. "]
_ENDINGS = ["", " Thanks.", " Please do it now.", " No need to ask back.", " That is all."]


class _Errand(NamedTuple):
    words: str
    call: dict[str, Any]


def tool_cases(rng: random.Random) -> list[dict[str, Any]]:
    """Return 200 cases in 160 clusters: an errand that is given with one tool and with all of them is one cluster."""
    tools = {tool["name"]: tool for tool in yaml.safe_load(_SUITE.read_text(encoding="utf-8"))["request"]["tools"]}
    cases: list[dict[str, Any]] = []
    for index in range(40):
        errand = _errand(rng, index)
        prompt = _spoken(rng, errand.words)
        bad = _known_bad(errand.call) if index % 5 == 0 else []
        shared = {"vars": {"request": prompt}, "expected": [errand.call], "cluster": f"errand-{index + 1:02d}"}
        one = {"tools": [tools[errand.call["name"]]], "known_bad": bad}
        cases.append(shared | {"tags": ["kind:simple", f"tool:{errand.call['name']}"]} | one)
        cases.append(shared | {"tags": ["kind:choice", f"tool:{errand.call['name']}"]})
    seen: set[str] = set()
    for make in (_parallel, _optional, _without_call):
        for index in range(40):
            while (case := make(rng, index))["vars"]["request"] in seen:
                pass
            seen.add(case["vars"]["request"])
            cases.append(case)
    return [{"id": f"too-{number:03d}", **case} for number, case in enumerate(cases, start=1)]


def _spoken(rng: random.Random, words: str) -> str:
    return f"{rng.choice(_OPENINGS)}{words[0].upper()}{words[1:]}{rng.choice(_ENDINGS)}"


def _errand(rng: random.Random, index: int) -> _Errand:
    """Return one errand whose words give every value; the index chooses the tool, chance the values."""
    makers = (_room, _train, _money, _heat, _timer, _water, _reminder, _weather)
    return makers[index % len(makers)](rng)


def _call(name: str, **arguments: Any) -> dict[str, Any]:
    return {"name": name, "arguments": arguments}


def _day(rng: random.Random) -> str:
    return f"2027-{rng.randrange(1, 13):02d}-{rng.randrange(1, 29):02d}"


def _room(rng: random.Random) -> _Errand:
    room, day, start = rng.choice(_ROOMS), _day(rng), f"{rng.randrange(8, 18):02d}:{rng.choice(('00', '15', '30'))}"
    minutes = rng.choice((20, 30, 45, 60, 90))
    words = rng.choice(
        (
            f"reserve the {room} room on {day} from {start}, for {minutes} minutes.",
            f"we need {room} for {minutes} minutes on {day}, starting at {start}. Book it.",
        )
    )
    return _Errand(words, _call("book_room", room=room, date=day, start=start, minutes=minutes))


def _train(rng: random.Random) -> _Errand:
    start, end = rng.sample(_TOWNS, 2)
    day = _day(rng)
    words = rng.choice(
        (
            f"which trains go from {start} to {end} on {day}?",
            f"I have to be in {end} on {day}; find trains from {start}.",
        )
    )
    return _Errand(words, _call("find_trains", origin=start, destination=end, date=day))


def _money(rng: random.Random) -> _Errand:
    have, want = rng.sample(_CURRENCIES, 2)
    amount = rng.randrange(1200, 90000) / 100
    words = rng.choice(
        (f"how much is {amount:.2f} {have} in {want} today?", f"turn {amount:.2f} {have} into {want} at today's rate.")
    )
    return _Errand(words, _call("convert_money", amount=amount, source=have, target=want))


def _heat(rng: random.Random) -> _Errand:
    room, degrees = rng.choice(_ROOMS), rng.randrange(16, 25)
    words = rng.choice((f"set the heating in {room} to {degrees} degrees.", f"{room} should be at {degrees} °C."))
    return _Errand(words, _call("set_heating", room=room, celsius=degrees))


def _timer(rng: random.Random) -> _Errand:
    minutes, label = rng.randrange(3, 59), rng.choice(("bread", "laundry", "kiln", "tea", "parking"))
    words = rng.choice(
        (f"start a timer of {minutes} minutes and call it {label}.", f"a {minutes}-minute timer labelled {label}, go.")
    )
    return _Errand(words, _call("start_timer", minutes=minutes, label=label))


def _water(rng: random.Random) -> _Errand:
    plant, amount = rng.choice(_PLANTS), rng.choice((100, 150, 250, 400, 600))
    words = rng.choice((f"give the {plant} {amount} ml of water.", f"water the {plant}: {amount} millilitres."))
    return _Errand(words, _call("water_plant", plant=plant, millilitres=amount))


def _reminder(rng: random.Random) -> _Errand:
    person, day, time = rng.choice(_PEOPLE), _day(rng), f"{rng.randrange(7, 20):02d}:{rng.choice(('00', '10', '40'))}"
    words = rng.choice((f"send {person} a reminder on {day} at {time}.", f"remind {person} on {day}, at {time} sharp."))
    return _Errand(words, _call("send_reminder", person=person, date=day, time=time))


def _weather(rng: random.Random) -> _Errand:
    town, day = rng.choice(_TOWNS), _day(rng)
    words = rng.choice((f"what is the forecast for {town} on {day}?", f"will it rain in {town} on {day}?"))
    return _Errand(words, _call("get_forecast", town=town, date=day))


def _known_bad(call: dict[str, Any]) -> list[dict[str, Any]]:
    name, arguments = call["name"], call["arguments"]
    first = next(iter(arguments))
    fewer = {key: value for key, value in arguments.items() if key != first}
    both = ["tool_calls", "tool_calls_lenient"]
    return [
        {"answer": {"tool_calls": [{"name": name, "arguments": fewer}]}, "fails": both},
        {"answer": {"tool_calls": [{"name": name, "arguments": {**arguments, "urgent": True}}]}, "fails": both},
        {"answer": {"tool_calls": [call, call]}, "fails": both},
        {"answer": "I have done that for you.", "fails": both},
        # Written instead of made: the application that waits for calls gets none.
        {"answer": json.dumps(call, ensure_ascii=False), "fails": ["tool_calls"]},
    ]


def _parallel(rng: random.Random, index: int) -> dict[str, Any]:
    """Return two or three errands in one request; every third repeats one tool with other values."""
    count = 2 + index % 2
    if index % 3 == 0:
        errands = [_errand(rng, index) for _ in range(count)]
    else:
        errands = [_errand(rng, index + 3 * step) for step in range(count)]
    if len({json.dumps(errand.call) for errand in errands}) < count:
        return _parallel(rng, index)
    joined = " Also, ".join(errand.words for errand in errands)
    return {
        "vars": {"request": _spoken(rng, joined)},
        "expected": [errand.call for errand in errands],
        "tags": ["kind:parallel", f"calls:{count}"],
    }


def _optional(rng: random.Random, index: int) -> dict[str, Any]:
    """Return an order that leaves something open: the default may be spelt out or left out."""
    item, quantity = rng.choice(_ITEMS), rng.randrange(2, 40)
    call = _call("order_supplies", item=item, quantity=quantity)
    # An order in the plural may be written in the singular; what is not said may be left out or set to its default.
    call["also"] = {"item": [item.removesuffix("s")]}
    words = rng.choice((f"order {quantity} {item}.", f"we are out of {item}: get {quantity} more."))
    if index % 2:
        colour = rng.choice(_COLOURS)
        call["arguments"]["colour"] = colour
        words = rng.choice((f"order {quantity} {item} in {colour}.", f"{quantity} {colour} {item}, please."))
    else:
        call["also"]["colour"] = ["any", ""]
    if index % 4 < 2:
        call["also"]["express"] = [False, ""]
    else:
        call["arguments"]["express"] = True
        words += " Express delivery."
    return {
        "vars": {"request": _spoken(rng, words)},
        "expected": [call],
        "tags": ["kind:optional"],
        "known_good": [{"tool_calls": [{"name": call["name"], "arguments": call["arguments"]}]}],
    }


_TALK = (
    ("which of {one} and {two} is the prettier name for a boat?", "I would pick {one}."),
    ("rhyme a line on {item} for a birthday card.", "Who sits and counts the {item} all day long?"),
    ("what does the word 'forecast' mean? No look-up, just explain it.", "It is what is expected of the weather."),
    ("{person} said the meeting about trains was fun. How do I say that in a kinder way?", "Say that it was a joy."),
    ("spell {one} backwards.", "{backwards}"),
)
_LACKING = (
    ("book a room for me tomorrow.", "Which room, from when and for how long?"),
    ("find me a train to {one}.", "From where, and on which day?"),
    ("send {person} a reminder.", "On which day and at what time?"),
    ("convert this into {currency}, please.", "What amount, and in which currency is it?"),
    ("give the {plant} some water, you know how I like it.", "How many millilitres should it get?"),
)
"""Words that leave out what a call needs: the right answer asks."""


def _without_call(rng: random.Random, index: int) -> dict[str, Any]:
    lacks = index % 2 == 1
    words, answer = (_LACKING if lacks else _TALK)[index // 2 % 5]
    one, two = rng.sample(_TOWNS, 2)
    filling = {
        "one": one,
        "two": two,
        "backwards": one[::-1],
        "item": rng.choice(_ITEMS),
        "person": rng.choice(_PEOPLE),
        "plant": rng.choice(_PLANTS),
        "currency": rng.choice(_CURRENCIES),
    }
    made = {"tool_calls": [_errand(rng, index).call]}
    return {
        "vars": {"request": _spoken(rng, words.format(**filling))},
        "expected": [],
        "tags": ["kind:none", "lacking" if lacks else "talk"],
        "known_good": [answer.format(**filling)],
        "known_bad": [{"answer": made, "fails": ["tool_calls", "tool_calls_lenient"]}],
    }
