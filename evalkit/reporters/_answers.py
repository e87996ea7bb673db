"""Every answer of one suite as the page shows it: case by case with all models side by side, and a row for the list.

Answers are streamed in scheduled order, which puts all answers of a case together; at any time one shard of them is in
memory, and the rows of the suite as columns of numbers. Text is not made harmless here: the page writes it as text and
nothing else, so only its size is bounded.
"""

from __future__ import annotations

import json
from array import array
from collections import Counter
from itertools import groupby
from typing import TYPE_CHECKING, Any

from evalkit.domain.outcome import QUALITY_ZERO, Kind
from evalkit.domain.score import Score
from evalkit.reporters._earlier import EarlierAnswers
from evalkit.reporters._said import MOST_CHARS, primary_of, said_text, with_scores
from evalkit.reporters._shards import CasePacker, shard_file
from evalkit.reporters._text import cut

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from evalkit.domain.outcome import Outcome, Turn
    from evalkit.domain.report import Report
    from evalkit.domain.score import Unscored
    from evalkit.domain.suite import Case, Suite
    from evalkit.ports import RunReader

    Scores = tuple[Score | Unscored, ...]

__all__ = ["SuiteAnswers", "kind_group"]

_WIRE_BYTES = 20_000
_NOTE_CHARS = 600
_MOST_TURNS = 6
_QUANTILES = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0)
_UNKNOWN = -1
_FAILING, _MISSING, _BROKE, _MENDED, _DIFFERS, _CRITICAL = (1 << bit for bit in range(6))
_TIMES = ("latency_s", "queue_s", "retry_s", "ttft_s")


def kind_group(kind: str) -> str:
    """Return `ok`, `zero` (the model's fault, counts as 0) or `missing` (nobody knows) for a wire kind."""
    if kind == Kind.OK:
        return "ok"
    return "zero" if kind in QUALITY_ZERO else "missing"


