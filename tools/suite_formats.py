"""Invented delivery notes in five languages, each with its own way to write numbers and dates."""

# ruff: noqa: RUF001  letters, digits and marks of other scripts are what this file is made of

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

__all__ = ["format_cases"]

_SCHEMA = Path(__file__).parents[1] / "schemas" / "answers" / "delivery.schema.json"
_MONTHS = {
    language: names.split()
    for language, names in {
        "de": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
        "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
        "ar": "يناير فبراير مارس أبريل مايو يونيو يوليو أغسطس سبتمبر أكتوبر نوفمبر ديسمبر",
        "hi": "जनवरी फ़रवरी मार्च अप्रैल मई जून जुलाई अगस्त सितंबर अक्टूबर नवंबर दिसंबर",
    }.items()
}
_WIDE = str.maketrans("0123456789,.", "０１２３４５６７８９，．")
_ARABIC = str.maketrans("0123456789,.", "٠١٢٣٤٥٦٧٨٩٬٫")
_HINDI = str.maketrans("0123456789", "०१२३४५६७८९")
_SWISH = str.maketrans(",.", ".,")
_FRENCH = str.maketrans(",.", "\u202f,")


class _Facts(NamedTuple):
    reference: str
    day: tuple[int, int, int]
    pieces: int
    weight: float
    total: float


class _Language(NamedTuple):
    currency: str
    number: Callable[[float, int], str]
    """A number with so many decimals."""
    date: Callable[[int, int, int], str]
    frames: tuple[str, ...]


def _grouped(value: float, decimals: int) -> str:
    return f"{value:,.{decimals}f}"


def _lakhs(value: float, decimals: int) -> str:
    """Return a number grouped as in India: three digits at the end, pairs before them."""
    whole, _, part = f"{value:.{decimals}f}".partition(".")
    head, tail = whole[:-3], whole[-3:]
    pairs = [head[max(0, end - 2) : end] for end in range(len(head), 0, -2)]
    return ",".join([*reversed(pairs), tail]) + (f".{part}" if part else "")


_LANGUAGES = {
    "de": _Language(
        "EUR",
        lambda value, decimals: _grouped(value, decimals).translate(_SWISH),
        lambda year, month, day: f"{day}. {_MONTHS['de'][month - 1]} {year}",
        (
            "Lieferschein {reference}\nDatum: {date}\nStückzahl: {pieces}\nGewicht: {weight} kg\nBetrag: {total} €",
            "Mit Schein {reference} vom {date} erhalten Sie {pieces} Stück, zusammen {weight} kg. Summe: {total} €.",
        ),
    ),
    "fr": _Language(
        "EUR",
        lambda value, decimals: _grouped(value, decimals).translate(_FRENCH),
        lambda year, month, day: f"{'1er' if day == 1 else day} {_MONTHS['fr'][month - 1]} {year}",
        (
            "Bon de livraison {reference}\nDate : {date}\nPièces : {pieces}\nPoids : {weight} kg\nTotal : {total} €",
            "Par le bon {reference} du {date}, nous vous livrons {pieces} pièces ({weight} kg) pour {total} €.",
        ),
    ),
    "ja": _Language(
        "JPY",
        lambda value, decimals: _grouped(value, decimals).translate(_WIDE),
        lambda year, month, day: f"{year}年{month}月{day}日".translate(_WIDE),
        (
            "納品書 {reference}\n日付：{date}\n個数：{pieces}個\n重量：{weight}キログラム\n合計：{total}円",
            "{date}付の納品書{reference}により、{pieces}個（{weight}キログラム）をお届けします。合計金額は{total}円です。",
        ),
    ),
    "ar": _Language(
        "SAR",
        lambda value, decimals: _grouped(value, decimals).translate(_ARABIC),
        lambda year, month, day: f"{day} {_MONTHS['ar'][month - 1]} {year}".translate(_ARABIC),
        (
            "إشعار تسليم {reference}\nالتاريخ: {date}\nالقطع: {pieces}\nالوزن: {weight} كغ\nالمجموع: {total} ريال",
            "بموجب الإشعار {reference} بتاريخ {date} نسلمكم {pieces} قطعة وزنها {weight} كغ، والمبلغ {total} ريال.",
        ),
    ),
    "hi": _Language(
        "INR",
        lambda value, decimals: _lakhs(value, decimals).translate(_HINDI),
        lambda year, month, day: f"{day} {_MONTHS['hi'][month - 1]} {year}".translate(_HINDI),
        (
            "वितरण पर्ची {reference}\nदिनांक: {date}\nनग: {pieces}\nवज़न: {weight} किलोग्राम\nकुल राशि: ₹{total}",
            "पर्ची {reference}, दिनांक {date}: {pieces} नग, वज़न {weight} किलोग्राम, कुल राशि ₹{total}।",
        ),
    ),
}


