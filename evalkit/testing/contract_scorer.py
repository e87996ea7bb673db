"""What every scorer must hold to, as a pytest class for the authors of scorer plugins.

    class TestMyScorer(ScorerContract):
        good_answer = "Paris"

        def make_scorer(self):
            return build(ScorerContext(params={}, suite=a_suite()))

        def make_case(self):
            return a_case(expected="Paris")

The checks raise AssertionError with the offending value; nothing here needs pytest to be installed.
"""

from __future__ import annotations

import json
import math
import random
import re
import time
from functools import cache
from typing import TYPE_CHECKING

from evalkit.domain.outcome import Kind, Outcome, Reading, ToolCall, Turn
from evalkit.domain.score import Score, Unscored
from evalkit.plugins import instrument_of
from evalkit.testing.builders import an_outcome

if TYPE_CHECKING:
    from evalkit.domain.call import Call
    from evalkit.domain.suite import Case
    from evalkit.plugins import Scorer

__all__ = ["ScorerContract", "hostile_texts"]

_METRIC = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@+-]{0,127}")
_MEBI = 2**20
_LONG = 20_000
_SEED = 20_260
_HOSTILE_LIMIT_S = 1.0
"""Of the processor, not of the wall: other work on the machine does not count."""


@cache
def hostile_texts() -> tuple[str, ...]:
    """Return answers no scorer may stumble over; the same ones every time."""
    source = random.Random(_SEED)
    points = [*range(0x20), *range(0x2000, 0x2070), 0xFEFF, 0xFFFF, 0xFDFA, 0x0130, 0x1F600, 0x10FFFF, *b'{}[]":,\\`']
    noise = tuple("".join(map(chr, source.choices(points, k=400))) for _ in range(20))
    return (
        "",
        " \t\r\n\u2028\u00a0",
        "\x00",
        "x" * _MEBI,
        "x" * 10 * _MEBI,
        "\ud800 \udfff",
        "\n" * _LONG,
        "[" * 10_000 + "1" + "]" * 10_000,
        "9" * 5_000,
        '"' * _LONG,
        "<tool_call>" * 2_000 + "<function=a><parameter=b>" * 2_000,
        "1" * _LONG,
        "1 " * _LONG,
        "the answer is " * _LONG,
        '{"answer": ' * _LONG,
        "[" * _LONG + "]" * _LONG,
        '{"a":' * 2_000 + "1" + "}" * 2_000,
        "```json\n" * _LONG,
        '{"answer": "\\ud800", "\\ud800": 1}',
        '{"answer": 1e999, "b": -1e999, "c": NaN}',
        '{"answer": ' + "9" * 5_000 + "}",
        '{"answer": null}',
        "null",
        "[1, true, {}, []]",
        *noise,
    )