class SuiteAnswers:
    """Writes one suite: iterate over `files` to the end, then read `details`."""

    def __init__(self, report: Report, reader: RunReader, suite: Suite, *, slug: str) -> None:
        self._report, self._reader, self._suite, self._slug = report, reader, suite, slug
        self._cases = {case.id: case for case in suite.cases}
        self._models = _Numbers()
        self._kinds = _Numbers()
        self._whys = _Numbers()
        self._rows = {name: array("q") for name in ("case", "model", "trial", "kind", "why", "flags", "score", "ms")}
        self._usd = array("d")
        self._by_model: dict[str, _ModelDetails] = {}

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Yield the shards with the cases, then the one with the rows."""
        packer = CasePacker(f"{self._slug}.cases")
        earlier = EarlierAnswers(self._report, self._reader, self._suite)
        case_ids: list[str] = []
        stream = with_scores(self._reader, self._report.run.run_id, suite=self._suite.name)
        for case_id, answers in groupby(stream, key=lambda pair: pair[0].case_id):
            shown = [self._answer(outcome, scores, earlier, number=len(case_ids)) for outcome, scores in answers]
            case_ids.append(case_id)
            yield from packer.add(self._case(case_id, shown))
        yield from packer.finish()
        columns = {name: column.tolist() for name, column in self._rows.items()}
        yield shard_file(
            f"{self._slug}.rows",
            {
                "cases": case_ids,
                "tags": [self._tags(case_id) for case_id in case_ids],
                "starts": packer.starts,
                "models": self._models.names,
                "kinds": self._kinds.names,
                "whys": self._whys.names,
                **columns,
                "usd": [_UNKNOWN if usd < 0 else round(usd, 9) for usd in self._usd],
            },
        )

    @property
    def details(self) -> dict[str, Any]:
        """What the page knows of the suite before it loads a shard of it."""
        return {
            "slug": self._slug,
            "n_rows": len(self._usd),
            "models": {model_id: found.document() for model_id, found in self._by_model.items()},
        }

    def _tags(self, case_id: str) -> list[str]:
        case = self._cases.get(case_id)
        return [] if case is None else [*case.tags]

    def _case(self, case_id: str, shown: Sequence[tuple[dict[str, Any], tuple[Turn, ...]]]) -> dict[str, Any]:
        case = self._cases.get(case_id)
        return {
            "case": case_id,
            "cluster": case.cluster_id if case is not None else "",
            "tags": self._tags(case_id),
            "critical": case is not None and case.critical,
            "expected": self._expected(case),
            "prompt": next(filter(None, (_prompt(turns) for _, turns in shown)), []),
            "answers": [answer for answer, _ in shown],
        }

    def _expected(self, case: Case | None) -> str:
        if self._suite.payloads != "full":
            return f"not shown: payloads are {self._suite.payloads}"
        if case is None:
            return "the case is no longer in the suite"
        if case.expect != "answer":
            return f"the model should answer with: {case.expect}"
        value = case.expected
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2, default=str)
        return cut(text, max_chars=MOST_CHARS)

    def _answer(
        self, outcome: Outcome, scores: Scores, earlier: EarlierAnswers, *, number: int
    ) -> tuple[dict[str, Any], tuple[Turn, ...]]:
        """Return the answer as it is shown, and its turns."""
        before = earlier.of(outcome)
        text = said_text(outcome)
        primary = primary_of(scores, self._suite.primary)
        self._note_row(outcome, scores, number=number, flags=_flags(outcome, scores, self._cases.get(outcome.case_id)))
        answer = _facts(outcome)
        answer["text"] = text
        answer["scores"] = [*self._scores(scores)]
        answer["wire"] = [
            [_wire(turn.request_body), _wire(turn.response_body)] for turn in outcome.turns[-_MOST_TURNS:]
        ]
        if before is not None:
            answer["before"] = before.document(text, outcome)
            self._rows["flags"][-1] |= _turned(before.primary, primary) | (_DIFFERS if before.text != text else 0)
        return {name: value for name, value in answer.items() if value not in (None, "", [])}, outcome.turns

    def _scores(self, scores: Scores) -> Iterator[list[Any]]:
        """Yield [metric, value or null, why, findings or the reason there is no number]."""
        keeps_text = self._suite.payloads == "full"
        for score in scores:
            rationale = cut(score.rationale, max_chars=_NOTE_CHARS) if keeps_text else ""
            if isinstance(score, Score):
                yield [score.metric, round(score.value, 6), rationale, [*score.findings] if keeps_text else []]
            else:
                yield [score.metric, None, rationale, [score.reason]]

    def _note_row(self, outcome: Outcome, scores: Scores, *, number: int, flags: int) -> None:
        primary, latency_s, usd = primary_of(scores, self._suite.primary), outcome.timings.latency_s, outcome.cost.usd
        values = {
            "case": number,
            "model": self._models.of(outcome.model_id),
            "trial": outcome.trial,
            "kind": self._kinds.of(str(outcome.kind)),
            "why": self._whys.of(_why(outcome, scores)),
            "flags": flags,
            "score": _UNKNOWN if primary is None else round(primary * 10_000),
            "ms": _UNKNOWN if latency_s is None else round(latency_s * 1000),
        }
        for name, value in values.items():
            self._rows[name].append(value)
        self._usd.append(_UNKNOWN if usd is None else usd)
        self._by_model.setdefault(outcome.model_id, _ModelDetails()).note(outcome, is_failing=bool(flags & _FAILING))


class _Numbers:
    """Gives each name a number, in order of appearance."""

    def __init__(self) -> None:
        self._number_of: dict[str, int] = {}

    @property
    def names(self) -> list[str]:
        return [*self._number_of]

    def of(self, name: str) -> int:
        return self._number_of.setdefault(name, len(self._number_of))


class _ModelDetails:
    """What one model did on a suite, counted while its answers go by."""

    def __init__(self) -> None:
        self._kinds: Counter[str] = Counter()
        self._n_failing = 0
        self._times = {name: array("d") for name in _TIMES}
        self._usd = array("d")
        self._n_unpriced = 0
        self._tokens = array("q")

    def note(self, outcome: Outcome, *, is_failing: bool) -> None:
        self._kinds[str(outcome.kind)] += 1
        self._n_failing += is_failing
        if outcome.is_missing:
            return
        for name, times in self._times.items():
            value = getattr(outcome.timings, name)
            if value is not None:
                times.append(value)
        if outcome.cost.usd is None:
            self._n_unpriced += 1
        else:
            self._usd.append(outcome.cost.usd)
        if outcome.usage.completion_tokens is not None:
            self._tokens.append(outcome.usage.completion_tokens)

    def document(self) -> dict[str, Any]:
        is_priced = self._usd and not self._n_unpriced
        return {
            "n": self._kinds.total(),
            "n_failing": self._n_failing,
            "kinds": sorted(self._kinds.items(), key=lambda pair: (-pair[1], pair[0])),
            "usd_per_call": sum(self._usd) / len(self._usd) if is_priced else None,
            "output_tokens": sum(self._tokens) / len(self._tokens) if self._tokens else None,
            **{name: _quantiles(times) for name, times in self._times.items()},
        }


def _quantiles(values: array[float]) -> list[float]:
    """Empty when nobody measured it, or when it never was anything but 0 (no queue, no retry)."""
    ordered = sorted(values)
    if not ordered or not ordered[-1]:
        return []
    return [round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 4) for share in _QUANTILES]


def _is_lost(score: Score | Unscored) -> bool:
    return not isinstance(score, Score) or score.value < 1


def _flags(outcome: Outcome, scores: Scores, case: Case | None) -> int:
    """A refusal that was asked for scores 1 everywhere and is no failure."""
    is_failing = any(map(_is_lost, scores)) if scores else outcome.kind is not Kind.OK
    flags = _FAILING if is_failing else 0
    flags |= _MISSING if outcome.is_missing else 0
    return flags | (_CRITICAL if case is not None and case.critical else 0)


def _turned(before: float | None, now: float | None) -> int:
    if before is None or now is None or (before < 1) == (now < 1):
        return 0
    return _BROKE if now < 1 else _MENDED


def _why(outcome: Outcome, scores: Scores) -> str:
    """A few words a list can be searched by: the kind, or the first thing that lost points."""
    if outcome.kind is not Kind.OK:
        return str(outcome.kind)
    lost = next((score for score in scores if _is_lost(score)), None)
    if lost is None:
        return ""
    if isinstance(lost, Score):
        return ": ".join((lost.metric, *lost.findings[:1]))[:80]
    return f"{lost.metric}: {lost.reason}"[:80]


def _facts(outcome: Outcome) -> dict[str, Any]:
    reading, times, usage = outcome.reading, outcome.timings, outcome.usage
    return {
        "model": outcome.model_id,
        "trial": outcome.trial,
        "kind": str(outcome.kind),
        "mode": outcome.mode,
        "flags": [*outcome.flags],
        "reasoning": cut(reading.reasoning, max_chars=MOST_CHARS) if reading and reading.reasoning else "",
        "finish": None if reading is None else reading.finish_reason,
        "times": [times.latency_s, times.ttft_s, times.queue_s, times.retry_s, times.direct_s],
        "usd": outcome.cost.usd,
        "usd_source": outcome.cost.source,
        "tokens": [usage.prompt_tokens, usage.completion_tokens, usage.reasoning_tokens, usage.cached_tokens],
        "identity": str(outcome.identity.identity_class),
        "served": outcome.identity.served_model,
        "attempts": [
            [str(one.kind), one.status, one.latency_s, one.pause_s, one.cost_usd, one.detail]
            for one in outcome.attempts
        ],
        "n_turns": len(outcome.turns) if len(outcome.turns) > 1 else None,
    }


def _wire(body: bytes) -> str:
    head = body[:_WIRE_BYTES].decode("utf-8", errors="backslashreplace")
    return head if len(body) <= _WIRE_BYTES else f"{head}\n… [cut: {len(body):,} bytes in all]"


def _prompt(turns: Sequence[Turn]) -> list[list[Any]]:
    """[role, content] of every message; empty when none was kept or the request is no chat."""
    if not turns or not turns[-1].request_body:
        return []
    try:
        messages = json.loads(turns[-1].request_body)["messages"]
        return [[str(message["role"]), cut(_content(message), max_chars=MOST_CHARS)] for message in messages]
    except (ValueError, TypeError, KeyError, RecursionError, AttributeError):
        return []


def _content(message: dict[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    return json.dumps(content if content is not None else message, ensure_ascii=False, indent=2)
