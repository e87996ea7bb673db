"""Runs without texts, as lines of JSON: what a job keeps whose machine forgets everything.

Nights of one suite × model stand together, column by column, because they resemble each other: that is what makes a
year small. A night is written *whole* or *thin*. Whole: every number a decision, a comparison or a chart reads, bit for
bit. Thin: what outlives its expiry, which is kinds, identities and scores; times, tokens and costs of single calls are
left out and are unknown afterwards, never 0.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from evalkit.canonical import sha256_hex
from evalkit.domain.outcome import Cost, Identity, IdentityClass, Kind, Outcome, Timings, Usage
from evalkit.domain.score import Score, Scored, Unscored
from evalkit.pipeline.thinness import MAX_OUTAGE_SHARE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from evalkit.domain.run import Cell, Run
    from evalkit.ports import RunReader

__all__ = ["FORMAT", "ArchivedCell", "archive_lines", "cell_from_line", "run_from_line"]

FORMAT = "evalkit.history/1"

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_UNIT = ("case_id", "cluster_id", "trial", "sequence")
_USAGE = ("completion_tokens",)
_TIMES = ("started_at", "latency_s", "ttft_s", "direct_s")


@dataclass(frozen=True, slots=True)
class ArchivedCell:
    """One suite × model of one run, read back."""

    run_no: int
    outcomes: tuple[Outcome, ...]
    scored: tuple[Scored, ...]


def archive_lines(
    reader: RunReader, runs: Sequence[Run], *, is_whole: Callable[[Run, Cell], bool], run_text: Callable[[Run], str]
) -> Iterator[dict[str, Any]]:
    """Yield the lines between head and end: the runs, oldest first, then their cells by suite, model and run.

    Args:
        reader: the store.
        runs: newest first.
        is_whole: whether a cell keeps the numbers of single calls.
        run_text: a run as the JSON the store keeps of it.
    """
    oldest_first = runs[::-1]
    cells: dict[str, int] = {}
    for run in oldest_first:
        facts = json.loads(run_text(replace(run, has_texts=False)))
        key = json.dumps(facts.pop("cells"))
        is_new = key not in cells
        table = cells.setdefault(key, len(cells))
        yield {"run": facts, "cells": table, **({"table": json.loads(key)} if is_new else {})}
    by_pair: dict[tuple[str, str], list[tuple[int, Run, Cell]]] = {}
    for number, run in enumerate(oldest_first):
        for cell in run.cells:
            by_pair.setdefault((cell.suite, cell.model_id), []).append((number, run, cell))
    units: dict[str, int] = {}
    for pair in sorted(by_pair):
        for number, run, cell in by_pair[pair]:
            found = list(reader.outcomes(run.run_id, suite=cell.suite, model_id=cell.model_id, with_payloads=False))
            if not found:
                continue
            asked = [[getattr(outcome, name) for name in _UNIT] for outcome in found]
            key = json.dumps(asked)
            if key not in units:
                units[key] = len(units)
                yield {"units": units[key], "table": asked}
            scored = {one.call_key: one.scores for one in
                      reader.scores(run.run_id, suite=cell.suite, model_id=cell.model_id)}  # fmt: skip
            yield {
                "of": [number, cell.suite, cell.model_id, units[key]],
                **_columns(found, is_whole=is_whole(run, cell)),
                "scores": _score_columns([scored.get(outcome.call_key, ()) for outcome in found]),
            }


def run_from_line(line: Mapping[str, Any], tables: dict[int, Any], *, run_from_text: Callable[[str], Run]) -> Run:
    """Return the run of a line; `tables` grows by the cells that stand in it for the first time."""
    if "table" in line:
        tables[line["cells"]] = line["table"]
    return run_from_text(json.dumps({**line["run"], "cells": tables[line["cells"]]}))


def cell_from_line(line: Mapping[str, Any], units: Mapping[int, Sequence[Sequence[Any]]]) -> ArchivedCell:
    """Return what `archive_lines` wrote of a cell. The call keys are made anew: they follow from the coordinates."""
    run_no, suite, model_id, table = line["of"]
    n = len(units[table])
    column = {name: _unpacked(line[name], n) for name in (*_WORDS, *_numbers_in(line))}
    outcomes = tuple(
        _outcome(dict(zip(_UNIT, unit, strict=True)), {name: values[index] for name, values in column.items()},
                 suite=suite, model_id=model_id)
        for index, unit in enumerate(units[table])
    )  # fmt: skip
    said = [(metric, _unpacked(packed, n)) for metric, packed in line["scores"]]
    scored = tuple(
        Scored(call_key=outcome.call_key, scores=tuple(_entry(metric, values[index]) for metric, values in said
                                                       if values[index] is not None))
        for index, outcome in enumerate(outcomes)
    )  # fmt: skip
    return ArchivedCell(run_no, outcomes, tuple(one for one in scored if one.scores))


_WORDS = ("kind", "flags", "mode", "identity", "cost_source")


def _numbers_in(line: Mapping[str, Any]) -> Iterator[str]:
    return (name for name in (*_TIMES, *_USAGE, "cost_usd", "direct_usd") if name in line)


def _columns(found: Sequence[Outcome], *, is_whole: bool) -> dict[str, Any]:
    times = [outcome.timings.started_at for outcome in found]
    columns: dict[str, list[Any]] = {
        "kind": [outcome.kind.value for outcome in found],
        "flags": [" ".join(outcome.flags) for outcome in found],
        "mode": [outcome.mode for outcome in found],
        "identity": [_identity_text(outcome.identity) for outcome in found],
        "cost_source": [outcome.cost.source if is_whole else "unknown" for outcome in found],
        "started_at": times,
    }
    if is_whole:
        columns |= {name: [getattr(outcome.timings, name) for outcome in found] for name in _TIMES}
        columns |= {name: [getattr(outcome.usage, name) for outcome in found] for name in _USAGE}
        columns["cost_usd"] = [outcome.cost.usd for outcome in found]
        columns["direct_usd"] = [outcome.cost.direct_usd for outcome in found]
    elif sum(outcome.is_missing for outcome in found) <= MAX_OUTAGE_SHARE * len(found):
        # With so few missing no row of them is an outage, in whatever order they were sent.
        first, last = float(int(min(times))), float(int(max(times)))
        columns["started_at"] = [first, *[last] * (len(times) - 1)]
    return {name: _packed(values) for name, values in columns.items()}


def _score_columns(found: Sequence[Sequence[Score | Unscored]]) -> list[list[Any]]:
    """Return [metric, column] in the order scorers gave them; a text is why there is no number, null nothing said."""
    metrics = dict.fromkeys(entry.metric for entries in found for entry in entries)
    by_unit = [
        {entry.metric: entry.value if isinstance(entry, Score) else entry.reason for entry in entries}
        for entries in found
    ]
    return [[metric, _packed([entries.get(metric) for entries in by_unit])] for metric in metrics]


def _entry(metric: str, value: float | str) -> Score | Unscored:
    return Unscored(metric, value) if isinstance(value, str) else Score(metric, float(value))


def _packed(values: Sequence[Any]) -> Any:
    """Return a column as short as it can be: one value, a few values and where they stand, or all of them."""
    few = list(dict.fromkeys(values))
    if len(few) == 1:
        return {"all": few[0]}
    if len(few) <= min(len(_DIGITS), max(2, len(values) // 4)):
        place = {value: _DIGITS[index] for index, value in enumerate(few)}
        return {"few": few, "at": "".join(place[value] for value in values)}
    return list(values)


def _unpacked(packed: Any, n: int) -> Sequence[Any]:
    """Return the column `_packed` was given.

    Raises:
        ValueError: when it has not one value a unit.
    """
    if isinstance(packed, dict):
        values = [packed["all"]] * n if "all" in packed else [packed["few"][_DIGITS.index(c)] for c in packed["at"]]
    else:
        values = packed
    if len(values) != n:
        raise ValueError(f"a column has {len(values)} values instead of {n}")
    return values


def _identity_text(identity: Identity) -> str:
    return json.dumps([identity.identity_class.value, identity.served_model, identity.provider,
                       identity.system_fingerprint])  # fmt: skip


def _identity_from_text(text: str) -> Identity:
    identity_class, served_model, provider, fingerprint = json.loads(text)
    return Identity(
        identity_class=IdentityClass(identity_class),
        served_model=served_model,
        provider=provider,
        system_fingerprint=fingerprint,
    )


def _outcome(unit: Mapping[str, Any], said: Mapping[str, Any], *, suite: str, model_id: str) -> Outcome:
    coordinates = json.dumps([suite, unit["case_id"], model_id, unit["trial"]])
    return Outcome(
        call_key=sha256_hex(f"history\n{coordinates}".encode()),
        suite=suite,
        model_id=model_id,
        mode=said["mode"],
        kind=Kind(said["kind"]),
        flags=tuple(said["flags"].split()),
        usage=Usage(**{name: said.get(name) for name in _USAGE}),
        cost=Cost(usd=said.get("cost_usd"), source=said["cost_source"], direct_usd=said.get("direct_usd", 0.0)),
        timings=Timings(**{name: said[name] for name in _TIMES if name in said}),
        identity=_identity_from_text(said["identity"]),
        **unit,
    )
