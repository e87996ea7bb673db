"""How many answers a second one core scores, each scorer by itself, on answers such as models give.

python bench/scoring.py                 # median of 5 rounds of 2,000 answers
python bench/scoring.py --hostile       # the slowest of the contract's hostile answers, per scorer
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from typing import TYPE_CHECKING

from evalkit.plugins import ScorerContext, load_plugin
from evalkit.testing.builders import a_case, a_suite, an_outcome
from evalkit.testing.contract_scorer import hostile_texts

if TYPE_CHECKING:
    from evalkit.domain.outcome import Outcome
    from evalkit.domain.suite import Case
    from evalkit.plugins import Scorer

PROPERTIES = {
    "supplier": {"type": "string", "minLength": 1}, "number": {"type": "string", "pattern": "^[A-Z]{2}-[0-9]+$"},
    "issued": {"type": "string", "format": "date"}, "currency": {"enum": ["EUR", "USD", "GBP"]},
    "net": {"type": "number", "minimum": 0}, "tax": {"type": "number", "minimum": 0}, "total": {"type": "number"},
    "paid": {"type": "boolean"}, "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 5},
    "note": {"type": ["string", "null"]},
}  # fmt: skip
INVOICE = {
    "supplier": "Acme Ltd", "number": "IN-2041", "issued": "2026-03-01", "currency": "EUR", "net": 100.5, "tax": 19.1,
    "total": 119.6, "paid": False, "tags": ["office", "march"], "note": None,
}  # fmt: skip
SCHEMA = {
    "type": "object", "properties": PROPERTIES, "required": sorted(PROPERTIES), "additionalProperties": False,
}  # fmt: skip
CALL = [{"name": "get_weather", "arguments": {"city": "Paris", "days": 3}}]
WEATHER = [{"id": "length_constraints:number_words", "kwargs": {"relation": "at least", "num_words": 5}},
           {"id": "punctuation:no_comma"}]  # fmt: skip
PROSE = "The office in Paris opens at nine and closes at five. " * 4

# scorer, parameters, expected, answer
WORK = [
    ("exact", {}, "Paris", "Paris"),
    ("exact", {"field": "answer"}, "Paris", '{"answer": "Paris", "why": "It is the capital."}'),
    ("choice", {"labels": ["A", "B", "C", "D"]}, "B", "The answer is (B)."),
    ("choice", {"field": "label", "labels": ["billing", "bug", "none"]}, "bug", '{"label": "bug"}'),
    ("number", {"pick": "last"}, 42, "6 times 7 is 42."),
    ("number", {"field": "answer"}, 42, '{"reasoning": "6 times 7", "answer": "42"}'),
    ("contains", {}, "Paris", "It is Paris, of course."),
    ("regex", {"pattern": r"\bPar[a-z]+\b"}, None, "It is Paris, of course."),
    ("squad", {}, ["Paris", "city of Paris"], "the city of Paris"),
    ("abstain", {}, "Paris", "It is Paris, of course."),
    ("json_schema", {}, None, json.dumps(INVOICE)),
    ("fields", {}, INVOICE, json.dumps(INVOICE)),
    ("tool_calls", {}, CALL, json.dumps(CALL)),
    ("instructions", {}, WEATHER, PROSE),
    ("refusal_text", {}, "x", PROSE),
    ("edit_similarity", {}, PROSE, PROSE + "x"),
    ("rouge", {}, PROSE, PROSE),
    ("bleu", {}, PROSE, PROSE),
]


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=2_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--hostile", action="store_true")
    options = parser.parse_args()
    if options.hostile:
        _print_hostile()
        return
    parsing_s = statistics.median(_parse_s(options.n) for _ in range(options.repeats))
    print(f"{'scorer':34} {'answers/s':>10} {'us each':>8} {'x json.loads':>13}")
    rate = options.n / parsing_s
    print(f"{'(json.loads of the invoice)':34} {rate:10,.0f} {1e6 / rate:8.1f} {1:13.1f}")
    for name, params, expected, answer in WORK:
        scorer, case = _built(name, params, expected)
        outcomes = [an_outcome(case.id, text=answer, sequence=index) for index in range(options.n)]
        entries = scorer.score(case, outcomes[0], ())
        assert all(getattr(entry, "value", None) is not None for entry in entries), entries
        taken_s = statistics.median(_scoring_s(scorer, case, outcomes) for _ in range(options.repeats))
        shown = f"{name} {', '.join(sorted(params))}"
        ratio = taken_s / parsing_s
        print(f"{shown:34} {options.n / taken_s:10,.0f} {taken_s / options.n * 1e6:8.1f} {ratio:13.1f}")


def _built(name: str, params: dict, expected: object) -> tuple[Scorer, Case]:
    case = a_case(expected=expected)
    suite = a_suite(
        cases=[case, a_case("case-2", expected="no")],
        scorers=["other"],
        request={"prompt": "?", "response": {"schema": SCHEMA}},
    )
    return load_plugin("scorers", name)(ScorerContext(params=params, suite=suite)), case


def _parse_s(n: int) -> float:
    text = json.dumps(INVOICE)
    started_s = time.process_time()
    for _ in range(n):
        json.loads(text)
    return time.process_time() - started_s


def _scoring_s(scorer: Scorer, case: Case, outcomes: list[Outcome]) -> float:
    started_s = time.process_time()
    for outcome in outcomes:
        scorer.score(case, outcome, ())
    return time.process_time() - started_s


def _print_hostile() -> None:
    print(f"{'scorer':34} {'slowest':>8}  on")
    for name, params, expected, _ in WORK:
        scorer, case = _built(name, params, expected)
        taken = [
            (_scoring_s(scorer, case, [an_outcome(case.id, text=text)]), repr(text[:24])) for text in hostile_texts()
        ]
        slowest_s, text = max(taken)
        print(f"{name + ' ' + ', '.join(sorted(params)):34} {slowest_s:6.2f} s  {text}")


if __name__ == "__main__":
    main()