def format_cases(rng: random.Random, *, n_cases: int) -> list[dict[str, Any]]:
    """Return cases in five languages, in equal numbers; every 25th under a schema not every provider takes."""
    names = list(_LANGUAGES)
    return [_case(rng, index=index, name=names[index % len(names)]) for index in range(n_cases)]


def _case(rng: random.Random, *, index: int, name: str) -> dict[str, Any]:
    language = _LANGUAGES[name]
    facts = _facts(rng, has_cents=name != "ja")
    frame = language.frames[index // len(_LANGUAGES) % len(language.frames)]
    note = frame.format(
        reference=facts.reference,
        date=language.date(*facts.day),
        pieces=language.number(facts.pieces, 0),
        weight=language.number(facts.weight, 3),
        total=language.number(facts.total, 0 if name == "ja" else 2),
    )
    year, month, day = facts.day
    expected = {
        "reference": facts.reference,
        "date": f"{year}-{month:02d}-{day:02d}",
        "pieces": facts.pieces,
        "weight_kg": facts.weight,
        "total": facts.total,
        "currency": language.currency,
    }
    case: dict[str, Any] = {
        "id": f"mul-{index + 1:03d}",
        "vars": {"note": note},
        "expected": expected,
        "tags": [f"language:{name}"],
        "known_good": [expected],
    }
    if index % 25 == 7:
        case["schema"] = _narrow_schema()
        case["tags"].append("schema:narrow")
    if index % 18 == 0:
        case["known_bad"] = _known_bad(expected)
    return case


def _facts(rng: random.Random, *, has_cents: bool) -> _Facts:
    return _Facts(
        reference=f"{rng.choice('KLMQZ')}{rng.choice('BDFH')}-{rng.randrange(10000, 99999)}",
        day=(rng.randrange(2026, 2029), rng.randrange(1, 13), rng.randrange(1, 29)),
        pieces=rng.randrange(1100, 9800),
        # Three decimals: 1,234 and 1.234 mean two things, and only the language says which.
        weight=rng.randrange(1_101, 9_999) / 1000,
        total=rng.randrange(110_000, 29_999_999) / 100 if has_cents else rng.randrange(110_000, 9_999_999),
    )


def _narrow_schema() -> dict[str, Any]:
    """Return the suite's schema with bounds and a pattern, which some providers' strict modes refuse."""
    schema: dict[str, Any] = json.loads(_SCHEMA.read_text(encoding="utf-8"))
    schema["properties"]["pieces"] |= {"minimum": 1}
    schema["properties"]["reference"] |= {"minLength": 8, "maxLength": 8}
    schema["properties"]["date"] |= {"pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"}
    return schema


def _known_bad(expected: dict[str, Any]) -> list[dict[str, Any]]:
    every = ["fields", "fields_precision", "fields_recall"]
    form = ["json_parse", "json_tolerant", "json_schema"]
    fewer = {key: value for key, value in expected.items() if key != "currency"}
    return [
        {"answer": {**expected, "weight_kg": round(expected["weight_kg"] * 1000)}, "fails": every},
        {"answer": {**expected, "note": "as printed"}, "fails": ["json_schema", "fields", "fields_precision"]},
        {"answer": fewer, "fails": ["json_schema", "fields", "fields_recall"]},
        {"answer": "Gesamtbetrag siehe oben.", "fails": [*form, *every]},
    ]