class ScorerContract:
    """Subclass it under a name that starts with `Test`, and say which scorer, on which case, likes which answer."""

    good_answer: str
    """The text of an answer that gets 1 in every metric of the scorer."""

    def make_scorer(self) -> Scorer:
        """Return a new scorer."""
        raise NotImplementedError

    def make_case(self) -> Case:
        """Return the case every answer here belongs to."""
        raise NotImplementedError

    def make_replies(self, calls: tuple[Call, ...]) -> tuple[Outcome, ...]:
        """Return replies to what the scorer asks about the good answer; only a scorer that asks overrides it."""
        _ = calls
        return ()

    def test_metrics_are_names(self) -> None:
        """A scorer declares at least one metric, each name once, fit for a column and a gate."""
        metrics = self.make_scorer().metrics
        _hold(bool(metrics), "a scorer without metrics says nothing", metrics)
        _hold(len(set(metrics)) == len(metrics), "a metric is declared twice", metrics)
        for metric in metrics:
            _hold(_METRIC.fullmatch(metric) is not None, "not a metric name", metric)

    def test_good_answer_gets_one(self) -> None:
        """The answer the author calls good gets 1 in every metric."""
        scorer, case = self.make_scorer(), self.make_case()
        outcome = an_outcome(case.id, text=self.good_answer)
        for entry in scorer.score(case, outcome, self.make_replies(scorer.ask(case, outcome))):
            _hold(isinstance(entry, Score) and math.isclose(entry.value, 1.0), "a good answer below 1", entry)

    def test_survives_hostile_answers(self) -> None:
        """However strange the answer, each declared metric gets, in order, a share or why there is none."""
        scorer, case = self.make_scorer(), self.make_case()
        for text in (self.good_answer, *hostile_texts()):
            entries = scorer.score(case, an_outcome(case.id, text=text), ())
            given = tuple(entry.metric for entry in entries)
            _hold(given == scorer.metrics, f"declared {scorer.metrics}, given for {text[:40]!r}", given)
            for entry in entries:
                _check_entry(entry)

    def test_hostile_answers_take_no_time(self) -> None:
        """No answer, ten megabytes or ten thousand brackets, takes a second of the processor."""
        scorer, case = self.make_scorer(), self.make_case()
        for text in hostile_texts():
            outcome = an_outcome(case.id, text=text)
            started_s = time.process_time()
            scorer.score(case, outcome, ())
            taken_s = time.process_time() - started_s
            _hold(taken_s < _HOSTILE_LIMIT_S, f"{taken_s:.2f} s of the processor", text[:40])

    def test_is_pure(self) -> None:
        """The same answer gets the same scores again, also from a new scorer, and the case stays as it is."""
        scorer, case = self.make_scorer(), self.make_case()
        before = json.dumps(case.expected, sort_keys=True)
        for text in (self.good_answer, *filter(_is_short, hostile_texts())):
            outcome = an_outcome(case.id, text=text)
            first = scorer.score(case, outcome, ())
            _hold(scorer.score(case, outcome, ()) == first, f"another score the second time, for {text[:40]!r}", first)
            _hold(self._score(text) == first, f"another score from a new scorer, for {text[:40]!r}", first)
        _hold(json.dumps(case.expected, sort_keys=True) == before, "the expectation was changed", case.expected)

    def test_asks_in_a_tuple(self) -> None:
        """What the scorer needs answered first comes as a tuple, the same one every time."""
        scorer, case = self.make_scorer(), self.make_case()
        outcome = an_outcome(case.id, text=self.good_answer)
        asked = scorer.ask(case, outcome)
        _hold(isinstance(asked, tuple), "ask returns a tuple", asked)
        _hold(scorer.ask(case, outcome) == asked, "another question the second time", asked)

    def test_says_what_it_asks_about(self) -> None:
        """Every question belongs to the answer and has a key of its own, and the scorer says with what it asks."""
        scorer, case = self.make_scorer(), self.make_case()
        outcome = an_outcome(case.id, text=self.good_answer)
        calls = scorer.ask(case, outcome)
        _hold(len({call.key for call in calls}) == len(calls), "two questions with one key", calls)
        _hold(all(call.asked_about == outcome.call_key for call in calls), "asked about another answer", calls)
        _hold(not calls or instrument_of(scorer) is not None, "asks without saying with what: no `instrument`", scorer)

    def test_gives_no_number_before_it_is_answered(self) -> None:
        """A scorer that asks and gets no reply says so; it never takes silence for a bad answer."""
        scorer, case = self.make_scorer(), self.make_case()
        outcome = an_outcome(case.id, text=self.good_answer)
        for entry in scorer.score(case, outcome, ()) if scorer.ask(case, outcome) else ():
            _hold(isinstance(entry, Unscored), "a number without the reply it asked for", entry)

    def test_takes_tool_calls_without_text(self) -> None:
        """An answer that is only tool calls is graded, not refused."""
        scorer, case = self.make_scorer(), self.make_case()
        entries = scorer.score(case, _only_tool_calls(case.id), ())
        _hold(tuple(entry.metric for entry in entries) == scorer.metrics, "not every metric was given", entries)

    def _score(self, text: str) -> tuple[Score | Unscored, ...]:
        case = self.make_case()
        return self.make_scorer().score(case, an_outcome(case.id, text=text), ())


def _is_short(text: str) -> bool:
    """Long answers are for surviving; purity shows on short ones."""
    return len(text) < _LONG


def _only_tool_calls(case_id: str) -> Outcome:
    reading = Reading(kind=Kind.OK, text=None, tool_calls=(ToolCall(name="look_up", arguments='{"city": "Paris"}'),))
    return an_outcome(case_id, turns=(Turn(reading=reading),))


def _check_entry(entry: Score | Unscored) -> None:
    words = [entry.rationale]
    if isinstance(entry, Score):
        _hold(math.isfinite(entry.value) and 0 <= entry.value <= 1, "not a share", entry)
        words.extend(entry.findings)
    else:
        _hold(bool(entry.reason), "no reason for no number", entry)
    for word in words:
        _hold(_is_storable(word), "cannot be stored as UTF-8", word)


def _is_storable(text: str) -> bool:
    return text.encode("utf-8", "replace").decode("utf-8") == text


def _hold(condition: object, what: str, value: object) -> None:
    if not condition:
        raise AssertionError(f"{what}: {str(value)[:300]!r}")
