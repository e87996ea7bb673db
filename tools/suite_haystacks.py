"""Short facts to be found in long logs; the logs are made by the prompt's own template, so that a case stays small."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random

__all__ = ["haystack_cases"]

_OWNERS = ["Ines Okafor", "Tomas Brandl", "Wren Castellan", "Yuki Andrade", "Mirela Voss", "Jonas Ekwall", "Priya Lund",
           "Odile Marchetti", "Samir Thorne", "Greta Nwosu", "Asha Lindqvist", "Rufus Tremaine"]  # fmt: skip
_THINGS = [
    "locker",
    "bicycle shed",
    "paint store",
    "archive box",
    "boat house",
    "tool cage",
    "wine cellar",
    "bell tower",
]
_N_LINES = {"1k": 44, "8k": 350}
"""Lines of the log, of about 23 tokens each."""


def haystack_cases(rng: random.Random, *, n_cases: int) -> list[dict[str, Any]]:
    """Return cases of both sizes in equal numbers; the fact stands early, in the middle and late in turn."""
    return [_case(rng, index=index) for index in range(n_cases)]


def _case(rng: random.Random, *, index: int) -> dict[str, Any]:
    size = ("1k", "8k")[index % 2]
    place = ("early", "middle", "late")[index // 2 % 3]
    n_lines = _N_LINES[size]
    owner, thing = rng.choice(_OWNERS), rng.choice(_THINGS)
    third = {"early": 0, "middle": 1, "late": 2}[place] * n_lines // 3
    at = third + rng.randrange(n_lines // 3)
    code, *others = rng.sample(range(1000, 9999), 4)
    notes = [
        {"at": at, "text": _note(thing, owner, code)},
        *_distractors(rng, others, owner=owner, thing=thing, n_lines=n_lines),
    ]
    case: dict[str, Any] = {
        "id": f"lon-{index + 1:03d}",
        "vars": {
            "n_lines": n_lines,
            "start": rng.randrange(10_000),
            "notes": notes,
            "question": f"What is the code of the {thing} of {owner}?",
        },
        "expected": str(code),
        "tags": [f"size:{size}", f"place:{place}"],
        "known_good": [{"code": str(code)}],
    }
    if index % 17 == 0:
        case["known_bad"] = [
            {"answer": {"code": str(others[0])}, "fails": ["exact"]},
            {"answer": {"code": code}, "fails": ["json_schema"]},
            {
                "answer": "There is no such code in the log.",
                "fails": ["json_parse", "json_tolerant", "json_schema", "exact"],
            },
        ]
    return case


def _note(thing: str, owner: str, code: int) -> str:
    return f"For the record: the code of the {thing} of {owner} is {code}."


def _distractors(rng: random.Random, codes: list[int], *, owner: str, thing: str, n_lines: int) -> list[dict[str, Any]]:
    """Return notes that answer another question: the same thing of others, and another thing of the same owner."""
    others = rng.sample([name for name in _OWNERS if name != owner], 2)
    another = rng.choice([name for name in _THINGS if name != thing])
    texts = [_note(thing, others[0], codes[0]), _note(thing, others[1], codes[1]), _note(another, owner, codes[2])]
    return [{"at": rng.randrange(n_lines), "text": text} for text in texts]
